//! Segments whose coarse codes are those of sketches.

mod common;

use std::collections::HashSet;

use bkd::layout::leaf::{LeafLayout, LANES};
use bkd::layout::records::RecordLayout;
use bkd::layout::{CHUNK, PAYLOAD};
use bkd::{check_segment, Axes, Directory, Error, Metric, Query, RowCheck, ScanStats, Tid};
use common::*;

const DIMS: usize = 100;
/// Sketches of such vectors have fine codes, too.
const LONG: usize = 1032;
const ROWS: usize = 12_000;
const QUERIES: usize = 100;
const SKETCHED: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

/// Clusters near a subspace of so many dimensions.
fn near_subspace(of: usize, dims: usize, count: usize) -> Vec<Vec<f32>> {
    let mut random = random(5);
    let directions: Vec<Vec<f32>> = (0..of).map(|_| (0..dims).map(|_| random()).collect()).collect();
    let centers: Vec<Vec<f32>> = (0..40).map(|_| (0..of).map(|_| random()).collect()).collect();
    (0..count)
        .map(|at| {
            let mut row: Vec<f32> = (0..dims).map(|_| 0.2 * random() + 2.0).collect();
            for (direction, center) in directions.iter().zip(&centers[at % centers.len()]) {
                let along = 0.3 * center + random();
                row.iter_mut().zip(direction).for_each(|(x, direction)| *x += along * direction);
            }
            row
        })
        .collect()
}

fn index_of(metric: Metric, rows: &[Vec<f32>], shares: &[usize]) -> Index {
    Index::new(metric, rows, &Plan { shares: shares.to_vec(), removed: 7, ..Plan::one(1024) }).unwrap()
}

fn sketch_of(built: &Built) -> Option<u32> {
    built.segment.directory().sketch
}

#[test]
fn vectors_are_sketched_where_it_helps() {
    let rows = near_subspace(20, DIMS, ROWS);
    for metric in METRICS {
        let index = index_of(metric, &rows, &[1, 0]);
        assert_eq!(sketch_of(&index.segments[0]).is_some(), metric != Metric::L1, "{}", metric.name());
    }
    // On more directions than boxes are measured on, too.
    let many = index_of(Metric::L2, &near_subspace(70, DIMS, ROWS), &[1, 0]);
    let directory = many.segments[0].segment.directory();
    let Axes::Principal { rows, .. } = &directory.axes else { panic!("no axes") };
    assert!((33..=47).contains(&directory.sketch.unwrap()), "{:?}", directory.sketch);
    assert_eq!(rows.len() / DIMS, directory.sketch.unwrap() as usize);
    // Not if hardly anything is in a subspace, nor of few dimensions or few vectors.
    let nowhere = near_subspace(0, DIMS, ROWS);
    for rows in [nowhere, near_subspace(8, 32, ROWS), near_subspace(20, DIMS, 5_000)] {
        assert_eq!(sketch_of(&index_of(Metric::L2, &rows, &[1, 0]).segments[0]), None);
    }
}

/// In one segment and in several, for few rows and for many, after merging, and with the help of other threads.
#[test]
fn searches_are_exact() {
    for (of, dims, shares) in
        [(20, DIMS, &[1, 0][..]), (70, DIMS, &[1, 0]), (20, DIMS, &[4, 4, 1]), (70, LONG, &[1, 0])]
    {
        let rows = near_subspace(of, dims, if shares.len() > 2 { 3 * ROWS } else { ROWS });
        for metric in SKETCHED {
            let mut index = index_of(metric, &rows, shares);
            for generation in 0..2 {
                assert!(index.segments.iter().all(|built| sketch_of(built).is_some()));
                let near: Vec<f32> = rows[5].iter().map(|x| x * 1.01).collect();
                for query in [rows[77].clone(), near, vec![4.0; dims], vec![-300.0; dims]] {
                    for (limit, expect) in [(1, Some(1)), (10, None), (700, Some(10))] {
                        index.assert_exact(&query, Sum::Lanes8, limit, expect);
                        let search = helped(index.search(&Query::new(metric, &query).unwrap()));
                        index.assert_yields(search, &query, Sum::Lanes8, limit);
                    }
                    let value = |at: usize| operator(metric, Sum::Lanes8, &query, &index.rows[at]);
                    let radius = value(123);
                    let query = Query::new(metric, &query).unwrap();
                    let found: HashSet<usize> =
                        index.within(&query, radius).into_iter().map(common::index).collect();
                    assert!(index.live().all(|at| value(at) > radius || found.contains(&at)));
                }
                if generation == 0 {
                    index.segments = Built::merged(metric, &index.segments, &Plan::one(1024).options())
                        .into_iter()
                        .collect();
                }
            }
        }
    }
}

/// What sketches very likely do not see of a distance is not missed.
#[test]
fn approximate_searches_find_what_was_asked_for() {
    for (of, dims) in [(20, DIMS), (70, DIMS), (70, LONG)] {
        let rows = near_subspace(of, dims, ROWS + QUERIES);
        let (rows, queries) = rows.split_at(ROWS);
        for metric in SKETCHED {
            let index = index_of(metric, rows, &[1, 0]);
            let find = |query: &[f32], recall: f64| -> (HashSet<Tid>, ScanStats) {
                let mut search = index.search(&Query::new(metric, query).unwrap());
                search.expect(10);
                search.set_recall(recall);
                let value = |tid| operator(metric, Sum::Lanes8, query, &index.rows[common::index(tid)]);
                let found = ordered(&mut search, value, 10).into_iter().map(|(_, tid)| tid).collect();
                (found, search.stats())
            };
            for target in [0.8, 0.95, 0.99] {
                let (mut hits, mut fine, mut all_fine, mut all_whole) = (0, 0, 0, 0);
                for query in queries {
                    let ((exact, of_all), (found, of_some)) = (find(query, 1.0), find(query, target));
                    assert_eq!(found.len(), 10);
                    hits += found.intersection(&exact).count();
                    fine += of_some.fine;
                    all_fine += of_all.fine;
                    all_whole += of_all.whole;
                }
                let recall = hits as f64 / (10 * QUERIES) as f64;
                println!(
                    "{of} of {dims} {}: {recall:.3} at {target}, {fine} of {all_fine}, {all_whole} by whole codes",
                    metric.name()
                );
                assert!(recall >= target - 0.04, "{recall} at {target}");
                assert!(
                    fine < all_fine && all_fine < QUERIES as u64 * ROWS as u64 / 5,
                    "{fine} of {all_fine}"
                );
                // Fine codes of sketches rule out most of what coarse ones cannot.
                assert!(if dims == LONG { 2 * all_whole < all_fine } else { all_whole == all_fine });
            }
        }
    }
}

#[test]
fn damaged_directories_are_refused() {
    let honest = index_of(Metric::L2, &near_subspace(70, DIMS, ROWS), &[1, 0]).segments[0].segment.clone();
    let honest = honest.directory();
    let refused = |what: &str, change: &dyn Fn(&mut Directory)| {
        let mut damaged = honest.clone();
        change(&mut damaged);
        let decoded = Directory::decode(&damaged.encode().unwrap());
        assert!(matches!(decoded, Err(Error::Corrupt(_))), "{what}");
    };
    assert!(Directory::decode(&honest.encode().unwrap()).is_ok());
    refused("sketches on no direction", &|directory| directory.sketch = Some(0));
    refused("sketches on directions that are not there", &|directory| {
        directory.sketch = directory.sketch.map(|directions| directions + 1);
    });
    refused("sketches on more directions than there may be", &|directory| directory.sketch = Some(384));
    refused("directions that nobody uses", &|directory| directory.sketch = None);
    refused("sketches of another metric", &|directory| {
        directory.space = bkd::Space::Dense(Metric::L1);
    });
    refused("no directions", &|directory| directory.axes = Axes::Own);
}

/// Sound ones have no findings, and damaged codes of sketches are named.
#[test]
fn damage_is_named() {
    for (metric, dims) in SKETCHED.into_iter().flat_map(|metric| [(metric, DIMS), (metric, LONG)]) {
        let mut index = index_of(metric, &near_subspace(70, dims, ROWS), &[1, 0]);
        let built = &mut index.segments[0];
        let segment = built.segment.clone();
        let findings = |built: &Built| {
            let mut found = Vec::new();
            check_segment(&segment, &&built.store, &mut || (), &mut |finding| found.push(finding));
            found
        };
        assert_eq!(findings(built).len(), 0, "{:?}", findings(built));
        let directions = segment.directory().sketch.unwrap() as usize;
        let layout = LeafLayout::of_sketches(directions + 1, dims);
        // In the first block of the first leaf: a norm, a residual, codes; and the two grids.
        let block = layout.block_chunk(0, 0) as usize * CHUNK;
        let mut places = vec![
            (block + 2, 1, "another norm"),
            (block + 2 * LANES + 3, 0x80, "residuals"),
            (block + CHUNK + 4, 0x10, "another norm"),
            (CHUNK + 35, 1, "another norm"),
            (CHUNK * (1 + layout.groups) + 35, 1, "residuals"),
        ];
        // A whole code of the first vector, and the residual of its fine codes.
        places.push((segment.whole_pages().start as usize * PAYLOAD, 0x80, "residuals"));
        if dims == LONG {
            let residual = RecordLayout::fine(directions + 1).record - 1;
            places.push((segment.fine_pages().start as usize * PAYLOAD + residual, 0x80, "residuals"));
        } else {
            assert!(segment.fine_pages().is_empty());
        }
        for (at, change, problem) in places {
            let page = (at / PAYLOAD) as u32;
            built.store.page_mut(page)[at % PAYLOAD] ^= change;
            let found = findings(built);
            assert!(found.iter().any(|finding| finding.problem.contains(problem)), "{problem}: {found:?}");
            built.store.page_mut(page)[at % PAYLOAD] ^= change;
        }
        assert_eq!(findings(built).len(), 0);
    }
}

/// Rows are where the index says, and others are not.
#[test]
fn rows_are_compared_with_their_sketches() {
    for dims in [DIMS, LONG] {
        let rows = near_subspace(70, dims, ROWS);
        let index = index_of(Metric::L2, &rows, &[1, 0]);
        let built = &index.segments[0];
        let mut check = RowCheck::new(built.segment.clone(), &built.store);
        for (ordinal, tid) in (0..).zip(built.tids()).step_by(17) {
            if !tid.is_dead() {
                let row = bkd::Body::Dense(&rows[common::index(tid)]);
                assert_eq!(check.check(ordinal, row), Ok(None));
                let other = bkd::Body::Dense(&rows[(common::index(tid) + 1) % ROWS]);
                assert_ne!(check.check(ordinal, other), Ok(None));
            }
        }
    }
}
