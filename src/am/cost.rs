//! What a scan costs, for the planner.
//!
//! Before the first row, a scan has read the coarse codes of all leaves that it could not rule out. How many that are depends on
//! the dimensions: about 1.5 to the power of the dimensions, as measured on uniform data of 2 to 16 dimensions; so few leaves
//! of a large index in low dimensions, all of them from about 20 on. From then on each row costs little in the index, and a fetch from
//! the table, which Postgres adds itself. Every further pass, for eight times more rows, costs what the first one did.
//!
//! To the planner the cost of a LIMIT is a share of the way from the start-up cost to the total. Passes come in leaps, so where the LIMIT is
//! known, those that it takes belong to the start-up cost: for as many rows as must be tried until so many meet the other
//! conditions. The scan is told, too ([`history::plan`]).
//!
//! The planner does not know how expensive a distance is (in 1,000 dimensions a sequential scan fetches every vector from TOAST), so
//! in its unit a scan of the index must not appear dearer than the share of the table's cost that its size stands for.
//!
//! Conditions on attributes leave out all blocks of codes without a row that meets them.
//!
//! An approximate scan costs the share that the calibration of the index says.
//!
//! Packed values have no codes: a pass reads all of them, whatever the dimensions and the conditions, and knows them exactly.
//!
//! `make bench-plans` compares what is chosen with all other ways. The constants were set with it.

use bkd::layout::leaf::LANES;
use bkd::layout::meta::Meta;
use bkd::layout::PAYLOAD;
use bkd::{Segment, Space};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::batch::value_bytes;
use super::segments::{open_all, Opened};
use super::{history, meta, options};
use crate::pg::index::OpenIndex;
use crate::pg::{row_address, versions};

/// Values of so many bytes are not stored in the table's own pages, about (`TOAST_TUPLE_THRESHOLD`). To fetch them costs the same
/// in whatever order, and more than the pages.
const TOASTED: usize = 2000;
/// Leaves that a scan visits: this to the power of the dimensions.
const LEAVES_BASE: f64 = 1.5;
/// Vectors of a leaf where few leaves are visited. (Where all are, their number does not matter.)
const LEAF_VECTORS: f64 = 128.0;
/// The share of an index's pages that holds coarse codes, if it is but an idea.
const COARSE_SHARE: f64 = 0.5;
/// What reading a page of codes costs, in relation to reading a page of the table in sequence.
const PAGE_SHARE: f64 = 0.25;
/// What it costs to find out which rows meet conditions on attributes, in relation to reading their codes, and the least share of
/// rows that is believed to meet them.
const FILTER_SHARE: f64 = 0.1;
const LEAST_SHARE: f64 = 1e-6;
/// The most that the first row costs, in relation to a sequential scan: codes of four bits in place of floats.
const SCAN_SHARE: f64 = 0.167;
/// Rows of the first pass, if so many are expected, and how many times more the next one yields.
const FIRST_PASS: f64 = 1000.0;
const PASS_GROWTH: f64 = 8.0;
/// What a row costs beside its fetch, in operator calls: its place in the order and in the executor's queue.
const OPERATORS_PER_ROW: f64 = 40.0;
/// And the fine codes of all that the coarse codes cannot tell from it: one in few dimensions, twenty of a million in many. In operator
/// calls for every doubling of the vectors, which are counted from so many on, for a vector and each of its dimensions; and from
/// how many dimensions on in full.
const OPERATORS_PER_DOUBLING: f64 = 60.0;
const OPERATORS_PER_DIMENSION: f64 = 0.1;
const FEW_VECTORS: f64 = 1000.0;
const MANY_DIMS: f64 = 32.0;

/// `amcostestimate`
///
/// # Safety
/// Called by the planner with valid pointers.
#[pg_guard]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C-unwind" fn estimate(
    root: *mut pg_sys::PlannerInfo,
    path: *mut pg_sys::IndexPath,
    loop_count: f64,
    startup_cost: *mut pg_sys::Cost,
    total_cost: *mut pg_sys::Cost,
    selectivity: *mut pg_sys::Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let info = &*(*path).indexinfo;
        *correlation = 0.0;
        let clauses = Clauses::of(&*path);
        let is_ordered = !(*path).indexorderbys.is_null();
        // There is nothing that a scan by attributes alone could be good for: other indexes do it better.
        let is_useless = !is_ordered && !clauses.on_vector;
        if is_useless || is_ordered && wants_address(&*info.rel) && !row_address::survives_reordering() {
            versions::disable(&mut *path);
            *startup_cost = f64::INFINITY;
            *total_cost = f64::INFINITY;
            // So that no bitmap is made of an ordered scan.
            *selectivity = 1.0;
            *pages = f64::from(info.pages);
            return;
        }
        let mut generic = pg_sys::GenericCosts::default();
        pg_sys::genericcostestimate(root, path, loop_count, &mut generic);
        let rows = generic.numIndexTuples.max(1.0);
        let filtered =
            if clauses.on_attributes { (rows / info.tuples.max(1.0)).clamp(LEAST_SHARE, 1.0) } else { 1.0 };
        let costs = Unit::of(info.reltablespace);
        let table =
            f64::from((*info.rel).pages) * costs.page + (*info.rel).tuples * (costs.tuple + costs.operator);
        let wanted = if is_ordered { rows_wanted(&*root, &*info.rel, rows) } else { None };
        if let Some(wanted) = wanted {
            history::plan(info.indexoid, wanted as u64);
        }
        let (scan, share, coded_dims, stored) = if info.hypothetical {
            (f64::from(info.pages) * COARSE_SHARE * costs.page * PAGE_SHARE, 1.0, Some(MANY_DIMS), 0)
        } else {
            let open = OpenIndex::open_locked(info.indexoid);
            let meta = meta::read(open.index());
            // Of all neighbours, so many are those that meet the conditions.
            let neighbours = wanted.unwrap_or(1.0) / filtered;
            let segments = open_all(open.index(), &meta);
            let recall = if is_ordered { options::recall(open.index()) } else { 1.0 };
            let share = share_visited(&segments, recall, neighbours);
            let coded_dims = meta.space.dense().map(|_| f64::from(meta.dims));
            (scan_cost(&meta, &segments, &costs), share, coded_dims, value_bytes(&meta))
        };
        let blocks = match coded_dims {
            Some(_) => 1.0 - (1.0 - filtered).powi(LANES as i32),
            None => 1.0,
        };
        let pass = scan.min(table * SCAN_SHARE) * blocks.max(FILTER_SHARE);
        let dims = coded_dims.unwrap_or(0.0);
        let alike = (rows / FEW_VECTORS).max(1.0).log2() * (dims / MANY_DIMS).min(1.0);
        let per_doubling = OPERATORS_PER_DOUBLING + OPERATORS_PER_DIMENSION * dims;
        let operators = OPERATORS_PER_ROW + alike * per_doubling;
        let each = costs.index_tuple + operators * costs.operator;
        (*startup_cost, *total_cost) = if is_ordered {
            let scattered = match wanted {
                Some(wanted) if stored < TOASTED => scattered_fetches(&*root, info, &costs, wanted, rows),
                _ => 0.0,
            };
            let startup = pass * wanted.map_or(1.0, passes) * share + scattered;
            (startup, pass * passes(rows) + scattered + rows * each)
        } else {
            // Leaf by leaf: there is nothing to wait for.
            (0.0, pass + rows * each)
        };
        *selectivity = generic.indexSelectivity;
        *pages = f64::from(info.pages);
    }
}

/// What the conditions of a path are on.
struct Clauses {
    on_vector: bool,
    on_attributes: bool,
}

impl Clauses {
    /// # Safety
    /// The path is valid.
    unsafe fn of(path: &pg_sys::IndexPath) -> Self {
        let mut clauses = Clauses { on_vector: false, on_attributes: false };
        // SAFETY: a list, or null, of nodes of this type.
        unsafe {
            for at in 0..path.indexclauses.as_ref().map_or(0, |list| list.length) {
                let clause = pg_sys::list_nth(path.indexclauses, at).cast::<pg_sys::IndexClause>();
                match (*clause).indexcol {
                    0 => clauses.on_vector = true,
                    _ => clauses.on_attributes = true,
                }
            }
        }
        clauses
    }
}

/// Whether the query asks for the addresses of a table's rows, be it to lock them.
///
/// # Safety
/// The table is valid.
unsafe fn wants_address(table: &pg_sys::RelOptInfo) -> bool {
    // SAFETY: as the caller promises; the tag says what a node is.
    unsafe {
        let columns = (*table.reltarget).exprs;
        (0..columns.as_ref().map_or(0, |list| list.length)).any(|at| {
            let node = pg_sys::list_nth(columns, at).cast::<pg_sys::Node>();
            (*node).type_ == pg_sys::NodeTag::T_Var
                && i32::from((*node.cast::<pg_sys::Var>()).varattno) == pg_sys::SelfItemPointerAttributeNumber
        })
    }
}

/// Rows that a scan of so many will be asked for, as far as the planner knows: those of the LIMIT, and those that other conditions
/// throw away on the way there. `None`, if it does not know the LIMIT.
fn rows_wanted(root: &pg_sys::PlannerInfo, table: &pg_sys::RelOptInfo, rows: f64) -> Option<f64> {
    // With a join, the LIMIT is one of other rows.
    // SAFETY: sets of the planner.
    let is_alone = unsafe { pg_sys::bms_equal(table.relids, root.all_baserels) };
    (root.limit_tuples >= 0.0 && is_alone).then(|| {
        let limit = root.limit_tuples.max(1.0);
        let tried = limit * (rows / table.rows.max(1.0)).max(1.0);
        // Two standard deviations more than the average, if each row meets the conditions by chance.
        let spread = 2.0 * (tried * (tried / limit - 1.0)).sqrt();
        (tried + spread).clamp(1.0, rows)
    })
}

/// What it costs to fetch the first `wanted` of so many rows beyond what the planner adds: to it their pages are a share of those on
/// which all rows are, but a few rows that lie anywhere in a table have a page each. What such a page costs is as for a bitmap
/// (`cost_bitmap_heap_scan`).
///
/// # Safety
/// The index belongs to a table that is being planned.
unsafe fn scattered_fetches(
    root: &pg_sys::PlannerInfo,
    info: &pg_sys::IndexOptInfo,
    costs: &Unit,
    wanted: f64,
    rows: f64,
) -> f64 {
    // SAFETY: as the caller promises. The call changes nothing.
    unsafe {
        let table = &*info.rel;
        let fetched = |rows: f64| {
            let root = std::ptr::from_ref(root).cast_mut();
            pg_sys::index_pages_fetched(rows, table.pages, f64::from(info.pages), root)
        };
        let pages = fetched(wanted);
        let dense = (pages / f64::from(table.pages.max(1))).min(1.0).sqrt();
        let each = costs.random_page - (costs.random_page - costs.page) * dense;
        (pages * each - fetched(rows) * costs.random_page * wanted / rows).max(0.0)
    }
}

/// The share of the codes that a scan for so many rows looks at.
fn share_visited(segments: &[Opened], recall: f64, rows: f64) -> f64 {
    let vectors = |opened: &Opened| f64::from(opened.segment.vectors());
    let all: f64 = segments.iter().map(vectors).sum();
    if recall >= 1.0 || all == 0.0 {
        return 1.0;
    }
    let visited = segments.iter().map(|opened| vectors(opened) * opened.segment.share(recall, rows as usize));
    visited.sum::<f64>() / all
}

/// Passes until so many rows are there.
fn passes(rows: f64) -> f64 {
    1.0 + (rows / FIRST_PASS).max(1.0).log(PASS_GROWTH).ceil()
}

/// The planner's cost parameters.
struct Unit {
    page: f64,
    random_page: f64,
    tuple: f64,
    index_tuple: f64,
    operator: f64,
}

impl Unit {
    /// # Safety
    /// Called on the main thread.
    unsafe fn of(tablespace: pg_sys::Oid) -> Self {
        // SAFETY: settings, and a lookup in a cache.
        unsafe {
            let (mut random, mut page) = (0.0, 0.0);
            pg_sys::get_tablespace_page_costs(tablespace, &mut random, &mut page);
            Unit {
                page,
                random_page: random,
                tuple: pg_sys::cpu_tuple_cost,
                index_tuple: pg_sys::cpu_index_tuple_cost,
                operator: pg_sys::cpu_operator_cost,
            }
        }
    }
}

/// What one pass over the index costs.
fn scan_cost(meta: &Meta, segments: &[Opened], costs: &Unit) -> f64 {
    let visited = match meta.space {
        Space::Dense(_) => LEAVES_BASE.powf(f64::from(meta.dims)),
        Space::Packed(_) => f64::INFINITY,
    };
    let segments: f64 = segments.iter().map(|opened| pages_visited(&opened.segment, visited)).sum();
    let chain_pages = f64::from(meta.delta.pages) + f64::from(meta.sealing.pages);
    let vectors = chain_pages * PAYLOAD as f64 / value_bytes(meta) as f64;
    (segments + chain_pages) * costs.page * PAGE_SHARE + vectors * costs.operator
}

/// Pages of leaves that a scan reads of a segment, if it visits so many small leaves.
fn pages_visited(segment: &Segment, visited: f64) -> f64 {
    let leaves = (f64::from(segment.vectors()) / LEAF_VECTORS).max(1.0);
    (segment.leaf_pages().len() as f64 * (visited / leaves).min(1.0)).max(1.0)
}
