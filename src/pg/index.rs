//! An open index relation.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::versions;

/// Postgres' `InvalidSubTransactionId`.
const NO_SUBTRANSACTION: pg_sys::SubTransactionId = 0;

/// What the bindings leave out.
mod unguarded {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        pub fn get_partition_ancestors(relation: pg_sys::Oid) -> *mut pg_sys::List;
    }
}

/// Identifies the file of a relation. TRUNCATE, REINDEX and so on give a relation a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    tablespace: u32,
    database: u32,
    relation: u32,
}

/// An index relation, opened and locked by the caller of the access method.
#[derive(Clone, Copy, Debug)]
pub struct Index {
    relation: pg_sys::Relation,
}

impl Index {
    /// Wraps an open relation.
    ///
    /// # Safety
    /// `relation` is an open index, and stays open for as long as this value or a copy of it is used.
    #[inline]
    pub unsafe fn from_raw(relation: pg_sys::Relation) -> Self {
        Index { relation }
    }

    /// The relation, for calls to Postgres.
    #[inline]
    pub fn raw(self) -> pg_sys::Relation {
        self.relation
    }

    #[inline]
    fn data(&self) -> &pg_sys::RelationData {
        // SAFETY: the relation is open, see `from_raw`; Postgres keeps an open relation's descriptor in place.
        unsafe { &*self.relation }
    }

    fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has its pg_class row.
        unsafe { &*self.data().rd_rel }
    }

    /// Name without schema, for messages.
    pub fn name(self) -> String {
        // SAFETY: NameData is NUL-terminated.
        unsafe { CStr::from_ptr(self.class().relname.data.as_ptr()) }.to_string_lossy().into_owned()
    }

    pub fn oid(self) -> pg_sys::Oid {
        self.data().rd_id
    }

    /// Where the index lies: its tablespace, or none if that is the database's.
    pub fn tablespace(self) -> pg_sys::Oid {
        self.class().reltablespace
    }

    /// The file in which the index lies at present.
    pub fn file(self) -> FileId {
        let [tablespace, database, relation] =
            versions::file_numbers(self.file_locator()).map(|number| number.to_u32());
        FileId { tablespace, database, relation }
    }

    #[inline]
    pub(super) fn file_locator(self) -> versions::FileLocator {
        versions::file_locator(self.data())
    }

    /// Length in blocks.
    pub fn blocks(self) -> u32 {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// Whether changes must be in the WAL (`RelationNeedsWAL`).
    pub fn needs_wal(self) -> bool {
        let data = self.data();
        // SAFETY: a setting, which is constant while the server runs.
        let wal_level = unsafe { pg_sys::wal_level };
        let new_file =
            data.rd_createSubid != NO_SUBTRANSACTION || versions::first_new_file(data) != NO_SUBTRANSACTION;
        self.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && (wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 || !new_file)
    }

    /// Whether the relation is emptied by a crash, and does not exist on standbys.
    pub fn is_unlogged(self) -> bool {
        self.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED
    }

    /// Whether no other backend can see the relation (`RELATION_IS_LOCAL`).
    pub fn is_local(self) -> bool {
        self.data().rd_islocaltemp || self.data().rd_createSubid != NO_SUBTRANSACTION
    }

    /// The type modifier of the indexed column: its dimensions, or a negative number.
    pub fn column_typmod(self) -> i32 {
        // SAFETY: an index has at least one attribute.
        unsafe { versions::attribute(self.data().rd_att, 0) }.atttypmod
    }

    /// How many columns are indexed.
    #[inline]
    pub fn columns(self) -> usize {
        // SAFETY: an open index has its pg_index row.
        unsafe { (*self.data().rd_index).indnkeyatts as usize }
    }

    /// The type that the operator class of a column is for, counting from 0.
    #[inline]
    pub fn column_type(self, column: usize) -> pg_sys::Oid {
        assert!(column < self.columns());
        // SAFETY: an open index has an array of these for its columns.
        unsafe { *self.data().rd_opcintype.add(column) }
    }

    /// The operator family of a column, counting from 0.
    pub fn column_family(self, column: usize) -> pg_sys::Oid {
        assert!(column < self.columns());
        // SAFETY: an open index has an array of these for its columns.
        unsafe { *self.data().rd_opfamily.add(column) }
    }

    /// The collation of a column, counting from 0.
    #[inline]
    pub fn column_collation(self, column: usize) -> pg_sys::Oid {
        assert!(column < self.columns());
        // SAFETY: an open index has an array of these for its columns.
        unsafe { *self.data().rd_indcollation.add(column) }
    }

    /// The description of the access method, if the relation is an index with storage.
    pub fn routine(&self) -> Option<&pg_sys::IndexAmRoutine> {
        if self.class().relkind as u8 != pg_sys::RELKIND_INDEX {
            return None;
        }
        // SAFETY: an open index has it.
        unsafe { self.data().rd_indam.as_ref() }
    }

    /// The parsed `WITH` options, or null if there are none.
    pub fn options(self) -> *const pg_sys::bytea {
        self.data().rd_options
    }

    /// If this is the index of a partition: the index of the whole table that it is a part of.
    pub fn partition_root(self) -> Option<pg_sys::Oid> {
        if !self.class().relispartition {
            return None;
        }
        // SAFETY: the call returns a list of OIDs, the root last, and nothing that a longjmp could leave undone.
        unsafe {
            let ancestors =
                pg_sys::ffi::pg_guard_ffi_boundary(|| unguarded::get_partition_ancestors(self.oid()))
                    .as_ref()?;
            ancestors.length.checked_sub(1).map(|last| pg_sys::list_nth_oid(ancestors, last))
        }
    }

    /// Counts a page that was found in its buffer without Postgres' own counting (`pgstat_count_buffer_read` and `_hit`).
    #[inline]
    pub(super) fn count_hit(self) {
        // SAFETY: null, or the statistics entry of the open relation.
        if let Some(statistics) = unsafe { (*self.relation).pgstat_info.as_mut() } {
            versions::count_hit(statistics);
        }
    }

    /// Counts a scan for pg_stat_user_indexes (`pgstat_count_index_scan`).
    pub fn count_scan(self) {
        // SAFETY: the relation is open.
        unsafe { versions::count_scan(self.relation) }
    }
}

/// The name of a relation without schema, for messages.
pub fn relation_name(oid: pg_sys::Oid) -> String {
    // SAFETY: the result is null or a NUL-terminated string in the current memory context.
    let name = unsafe { pg_sys::get_rel_name(oid) };
    assert!(!name.is_null(), "relation {} is gone", oid.to_u32());
    // SAFETY: as above.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

/// The end of an index's file, asked for as rarely as possible: block numbers come from pages, which may be damaged.
pub struct FileEnd {
    index: Index,
    /// The file was this long.
    blocks: Cell<u32>,
}

impl FileEnd {
    pub fn of(index: Index) -> Self {
        FileEnd { index, blocks: Cell::new(0) }
    }

    /// Checks that a block exists.
    ///
    /// # Errors
    /// [`bkd::Error::Corrupt`] if it does not.
    pub fn check(&self, block: u32) -> bkd::Result<()> {
        if block >= self.blocks.get() {
            self.blocks.set(self.index.blocks());
        }
        if block < self.blocks.get() {
            Ok(())
        } else {
            Err(bkd::Error::corrupt(format!("block {block} is beyond the end of the index")))
        }
    }
}

/// What an index is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Lock {
    /// To read, as a scan does.
    Read = pg_sys::AccessShareLock as i32,
    /// To change what is in it, as an insert does.
    Write = pg_sys::RowExclusiveLock as i32,
}

/// A relation that we opened ourselves, of whatever kind.
#[must_use]
pub struct OpenIndex {
    index: Index,
    /// The lock to be let go of in the end.
    lock: pg_sys::LOCKMODE,
}

impl OpenIndex {
    /// Opens and locks a relation, if there is one.
    ///
    /// The lock is held no longer than this value: who drops an index locks the table first, and a transaction that kept a lock on the
    /// index alone and then read the table would be in a deadlock with that.
    pub fn try_open(oid: pg_sys::Oid, lock: Lock) -> Option<Self> {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: the result is null or an open relation.
        unsafe {
            let relation = pg_sys::try_relation_open(oid, lock);
            (!relation.is_null()).then(|| OpenIndex { index: Index::from_raw(relation), lock })
        }
    }

    /// Opens an index that the planner has locked already.
    pub fn open_locked(oid: pg_sys::Oid) -> Self {
        let lock = pg_sys::NoLock as pg_sys::LOCKMODE;
        // SAFETY: an open relation is what `relation_open` returns.
        OpenIndex { index: unsafe { Index::from_raw(pg_sys::relation_open(oid, lock)) }, lock }
    }

    /// The relation; not to be used after this is dropped.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Whether the relation is the index of a partitioned table, which has no storage.
    pub fn is_partitioned_index(&self) -> bool {
        self.index.class().relkind as u8 == pg_sys::RELKIND_PARTITIONED_INDEX
    }

    /// Whether the relation is a temporary one of another session, whose pages are out of reach.
    pub fn is_foreign_temporary(&self) -> bool {
        self.index.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP
            && !self.index.data().rd_islocaltemp
    }
}

impl Drop for OpenIndex {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: we opened it, with this lock.
            unsafe { pg_sys::relation_close(self.index.raw(), self.lock) }
        }
    }
}
