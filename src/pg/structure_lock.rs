//! The lock of those who change what an index consists of: sealing, merging and VACUUM.
//!
//! A heavyweight lock on block 0, as GIN has on its metapage for the cleanup of the pending list. It excludes neither
//! scans nor inserts. Lock order: this one, then the metapage's buffer, then other buffers.

use pgrx::pg_sys;

use super::index::Index;

const BLOCK: u32 = 0;
const MODE: i32 = pg_sys::ExclusiveLock as i32;

/// Held until dropped, at the latest until the transaction ends.
#[must_use]
pub struct StructureLock {
    index: Index,
}

impl StructureLock {
    /// Waits for the lock.
    pub fn acquire(index: Index) -> Self {
        // SAFETY: the relation is open.
        unsafe { pg_sys::LockPage(index.raw(), BLOCK, MODE) };
        StructureLock { index }
    }

    /// Takes the lock if it is free.
    pub fn try_acquire(index: Index) -> Option<Self> {
        // SAFETY: the relation is open.
        unsafe { pg_sys::ConditionalLockPage(index.raw(), BLOCK, MODE) }.then_some(StructureLock { index })
    }

    /// The index that is locked.
    pub fn index(&self) -> Index {
        self.index
    }
}

impl Drop for StructureLock {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: `self` holds the lock.
            unsafe { pg_sys::UnlockPage(self.index.raw(), BLOCK, MODE) }
        }
    }
}
