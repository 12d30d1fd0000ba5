//! What differs between the major versions of PostgreSQL: everything that the compiler must choose by is here, but for the planner's
//! `IN` lists, which are a module of their own that later versions do without ([`crate::am::in_lists`]).

use std::ffi::{c_int, CStr};

use pgrx::pg_sys;

/// Identifies the file of a relation for Postgres.
#[cfg(any(feature = "pg14", feature = "pg15"))]
pub type FileLocator = pg_sys::RelFileNode;
#[cfg(not(any(feature = "pg14", feature = "pg15")))]
pub type FileLocator = pg_sys::RelFileLocator;

/// The file of a relation.
#[inline]
pub fn file_locator(relation: &pg_sys::RelationData) -> FileLocator {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    return relation.rd_node;
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    return relation.rd_locator;
}

/// Tablespace, database and number of a file.
pub fn file_numbers(file: FileLocator) -> [pg_sys::Oid; 3] {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    return [file.spcNode, file.dbNode, file.relNode];
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    return [file.spcOid, file.dbOid, file.relNumber];
}

/// Path of the main fork of a relation that is not temporary, from the data directory.
pub fn path(file: FileLocator) -> Option<String> {
    let [tablespace, database, number] = file_numbers(file);
    // Not that of a temporary relation, which is one's own.
    const NOBODY: c_int = -1;
    let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
    // SAFETY: the path is made, not looked at; where it was allocated, it is freed when it has been copied.
    unsafe {
        let path = pg_sys::GetRelationPath(database, tablespace, number, NOBODY, fork);
        #[cfg(not(feature = "pg18"))]
        let copy = {
            let copy = CStr::from_ptr(path).to_str().ok().map(str::to_owned);
            pg_sys::pfree(path.cast());
            copy
        };
        #[cfg(feature = "pg18")]
        let copy = CStr::from_ptr(path.str_.as_ptr()).to_str().ok().map(str::to_owned);
        copy
    }
}

/// The subtransaction of this transaction that gave the relation the first of its new files, or 0.
pub fn first_new_file(relation: &pg_sys::RelationData) -> pg_sys::SubTransactionId {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    return relation.rd_firstRelfilenodeSubid;
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    return relation.rd_firstRelfilelocatorSubid;
}

/// A column of a row, counting from 0.
///
/// # Safety
/// The descriptor is valid and has so many columns.
pub unsafe fn attribute<'a>(row: pg_sys::TupleDesc, at: usize) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: as the caller promises.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        return &*(*row).attrs.as_ptr().add(at);
        #[cfg(feature = "pg18")]
        return &*pg_sys::TupleDescAttr(row, at as c_int);
    }
}

/// Counts a page that was found in its buffer.
#[inline]
pub fn count_hit(statistics: &mut pg_sys::PgStat_TableStatus) {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    {
        statistics.t_counts.t_blocks_fetched += 1;
        statistics.t_counts.t_blocks_hit += 1;
    }
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    {
        statistics.counts.blocks_fetched += 1;
        statistics.counts.blocks_hit += 1;
    }
}

/// Counts a scan (`pgstat_count_index_scan`).
///
/// # Safety
/// The relation is open.
pub unsafe fn count_scan(relation: pg_sys::Relation) {
    // SAFETY: as the caller promises; the statistics entry is null or belongs to the relation.
    unsafe {
        // Earlier, whoever opens a relation makes the entry.
        #[cfg(not(feature = "pg14"))]
        if (*relation).pgstat_info.is_null() && (*relation).pgstat_enabled {
            pg_sys::pgstat_assoc_relation(relation);
        }
        if let Some(statistics) = (*relation).pgstat_info.as_mut() {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            {
                statistics.t_counts.t_numscans += 1;
            }
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            {
                statistics.counts.numscans += 1;
            }
        }
    }
}

/// Counts a search for EXPLAIN ANALYZE, which shows them since version 18.
///
/// # Safety
/// The scan is valid.
pub unsafe fn count_search(scan: pg_sys::IndexScanDesc) {
    #[cfg(not(feature = "pg18"))]
    let _ = scan;
    // SAFETY: as the caller promises; who wants no counts passes null.
    #[cfg(feature = "pg18")]
    if let Some(instrument) = unsafe { (*scan).instrument.as_mut() } {
        instrument.nsearches += 1;
    }
}

/// Keeps the planner from a path to which an infinite cost was given: since version 18 it prefers any cost to a path that was switched off, such
/// as a sequential scan without `enable_seqscan`.
pub fn disable(path: &mut pg_sys::IndexPath) {
    #[cfg(not(feature = "pg18"))]
    let _ = path;
    #[cfg(feature = "pg18")]
    {
        path.path.disabled_nodes = 2;
    }
}

/// Refuses settings of this prefix that are not defined. Version 14 can only warn of them.
pub fn reserve_settings(prefix: &CStr) {
    // SAFETY: Postgres copies the string.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}

/// Looks for interrupts, and in VACUUM sleeps as `vacuum_cost_delay` has it.
pub fn vacuum_delay_point() {
    // SAFETY: on the main thread. Outside of VACUUM this only looks for interrupts.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::vacuum_delay_point();
        #[cfg(feature = "pg18")]
        pg_sys::vacuum_delay_point(false);
    }
}

/// A field of a structure of index options.
pub fn option_field(
    name: &'static CStr,
    opttype: pg_sys::relopt_type::Type,
    offset: usize,
) -> pg_sys::relopt_parse_elt {
    pg_sys::relopt_parse_elt {
        optname: name.as_ptr(),
        opttype,
        offset: offset as c_int,
        // We need not know whether it was given.
        #[cfg(feature = "pg18")]
        isset_offset: 0,
    }
}

/// Whether the snapshot of a process counts in every database, as that which a WAL sender has from its standby.
///
/// # Safety
/// An entry of the array of processes.
pub unsafe fn counts_everywhere(process: *const pg_sys::PGPROC) -> bool {
    // SAFETY: as the caller promises; read as Postgres reads it without a lock.
    unsafe {
        // Version 14 has no mark for it and takes a process without a database for one.
        #[cfg(feature = "pg14")]
        return (&raw const (*process).databaseId).read_volatile() == pg_sys::InvalidOid;
        #[cfg(not(feature = "pg14"))]
        {
            let flags = (&raw const (*process).statusFlags).read_volatile();
            u32::from(flags) & pg_sys::PROC_AFFECTS_ALL_HORIZONS != 0
        }
    }
}

/// Whether a role has the rights of a relation's owner.
pub fn owns_relation(role: pg_sys::Oid, relation: pg_sys::Oid) -> bool {
    // SAFETY: lookups in catalogs.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return pg_sys::pg_class_ownercheck(relation, role);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, role);
    }
}
