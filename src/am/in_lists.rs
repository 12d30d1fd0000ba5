//! `IN` lists on attributes, in the order of distance.
//!
//! Up to version 16 of PostgreSQL, a B-tree that looks for several values of a column behind the first returns rows in no order. The
//! planner takes that for granted for every access method: it makes scans in order, and scans with such lists, but none with both. To us
//! a list is a condition like any other, and so it is to later planners, for which this module is not built. So when the planner is done
//! with a table, we add to each scan in order that it found the same scan with the lists that it left out, and leave it to the planner
//! which one is cheaper.

use std::sync::OnceLock;

use pgrx::prelude::*;
use pgrx::{pg_sys, PgBox};

use super::is_kdtree;

/// Who wanted to be asked before us.
static BEFORE: OnceLock<pg_sys::set_rel_pathlist_hook_type> = OnceLock::new();

/// Has the planner ask us. To be called once, when the library is loaded.
pub fn register() {
    // SAFETY: a variable of this backend, changed on its main thread while no query is planned.
    unsafe {
        if BEFORE.set(pg_sys::set_rel_pathlist_hook).is_ok() {
            pg_sys::set_rel_pathlist_hook = Some(add_paths);
        }
    }
}

/// `set_rel_pathlist_hook`
///
/// # Safety
/// Called by the planner with valid pointers.
#[pg_guard]
unsafe extern "C-unwind" fn add_paths(
    root: *mut pg_sys::PlannerInfo,
    table: *mut pg_sys::RelOptInfo,
    number: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: as the caller promises. Nodes are made in the planner's memory.
    unsafe {
        if let Some(before) = BEFORE.get().copied().flatten() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| before(root, table, number, entry));
        }
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return;
        }
        // Collected first, because the list changes as paths are added to it.
        let ordered: Vec<&pg_sys::IndexPath> =
            nodes::<pg_sys::Path>((*table).pathlist).filter_map(|path| ordered_scan(path)).collect();
        for path in ordered {
            if let Some(with_lists) = with_lists(root, path) {
                pg_sys::add_path(table, with_lists);
            }
        }
    }
}

/// The elements of a list of nodes.
///
/// # Safety
/// The list is null, or of nodes of this type, and neither changes meanwhile.
unsafe fn nodes<'a, T: 'a>(list: *const pg_sys::List) -> impl Iterator<Item = &'a T> {
    // SAFETY: as the caller promises.
    unsafe {
        let length = list.as_ref().map_or(0, |list| list.length);
        (0..length).map(move |at| &*pg_sys::list_nth(list, at).cast::<T>())
    }
}

/// The path as a scan of a kdtree index in order of distance, if it is one and depends on no other table.
///
/// # Safety
/// The path is valid.
unsafe fn ordered_scan(path: &pg_sys::Path) -> Option<&pg_sys::IndexPath> {
    // SAFETY: the tag says what it is.
    unsafe {
        let is_index_scan = path.type_ == pg_sys::NodeTag::T_IndexPath && path.param_info.is_null();
        let path = is_index_scan.then(|| &*std::ptr::from_ref(path).cast::<pg_sys::IndexPath>())?;
        (!path.indexorderbys.is_null() && is_kdtree(&*path.indexinfo)).then_some(path)
    }
}

/// The same scan with the lists that could be conditions of it; `None` if there are none.
///
/// # Safety
/// Both are valid.
unsafe fn with_lists(root: *mut pg_sys::PlannerInfo, path: &pg_sys::IndexPath) -> Option<*mut pg_sys::Path> {
    // SAFETY: as the caller promises.
    unsafe {
        let index = &*path.indexinfo;
        let mut clauses: Vec<(i16, *mut pg_sys::IndexClause)> =
            nodes::<pg_sys::IndexClause>(path.indexclauses)
                .map(|clause| (clause.indexcol, std::ptr::from_ref(clause).cast_mut()))
                .collect();
        let before = clauses.len();
        for restriction in nodes::<pg_sys::RestrictInfo>(index.indrestrictinfo) {
            if let Some(column) =
                (1..index.nkeycolumns).find(|&column| is_list_on(root, index, column, restriction))
            {
                let restriction = std::ptr::from_ref(restriction).cast_mut();
                let mut clause = PgBox::<pg_sys::IndexClause>::alloc_node(pg_sys::NodeTag::T_IndexClause);
                clause.rinfo = restriction;
                clause.indexquals = pg_sys::lappend(std::ptr::null_mut(), restriction.cast());
                clause.indexcol = column as i16;
                clauses.push((column as i16, clause.into_pg()));
            }
        }
        if clauses.len() == before {
            return None;
        }
        // The planner wants them in the order of the columns.
        clauses.sort_by_key(|(column, _)| *column);
        let clauses = clauses
            .into_iter()
            .fold(std::ptr::null_mut(), |list, (_, clause)| pg_sys::lappend(list, clause.cast()));
        let with_lists = pg_sys::create_index_path(
            root,
            path.indexinfo,
            clauses,
            path.indexorderbys,
            path.indexorderbycols,
            path.path.pathkeys,
            path.indexscandir,
            false,
            std::ptr::null_mut(),
            1.0,
            false,
        );
        Some(with_lists.cast())
    }
}

/// Whether a condition on the table is that a column of the index, counting from 0, has a value of a list, in a way that the index can
/// search for.
///
/// # Safety
/// All are valid.
unsafe fn is_list_on(
    root: *mut pg_sys::PlannerInfo,
    index: &pg_sys::IndexOptInfo,
    column: i32,
    restriction: &pg_sys::RestrictInfo,
) -> bool {
    // SAFETY: as the caller promises; arrays of the index have an element for each key column.
    unsafe {
        if restriction.pseudoconstant
            || (*restriction.clause).type_ != pg_sys::NodeTag::T_ScalarArrayOpExpr
            || !pg_sys::restriction_is_securely_promotable(
                std::ptr::from_ref(restriction).cast_mut(),
                index.rel,
            )
        {
            return false;
        }
        let list = &*restriction.clause.cast::<pg_sys::ScalarArrayOpExpr>();
        let (value, array) = (pg_sys::list_nth(list.args, 0).cast(), pg_sys::list_nth(list.args, 1).cast());
        let info = std::ptr::from_ref(index).cast_mut();
        let collation = *index.indexcollations.add(column as usize);
        list.useOr
            && pg_sys::match_index_to_operand(value, column, info)
            && pg_sys::is_pseudo_constant_for_index(root, array, info)
            && (collation == pg_sys::InvalidOid || collation == list.inputcollid)
            && pg_sys::op_in_opfamily(list.opno, *index.opfamily.add(column as usize))
    }
}
