//! Reading the table of an index, to compare the two.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::{itemptr, PgSqlErrorCode};

use bkd::Tid;

use super::index::Index;
use crate::types::error::raise_with_detail;

/// The table of an index, opened and locked for reading.
#[must_use]
pub struct OpenTable {
    heap: pg_sys::Relation,
    index: pg_sys::Oid,
}

impl OpenTable {
    /// Opens the table, if the relation is an index.
    pub fn of_index(index: pg_sys::Oid) -> Option<Self> {
        // SAFETY: catalog lookups; `table_open` returns an open relation or raises an error.
        unsafe {
            let heap = pg_sys::IndexGetRelation(index, true);
            (heap != pg_sys::InvalidOid).then(|| {
                let heap = pg_sys::table_open(heap, pg_sys::AccessShareLock as i32);
                OpenTable { heap, index }
            })
        }
    }
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: we opened it, with this lock.
            unsafe { pg_sys::table_close(self.heap, pg_sys::AccessShareLock as i32) }
        }
    }
}

/// About how many rows a table has, a little more rather than less.
///
/// # Safety
/// The table is open.
pub unsafe fn estimated_rows(table: pg_sys::Relation) -> usize {
    let (mut pages, mut rows, mut all_visible) = (0, 0.0, 0.0);
    // SAFETY: as the caller promises; no widths of columns are known.
    unsafe {
        pg_sys::estimate_rel_size(table, std::ptr::null_mut(), &mut pages, &mut rows, &mut all_visible);
    }
    // Where there is no number, it becomes zero.
    (rows * 1.02) as usize
}

/// The end of a table's file, asked for as rarely as possible. Row addresses come from pages of an index, which may be damaged; a read
/// behind the end is more than an error in some versions of Postgres, whose next insert may take the buffer for a page of the table.
#[derive(Default)]
pub struct TableEnd {
    /// The file was this long.
    blocks: u32,
}

impl TableEnd {
    /// Checks that a row may be in this block.
    ///
    /// # Errors
    /// [`bkd::Error::Corrupt`] if there is no such block.
    ///
    /// # Safety
    /// The table is open, and always the same.
    #[inline]
    pub unsafe fn check(&mut self, table: pg_sys::Relation, block: u32) -> bkd::Result<()> {
        if block >= self.blocks {
            // SAFETY: as the caller promises.
            self.blocks =
                unsafe { pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM) };
        }
        if block < self.blocks {
            Ok(())
        } else {
            Err(bkd::Error::corrupt(format!(
                "a row's address names block {block}, beyond the end of the table"
            )))
        }
    }
}

/// A snapshot that is registered for as long as this lives.
#[must_use]
pub struct Snapshot(pg_sys::Snapshot);

impl Snapshot {
    /// A snapshot all of whose rows an index must have. Raises an error if there is no such thing: the index is not valid, or newer
    /// than the snapshot of the transaction, with rows that only later snapshots find through it.
    pub fn for_check(index: Index) -> Self {
        // SAFETY: the snapshot is registered at once. An open index has its pg_index row, in a tuple with a header.
        unsafe {
            let row = &*(*index.raw()).rd_index;
            let refuse = |detail: &str| {
                raise_with_detail(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("index \"{}\" cannot be compared with its table", index.name()),
                    detail,
                )
            };
            if !row.indisvalid {
                refuse("The index is not valid.");
            }
            let snapshot = Snapshot(pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot()));
            let one_for_all = pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32;
            if one_for_all && row.indcheckxmin {
                let created = pg_sys::htup::HeapTupleHeaderGetXmin((*(*index.raw()).rd_indextuple).t_data);
                if !pg_sys::TransactionIdPrecedes(created, (*snapshot.0).xmin) {
                    refuse("The index is newer than the snapshot of this transaction.");
                }
            }
            snapshot
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: registered by us.
            unsafe { pg_sys::UnregisterSnapshot(self.0) }
        }
    }
}

/// The values of a row for the columns of an index.
pub struct IndexedValues {
    datums: *const pg_sys::Datum,
    nulls: *const bool,
}

impl IndexedValues {
    /// The first of them, unless it is NULL.
    pub fn first(&self) -> Option<pg_sys::Datum> {
        // SAFETY: an index has at least one column.
        unsafe { (!*self.nulls).then(|| *self.datums) }
    }

    /// All of them; those that are NULL have no meaning.
    pub fn datums(&self) -> *const pg_sys::Datum {
        self.datums
    }

    /// Which of them are NULL.
    pub fn nulls(&self) -> *const bool {
        self.nulls
    }
}

/// Calls `each` with the address and the indexed values of every row that the snapshot sees and that belongs into the index, in the order
/// of the table's blocks.
///
/// Expressions of the index are evaluated as its owner, in a restricted context, as CREATE INDEX does: they may call functions that somebody
/// else wrote than who runs this.
pub fn for_each_visible_row(
    table: &OpenTable,
    snapshot: &Snapshot,
    each: &mut dyn FnMut(Tid, IndexedValues),
) {
    let mut state: &mut dyn FnMut(Tid, IndexedValues) = each;
    // SAFETY: relations, index information and scan belong together and stay open; the scan ends what it allocated. The user and the
    // settings are restored here, or by the end of the transaction after an error.
    unsafe {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let owner = (*(*table.heap).rd_rel).relowner;
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
        let level = pg_sys::NewGUCNestLevel();

        let index = pg_sys::index_open(table.index, pg_sys::AccessShareLock as i32);
        let information = pg_sys::BuildIndexInfo(index);
        // So that the scan goes by the snapshot.
        (*information).ii_Concurrent = true;
        let (no_keys, allow_strategy, synchronized) = (std::ptr::null_mut(), true, false);
        let scan =
            pg_sys::table_beginscan_strat(table.heap, snapshot.0, 0, no_keys, allow_strategy, synchronized);
        pg_sys::table_index_build_scan(
            table.heap,
            index,
            information,
            synchronized,
            false,
            Some(visit_row),
            (&raw mut state).cast(),
            scan,
        );
        pg_sys::index_close(index, pg_sys::AccessShareLock as i32);

        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
}

/// # Safety
/// `state` is what [`for_each_visible_row`] passes; the rest is as for an index build.
#[pg_guard]
unsafe extern "C-unwind" fn visit_row(
    _index: pg_sys::Relation,
    tid: pg_sys::ItemPointer,
    values: *mut pg_sys::Datum,
    isnull: *mut bool,
    _is_alive: bool,
    state: *mut std::ffi::c_void,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let each = &mut *state.cast::<&mut dyn FnMut(Tid, IndexedValues)>();
        let (block, offset) = itemptr::item_pointer_get_both(*tid);
        each(Tid::new(block, offset), IndexedValues { datums: values, nulls: isnull });
    }
}
