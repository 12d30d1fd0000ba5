//! Index scans: rows in ascending order of a lower bound of their distance, and rows within a distance ([`super::within`]) in no order.
//!
//! # Order
//! The executor computes the true distance of each row that it gets and puts the rows in order again
//! (`xs_recheckorderby`), as for GiST. All that is asked of a scan is that bounds ascend and are never above
//! what the operator returns; where bounds descend, the executor goes on and returns what is nearer after what is farther. The order
//! in which rows come:
//!
//! 1. rows of the `unbounded` list, with the bound minus infinity;
//! 2. rows of the trees and of the delta, as the engine's search yields them. If the search is approximate (`kdtree.recall`) and comes to
//!    its end, rows follow that it found too late for their place, with bounds that begin anew;
//! 3. rows whose distance is NaN, which sorts after all numbers;
//! 4. rows whose vector is NULL, which sort last.
//!
//! # Conditions
//! Of rows within a distance the executor computes the distance, too (`xs_recheck`): codes only tell which are clearly beyond. If rows are
//! wanted in the order of their distance from the same vector, the scan ends at the radius. If it is another vector, the scan looks for what is
//! within the radius and leaves the order to the executor, unless these are many.
//!
//! Conditions on attributes ([`super::filter`]) are decided in the index, but for those whose keys say too little. Rows of the lists have no
//! attributes there; of them the executor computes all conditions.
//!
//! Between calls a scan holds no pin and no lock, only memory. [`super::meta`] says why it needs no more.

mod keys;
mod rows;
mod steps;

use bkd::Tid;
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys, PgMemoryContexts, PgSqlErrorCode};

use super::open_scans::OpenScan;
use super::vector_type::VectorType;
use super::{history, meta};
use crate::pg::heap::TableEnd;
use crate::pg::index::Index;
use crate::pg::report::OrRaise;
use crate::pg::versions::count_search;
use crate::types::error::raise;
use keys::{Conditions, Target};
use rows::{Order, Rows};

/// `ambeginscan`
///
/// # Safety
/// Called by Postgres with an open index.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin(
    index: pg_sys::Relation,
    keys: i32,
    orderbys: i32,
) -> pg_sys::IndexScanDesc {
    // SAFETY: as the caller promises. The memory context is the query's: when it goes, also after an error, the state is dropped
    // with it.
    unsafe {
        let scan = pg_sys::RelationGetIndexScan(index, keys, orderbys);
        let index = Index::from_raw(index);
        let state = Scan {
            index,
            vector_type: meta::vector_type(index),
            target: Target::None,
            conditions: Conditions::default(),
            rows: None,
            table_end: TableEnd::default(),
        };
        (*scan).opaque = PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(state).cast();
        if orderbys > 0 {
            let columns = orderbys as usize;
            (*scan).xs_orderbyvals = pg_sys::palloc0(size_of::<pg_sys::Datum>() * columns).cast();
            (*scan).xs_orderbynulls = pg_sys::palloc0(columns).cast();
            // Only the first expression has bounds; of the others nothing is known.
            for column in 1..columns {
                *(*scan).xs_orderbyvals.add(column) = f64::NEG_INFINITY.into_datum().expect("not NULL");
            }
        }
        scan
    }
}

/// `amrescan`
///
/// # Safety
/// Called by Postgres with what [`begin`] returned and as many keys as were announced.
#[pg_guard]
pub unsafe extern "C-unwind" fn rescan(
    scan: pg_sys::IndexScanDesc,
    keys: pg_sys::ScanKey,
    nkeys: i32,
    orderbys: pg_sys::ScanKey,
    norderbys: i32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let state = state_of(scan);
        state.end();
        if !orderbys.is_null() && norderbys > 0 {
            std::ptr::copy(orderbys, (*scan).orderByData, norderbys as usize);
        }
        if !keys.is_null() && nkeys > 0 {
            std::ptr::copy(keys, (*scan).keyData, nkeys as usize);
        }
        state.conditions = Conditions::default();
        for at in 0..nkeys as usize {
            state.conditions.add(state.index, state.vector_type, &*(*scan).keyData.add(at));
        }
        state.target = match norderbys {
            0 => Target::None,
            _ => Target::of(state.index, state.vector_type, &*(*scan).orderByData),
        };
    }
}

/// `amgettuple`
///
/// # Safety
/// Called by Postgres with what [`begin`] returned, after [`rescan`].
#[pg_guard]
pub unsafe extern "C-unwind" fn next(
    scan: pg_sys::IndexScanDesc,
    _direction: pg_sys::ScanDirection::Type,
) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        check_snapshot((*scan).xs_snapshot);
        let Some((tid, order, recheck)) = next_row(scan) else { return false };
        let state = state_of(scan);
        state.table_end.check((*scan).heapRelation, tid.block).or_raise(state.index);
        itemptr::item_pointer_set_all(&mut (*scan).xs_heaptid, tid.block, tid.offset);
        (*scan).xs_recheck = recheck;
        if (*scan).numberOfOrderBys == 0 {
            return true;
        }
        (*scan).xs_recheckorderby = true;
        let value = match order {
            Order::Value(value) => value.into_datum(),
            Order::Null => None,
        };
        *(*scan).xs_orderbynulls = value.is_none();
        *(*scan).xs_orderbyvals = value.unwrap_or(pg_sys::Datum::from(0));
        true
    }
}

/// `amgetbitmap`
///
/// # Safety
/// Called by Postgres with what [`begin`] returned, after [`rescan`], and a bitmap.
#[pg_guard]
pub unsafe extern "C-unwind" fn bitmap(scan: pg_sys::IndexScanDesc, bitmap: *mut pg_sys::TIDBitmap) -> i64 {
    // SAFETY: as the caller promises.
    unsafe {
        check_snapshot((*scan).xs_snapshot);
        let mut rows = 0;
        let mut tids = Vec::with_capacity(TIDS_AT_ONCE);
        loop {
            let next = next_row(scan);
            if let Some((tid, ..)) = next {
                let mut pointer = pg_sys::ItemPointerData::default();
                itemptr::item_pointer_set_all(&mut pointer, tid.block, tid.offset);
                tids.push(pointer);
            }
            if next.is_none() || tids.len() == TIDS_AT_ONCE {
                pg_sys::tbm_add_tuples(bitmap, tids.as_mut_ptr(), tids.len() as i32, true);
                rows += tids.len() as i64;
                tids.clear();
            }
            if next.is_none() {
                return rows;
            }
        }
    }
}

/// Row addresses that are handed to a bitmap at once.
const TIDS_AT_ONCE: usize = 256;

/// `amendscan`
///
/// # Safety
/// Called by Postgres with what [`begin`] returned.
#[pg_guard]
pub unsafe extern "C-unwind" fn end(scan: pg_sys::IndexScanDesc) {
    // SAFETY: as the caller promises. What remains of the state goes with its memory context.
    unsafe { state_of(scan) }.end();
}

/// # Safety
/// `scan` is what [`begin`] returned, and nobody else uses its state meanwhile.
unsafe fn state_of<'a>(scan: pg_sys::IndexScanDesc) -> &'a mut Scan {
    // SAFETY: as the caller promises.
    unsafe { &mut *(*scan).opaque.cast::<Scan>() }
}

/// The next row, and whether it may fail a condition.
///
/// # Safety
/// As for [`next`].
unsafe fn next_row(scan: pg_sys::IndexScanDesc) -> Option<(Tid, Order, bool)> {
    // SAFETY: as the caller promises.
    unsafe {
        let state = state_of(scan);
        if state.rows.is_none() {
            count_search(scan);
        }
        state.next()
    }
}

/// Raises an error for snapshots that may see rows which VACUUM removes (see [`super::meta`]).
///
/// # Safety
/// `snapshot` is null or valid.
unsafe fn check_snapshot(snapshot: pg_sys::Snapshot) {
    use pg_sys::SnapshotType::{SNAPSHOT_HISTORIC_MVCC, SNAPSHOT_MVCC};
    // SAFETY: as the caller promises.
    let is_mvcc = unsafe {
        !snapshot.is_null() && matches!((*snapshot).snapshot_type, SNAPSHOT_MVCC | SNAPSHOT_HISTORIC_MVCC)
    };
    if !is_mvcc {
        raise(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, "kdtree index scans need an MVCC snapshot");
    }
}

/// State of a scan.
struct Scan {
    index: Index,
    vector_type: VectorType,
    target: Target,
    conditions: Conditions,
    /// Made by the first call for a row. The index is announced as being read as long as they are there.
    rows: Option<(Rows, OpenScan)>,
    table_end: TableEnd,
}

impl Scan {
    /// The next row, and whether it may fail a condition.
    fn next(&mut self) -> Option<(Tid, Order, bool)> {
        if self.rows.is_none() {
            self.index.count_scan();
            let open = OpenScan::of(self.index);
            self.rows = Some((steps::start(self.index, &self.target, &self.conditions), open));
        }
        self.rows.as_mut()?.0.next()
    }

    /// Ends the current series of rows, if one was started.
    fn end(&mut self) {
        if let Some((rows, _open)) = self.rows.take() {
            history::record(self.index, rows.stats(), !matches!(self.target, Target::None));
        }
    }
}
