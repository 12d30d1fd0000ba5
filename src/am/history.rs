//! What this backend's scans did, and what its planner expects of the next: shown to users, and a hint for how many rows a scan should be
//! prepared to yield at once.

use std::cell::RefCell;
use std::collections::HashMap;

use bkd::ScanStats;
use pgrx::pg_sys;

use crate::pg::index::Index;

/// Indexes to be remembered. More than that many in one backend are forgotten all at once.
const MAX_INDEXES: usize = 1024;

/// The most that a scan is expected to want. To keep many candidates costs time, so one scan that took a whole table must
/// not make the next ones slow.
const MAX_ROWS: u64 = 2000;

#[derive(Default)]
struct History {
    last: Option<(pg_sys::Oid, ScanStats)>,
    rows: HashMap<u32, u64>,
    /// Index and rows of the last plan whose LIMIT was known, until a scan makes use of it.
    planned: Option<(pg_sys::Oid, u64)>,
}

thread_local! {
    static HISTORY: RefCell<History> = RefCell::default();
}

/// Remembers a scan that has ended. Only of ordered ones the rows are expected again: one without an order keeps no candidates, and how
/// many rows it found says nothing about the next LIMIT.
pub fn record(index: Index, stats: ScanStats, ordered: bool) {
    HISTORY.with_borrow_mut(|history| {
        history.last = Some((index.oid(), stats));
        if !ordered {
            return;
        }
        if history.rows.len() >= MAX_INDEXES {
            history.rows.clear();
        }
        let rows = history.rows.entry(index.oid().to_u32()).or_default();
        // One scan that wants less than the others does not make the next one read twice.
        *rows = stats.rows.max(*rows / 2).min(MAX_ROWS);
    });
}

/// Remembers how many rows the planner expects a scan of an index to be asked for.
pub fn plan(index: pg_sys::Oid, rows: u64) {
    HISTORY.with_borrow_mut(|history| history.planned = Some((index, rows.min(MAX_ROWS))));
}

/// How many rows a scan of an index that begins now is likely to want, going by its plan if it was just made, else by the last scans.
pub fn expected_rows(index: Index) -> Option<usize> {
    HISTORY.with_borrow_mut(|history| {
        let planned = history.planned.take_if(|(planned, _)| *planned == index.oid()).map(|(_, rows)| rows);
        planned.or_else(|| history.rows.get(&index.oid().to_u32()).copied()).map(|rows| rows as usize)
    })
}

/// The last scan that has ended, and its index.
pub fn last() -> Option<(pg_sys::Oid, ScanStats)> {
    HISTORY.with_borrow(|history| history.last)
}
