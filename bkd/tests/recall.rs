//! Approximate search: it finds what it was asked for, on vectors that it has not seen; it returns every row once, however
//! little it was asked to find; and what the calibration says does not depend on the machine.

mod common;

use std::collections::HashSet;

use bkd::{Axes, CellTable, Directory, Error, Input, Metric, Query, Search};
use common::*;

/// The smallest number of vectors with which a segment has cells, and some more.
const ROWS: usize = 12_000;
const DIMS: usize = 24;
const QUERIES: usize = 200;

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
struct Random(u64);

impl Random {
    /// Uniform in 0 to 1.
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    /// About normal.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// Evenly spread vectors.
fn uniform(count: usize) -> Vec<Vec<f32>> {
    let mut random = Random(1);
    (0..count).map(|_| (0..DIMS).map(|_| random.uniform()).collect()).collect()
}

/// Clusters of many sizes, each flat in a few directions of its own.
fn clustered(count: usize) -> Vec<Vec<f32>> {
    let mut random = Random(2);
    let centers: Vec<Vec<f32>> =
        (0..60).map(|_| (0..DIMS).map(|_| 3.0 * random.normal()).collect()).collect();
    let directions: Vec<Vec<f32>> =
        (0..60 * 6).map(|_| (0..DIMS).map(|_| random.normal()).collect()).collect();
    let mut vector = || {
        let cluster = (random.uniform() * random.uniform() * 60.0) as usize;
        let mut vector = centers[cluster].clone();
        for direction in &directions[cluster * 6..][..6] {
            let along = 0.5 * random.normal();
            vector.iter_mut().zip(direction).for_each(|(x, direction)| *x += along * direction);
        }
        vector.iter_mut().for_each(|x| *x += 0.1 * random.normal());
        vector
    };
    (0..count).map(|_| vector()).collect()
}

fn one_segment(metric: Metric, rows: &[Vec<f32>]) -> Index {
    Index::new(metric, rows, &Plan::one(1024)).unwrap()
}

/// The rows that the executor would return, and how many vectors were compared for them.
fn found(index: &Index, query: &[f32], limit: usize, recall: f64) -> (HashSet<usize>, u64) {
    let mut search = index.search(&Query::new(index.metric, query).unwrap());
    search.expect(limit);
    search.set_recall(recall);
    let value = |at: usize| operator(index.metric, Sum::Lanes8, query, &index.rows[at]);
    let rows = ordered(&mut search, |tid| value(common::index(tid)), limit);
    (rows.into_iter().map(|(_, tid)| common::index(tid)).collect(), search.stats().coarse)
}

#[test]
fn held_out_queries_find_what_was_asked_for() {
    for (name, rows) in [("uniform", uniform(ROWS + QUERIES)), ("clustered", clustered(ROWS + QUERIES))] {
        let (rows, queries) = rows.split_at(ROWS);
        for metric in METRICS {
            let index = one_segment(metric, rows);
            for limit in [1, 10, 50] {
                let exact: Vec<_> = queries.iter().map(|query| found(&index, query, limit, 1.0)).collect();
                let mut compared_before = 0;
                for target in [0.5, 0.8, 0.9, 0.95, 0.99] {
                    let (mut hits, mut compared) = (0, 0);
                    for (query, (truth, _)) in queries.iter().zip(&exact) {
                        let (found, vectors) = found(&index, query, limit, target);
                        assert_eq!(found.len(), limit);
                        hits += found.intersection(truth).count();
                        compared += vectors;
                    }
                    let recall = hits as f64 / (QUERIES * limit) as f64;
                    println!(
                        "{name} {}: {limit} at {target}: {recall:.4}, {compared} compared",
                        metric.name()
                    );
                    // One row has a mean of 0 or 1, and fewer neighbours than are calibrated for find more.
                    let margin = if limit == 1 { 0.05 } else { 0.025 };
                    assert!(recall >= target - margin, "{name} {limit}: {recall} at {target}");
                    assert!(compared >= compared_before, "a higher target took less work");
                    compared_before = compared;
                }
                let whole: u64 = exact.iter().map(|(_, vectors)| vectors).sum();
                assert!(compared_before <= whole * 11 / 10, "more work than an exact search");
            }
        }
    }
}

/// An approximate search is worth it: on clusters, a small part of the vectors has nine of ten neighbours.
#[test]
fn little_work_finds_most() {
    let rows = clustered(ROWS + QUERIES);
    let (rows, queries) = rows.split_at(ROWS);
    let index = one_segment(Metric::L2, rows);
    let compared: u64 = queries.iter().map(|query| found(&index, query, 10, 0.9).1).sum();
    assert!(compared < (QUERIES * ROWS / 8) as u64, "{compared} vectors compared");
}

/// Whatever the target and however the index is put together: all rows come, once, each not below its bound, and bounds descend at most
/// once, for those that came too late for their place.
#[test]
fn every_row_comes_once() {
    let rows = clustered(20_000);
    let plan = Plan { leaf_size: 512, shares: vec![6, 1, 5, 1], same_axes: false, sketch: None, removed: 5 };
    for metric in METRICS {
        let index = Index::new(metric, &rows, &plan).unwrap();
        assert_eq!(
            index.segments.iter().filter(|built| built.segment.directory().cells.is_some()).count(),
            1
        );
        for (recall, expect) in [(0.5, None), (0.5, Some(1)), (0.9, Some(300)), (0.999, None)] {
            let query = &index.rows[77];
            let mut search = index.search(&Query::new(metric, query).unwrap());
            search.set_recall(recall);
            if let Some(rows) = expect {
                search.expect(rows);
            }
            let (mut came, mut last, mut descents) = (Vec::new(), f64::NEG_INFINITY, 0);
            while let Some(hit) = search.next(&mut || ()).unwrap() {
                let at = common::index(hit.tid);
                assert!(operator(metric, Sum::Sequential, query, &index.rows[at]) >= hit.bound);
                descents += usize::from(hit.bound < last);
                last = hit.bound;
                came.push(at);
            }
            came.sort_unstable();
            let live: Vec<usize> = index.live().collect();
            assert_eq!(came, live, "{metric:?} {recall}");
            assert!(descents <= 1, "bounds descended {descents} times");
            if recall == 0.5 {
                assert_eq!(descents, 1, "{metric:?}: nothing came too late, so nothing was tested");
            }
        }
    }
}

/// A target of one is what a search does that is told nothing.
#[test]
fn a_target_of_one_is_exact() {
    let rows = clustered(ROWS);
    for metric in METRICS {
        let index = one_segment(metric, &rows);
        for query in queries(&index.rows) {
            let query = Query::new(metric, &query).unwrap();
            let (mut plain, mut exact) = (index.search(&query), index.search(&query));
            exact.set_recall(1.0);
            let next = |search: &mut Search<_>| search.next(&mut || ()).unwrap();
            for _ in 0..500 {
                assert_eq!(next(&mut plain), next(&mut exact));
            }
            assert_eq!(plain.stats(), exact.stats());
        }
    }
}

/// Cells are left out of an exact search, and visited first, but it finds what it should: in one segment and in several, for few rows and
/// for many, which takes several passes.
#[test]
fn an_exact_search_of_cells_is_exact() {
    let several = Plan { leaf_size: 512, shares: vec![5, 1, 4], same_axes: false, sketch: None, removed: 7 };
    for rows in [clustered(2 * ROWS), uniform(ROWS)] {
        for plan in [Plan::one(4096), several.clone()] {
            for metric in METRICS {
                let index = Index::new(metric, &rows, &plan).unwrap();
                let near: Vec<f32> = rows[5].iter().map(|x| x * 1.01).collect();
                for query in [rows[77].clone(), rows[ROWS - 1].clone(), near, vec![40.0; DIMS]] {
                    for (limit, expect) in [(1, Some(1)), (10, None), (700, Some(10))] {
                        index.assert_exact(&query, Sum::Lanes8, limit, expect);
                    }
                    let value = |at: usize| operator(metric, Sum::Lanes8, &query, &rows[at]);
                    let radius = value(123);
                    let found: HashSet<usize> = index
                        .within(&Query::new(metric, &query).unwrap(), radius)
                        .into_iter()
                        .map(common::index)
                        .collect();
                    assert!(index.live().all(|at| value(at) > radius || found.contains(&at)));
                }
            }
        }
    }
}

/// Rows that are all the same, and vectors on which single precision nearly overflows, can be calibrated for too.
#[test]
fn strange_vectors_have_cells() {
    let same = vec![vec![0.25f32; DIMS]; 9000];
    let huge: Vec<Vec<f32>> =
        uniform(9000).into_iter().map(|row| row.into_iter().map(|x| x * 1e14).collect()).collect();
    let tiny: Vec<Vec<f32>> =
        uniform(9000).into_iter().map(|row| row.into_iter().map(|x| x * 1e-30).collect()).collect();
    for rows in [same, huge, tiny] {
        for metric in METRICS {
            // Of the tiny ones, cosine can say nothing.
            let Some(index) = Index::new(metric, &rows, &Plan::one(1024)) else { continue };
            for segment in &index.segments {
                assert!(segment.segment.directory().cells.is_some());
            }
            for recall in [0.5, 0.99] {
                let (found, _) = found(&index, &index.rows[10], 100, recall);
                assert_eq!(found.len(), 100);
            }
        }
    }
}

fn segment_of(rows: &[Vec<f32>], threads: usize) -> Built {
    let (vectors, _) = prepare_all(Metric::L2, rows);
    let tids: Vec<_> = (0..rows.len()).map(tid).collect();
    let input = Input {
        metric: Metric::L2,
        dims: DIMS,
        vectors: &vectors,
        slack: None,
        tids: &tids,
        columns: 0,
        keys: &[],
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| Built::new(&input, 1024))
}

/// The same vectors have the same cells, and need the same share of them, on any number of threads.
#[test]
fn calibration_does_not_depend_on_threads() {
    let rows = clustered(ROWS);
    let one = segment_of(&rows, 1);
    for threads in [2, 3, 7] {
        assert_eq!(segment_of(&rows, threads).segment.directory(), one.segment.directory());
    }
}

/// A directory whose cells contradict its leaves, or whose calibration is none, is refused.
#[test]
fn damaged_cells_are_refused() {
    let honest = segment_of(&clustered(ROWS), 1).segment.directory().clone();
    assert!(matches!(honest.axes, Axes::Principal { .. }));
    let small = segment_of(&clustered(8000), 1);
    assert!(small.segment.directory().cells.is_none());
    let refused = |what: &str, change: &dyn Fn(&mut CellTable)| {
        let mut damaged = honest.clone();
        change(damaged.cells.as_mut().unwrap());
        let decoded = Directory::decode(&damaged.encode().unwrap());
        assert!(matches!(decoded, Err(Error::Corrupt(_))), "{what}");
    };
    assert!(Directory::decode(&honest.encode().unwrap()).is_ok());
    refused("a cell more", &|cells| cells.boxes[0].vectors.push(1));
    refused("a leaf more", &|cells| cells.boxes.push(cells.boxes[0].clone()));
    refused("a leaf less", &|cells| cells.boxes.truncate(5));
    refused("an empty cell", &|cells| {
        cells.boxes[0].vectors[4] += cells.boxes[0].vectors[3];
        cells.boxes[0].vectors[3] = 0;
    });
    refused("a cell of another size", &|cells| cells.boxes[0].vectors[3] += 1);
    refused("a vector in another leaf", &|cells| {
        cells.boxes[0].vectors[3] -= 1;
        cells.boxes[1].vectors[3] += 1;
    });
    refused("a huge cell", &|cells| cells.boxes[0].vectors[0] = u32::MAX);
    refused("a box less", &|cells| cells.boxes[0].high.truncate(5));
    refused("a box that ends before it begins", &|cells| cells.boxes[0].low[5] = 1e9);
    refused("a box that ends nowhere", &|cells| cells.boxes[0].high[5] = f32::INFINITY);
    refused("a centre that is no number", &|cells| cells.center[5] = f32::NAN);
    refused("too few numbers", &|cells| cells.center.truncate(5));
    refused("an infinite spread", &|cells| cells.spread[0] = f32::INFINITY);
    refused("a negative spread", &|cells| cells.spread[0] = -1.0);
    refused("no calibration", &|cells| cells.calibration = Default::default());
}
