//! Bounds of whole leaves against exact values in double precision.

use proptest::prelude::*;

use super::*;
use crate::testing::{prepared, Example, Random, METRICS, SHAPES};
use crate::BuildOptions;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// With a vector a leaf, boxes are points, and their bounds nearly distances.
    #[test]
    fn leaf_bounds_hold(
        metric in prop::sample::select(&METRICS[..]),
        shape in prop::sample::select(&SHAPES[..]),
        dims in prop_oneof![2 => 1usize..21, 3 => 21usize..70, 1 => 70usize..300],
        leaf_size in prop_oneof![Just(1), 2usize..20],
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
        let options = BuildOptions { leaf_size: Some(leaf_size), ..Default::default() };
        let example = Example::new(metric, vectors, slack, &options, &mut random);
        for query in queries {
            let Ok(query) = Query::new(metric, &query) else { continue };
            let leaves = 0..example.segment.leaves();
            let bounds =
                Ranker::new(&query, &example.segment).bounds(&example.segment, &example.segment.directory().leaves, leaves.clone());
            prop_assert_eq!(bounds.len(), leaves.len());
            for (leaf, bound) in leaves.zip(bounds) {
                for ordinal in example.segment.leaf_vectors(leaf) {
                    let vector = example.at(ordinal);
                    let exact = example.value(&query, vector);
                    prop_assert!(
                        f64::from(bound) <= exact + example.tolerance(&query, vector),
                        "a leaf is said to begin at {}, its vector {} is at {}", bound, ordinal, exact
                    );
                }
            }
        }
    }
}
