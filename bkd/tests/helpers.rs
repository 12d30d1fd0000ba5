//! Searches that other threads help with: exact, whoever was faster. Only among equal bounds the order may be another.

mod common;

use std::sync::Arc;

use bkd::layout::{PageKind, Payload};
use bkd::{Error, Filter, Hit, Input, KeyRanges, MemStore, Metric, PageRead, Query, Result, Search, Segment};
use common::*;
use proptest::prelude::*;

fn rows<S: PageRead>(mut search: Search<S>, limit: usize) -> Result<Vec<Hit>> {
    let mut rows = Vec::new();
    while rows.len() < limit {
        match search.next(&mut || ())? {
            Some(hit) => rows.push(hit),
            None => break,
        }
    }
    Ok(rows)
}

/// Numbers that look random.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 20) as f32 - 8.0
    }
}

fn segment_of(metric: Metric, dims: usize, count: usize, leaf_size: usize) -> Built {
    let mut random = numbers(count as u64);
    let vectors: Vec<f32> = (0..count * dims).map(|_| random()).collect();
    let tids: Vec<_> = (0..count).map(tid).collect();
    let keys: Vec<u64> = (0..count as u64).map(|at| at % 10).collect();
    let input = Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns: 1, keys: &keys };
    Built::new(&input, leaf_size)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_vectors(
        rows in vectors(),
        plan in plans(),
        sum in prop::sample::select(&SUMS[..]),
        limit in 1usize..300,
        expect in prop::option::of(0usize..300),
        copies in 1usize..4,
    ) {
        let repeated: Vec<Vec<f32>> = rows.iter().flat_map(|row| vec![row.clone(); copies]).collect();
        for metric in METRICS {
            let Some(index) = Index::new(metric, &repeated, &plan) else { continue };
            for query in queries(&index.rows) {
                let Ok(prepared) = Query::new(metric, &query) else { continue };
                let mut search = helped(index.search(&prepared));
                if let Some(rows) = expect {
                    search.expect(rows);
                }
                index.assert_yields(search, &query, sum, limit);
            }
        }
    }
}

/// Leaves that are lent in parts, by every metric, with and without a filter.
#[test]
fn many_pages() {
    for (dims, count, leaf_size) in [(32, 30_000, 1_000), (900, 3_000, 1_000), (2_000, 500, 500)] {
        for metric in METRICS {
            let built = segment_of(metric, dims, count, leaf_size);
            let mut random = numbers(7);
            for _ in 0..5 {
                let query: Vec<f32> = (0..dims).map(|_| random()).collect();
                let query = Query::new(metric, &query).unwrap();
                for keys in [None, Some(3)] {
                    let search = || {
                        let stores = vec![(built.segment.clone(), &built.store)];
                        let mut search = Search::new(query.clone(), stores, Vec::new());
                        let mut filter = Filter::new();
                        keys.iter().for_each(|key| filter.require(0, KeyRanges::any_of([(*key, *key)])));
                        search.set_filter(filter);
                        search
                    };
                    // Random numbers have bounds that differ.
                    assert_eq!(rows(helped(search()), 40).unwrap(), rows(search(), 40).unwrap());
                }
            }
        }
    }
}

/// An approximate search does not come back short, and hands over no row twice.
#[test]
fn approximate() {
    let built = segment_of(Metric::L2, 24, 40_000, 1_000);
    let mut random = numbers(3);
    for recall in [0.5, 0.95] {
        let query = Query::new(Metric::L2, &(0..24).map(|_| random()).collect::<Vec<f32>>()).unwrap();
        let mut search = Search::new(query, vec![(built.segment.clone(), &built.store)], Vec::new());
        search.set_recall(recall);
        let mut tids: Vec<_> =
            rows(helped(search), usize::MAX).unwrap().into_iter().map(|hit| hit.tid).collect();
        tids.sort();
        tids.dedup();
        assert_eq!(tids.len(), 40_000);
    }
}

/// A store that lends so many pages, and of which one is damaged.
struct Store<'a> {
    pages: &'a MemStore,
    lendable: usize,
    damaged: Option<u32>,
}

impl Store<'_> {
    fn look(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        match self.damaged == Some(sequence) {
            true => Err(Error::Corrupt("damaged".into())),
            false => self.pages.page(kind, sequence),
        }
    }
}

impl PageRead for Store<'_> {
    type Page<'p>
        = &'p Payload
    where
        Self: 'p;
    type Lent<'p>
        = ()
    where
        Self: 'p;

    fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        self.look(kind, sequence)
    }

    fn lendable(&self) -> usize {
        self.lendable
    }

    fn lend(&self, kind: PageKind, pages: &[u32], each: &mut dyn FnMut(&Payload)) -> Result<Option<()>> {
        assert!(pages.len() <= self.lendable && pages.windows(2).all(|pair| pair[0] < pair[1]));
        for &page in pages {
            each(self.look(kind, page)?);
        }
        // Of some, it would have to look for the last page.
        Ok((pages.last().is_some_and(|last| last % 5 != 0)).then_some(()))
    }
}

fn search_in(segment: &Arc<Segment>, store: Store<'_>) -> Result<Vec<Hit>> {
    let query = Query::new(segment.directory().space.dense().unwrap(), &vec![0.5; segment.dims()]).unwrap();
    rows(helped(Search::new(query, vec![(segment.clone(), store)], Vec::new())), 20)
}

#[test]
fn stores_that_lend_little_or_nothing() {
    let built = segment_of(Metric::L2, 40, 20_000, 1_000);
    let found =
        |lendable| search_in(&built.segment, Store { pages: &built.store, lendable, damaged: None }).unwrap();
    let alone = found(0);
    for lendable in [1, 4, 9, 1_000] {
        assert_eq!(found(lendable), alone);
    }
}

/// Wherever the damage is, the search ends with it, and the threads are there for the next.
#[test]
fn damaged_pages() {
    let built = segment_of(Metric::InnerProduct, 40, 20_000, 1_000);
    for damaged in built.segment.leaf_pages() {
        let store = Store { pages: &built.store, lendable: 100, damaged: Some(damaged) };
        let Err(Error::Corrupt(why)) = search_in(&built.segment, store) else { panic!("page {damaged}") };
        assert_eq!(why, "damaged");
    }
}

/// What is wrong inside of a leaf shows on the thread that scans it.
#[test]
fn damaged_leaves() {
    let mut built = segment_of(Metric::L2, 40, 20_000, 1_000);
    let search = |built: &Built| {
        search_in(&built.segment, Store { pages: &built.store, lendable: 100, damaged: None })
    };
    search(&built).unwrap();
    // Every leaf but the first begins somewhere on these pages; its header names the number of vectors.
    for page in built.segment.leaf_pages().skip(3) {
        built.store.page_mut(page).fill(0xff);
    }
    assert!(matches!(search(&built), Err(Error::Corrupt(_))));
}
