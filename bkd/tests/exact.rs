//! The promise of the engine: bounds hold for every vector, so the order of true distances comes out exactly.

mod common;

use bkd::{Metric, Query, Tid};
use common::*;
use proptest::prelude::*;

fn check(rows: &[Vec<f32>], plan: &Plan, sum: Sum, limit: usize, expect: Option<usize>) {
    for metric in METRICS {
        if let Some(index) = Index::new(metric, rows, plan) {
            for query in queries(&index.rows) {
                index.assert_exact(&query, sum, limit, expect);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several segments and a delta in one search, with dead rows, whatever the caller expects.
    #[test]
    fn any_vectors(
        rows in vectors(),
        plan in plans(),
        sum in prop::sample::select(&SUMS[..]),
        limit in 1usize..300,
        expect in prop::option::of(0usize..300),
    ) {
        check(&rows, &plan, sum, limit, expect);
    }

    /// A merge exports vectors with their slack and builds a segment of them: its bounds hold for the original vectors.
    #[test]
    fn merged_segments(
        rows in vectors(),
        plan in plans(),
        sum in prop::sample::select(&SUMS[..]),
        merges in 1usize..4,
    ) {
        for metric in METRICS {
            let Some(mut index) = Index::new(metric, &rows, &plan) else { continue };
            for _ in 0..merges {
                let Some(merged) = Built::merged(metric, &index.segments, &plan.options()) else { break };
                index.segments = vec![merged];
            }
            for query in queries(&index.rows) {
                index.assert_exact(&query, sum, index.rows.len(), None);
            }
        }
    }

    /// Thousands of leaves, which are ranked by groups: for the nearest rows few of them, for all rows all.
    #[test]
    fn many_leaves(
        dims in 1usize..5,
        count in 1100usize..2500,
        flat in any::<bool>(),
        plan in plans(),
        limit in prop::sample::select(&[1usize, 20, 3000][..]),
        seed: u64,
    ) {
        let mut state = seed | 1;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 20) as f32 - 8.0
        };
        let rows: Vec<Vec<f32>> = (0..count).map(|_| (0..dims).map(|at| if flat && at > 0 { 1.0 } else { random() }).collect()).collect();
        check(&rows, &Plan { leaf_size: 1 + plan.leaf_size % 3, ..plan }, SUMS[0], limit, None);
    }

    /// All rows up to a value are found, in order and in no order, also if it is exactly the value of a row; and not many others.
    #[test]
    fn within_a_value(
        rows in vectors(),
        plan in plans(),
        sum in prop::sample::select(&SUMS[..]),
        rank in 0f64..1.0,
        nudge in prop::sample::select(&[0.0, -1e-6, 1e-6, 1e3, -1e3][..]),
    ) {
        for metric in METRICS {
            let Some(index) = Index::new(metric, &rows, &plan) else { continue };
            for query in queries(&index.rows) {
                let Ok(prepared) = Query::new(metric, &query) else { continue };
                let values: Vec<f64> = index.rows.iter().map(|row| operator(metric, sum, &query, row)).collect();
                let value = values[(rank * values.len() as f64) as usize] * (1.0 + nudge);
                let mut expected: Vec<Tid> =
                    index.live().filter(|&at| values[at] <= value).map(common::tid).collect();
                expected.sort();

                let mut found = index.within(&prepared, value);
                found.sort();
                prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "a row came twice");
                found.retain(|&tid| values[common::index(tid)] <= value);
                prop_assert_eq!(&found, &expected);

                let mut search = index.search(&prepared);
                search.stop_after(value);
                let mut found = Vec::new();
                while let Some(hit) = search.next(&mut || ()).unwrap() {
                    prop_assert!(hit.bound <= value);
                    found.push(hit.tid);
                }
                found.sort();
                found.retain(|&tid| values[common::index(tid)] <= value);
                prop_assert_eq!(&found, &expected);
            }
        }
    }

    /// Keys of delta entries are below the value of every operator, by no more than rounding can explain.
    #[test]
    fn delta_bounds(rows in vectors()) {
        let all_in_delta = Plan { shares: vec![0, 1], ..Plan::one(1) };
        for metric in METRICS {
            let Some(index) = Index::new(metric, &rows, &all_in_delta) else { continue };
            prop_assert_eq!(index.delta.len(), index.rows.len());
            for query in queries(&index.rows) {
                let Ok(prepared) = Query::new(metric, &query) else { continue };
                let mut search = index.search(&prepared);
                while let Some(hit) = search.next(&mut || ()).unwrap() {
                    let row = &index.rows[common::index(hit.tid)];
                    for sum in SUMS {
                        let value = operator(metric, sum, &query, row);
                        prop_assert!(value >= hit.bound, "{:?}: {} below {}", sum, value, hit.bound);
                    }
                    let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
                    let scale = match metric {
                        Metric::L2 => norm(&query) + norm(row),
                        Metric::L1 => (norm(&query) + norm(row)) * (row.len() as f64).sqrt(),
                        Metric::Cosine => 1.0,
                        Metric::InnerProduct => norm(&query) * norm(row),
                    };
                    let explained = scale * (row.len() + 40) as f64 * 1e-6 + 1e-17;
                    let value = operator(metric, Sum::Pairwise, &query, row);
                    prop_assert!(value - hit.bound <= explained, "{} far below {}", hit.bound, value);
                }
            }
        }
    }
}

/// Numbers that repeat after 1009, from -0.3 to 0.7.
fn lattice(count: usize, dims: usize) -> Vec<Vec<f32>> {
    let number = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 1009) as f32 / 1009.0 - 0.3;
    (0..count).map(|i| (0..dims).map(|j| number(i, j)).collect()).collect()
}

/// Dimensions at the edges of groups, blocks and pages.
#[test]
fn all_dimensions() {
    for dims in [1, 2, 7, 8, 9, 15, 16, 17, 20, 21, 64, 100, 768, 1536, 2000, 2030, 4096, 8100, 16_000] {
        let rows = lattice(if dims > 1000 { 70 } else { 700 }, dims);
        check(&rows, &Plan::one(33), Sum::Sequential, 50, None);
    }
}

/// One vector, and vectors that are all equal: every leaf, box and grid is a point.
#[test]
fn points() {
    for dims in [1, 3, 24, 100] {
        for count in [1, 2, 500] {
            for value in [0.0, 0.1, -1e-40, 1e10] {
                let rows = vec![vec![value; dims]; count];
                check(&rows, &Plan::one(16), Sum::Sequential, usize::MAX, None);
            }
        }
    }
}

/// Sums that lose as much as single precision can: from left to right, a first product of one absorbs all that follow.
#[test]
fn absorbed_products() {
    for dims in [100, 2000, 16_000] {
        let mut row = vec![(0.98f32 / (1 << 25) as f32).sqrt(); dims];
        row[0] = 1.0;
        let rows = vec![row; 20];
        let opposite: Vec<f32> = rows[0].iter().map(|x| -x).collect();
        assert_eq!(operator(Metric::InnerProduct, Sum::Sequential, &opposite, &rows[0]), 1.0);
        for metric in METRICS {
            for delta in [0, 1] {
                let plan = Plan { shares: vec![1 - delta, delta], ..Plan::one(8) };
                let index = Index::new(metric, &rows, &plan).unwrap();
                for query in [&opposite, &rows[0], &vec![0.0; dims]] {
                    index.assert_exact(query, Sum::Sequential, usize::MAX, None);
                }
            }
        }
    }
}

/// A search that is asked for everything returns everything, once, in order, in several passes.
#[test]
fn everything_in_order() {
    let number = |i: usize, j: usize| ((i * 31 + j * 17) % 257) as f32;
    let rows: Vec<Vec<f32>> = (0..5000).map(|i| (0..3).map(|j| number(i, j)).collect()).collect();
    let plan = Plan { leaf_size: 64, shares: vec![3, 1, 1], same_axes: false, sketch: None, removed: 7 };
    check(&rows, &plan, Sum::Sequential, usize::MAX, None);
    let index = Index::new(Metric::L2, &rows, &plan).unwrap();
    let query = Query::new(Metric::L2, &rows[0]).unwrap();
    let mut search = index.search(&query);
    while search.next(&mut || ()).unwrap().is_some() {}
    assert!(search.stats().passes > 2);

    // Without an order: all rows of the segments; the caller has those of the delta.
    let mut everything = index.everything();
    let mut found: Vec<Tid> = Vec::new();
    while let Some(tid) = everything.next(&mut || ()).unwrap() {
        found.push(tid);
    }
    found.sort_unstable();
    let expected: Vec<Tid> = index.live().filter(|&at| at < 4000).map(tid).collect();
    assert_eq!(found, expected);
}

/// The tree and the codes do their work: a search for few rows compares few vectors and hands over few.
#[test]
fn searches_are_selective() {
    for (dims, coarse) in [(2, 2_000), (4, 5_000), (64, 20_000)] {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let rows: Vec<Vec<f32>> = (0..20_000).map(|_| (0..dims).map(|_| random()).collect()).collect();
        let index = Index::new(Metric::L2, &rows, &Plan::one(128)).unwrap();
        let query: Vec<f32> = (0..dims).map(|_| random()).collect();
        let values: Vec<f64> =
            rows.iter().map(|row| operator(Metric::L2, Sum::Sequential, &query, row)).collect();
        let mut search = index.search(&Query::new(Metric::L2, &query).unwrap());
        ordered(&mut search, |tid| values[common::index(tid)], 10);
        let stats = search.stats();
        assert!(stats.coarse <= coarse && stats.fine <= 1_000 && stats.rows <= 20, "{dims}: {stats:?}");
    }
}

/// Who says how many rows he wants has them from one pass, with what tells him that these are all; and the fewer he wants, the fewer vectors
/// are compared.
#[test]
fn one_pass_has_what_is_wanted() {
    let mut random = random(3);
    let mut rows: Vec<Vec<f32>> = (0..6_000).map(|_| (0..24).map(|_| random()).collect()).collect();
    // Some as near as others.
    rows.extend_from_within(..2_000);
    for metric in METRICS {
        let index = Index::new(metric, &rows, &Plan::one(512)).unwrap();
        let mut fine = Vec::new();
        for limit in [1, 10, 40] {
            let mut compared = 0;
            for row in rows.iter().step_by(797) {
                let query: Vec<f32> = row.iter().map(|x| x + 0.1 * random()).collect();
                let values: Vec<f64> =
                    index.rows.iter().map(|row| operator(metric, Sum::Sequential, &query, row)).collect();
                let mut search = index.search(&Query::new(metric, &query).unwrap());
                search.expect(limit);
                let found = ordered(&mut search, |tid| values[common::index(tid)], limit);
                let stats = search.stats();
                assert_eq!((found.len(), stats.passes), (limit, 1), "{metric:?}: {stats:?}");
                compared += stats.fine;
            }
            fine.push(compared);
        }
        assert!(fine.is_sorted() && 3 * fine[0] < 2 * fine[1], "{metric:?}: {fine:?}");
    }
}
