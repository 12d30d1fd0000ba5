//! Index scans: rows in ascending order of a lower bound of their distance.
//!
//! The executor computes the true distance of each row that it gets and puts the rows in order again
//! (`xs_recheckorderby`), as for GiST. All that is asked of a scan is that bounds ascend and are never above
//! what the operator returns. The order in which rows come:
//!
//! 1. rows of the `unbounded` list, with the bound minus infinity;
//! 2. rows of the trees and of the delta, as the engine's search yields them;
//! 3. rows whose distance is NaN, which sorts after all numbers;
//! 4. rows whose vector is NULL, which sort last.
//!
//! Between calls a scan holds no pin and no lock, only memory. [`super::meta`] says why it needs no more.

use std::collections::VecDeque;
use std::sync::Arc;

use bkd::layout::chain::list_items;
use bkd::layout::meta::{Chain, Meta};
use bkd::layout::PageKind;
use bkd::{Everything, Placement, Query, ScanStats, Search, Segment, Tid};
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys, PgMemoryContexts, PgSqlErrorCode};

use super::chain::{scan_delta, Walk};
use super::open_scans::OpenScan;
use super::segments::{open_all, SegmentPages};
use super::{history, meta};
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::types::error::raise;
use crate::types::vector::VectorRef;

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
        let state = Scan { index: Index::from_raw(index), target: Target::None, rows: None };
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
    _keys: pg_sys::ScanKey,
    _nkeys: i32,
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
        state.target = if norderbys > 0 { Target::of(&*(*scan).orderByData) } else { Target::None };
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
        let Some((tid, order)) = state_of(scan).next() else { return false };
        itemptr::item_pointer_set_all(&mut (*scan).xs_heaptid, tid.block, tid.offset);
        (*scan).xs_recheck = false;
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

/// What rows are ordered by their distance from.
enum Target {
    /// No ORDER BY. The planner does not choose such a scan.
    None,
    /// A NULL, from which every distance is NULL.
    Null,
    Vector(Vec<f32>),
}

impl Target {
    /// # Safety
    /// The key is valid, and its argument of type `vector`.
    unsafe fn of(key: &pg_sys::ScanKeyData) -> Self {
        if key.sk_flags & pg_sys::SK_ISNULL as i32 != 0 {
            return Target::Null;
        }
        // SAFETY: as the caller promises.
        let vector = unsafe { VectorRef::from_datum(key.sk_argument) };
        let copy = vector.as_slice().to_vec();
        vector.release();
        Target::Vector(copy)
    }
}

/// What the executor is told of a row's distance.
#[derive(Clone, Copy)]
enum Order {
    /// It is not below this.
    Value(f64),
    /// It is NULL.
    Null,
}

/// State of a scan.
struct Scan {
    index: Index,
    target: Target,
    /// Made by the first call for a row.
    rows: Option<Rows>,
}

impl Scan {
    fn next(&mut self) -> Option<(Tid, Order)> {
        if self.rows.is_none() {
            self.rows = Some(Rows::start(self.index, &self.target));
        }
        self.rows.as_mut()?.next()
    }

    /// Ends the current series of rows, if one was started.
    fn end(&mut self) {
        if let Some(rows) = self.rows.take() {
            history::record(self.index, rows.stats());
        }
    }
}

/// The rows of a scan, in order.
struct Rows {
    index: Index,
    steps: VecDeque<Step>,
    stats: ScanStats,
    _open: OpenScan,
}

/// A part of a scan.
enum Step {
    List(ListRows, Order),
    Search(Box<Search<SegmentPages>>),
    Delta(std::vec::IntoIter<Tid>, Order),
    Everything(Everything<SegmentPages>, Order),
}

impl Rows {
    fn start(index: Index, target: &Target) -> Self {
        index.count_scan();
        let open = OpenScan::of(index);
        let meta = meta::read(index);
        let all_as = |order| all(index, &meta, order);
        let nan = Step::List(ListRows::new(index, meta.nan), Order::Value(f64::NAN));
        let mut steps = match target {
            Target::None => raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "a kdtree index cannot be scanned without ORDER BY",
            ),
            Target::Null => {
                let mut steps = all_as(Order::Null);
                steps.push_back(Step::List(ListRows::new(index, meta.nan), Order::Null));
                steps
            }
            Target::Vector(vector) => {
                check_same_dims(&meta, vector);
                let mut steps = match Query::new(meta.metric, vector) {
                    Ok(query) => ranked(index, &meta, query),
                    Err(Placement::Nan) => all_as(Order::Value(f64::NAN)),
                    Err(_) => all_as(Order::Value(f64::NEG_INFINITY)),
                };
                steps.push_back(nan);
                steps
            }
        };
        steps.push_back(Step::List(ListRows::new(index, meta.null), Order::Null));
        Rows { index, steps, stats: ScanStats::default(), _open: open }
    }

    fn next(&mut self) -> Option<(Tid, Order)> {
        loop {
            let row = self.steps.front_mut()?.next(self.index);
            if row.is_some() {
                self.stats.rows += 1;
                return row;
            }
            if let Some(Step::Search(search)) = self.steps.pop_front() {
                self.stats = ScanStats { rows: self.stats.rows, ..search.stats() };
            }
        }
    }

    fn stats(&self) -> ScanStats {
        let running = self.steps.iter().find_map(|step| match step {
            Step::Search(search) => Some(search.stats()),
            _ => None,
        });
        ScanStats { rows: self.stats.rows, ..running.unwrap_or(self.stats) }
    }
}

impl Step {
    fn next(&mut self, index: Index) -> Option<(Tid, Order)> {
        match self {
            Step::List(list, order) => list.next().map(|tid| (tid, *order)),
            Step::Delta(tids, order) => tids.next().map(|tid| (tid, *order)),
            Step::Search(search) => {
                let hit = search.next(&mut check_for_interrupts).or_raise(index)?;
                Some((hit.tid, Order::Value(hit.bound)))
            }
            Step::Everything(rows, order) => {
                rows.next(&mut check_for_interrupts).or_raise(index).map(|tid| (tid, *order))
            }
        }
    }
}

/// Rows by their distance from an ordinary query.
fn ranked(index: Index, meta: &Meta, query: Query) -> VecDeque<Step> {
    let mut delta = Vec::new();
    let exact = query.exact();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, vector: &[f32]| delta.push((exact.key(vector), tid));
        scan_delta(index, chain, meta.dims as usize, each);
    }
    let mut search = Search::new(query, segments(index, meta), delta);
    if let Some(rows) = history::expected_rows(index) {
        search.expect(rows);
    }
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), Step::Search(Box::new(search))].into()
}

/// All rows that have a vector, but for those of the list of NaN, as equals.
fn all(index: Index, meta: &Meta, order: Order) -> VecDeque<Step> {
    let mut delta = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        scan_delta(index, chain, meta.dims as usize, |tid, _| delta.push(tid));
    }
    [
        Step::List(ListRows::new(index, meta.unbounded), order),
        Step::Delta(delta.into_iter(), order),
        Step::Everything(Everything::new(segments(index, meta)), order),
    ]
    .into()
}

fn segments(index: Index, meta: &Meta) -> Vec<(Arc<Segment>, SegmentPages)> {
    open_all(index, meta).into_iter().map(|opened| (opened.segment.clone(), opened.pages(index))).collect()
}

fn check_same_dims(meta: &Meta, query: &[f32]) {
    if meta.dims != 0 && meta.dims as usize != query.len() {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different vector dimensions {} and {}", meta.dims, query.len()),
        );
    }
}

/// The rows of a list, read a page at a time.
struct ListRows {
    walk: Walk,
    chain: Chain,
    /// The page to be read next.
    sequence: u32,
    block: u32,
    page: std::vec::IntoIter<Tid>,
}

impl ListRows {
    fn new(index: Index, chain: Chain) -> Self {
        let walk = Walk::new(index, PageKind::TidList);
        ListRows { walk, chain, sequence: 0, block: chain.head, page: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Option<Tid> {
        loop {
            if let Some(tid) = self.page.next() {
                return Some(tid);
            }
            if self.sequence == self.chain.pages {
                return None;
            }
            check_for_interrupts();
            let mut tids = Vec::new();
            self.block =
                self.walk.page(self.block, self.chain.owner, self.sequence, &mut |_, header, payload| {
                    list_items(header, payload, |_, tid| {
                        if !tid.is_dead() {
                            tids.push(tid);
                        }
                    });
                });
            self.sequence += 1;
            self.page = tids.into_iter();
        }
    }
}
