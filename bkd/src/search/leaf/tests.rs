//! Raw bounds of vectors, from coarse and from fine codes, against exact values in double precision.

use proptest::prelude::*;

use super::*;
use crate::testing::{prepared, Example, Random, METRICS, SHAPES};

/// Checks a leaf's bounds for every one of its vectors.
fn check_leaf(example: &Example, query: &Query, leaf: usize) {
    let segment = &example.segment;
    let layout = segment.layout();
    let mut scan = LeafScan::new(query);
    let mut stream = Stream::new(segment, &example.store);
    let (mut coarse, mut fine) = stream.split();
    let at = segment.leaf_chunk(leaf);
    let vectors = segment.leaf_vectors(leaf);
    let mut view = scan.view(segment, &mut coarse, at, vectors.len()).unwrap();
    for (within, ordinal) in vectors.enumerate() {
        let exact = example.value(query, example.at(ordinal)) + example.tolerance(query, example.at(ordinal));
        let (block, lane) = (within / LANES, within % LANES);
        let block = segment.block_chunk(leaf, block);

        // Whoever wants all that is as near as this vector gets this vector: the smallest threshold that is not below.
        let nearest = exact as f32;
        view.threshold.tau = if f64::from(nearest) < exact { nearest.next_up() } else { nearest };
        let survivors =
            scan.scan_split_block(&mut coarse, block, None, layout.groups, &view.threshold).unwrap();
        let tau = view.threshold.tau;
        assert_eq!(survivors >> lane & 1, 1, "coarse codes rule out vector {ordinal} at {exact}, tau {tau}");

        gather(&mut coarse, block + 1, layout.groups, lane, &mut scan.high).unwrap();
        let (low, residual) = fine.record(ordinal).unwrap();
        let raw = view.fine.raw(scan.kernels, &scan.grid, &scan.high, low, residual);
        assert!(
            f64::from(raw) <= exact,
            "fine codes put vector {ordinal} at {raw} or beyond, it is at {exact}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raw_bounds_hold(
        metric in prop::sample::select(&METRICS[..]),
        shape in prop::sample::select(&SHAPES[..]),
        dims in prop_oneof![8 => 1usize..10, 3 => 10usize..70, 1 => 70usize..300],
        count in 1usize..80,
        merged in prop::bool::weighted(0.2),
        seed: u64,
    ) {
        let mut random = Random(seed);
        let vectors = shape.vectors(dims, count, &mut random);
        let queries = random.many(6, |random| shape.query(&vectors, random));
        let vectors = prepared(metric, vectors);
        prop_assume!(!vectors.is_empty());
        let slack = if merged { vectors[0][0].abs() * 0.01 } else { 0.0 };
        let example = Example::new(metric, vectors, slack, 48, &mut random);
        for query in queries {
            if let Ok(query) = Query::new(metric, &query) {
                for leaf in 0..example.segment.leaves() {
                    check_leaf(&example, &query, leaf);
                }
            }
        }
    }
}
