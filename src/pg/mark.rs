//! A mark on a page in shared buffers that says to all backends: found sound since it was read from disk.
//!
//! Where Postgres has no checksums, a backend computes ours of every page that is new to it. The first one that does leaves a mark, in
//! bytes of our header that are zeros on disk ([`bkd::layout::NOTE_OFFSET`]), and later ones need not read the page. Whoever reads the page from
//! disk again overwrites the mark. That is right only if no mark is ever written to disk, so
//! - pages are marked that never change: who writes one anew does so as a whole, without a mark. (The caller sees to that.)
//! - a page is marked under its share lock, and if the buffer is clean. To make it dirty takes the exclusive lock, and only dirty buffers are
//!   written. (With the share lock alone, `MarkBufferDirtyHint` does it, which nobody calls for our pages);
//! - others may copy a page in memory, mark included: CREATE DATABASE, by way of the log, and Postgres itself where it logs a new relation as a
//!   whole. So the mark depends on the page's position in the log, which such a copy gets anew; on its file and block; and on when the server started.
//!   Nothing is marked that is not logged.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bkd::layout::{note, noted_as, NOTE_OFFSET};
use pgrx::pg_sys;

use super::buffer::{Page, SharedPage};
use super::index::Index;
use super::versions;

/// The marks of the pages of an index.
#[derive(Clone, Copy)]
pub struct Marks {
    /// What the marks of all its pages depend on.
    base: u64,
}

impl Marks {
    /// `None` if pages of this index are not marked.
    pub fn of(index: Index) -> Option<Self> {
        // SAFETY: a setting, and a time, which are constant while the server runs.
        let (wal_level, started) = unsafe { (pg_sys::wal_level, pg_sys::PgStartTime) };
        let is_logged = wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 && index.needs_wal();
        let numbers = versions::file_numbers(index.file_locator());
        let base = numbers.iter().fold(started as u64, |base, number| mix(base ^ u64::from(number.to_u32())));
        is_logged.then_some(Marks { base })
    }

    /// Whether a block's page is marked.
    #[inline]
    pub fn is_on(self, page: &Page, block: u32) -> bool {
        self.of_page(page, block).is_some_and(|mark| mark == note(page))
    }

    /// Marks a block's page, which was found sound, if that is possible.
    pub fn put(self, page: &SharedPage, block: u32) {
        let Some(mark) = self.of_page(page, block) else { return };
        if !is_clean(page.buffer()) {
            return;
        }
        let noted = noted_as(page, mark).to_le();
        // SAFETY: the page is pinned and share-locked, and eight bytes at this place are aligned. Other processes read them as they are before or
        // after, as they do with hint bits; in this one, nobody reads them meanwhile.
        let place = unsafe { AtomicU64::from_ptr(page.start().add(NOTE_OFFSET).cast()) };
        place.store(noted, Ordering::Relaxed);
    }

    /// `None` if the page was never logged.
    #[inline]
    fn of_page(self, page: &Page, block: u32) -> Option<u32> {
        let position = u64::from_ne_bytes(page[..8].try_into().expect("eight bytes"));
        if position == 0 {
            return None;
        }
        let mixed = mix(mix(self.base ^ u64::from(block)) ^ position);
        // Zeros are no mark.
        Some((mixed >> 32) as u32 | 1)
    }
}

/// Bits of which each depends on all that were given (the finalizer of SplitMix64).
#[inline]
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Whether a buffer, which is pinned and share-locked, holds what is on disk, and stays so as long as it is locked.
fn is_clean(buffer: pg_sys::Buffer) -> bool {
    // Temporary relations are in buffers of another kind.
    let Some(number) = usize::try_from(buffer).ok().and_then(|buffer| buffer.checked_sub(1)) else {
        return false;
    };
    // SAFETY: the buffer exists; its state is an atomic number of 32 bits in all versions, which may be read without its lock.
    let state = unsafe {
        let descriptor = &raw mut (*pg_sys::BufferDescriptors.add(number)).bufferdesc;
        AtomicU32::from_ptr(&raw mut (*descriptor).state.value).load(Ordering::Acquire)
    };
    let unclean = pg_sys::BM_DIRTY
        | pg_sys::BM_JUST_DIRTIED
        | pg_sys::BM_CHECKPOINT_NEEDED
        | pg_sys::BM_IO_IN_PROGRESS
        | pg_sys::BM_IO_ERROR;
    state & unclean == 0 && state & pg_sys::BM_PERMANENT != 0
}
