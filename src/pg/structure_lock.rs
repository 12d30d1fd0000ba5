//! The locks of those who change what an index consists of.
//!
//! - [`SealLock`]: turning the delta into segments, and giving back the pages of what was replaced;
//! - [`MergeLock`]: replacing segments and lists, and removing row addresses. VACUUM holds it while it goes through the index.
//!
//! They are apart so that sealing goes on while VACUUM or a large merge is busy. Both are heavyweight locks on a page number, as
//! GIN has one for the cleanup of its pending list; neither excludes scans or inserts. Lock order: merge lock, seal lock, the
//! metapage's buffer, other buffers. An insert only tries.

use pgrx::pg_sys;

use super::index::Index;

const MODE: i32 = pg_sys::ExclusiveLock as i32;

/// A lock named by a page number, held until dropped, at the latest until the transaction ends.
#[must_use]
pub struct StructureLock<const PAGE: u32> {
    index: Index,
}

/// See the [module](self).
pub type SealLock = StructureLock<0>;
/// See the [module](self).
pub type MergeLock = StructureLock<1>;

impl<const PAGE: u32> StructureLock<PAGE> {
    /// Waits for the lock.
    pub fn acquire(index: Index) -> Self {
        // SAFETY: the relation is open.
        unsafe { pg_sys::LockPage(index.raw(), PAGE, MODE) };
        StructureLock { index }
    }

    /// Takes the lock if it is free.
    pub fn try_acquire(index: Index) -> Option<Self> {
        // SAFETY: the relation is open.
        let locked = unsafe { pg_sys::ConditionalLockPage(index.raw(), PAGE, MODE) };
        // Not `then_some`: the value would be made, and dropped, without the lock.
        locked.then(|| StructureLock { index })
    }

    /// The index that is locked.
    pub fn index(&self) -> Index {
        self.index
    }
}

impl<const PAGE: u32> Drop for StructureLock<PAGE> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: `self` holds the lock.
            unsafe { pg_sys::UnlockPage(self.index.raw(), PAGE, MODE) }
        }
    }
}
