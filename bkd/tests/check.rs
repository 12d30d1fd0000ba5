//! The check of a segment: silent about honest ones, whatever the vectors are, and not about damaged ones.

mod common;

use bkd::{check_segment, export, Finding, Input, Metric, RowCheck, Segment, Tid};
use common::*;
use proptest::prelude::*;

fn findings(segment: &Segment, store: &bkd::MemStore) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_segment(segment, &store, &mut || (), &mut |finding| findings.push(finding));
    findings
}

/// What the check of rows says of all rows that are not dead. `vector` returns what was indexed of a row.
fn problems_of_rows<'a>(built: &Built, vector: impl Fn(Tid) -> &'a [f32]) -> Vec<(u32, &'static str)> {
    let mut check = RowCheck::new(built.segment.clone(), &built.store);
    // In an order in which neighbours are mostly of different leaves.
    let count = built.segment.vectors();
    let ordinals = (0..count).map(|at| (u64::from(at) * 7919 % u64::from(count)) as u32);
    let tids = built.tids();
    let live = ordinals.filter(|&at| !tids[at as usize].is_dead());
    live.filter_map(|at| Some((at, check.check(at, vector(tids[at as usize])).unwrap()?))).collect()
}

/// A segment of the live vectors of others, as merging makes it.
fn merged(metric: Metric, segments: &[Built], leaf_size: usize) -> Option<Built> {
    let (mut vectors, mut slack, mut tids) = (Vec::new(), Vec::new(), Vec::new());
    for built in segments {
        export(&built.segment, &&built.store, &mut || (), &mut |vector, by, tid| {
            vectors.extend_from_slice(vector);
            slack.push(by);
            tids.push(tid);
        })
        .unwrap();
    }
    let dims = segments.first()?.segment.dims();
    let input = Input { metric, dims, vectors: &vectors, slack: Some(&slack), tids: &tids };
    (!tids.is_empty()).then(|| Built::new(&input, leaf_size, None))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn honest_segments_are_sound(
        metric in prop::sample::select(&METRICS[..]),
        vectors in vectors(),
        plan in plans(),
    ) {
        let Some(index) = Index::new(metric, &vectors, &plan) else { return Ok(()) };
        let (prepared, _) = prepare_all(metric, &index.rows);
        let dims = index.dims();
        let vector = |tid: Tid| &prepared[common::index(tid) * dims..][..dims];
        let mut generations = vec![index.segments];
        for _ in 0..2 {
            let last = generations.last().unwrap();
            let next: Vec<Built> = merged(metric, last, plan.leaf_size).into_iter().collect();
            generations.push(next);
        }
        for built in generations.iter().flatten() {
            prop_assert_eq!(findings(&built.segment, &built.store), []);
            prop_assert_eq!(problems_of_rows(built, vector), []);
        }
    }
}
