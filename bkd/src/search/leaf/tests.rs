//! Raw bounds of vectors, from coarse and from fine codes, against exact values in double precision.

use proptest::prelude::*;

use super::*;
use crate::testing::{prepared, Example, Random, METRICS, SHAPES};
use crate::BuildOptions;

/// Checks a leaf's bounds for every one of its vectors.
fn check_leaf(example: &Example, query: &Query, leaf: usize) {
    let segment = &example.segment;
    let layout = segment.layout();
    let mut scan = LeafScan::new(query, std::iter::once(segment));
    let mut stream = Stream::new(segment, &example.store);
    let (mut coarse, mut between, mut last) = stream.planes().stages();
    let vectors = segment.leaf_vectors(leaf);
    let mut view = scan.view(segment, &mut coarse, 0, leaf).unwrap();
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

        let high = &mut scan.high[..view.high_bytes];
        if !high.is_empty() {
            gather(&mut coarse, block + 1, layout.groups, lane, high).unwrap();
        }
        let high = &scan.high[..view.high_bytes];
        if let Some(between) = &mut between {
            let (low, residual) = between.record(ordinal).unwrap();
            let bounds = view.fine.raw(scan.kernels, &scan.sketch_grid, high, low, residual, f32::INFINITY);
            let [lower, _] = bounds.unwrap();
            assert!(
                f64::from(lower) <= exact,
                "the sketch of vector {ordinal} is at {lower}, it is at {exact}"
            );
        }
        let (codes, residual) = last.record(ordinal).unwrap();
        let (scale, high) = view.whole.as_ref().map_or((&view.fine, high), |whole| (whole, &[]));
        let bounds = |reach| scale.raw(scan.kernels, &scan.grid, high, codes, residual, reach);
        let [lower, upper] = bounds(f32::INFINITY).unwrap();
        // Distances reach at least to zero.
        let reach = if query.metric() == Metric::InnerProduct { lower } else { lower.max(0.0) };
        assert_eq!(bounds(reach), Some([lower, upper]), "vector {ordinal} is within its own bound");
        let least = exact - 2.0 * example.tolerance(query, example.at(ordinal));
        assert!(
            f64::from(lower) <= exact && f64::from(upper) >= least,
            "its last codes put vector {ordinal} at {lower} to {upper}, it is at {exact}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raw_bounds_hold(
        metric in prop::sample::select(&METRICS[..]),
        shape in prop::sample::select(&SHAPES[..]),
        dims in prop_oneof![8 => 1usize..10, 3 => 10usize..70, 1 => 70usize..300, 1 => 1020usize..1040],
        count in 1usize..80,
        leaf_size in prop_oneof![2 => Just(48usize), 1 => 2usize..10],
        sketch in prop_oneof![Just(0u32), 1u32..40],
        merged in prop::bool::weighted(0.2),
        seed: u64,
    ) {
        let mut random = Random(seed);
        let vectors = shape.vectors(dims, count, &mut random);
        let queries = random.many(6, |random| shape.query(&vectors, random));
        let vectors = prepared(metric, vectors);
        prop_assume!(!vectors.is_empty());
        let slack = if merged { vectors[0][0].abs() * 0.01 } else { 0.0 };
        let options = BuildOptions { leaf_size: Some(leaf_size), sketch: Some(sketch), ..Default::default() };
        let example = Example::new(metric, vectors, slack, &options, &mut random);
        for query in queries {
            if let Ok(query) = Query::new(metric, &query) {
                for leaf in 0..example.segment.leaves() {
                    check_leaf(&example, &query, leaf);
                }
            }
        }
    }
}
