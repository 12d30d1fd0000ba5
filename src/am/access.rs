//! Opening an index for the SQL functions that are called with one: `kdtree_stats`, `kdtree_check`, `kdtree_merge`.

use pgrx::{pg_sys, PgSqlErrorCode};

use super::is_kdtree_routine;
use crate::pg::index::{Lock, OpenIndex};
use crate::pg::report::in_recovery;
use crate::pg::versions;
use crate::types::error::{raise, raise_with_detail, raise_with_hint};

/// Who may call a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The owner of the index.
    Owner,
    /// Also members of `pg_read_all_stats` and `pg_stat_scan_tables`.
    OwnerOrStatistics,
}

/// Opens and locks a kdtree index whose pages can be read; raises an error if it is none, or not for this user.
pub fn open(function: &str, index: pg_sys::Oid, lock: Lock, who: Who) -> OpenIndex {
    check_privilege(function, index, who);
    if lock == Lock::Write && in_recovery() {
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "recovery is in progress",
            format!("{function} changes an index, which only the primary can do."),
        );
    }
    let open = OpenIndex::try_open(index, lock).unwrap_or_else(|| {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation with OID {} does not exist", index.to_u32()),
        )
    });
    check_is_ours(&open);
    open
}

/// Raises an error if the user may not call a function for an index.
pub fn check_privilege(function: &str, index: pg_sys::Oid, who: Who) {
    // SAFETY: catalog lookups.
    let allowed = unsafe {
        let user = pg_sys::GetUserId();
        let is_in = |role: u32| pg_sys::has_privs_of_role(user, pg_sys::Oid::from(role));
        versions::owns_relation(user, index)
            || who == Who::OwnerOrStatistics
                && (is_in(pg_sys::ROLE_PG_READ_ALL_STATS) || is_in(pg_sys::ROLE_PG_STAT_SCAN_TABLES))
    };
    if !allowed {
        let detail = match who {
            Who::Owner => "Only the owner of an index may do this.",
            Who::OwnerOrStatistics => {
                "Only the owner of an index and members of pg_read_all_stats or pg_stat_scan_tables may look into it."
            }
        };
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for {function}"),
            detail,
        );
    }
}

fn check_is_ours(open: &OpenIndex) {
    if open.is_partitioned_index() {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{}\" is the index of a partitioned table", open.index().name()),
            "Call the function for the indexes of its partitions.",
        );
    }
    if !open.index().routine().is_some_and(is_kdtree_routine) {
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a kdtree index", open.index().name()),
        );
    }
    if open.is_foreign_temporary() {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot access temporary indexes of other sessions",
        );
    }
    if in_recovery() && open.index().is_unlogged() {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot access unlogged indexes during recovery",
        );
    }
}
