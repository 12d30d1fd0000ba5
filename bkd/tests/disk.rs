//! Pages that have to be waited for change nothing but the order of reading: answers are as exact.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;

use bkd::layout::{PageKind, Payload};
use bkd::{export, Filter, MemStore, Metric, PageRead, Query, Result, Search, Tid, Within};
use common::*;
use proptest::prelude::*;

/// A store some of whose pages are not in memory, others each time.
struct Disk<'a> {
    pages: &'a MemStore,
    concurrency: usize,
    /// A page in so many is missing.
    missing: u32,
    asked: Cell<u32>,
    sent_for: &'a Cell<u32>,
}

impl PageRead for Disk<'_> {
    type Page<'a>
        = &'a Payload
    where
        Self: 'a;
    type Lent<'a>
        = ()
    where
        Self: 'a;

    fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        self.pages.page(kind, sequence)
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn prefetch(&self, pages: Range<u32>) -> bool {
        self.asked.set(self.asked.get() + 1);
        let is_missing = (pages.start + self.asked.get()).is_multiple_of(self.missing);
        self.sent_for.set(self.sent_for.get() + u32::from(is_missing));
        is_missing
    }
}

/// All rows, in the order of their addresses.
fn tids<S: PageRead>(mut rows: Within<S>) -> Vec<Tid> {
    let mut tids: Vec<Tid> = std::iter::from_fn(|| rows.next(&mut || ()).unwrap()).collect();
    tids.sort();
    tids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_else_is_found(
        rows in vectors(),
        plan in plans(),
        sum in prop::sample::select(&SUMS[..]),
        limit in 1usize..300,
        concurrency in prop::sample::select(&[1usize, 2, 16, 1000][..]),
        missing in 1u32..4,
    ) {
        for metric in METRICS {
            let Some(index) = Index::new(metric, &rows, &plan) else { continue };
            let sent_for = Cell::new(0);
            let disks = || {
                let disk = |pages| Disk { pages, concurrency, missing, asked: Cell::new(0), sent_for: &sent_for };
                index.stores().into_iter().map(|(segment, pages)| (segment, disk(pages))).collect::<Vec<_>>()
            };
            for query in queries(&index.rows) {
                index.assert_exact_in(disks(), &query, sum, limit, None);
                let Ok(prepared) = Query::new(metric, &query) else { continue };
                // All that is in segments, within a value that some rows have.
                let value = operator(metric, sum, &query, &index.rows[index.rows.len() / 2]);
                let delta = index.delta.len() as u64;
                let in_memory = Within::new(prepared.clone(), Filter::new(), index.stores(), delta, value);
                let on_disk = Within::new(prepared, Filter::new(), disks(), delta, value);
                prop_assert_eq!(tids(on_disk), tids(in_memory));
            }
            if missing == 1 && index.live().count() > 0 && !index.segments.is_empty() {
                prop_assert!(sent_for.get() > 0);
            }
        }
    }
}

/// A store that notes which pages of the coarse stream it was told of before they were read.
struct Told<'a> {
    pages: &'a MemStore,
    /// Whether pages have to be waited for, as a store knows after the first.
    is_slow: Cell<bool>,
    told: RefCell<HashSet<u32>>,
    /// Those that it was not told of.
    untold: &'a RefCell<HashSet<u32>>,
    read: &'a Cell<usize>,
}

impl PageRead for Told<'_> {
    type Page<'a>
        = &'a Payload
    where
        Self: 'a;
    type Lent<'a>
        = ()
    where
        Self: 'a;

    fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        self.is_slow.set(true);
        if kind == PageKind::Leaf && self.told.borrow_mut().insert(sequence) {
            self.untold.borrow_mut().insert(sequence);
        }
        self.read.set(self.read.get() + usize::from(kind == PageKind::Leaf));
        self.pages.page(kind, sequence)
    }

    fn concurrency(&self) -> usize {
        if self.is_slow.get() {
            64
        } else {
            0
        }
    }

    fn prefetch(&self, pages: Range<u32>) -> bool {
        self.told.borrow_mut().extend(pages);
        true
    }

    fn expect(&self, pages: Vec<Range<u32>>) {
        assert!(pages.iter().all(|pages| !pages.is_empty()));
        assert!(pages.is_sorted_by(|a, b| a.end < b.start), "{pages:?}");
        self.told.borrow_mut().extend(pages.into_iter().flatten());
    }
}

#[test]
fn pages_are_expected_before_they_are_read() {
    // In clusters, so that a part of the leaves is enough.
    const DIMS: usize = 20;
    let mut random = random(1);
    let centers: Vec<Vec<f32>> = (0..100).map(|_| (0..DIMS).map(|_| 2.0 * random()).collect()).collect();
    let rows: Vec<Vec<f32>> =
        (0..60_000).map(|at| centers[at % 100].iter().map(|x| x + random()).collect()).collect();
    let index = Index::new(Metric::L2, &rows, &Plan::one(512)).unwrap();
    let built = &index.segments[0];
    let leaf_pages = built.segment.leaf_pages().len();
    let (untold, read) = (RefCell::new(HashSet::new()), Cell::new(0));
    let disk = || {
        untold.borrow_mut().clear();
        read.set(0);
        let told = RefCell::new(HashSet::new());
        let pages = &built.store;
        let disk = Told { pages, is_slow: Cell::new(false), told, untold: &untold, read: &read };
        vec![(built.segment.clone(), disk)]
    };
    for row in rows.iter().step_by(10_007) {
        let query = Query::new(Metric::L2, &row.iter().map(|x| x + 0.05).collect::<Vec<_>>()).unwrap();
        for recall in [1.0, 0.99] {
            let mut search = Search::new(query.clone(), disk(), Vec::new());
            search.set_recall(recall);
            (0..10).for_each(|_| assert!(search.next(&mut || ()).unwrap().is_some()));
            // All but the grid and the cell that came first.
            let untold = untold.borrow().len();
            assert!(untold <= 2 && read.get() > 40, "recall {recall}: {untold} of {}", read.get());
        }
        let mut within = Within::new(query, Filter::new(), disk(), 0, 2.5);
        assert!(within.next(&mut || ()).unwrap().is_some());
        while within.next(&mut || ()).unwrap().is_some() {}
        assert!(read.get() > 0 && untold.borrow().is_empty());
    }
    let (_, store) = &disk()[0];
    export(&built.segment, store, &mut || (), &mut |_, _, _, _| ()).unwrap();
    assert!(read.get() >= leaf_pages && untold.borrow().is_empty());
}
