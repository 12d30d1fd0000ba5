//! CREATE INDEX under pgvector's names.

use std::cell::Cell;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use super::options;
use crate::am::build::build_index;
use crate::pg::index::{relation_name, Index};

/// `ambuild` of `hnsw`
///
/// # Safety
/// Called by Postgres with an open table and a new index on it.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_hnsw(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: as the caller promises.
    unsafe {
        options::check_hnsw(Index::from_raw(index));
        let result = build_index(heap, index, index_info);
        announce(Index::from_raw(index), "hnsw");
        result
    }
}

/// `ambuild` of `ivfflat`
///
/// # Safety
/// Called by Postgres with an open table and a new index on it.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_ivfflat(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: as the caller promises.
    unsafe {
        let result = build_index(heap, index, index_info);
        announce(Index::from_raw(index), "ivfflat");
        result
    }
}

thread_local! {
    /// The index on a partitioned table that was announced last.
    static ANNOUNCED: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// Says what was built, once for each CREATE INDEX. (A dump that is being restored has set `client_min_messages`.)
fn announce(index: Index, method: &str) {
    // SAFETY: looks at a variable of this backend.
    if unsafe { pg_sys::ReindexIsProcessingIndex(index.oid()) } || !is_create_index() {
        return;
    }
    let root = index.partition_root();
    if root.is_some_and(|root| ANNOUNCED.replace(root) == root) {
        return;
    }
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("index \"{}\" is a kdtree index, which is exact", root.map_or_else(|| index.name(), relation_name)),
        "",
    )
    .set_detail(format!(
        "The access method \"{method}\" is accepted for compatibility; its options and settings have no effect."
    ))
    .report(PgLogLevel::NOTICE);
}

/// Whether the client's command is CREATE INDEX, or one that may have run it. Others build indexes, too: REINDEX CONCURRENTLY,
/// ALTER TABLE, new partitions.
fn is_create_index() -> bool {
    use pg_sys::CommandTag::*;
    // SAFETY: null, or what this backend is executing.
    let portal = unsafe { pg_sys::ActivePortal.as_ref() };
    portal.is_none_or(|portal| {
        matches!(portal.commandTag, CMDTAG_CREATE_INDEX | CMDTAG_DO | CMDTAG_CALL | CMDTAG_SELECT)
    })
}
