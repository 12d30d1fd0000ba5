//! The free space map: pages that may be used anew.
//!
//! The map is not crash-safe and is only a hint: who is offered a page looks at it before taking it.

use pgrx::pg_sys;

use super::index::Index;
use super::interrupts::check_for_interrupts;

/// A block that the map offers. It does not offer it again before somebody frees it again.
pub fn take_block(index: Index) -> Option<u32> {
    // SAFETY: the relation is open.
    let block = unsafe { pg_sys::GetFreeIndexPage(index.raw()) };
    (block != pg_sys::InvalidBlockNumber).then_some(block)
}

/// Offers pages to be used anew.
pub fn free_blocks(index: Index, blocks: impl IntoIterator<Item = u32>) {
    let mut any = false;
    for block in blocks {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RecordFreeIndexPage(index.raw(), block) };
        any = true;
        check_for_interrupts();
    }
    if any {
        // SAFETY: the relation is open.
        unsafe { pg_sys::IndexFreeSpaceMapVacuum(index.raw()) };
    }
}
