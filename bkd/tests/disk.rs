//! Pages that have to be waited for change nothing but the order of reading: answers are as exact.

mod common;

use std::cell::Cell;
use std::ops::Range;

use bkd::layout::{PageKind, Payload};
use bkd::{Filter, MemStore, PageRead, Query, Result, Tid, Within};
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
