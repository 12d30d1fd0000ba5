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

use std::collections::VecDeque;

use bkd::layout::chain::list_items;
use bkd::layout::meta::{Chain, Meta};
use bkd::layout::PageKind;
use bkd::{
    Body, Everything, Filter, PackedQuery, PackedSearch, Placement, Query, ScanStats, Search, Tid, Within,
};
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys, PgMemoryContexts, PgSqlErrorCode};

use super::chain::{scan_delta, Walk};
use super::open_scans::OpenScan;
use super::segments::{readable, SegmentPages};
use super::value::{check_same_dims, Prepared, Value};
use super::vector_type::VectorType;
use super::{filter, history, meta, options};
use crate::pg::heap::TableEnd;
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::versions::count_search;
use crate::types::error::raise;

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

/// What rows are ordered by their distance from.
enum Target {
    /// No ORDER BY. The planner does not choose such a scan.
    None,
    /// A NULL, from which every distance is NULL.
    Null,
    Vector(Vec<f32>),
    Packed(PackedTarget),
}

/// A bit string or a sparse vector, as the index has them.
struct PackedTarget {
    dims: u32,
    placement: Placement,
    prepared: Prepared,
}

impl Target {
    /// # Safety
    /// The key is valid, and its argument of that type.
    unsafe fn of(index: Index, vector_type: VectorType, key: &pg_sys::ScanKeyData) -> Self {
        if key.sk_flags & pg_sys::SK_ISNULL as i32 != 0 {
            return Target::Null;
        }
        // SAFETY: as the caller promises.
        let value = unsafe { Value::from_datum(vector_type, key.sk_argument) };
        let target = match value.numbers() {
            Some(numbers) => Target::Vector(numbers.to_vec()),
            None => {
                let mut prepared = Prepared::default();
                let placement = value.prepare(meta::read_head(index).space, &mut prepared);
                Target::Packed(PackedTarget { dims: value.dims(), placement, prepared })
            }
        };
        value.release();
        target
    }
}

/// All conditions that rows must meet.
#[derive(Default)]
struct Conditions {
    /// Vectors, and how far rows may be from them.
    within: Vec<(Vec<f32>, f64)>,
    attributes: filter::Conditions,
    /// Whether no row meets them, because a part of one is NULL.
    impossible: bool,
}

impl Conditions {
    /// # Safety
    /// The key is valid: on the vector, with a range of that type as its argument, or on an attribute.
    unsafe fn add(&mut self, index: Index, vector_type: VectorType, key: &pg_sys::ScanKeyData) {
        if key.sk_attno != 1 {
            // SAFETY: as the caller promises.
            unsafe { self.attributes.add(index, key) };
            self.impossible |= self.attributes.filter.is_impossible();
            return;
        }
        let is_null = key.sk_flags & pg_sys::SK_ISNULL as i32 != 0;
        // SAFETY: as the caller promises.
        match if is_null { None } else { unsafe { vector_type.range(key.sk_argument) } } {
            None => self.impossible = true,
            Some(range) => self.within.push(range),
        }
    }

    fn is_empty(&self) -> bool {
        self.within.is_empty() && self.attributes.filter.is_empty() && !self.impossible
    }

    /// Whether rows that were found by vector and attributes may fail one.
    fn are_lossy(&self) -> bool {
        !self.within.is_empty() || self.attributes.lossy
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
            self.rows = Some((Rows::start(self.index, &self.target, &self.conditions), open));
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

/// The rows of a scan, in order.
struct Rows {
    index: Index,
    steps: VecDeque<Step>,
    /// Whether rows may fail a condition: those that a search found, and others.
    lossy: bool,
    conditional: bool,
    stats: ScanStats,
}

/// A part of a scan.
enum Step {
    List(ListRows, Order),
    Search(Box<Search<SegmentPages>>),
    PackedSearch(Box<PackedSearch<SegmentPages>>),
    Delta(std::vec::IntoIter<Tid>, Order),
    Everything(Everything<SegmentPages>, Order),
    Within(Box<Within<SegmentPages>>),
}

impl Rows {
    fn new(index: Index, steps: VecDeque<Step>, conditions: &Conditions) -> Self {
        Rows {
            index,
            steps,
            lossy: conditions.are_lossy(),
            conditional: !conditions.is_empty(),
            stats: ScanStats::default(),
        }
    }

    fn start(index: Index, target: &Target, conditions: &Conditions) -> Self {
        let meta = meta::read(index);
        let all_as = |order| all(index, &meta, order);
        let nan = Step::List(ListRows::new(index, meta.nan), Order::Value(f64::NAN));
        let mut stats = ScanStats::default();
        if conditions.impossible {
            return Rows::new(index, VecDeque::new(), conditions);
        }
        let Conditions { within, attributes, .. } = conditions;
        within.iter().for_each(|(center, _)| check_same_dims(&meta, center.len() as u32));
        let filter = &attributes.filter;
        let mut steps = match target {
            Target::None => match within.iter().min_by(|(_, a), (_, b)| compare_radii(*a, *b)) {
                Some((center, radius)) => unordered(index, &meta, filter, center, *radius),
                None => {
                    let mut steps = all_as(Order::Null);
                    steps.push_back(nan);
                    steps
                }
            },
            Target::Null => {
                let mut steps = all_as(Order::Null);
                steps.push_back(Step::List(ListRows::new(index, meta.nan), Order::Null));
                steps
            }
            Target::Packed(target) => {
                check_same_dims(&meta, target.dims);
                let mut steps = match target.placement {
                    Placement::Ranked => ranked_packed(index, &meta, filter, target),
                    Placement::Nan => all_as(Order::Value(f64::NAN)),
                    Placement::Unbounded => all_as(Order::Value(f64::NEG_INFINITY)),
                };
                steps.push_back(nan);
                steps
            }
            Target::Vector(vector) => {
                check_same_dims(&meta, vector.len() as u32);
                let ends = within.iter().any(|(center, radius)| center == vector && *radius < f64::INFINITY);
                let smallest = within.iter().filter(|(_, radius)| !ends && *radius < f64::INFINITY);
                let few = smallest
                    .min_by(|(_, a), (_, b)| compare_radii(*a, *b))
                    .and_then(|(center, radius)| few_within(index, &meta, conditions, center, *radius));
                let mut steps = if let Some((steps, searched)) = few {
                    stats = searched;
                    steps
                } else {
                    match Query::new(meta.space.dense_metric(), vector) {
                        Ok(query) => {
                            let radii = within.iter().filter(|(center, _)| center == vector);
                            ranked(index, &meta, filter, query, radii.map(|(_, radius)| *radius))
                        }
                        Err(Placement::Nan) => all_as(Order::Value(f64::NAN)),
                        Err(_) => all_as(Order::Value(f64::NEG_INFINITY)),
                    }
                };
                steps.push_back(nan);
                steps
            }
        };
        if within.is_empty() {
            steps.push_back(Step::List(ListRows::new(index, meta.null), Order::Null));
        }
        Rows { stats, ..Rows::new(index, steps, conditions) }
    }

    fn next(&mut self) -> Option<(Tid, Order, bool)> {
        loop {
            let step = self.steps.front_mut()?;
            if let Some((tid, order)) = step.next(self.index) {
                self.stats.rows += 1;
                let recheck = if step.is_filtered() { self.lossy } else { self.conditional };
                return Some((tid, order, recheck));
            }
            if let Some(stats) = self.steps.pop_front().and_then(|step| step.stats()) {
                self.stats = ScanStats { rows: self.stats.rows, ..stats };
            }
        }
    }

    fn stats(&self) -> ScanStats {
        let running = self.steps.iter().find_map(Step::stats);
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
            Step::PackedSearch(search) => {
                let hit = search.next(&mut check_for_interrupts).or_raise(index)?;
                Some((hit.tid, Order::Value(hit.bound)))
            }
            Step::Everything(rows, order) => {
                rows.next(&mut check_for_interrupts).or_raise(index).map(|tid| (tid, *order))
            }
            Step::Within(rows) => {
                let tid = rows.next(&mut check_for_interrupts).or_raise(index)?;
                Some((tid, Order::Value(f64::NEG_INFINITY)))
            }
        }
    }

    /// Whether its rows meet the conditions, as far as the index can tell.
    fn is_filtered(&self) -> bool {
        matches!(self, Step::Search(_) | Step::PackedSearch(_) | Step::Within(_))
    }

    fn stats(&self) -> Option<ScanStats> {
        match self {
            Step::Search(search) => Some(search.stats()),
            Step::PackedSearch(search) => Some(search.stats()),
            Step::Within(rows) => Some(rows.stats()),
            Step::List(..) | Step::Delta(..) | Step::Everything(..) => None,
        }
    }
}

/// As Postgres compares numbers, NaN the largest. The smallest radius is searched for: the others are left to the recheck, which must not
/// be given more rows than necessary.
fn compare_radii(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Rows by their distance from an ordinary query, up to the smallest of some radii.
fn ranked(
    index: Index,
    meta: &Meta,
    filter: &Filter,
    query: Query,
    radii: impl Iterator<Item = f64>,
) -> VecDeque<Step> {
    let mut delta = Vec::new();
    let exact = query.exact();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            delta.extend(filter.is_met_by(keys).then(|| (exact.key(body.dense()), tid)));
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    let mut search = Search::new(query, readable(index, meta), delta);
    search.set_filter(filter.clone());
    if let Some(rows) = history::expected_rows(index) {
        search.expect(rows);
    }
    // To NaN, as a radius, everything is within. (And a minimum passes it over.)
    let radius = radii.fold(f64::INFINITY, f64::min);
    if radius < f64::INFINITY {
        // Everything within a distance, not most of it.
        search.stop_after(radius);
    } else {
        search.set_recall(options::recall(index));
    }
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), Step::Search(Box::new(search))].into()
}

/// Rows by their distance from a bit string or a sparse vector.
fn ranked_packed(index: Index, meta: &Meta, filter: &Filter, target: &PackedTarget) -> VecDeque<Step> {
    let body = target.prepared.body(meta.space).packed();
    let mut query = PackedQuery::new(meta.space.packing(), target.dims as usize, body);
    let mut delta = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            if filter.is_met_by(keys) {
                delta.push((query.key(body.packed()).or_raise(index), tid));
            }
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    let mut search = PackedSearch::new(query, filter.clone(), readable(index, meta), delta);
    if let Some(rows) = history::expected_rows(index) {
        search.expect(rows);
    }
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), Step::PackedSearch(Box::new(search))].into()
}

/// Rows that may be within a radius of a vector.
fn unordered(index: Index, meta: &Meta, filter: &Filter, center: &[f32], radius: f64) -> VecDeque<Step> {
    let order = Order::Value(f64::NEG_INFINITY);
    let query = match Query::new(meta.space.dense_metric(), center) {
        Ok(query) if radius < f64::INFINITY => query,
        _ => {
            let mut steps = all(index, meta, order);
            // To NaN, as a radius, NaN is not larger.
            steps.extend(radius.is_nan().then(|| Step::List(ListRows::new(index, meta.nan), order)));
            return steps;
        }
    };
    let (mut delta, mut in_delta) = (Vec::new(), 0);
    let (exact, end) = (query.exact(), query.end_of(radius));
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            in_delta += 1;
            delta.extend((filter.is_met_by(keys) && exact.key(body.dense()) < end).then_some(tid));
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    [
        Step::List(ListRows::new(index, meta.unbounded), order),
        Step::Delta(delta.into_iter(), order),
        Step::Within(Box::new(Within::new(query, filter.clone(), readable(index, meta), in_delta, radius))),
    ]
    .into()
}

/// The most rows within a radius that are left to the executor to put in order: it keeps copies of them all.
const MAX_UNORDERED: usize = 4096;

/// Rows that may be within a radius, for an order by the distance from another vector, and what it took to find them. `None` if there are
/// too many: to look at rows in their order then finds some of them soon.
fn few_within(
    index: Index,
    meta: &Meta,
    conditions: &Conditions,
    center: &[f32],
    radius: f64,
) -> Option<(VecDeque<Step>, ScanStats)> {
    let steps = unordered(index, meta, &conditions.attributes.filter, center, radius);
    let mut rows = Rows::new(index, steps, conditions);
    let mut found = Vec::new();
    while let Some((tid, ..)) = rows.next() {
        if found.len() == MAX_UNORDERED {
            return None;
        }
        found.push(tid);
    }
    let step = Step::Delta(found.into_iter(), Order::Value(f64::NEG_INFINITY));
    Some(([step].into(), ScanStats { rows: 0, ..rows.stats }))
}

/// All rows that have a vector, but for those of the list of NaN, as equals.
fn all(index: Index, meta: &Meta, order: Order) -> VecDeque<Step> {
    let mut delta = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        scan_delta(index, chain, meta::delta_layout(meta), |tid, _, _| delta.push(tid));
    }
    [
        Step::List(ListRows::new(index, meta.unbounded), order),
        Step::Delta(delta.into_iter(), order),
        Step::Everything(Everything::new(readable(index, meta)), order),
    ]
    .into()
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
