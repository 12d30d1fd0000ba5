//! `kdtree_check`: does an index say what it should? For people who have reason to doubt their disks, or us.
//!
//! - [`structure`]: every page, from the metapage on: is it there, whole, named by one owner only, and do its numbers make sense?
//! - [`rows`]: is every row address there once; with `heapallindexed`, is every row that a new snapshot sees in the index, where a scan finds it?
//!
//! What is found comes as rows, so that one page of damage does not hide the rest. Like a scan, a check reads the index by a copy of its
//! metapage and needs no lock (see [`super::meta`]): inserts, sealing and VACUUM go on.

mod entries;
mod rows;
mod structure;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::access::{self, Who};
use super::open_scans::OpenScan;
use crate::pg::heap::{OpenTable, Snapshot};
use crate::pg::index::Lock;

/// More problems than that are not listed.
const MAX_FINDINGS: usize = 1000;

/// Verifies an index: a row for every problem, with its block if it is about one.
#[pg_extern(sql = false)]
fn kdtree_check(
    index: pg_sys::Oid,
    heapallindexed: bool,
) -> TableIterator<'static, (name!(block, Option<i64>), name!(problem, String))> {
    access::check_privilege("kdtree_check", index, Who::Owner);
    // Whoever drops an index locks its table first, so we do too.
    let table = heapallindexed.then(|| OpenTable::of_index(index));
    let open = access::open("kdtree_check", index, Lock::Read, Who::Owner);
    // Before the metapage is read, so that all that the snapshot sees is in it.
    let snapshot = heapallindexed.then(|| Snapshot::for_check(open.index()));
    let _scan = OpenScan::of(open.index());
    let mut findings = Findings::default();
    if let Some(sound) = structure::check(open.index(), &mut findings) {
        rows::check(&sound, table.flatten().as_ref().zip(snapshot.as_ref()), &mut findings);
    }
    drop(open);
    TableIterator::new(findings.rows)
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    rows: Vec<(Option<i64>, String)>,
}

impl Findings {
    /// Adds a problem of a block, or of none.
    fn add(&mut self, block: Option<u32>, problem: impl Into<String>) {
        match self.rows.len() {
            MAX_FINDINGS.. => {}
            at if at + 1 == MAX_FINDINGS => {
                self.rows.push((None, "there are more problems than these".into()))
            }
            _ => self.rows.push((block.map(i64::from), problem.into())),
        }
    }

    /// Adds what an error says, which names its block.
    fn add_error(&mut self, block: Option<u32>, error: bkd::Error) {
        self.add(block, error.to_string());
    }
}
