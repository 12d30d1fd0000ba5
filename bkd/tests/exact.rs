//! The promise of the engine: bounds hold for every vector, so the order of true distances comes out exactly.

mod common;

use bkd::{export, Metric, Query};
use common::*;
use proptest::prelude::*;

/// Components that hurt: ordinary ones, equal ones, tiny and huge ones.
fn component() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -1f32..1.0,
        2 => Just(0.0),
        1 => Just(0.5),
        1 => (-3i32..4).prop_map(|x| x as f32),
        1 => (-1f32..1.0, -38..14i32).prop_map(|(x, e)| x * 10f32.powi(e)),
        1 => (1u32..0x80_0000).prop_map(f32::from_bits),
    ]
}

/// Sets of vectors of one dimension: spread, clustered, with repeated vectors, with heavy tails.
fn vectors() -> impl Strategy<Value = Vec<Vec<f32>>> {
    let dims = prop_oneof![1usize..9, 9usize..24, 24usize..72, Just(130usize), Just(1040usize)];
    (dims, 1usize..220, 0u8..4).prop_flat_map(|(dims, count, shape)| {
        let vector = prop::collection::vec(component(), dims);
        let uniform = prop::collection::vec(-1f32..1.0, dims);
        match shape {
            0 => prop::collection::vec(vector, count).boxed(),
            1 => prop::collection::vec(uniform, count).boxed(),
            // Few distinct vectors, far from the origin.
            2 => prop::collection::vec(uniform, 1..4)
                .prop_flat_map(move |centers| {
                    let copy = (0..centers.len(), prop::option::of(0..dims), -0.01f32..0.01);
                    prop::collection::vec(copy, count).prop_map(move |copies| {
                        let moved = |(center, dim, by): (usize, Option<usize>, f32)| {
                            let mut vector: Vec<f32> = centers[center].iter().map(|x| x + 1000.0).collect();
                            if let Some(dim) = dim {
                                vector[dim] += by;
                            }
                            vector
                        };
                        copies.into_iter().map(moved).collect::<Vec<_>>()
                    })
                })
                .boxed(),
            // A heavy tail: norms over many orders of magnitude.
            _ => prop::collection::vec((uniform, -12i32..13), count)
                .prop_map(|vectors| {
                    let scaled = |(vector, e): (Vec<f32>, i32)| {
                        vector.into_iter().map(|x| x * 10f32.powi(e)).collect()
                    };
                    vectors.into_iter().map(scaled).collect()
                })
                .boxed(),
        }
    })
}

fn check(vectors: &[Vec<f32>], leaf_size: usize, limit: usize) {
    for metric in METRICS {
        let (prepared, kept) = prepare_all(metric, vectors);
        if kept.is_empty() {
            continue;
        }
        let dims = vectors[0].len();
        let built = Built::new(metric, dims, &prepared, None, leaf_size);
        let far: Vec<f32> = kept[0].iter().map(|x| x * -3.0 + 0.1).collect();
        for query in [&kept[0], &kept[kept.len() / 2], &far] {
            assert_exact(&built, metric, &kept, query, limit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn any_vectors(vectors in vectors(), leaf_size in 1usize..40, limit in 1usize..300) {
        check(&vectors, leaf_size, limit);
    }

    /// A merge exports vectors with their slack and builds a segment of them: its bounds hold for the original vectors.
    #[test]
    fn merged_segments(vectors in vectors(), leaf_size in 1usize..40, merges in 1usize..4) {
        for metric in METRICS {
            let (mut prepared, kept) = prepare_all(metric, &vectors);
            if kept.is_empty() {
                continue;
            }
            let dims = vectors[0].len();
            let mut built = Built::new(metric, dims, &prepared, None, leaf_size);
            for _ in 0..merges {
                let mut slack = vec![f32::NAN; kept.len()];
                export(&built.segment, &&built.store, &mut || (), &mut |vector, by, tid| {
                    let at = index(tid);
                    prepared[at * dims..(at + 1) * dims].copy_from_slice(vector);
                    slack[at] = by;
                }).unwrap();
                prop_assert!(slack.iter().all(|slack| slack.is_finite()));
                built = Built::new(metric, dims, &prepared, Some(&slack), leaf_size);
            }
            assert_exact(&built, metric, &kept, &kept[0], kept.len());
        }
    }

    /// Keys of delta entries hold as well.
    #[test]
    fn delta_bounds(vectors in vectors()) {
        for metric in METRICS {
            let (prepared, kept) = prepare_all(metric, &vectors);
            if kept.is_empty() {
                continue;
            }
            let dims = vectors[0].len();
            let query = Query::new(metric, &kept[0]).unwrap();
            let delta = prepared
                .chunks_exact(dims)
                .enumerate()
                .map(|(at, vector)| (query.bound(vector), tid(at)))
                .collect();
            let mut search = bkd::Search::new(query, Vec::new(), delta);
            let value = |tid| operator(metric, &kept[0], &kept[index(tid)]);
            let rows = ordered(&mut search, value, usize::MAX);
            prop_assert_eq!(rows.len(), kept.len());
        }
    }
}

/// Dimensions at the edges of groups, blocks and pages.
#[test]
fn all_dimensions() {
    for dims in [1, 2, 7, 8, 9, 15, 16, 17, 20, 21, 64, 100, 768, 1536, 2000, 2030, 4096, 8100, 16_000] {
        let count = if dims > 1000 { 70 } else { 700 };
        let vectors: Vec<Vec<f32>> = (0..count)
            .map(|i| (0..dims).map(|j| ((i * 7919 + j * 104_729) % 1009) as f32 / 1009.0 - 0.3).collect())
            .collect();
        check(&vectors, 33, 50);
    }
}

/// A search that is asked for everything returns everything, once, in order, in several passes.
#[test]
fn everything_in_order() {
    let vectors: Vec<Vec<f32>> =
        (0..5000).map(|i| (0..3).map(|j| ((i * 31 + j * 17) % 257) as f32).collect()).collect();
    check(&vectors, 64, usize::MAX);
    let (prepared, _) = prepare_all(Metric::L2, &vectors);
    let built = Built::new(Metric::L2, 3, &prepared, None, 64);
    let mut all = built.everything();
    let mut found = Vec::new();
    while let Some(tid) = all.next(&mut || ()).unwrap() {
        found.push(index(tid));
    }
    found.sort_unstable();
    assert_eq!(found, (0..5000).collect::<Vec<_>>());
}
