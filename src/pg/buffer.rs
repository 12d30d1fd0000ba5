//! Pages in shared buffers: pinned and locked for as long as a value lives.
//!
//! Reading a page is the hot path of a scan, thousands of times a query. The generated bindings guard each C call against
//! `longjmp` by itself; here the calls that belong together share one guard, so a page costs two guards instead of four. And who
//! reads the same pages again and again remembers in which buffers they were ([`RecentBuffer`]): looking a page up in the table of
//! all buffers misses the processor's caches several times, and was a quarter of a scan's time.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use bkd::layout::{PageHeader, NO_BLOCK, PAGE_SIZE};
use pgrx::pg_sys;

use super::index::Index;
use super::report::OrRaise;
use super::versions::FileLocator;

/// The bindings' own declarations, without the guard around each call; and what they leave out.
mod unguarded {
    use super::FileLocator;
    use pgrx::pg_sys;
    use std::ffi::c_int;

    unsafe extern "C-unwind" {
        pub static ignore_checksum_failure: bool;

        pub fn ReadBufferExtended(
            relation: pg_sys::Relation,
            fork: pg_sys::ForkNumber::Type,
            block: pg_sys::BlockNumber,
            mode: pg_sys::ReadBufferMode::Type,
            strategy: pg_sys::BufferAccessStrategy,
        ) -> pg_sys::Buffer;
        pub fn ReadRecentBuffer(
            file: FileLocator,
            fork: pg_sys::ForkNumber::Type,
            block: pg_sys::BlockNumber,
            buffer: pg_sys::Buffer,
        ) -> bool;
        pub fn LockBuffer(buffer: pg_sys::Buffer, mode: c_int);
        pub fn ReleaseBuffer(buffer: pg_sys::Buffer);
        pub fn UnlockReleaseBuffer(buffer: pg_sys::Buffer);
        pub fn PrefetchBuffer(
            relation: pg_sys::Relation,
            fork: pg_sys::ForkNumber::Type,
            block: pg_sys::BlockNumber,
        ) -> pg_sys::PrefetchBufferResult;
    }
}

const _: () = assert!(PAGE_SIZE == pg_sys::BLCKSZ as usize);

/// Processes that use buffers beside the backends, a few more than any version has.
const AUXILIARY_PROCESSES: i32 = 8;

/// The bytes of a page.
pub type Page = [u8; PAGE_SIZE];

/// Which buffers a long series of reads may use.
#[derive(Clone, Copy)]
pub struct Strategy(pg_sys::BufferAccessStrategy);

impl Strategy {
    /// All of them.
    pub const NORMAL: Strategy = Strategy(std::ptr::null_mut());

    /// The ring that VACUUM was given.
    ///
    /// # Safety
    /// `strategy` is null or stays valid while this is used.
    pub unsafe fn from_raw(strategy: pg_sys::BufferAccessStrategy) -> Self {
        Strategy(strategy)
    }
}

/// A pinned buffer.
struct Held {
    buffer: pg_sys::Buffer,
    page: NonNull<Page>,
    /// Not if nobody changes the page anyway.
    is_locked: bool,
}

impl Held {
    #[inline]
    fn read(index: Index, block: u32, strategy: Strategy, mode: u32) -> Self {
        // Postgres would take this number for a request to extend the relation.
        Self::existing(index, block);
        let relation = index.raw();
        // SAFETY: the relation is open; the closure holds nothing that a longjmp could leave undone, and the pin that an
        // error in LockBuffer would leave belongs to the transaction that the error aborts.
        let buffer = unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let buffer = unguarded::ReadBufferExtended(
                    relation,
                    pg_sys::ForkNumber::MAIN_FORKNUM,
                    block,
                    pg_sys::ReadBufferMode::RBM_NORMAL,
                    strategy.0,
                );
                unguarded::LockBuffer(buffer, mode as i32);
                buffer
            })
        };
        // SAFETY: the buffer was just pinned and locked.
        unsafe { Self::from_raw(buffer, true) }
    }

    /// The same, looking first where the page was when it was last read.
    ///
    /// Postgres does not count such a read as a use, for which pages stay in memory. So a page should now and then be read with
    /// a `recent` of 0.
    #[inline]
    fn read_recent(index: Index, block: u32, recent: &RecentBuffer, mode: u32) -> Self {
        let buffer = recent.get();
        // Temporary relations are in buffers of another kind, with negative numbers.
        if buffer > 0 {
            let file = index.file_locator();
            // SAFETY: as in `read`. The call checks that the buffer holds the page before it pins it.
            let found = unsafe {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
                    let found = unguarded::ReadRecentBuffer(file, fork, block, buffer);
                    if found {
                        unguarded::LockBuffer(buffer, mode as i32);
                    }
                    found
                })
            };
            if found {
                index.count_hit();
                // SAFETY: pinned and locked by the call.
                return unsafe { Self::from_raw(buffer, true) };
            }
        }
        let page = Self::read(index, block, Strategy::NORMAL, mode);
        recent.set(page.buffer);
        page
    }

    #[inline]
    fn existing(index: Index, block: u32) {
        if block == NO_BLOCK {
            Err(bkd::Error::corrupt("a pointer to a page is missing")).or_raise(index)
        }
    }

    /// # Safety
    /// The buffer is pinned by us, and locked or not, and nobody else will release it.
    #[inline]
    unsafe fn from_raw(buffer: pg_sys::Buffer, is_locked: bool) -> Self {
        // SAFETY: the page of a pinned buffer stays where it is.
        let page = unsafe { NonNull::new_unchecked(pg_sys::BufferGetPage(buffer).cast::<Page>()) };
        Held { buffer, page, is_locked }
    }

    #[inline]
    fn page(&self) -> &Page {
        // SAFETY: pinned, and without writers, by a lock or otherwise, for as long as `self` lives.
        unsafe { self.page.as_ref() }
    }

    /// # Safety
    /// Under a guard, and the last that is done with it.
    #[inline]
    unsafe fn release(&self) {
        // SAFETY: `self` owns one pin, and the lock if it is locked.
        unsafe {
            if self.is_locked {
                unguarded::UnlockReleaseBuffer(self.buffer);
            } else {
                unguarded::ReleaseBuffer(self.buffer);
            }
        }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the closure holds nothing that needs undoing.
            unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| self.release()) }
        }
    }
}

/// Lets the system read blocks of the main fork that are not in a buffer, without waiting for it. Returns how many these were.
pub fn prefetch(index: Index, blocks: impl Iterator<Item = u32>) -> usize {
    let relation = index.raw();
    let is_missing = |&block: &u32| {
        // SAFETY: the relation is open; the call leaves nothing behind that a longjmp could leave undone.
        unsafe { unguarded::PrefetchBuffer(relation, pg_sys::ForkNumber::MAIN_FORKNUM, block) }.initiated_io
    };
    // SAFETY: the same is true of an iterator over numbers.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| blocks.filter(is_missing).count()) }
}

/// How many reads it pays to have under way at once in the index's tablespace (`effective_io_concurrency`).
pub fn io_concurrency(index: Index) -> usize {
    // SAFETY: a lookup in a cache of the catalogs.
    let setting = unsafe { pg_sys::get_tablespace_io_concurrency(index.tablespace()) };
    usize::try_from(setting).unwrap_or(0)
}

/// Blocks that this backend has read so far because they were in no buffer.
#[inline]
fn blocks_read() -> i64 {
    let usage = &raw const pg_sys::pgBufferUsage;
    // SAFETY: counters of this process, which nobody changes meanwhile.
    unsafe { (*usage).shared_blks_read + (*usage).local_blks_read }
}

/// The buffer behind another, or 0: where the next page of a file is likely to be, if both were read at the same time.
#[inline]
pub fn next_buffer(buffer: pg_sys::Buffer) -> pg_sys::Buffer {
    if (1..last_buffer()).contains(&buffer) {
        buffer + 1
    } else {
        0
    }
}

/// Where the page of a buffer lies.
#[inline]
pub fn address(buffer: pg_sys::Buffer) -> Option<*const u8> {
    let number = usize::try_from(buffer).ok()?.checked_sub(1)?;
    // SAFETY: the array is there as long as the process. An address is made, nothing is read.
    Some(unsafe { pg_sys::BufferBlocks }.wrapping_add(number * PAGE_SIZE).cast_const().cast())
}

/// Has the processor fetch what it takes to begin with a buffer: its descriptor, the header of its page, and by one line
/// of each half where in memory these are (small pages of memory are half as large).
#[inline]
pub fn fetch_beginning(buffer: pg_sys::Buffer) {
    #[cfg(target_arch = "x86_64")]
    if let Some(page) = address(buffer) {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: addresses are made, which are not read from; to fetch what is not there does nothing.
        unsafe {
            let descriptors = pg_sys::BufferDescriptors;
            _mm_prefetch::<_MM_HINT_T0>(descriptors.wrapping_add(buffer as usize - 1).cast());
            _mm_prefetch::<_MM_HINT_T0>(page.cast());
            _mm_prefetch::<_MM_HINT_T0>(page.wrapping_add(PAGE_SIZE / 2).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = buffer;
}

/// Has the system show this process the memory of some buffers, by a look at one byte of each piece of memory that Linux maps at once. One
/// fault right after the other takes less than half of the time that they take between other work.
pub fn map(buffers: Range<pg_sys::Buffer>) {
    const AT_ONCE: usize = (64 << 10) / PAGE_SIZE;
    for page in buffers.step_by(AT_ONCE).filter_map(address) {
        // SAFETY: the buffers are there as long as the process, and any byte will do.
        unsafe { page.read_volatile() };
    }
}

/// The last buffer.
pub fn last_buffer() -> pg_sys::Buffer {
    // SAFETY: a setting, which is constant while the server runs.
    unsafe { pg_sys::NBuffers }
}

/// Whether Postgres finds damage when it reads a page: then there is none in its buffers.
pub fn damage_is_found() -> bool {
    // SAFETY: what the control file says, and a setting.
    unsafe { pg_sys::DataChecksumsEnabled() && !unguarded::ignore_checksum_failure }
}

/// The buffer in which a page was when it was last read, or 0.
pub type RecentBuffer = Cell<pg_sys::Buffer>;

/// A page that nobody changes while this lives.
#[must_use]
pub struct SharedPage(Held);

impl SharedPage {
    /// Reads and share-locks a block.
    #[inline]
    pub fn read(index: Index, block: u32) -> Self {
        Self::read_with(index, block, Strategy::NORMAL)
    }

    /// The same within a ring of buffers.
    #[inline]
    pub fn read_with(index: Index, block: u32, strategy: Strategy) -> Self {
        SharedPage(Held::read(index, block, strategy, pg_sys::BUFFER_LOCK_SHARE))
    }

    /// The same, looking first where the page was when it was last read. Returns, too, whether it had to be read from disk.
    #[inline]
    pub fn read_recent(index: Index, block: u32, recent: &RecentBuffer) -> (Self, bool) {
        let before = blocks_read();
        let page = SharedPage(Held::read_recent(index, block, recent, pg_sys::BUFFER_LOCK_SHARE));
        (page, blocks_read() != before)
    }

    /// One that is still in the buffer where it was, without a lock on it; `before` is let go of first, under the same guard.
    ///
    /// # Safety
    /// Nobody changes the page for as long as this lives.
    #[inline]
    pub unsafe fn where_it_was(
        index: Index,
        block: u32,
        buffer: pg_sys::Buffer,
        before: Option<SharedPage>,
    ) -> Option<Self> {
        let file = index.file_locator();
        let before = before.map(|page| ManuallyDrop::new(page.0));
        // SAFETY: `before` is not used any more; the call checks that the buffer holds the page before it pins it. The closure holds nothing that
        // a longjmp could leave undone, and a pin belongs to the transaction that an error aborts.
        let found = unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                if let Some(before) = &before {
                    before.release();
                }
                unguarded::ReadRecentBuffer(file, pg_sys::ForkNumber::MAIN_FORKNUM, block, buffer)
            })
        };
        found.then(|| {
            index.count_hit();
            // SAFETY: just pinned.
            SharedPage(unsafe { Held::from_raw(buffer, false) })
        })
    }

    pub(super) fn buffer(&self) -> pg_sys::Buffer {
        self.0.buffer
    }

    /// Where the page is in memory.
    pub(super) fn start(&self) -> *mut u8 {
        self.0.page.as_ptr().cast()
    }
}

impl Deref for SharedPage {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        self.0.page()
    }
}

/// Pages that stay in their buffers while this lives, and that nobody changes. They are not locked, for Postgres allows no more than 200 locks;
/// and what they have in common shares one guard, so that a page takes half the time of a [`SharedPage`].
#[must_use]
pub struct PinnedPages {
    /// 0 for one that is not there.
    buffers: Vec<pg_sys::Buffer>,
}

impl PinnedPages {
    /// Those of some blocks that are still in the buffers where they were.
    pub fn where_they_were(
        index: Index,
        places: impl ExactSizeIterator<Item = (u32, pg_sys::Buffer)>,
    ) -> Self {
        let file = index.file_locator();
        let mut buffers = Vec::with_capacity(places.len());
        let mut found = 0;
        // SAFETY: the call checks that the buffer holds the page before it pins it. The closure holds nothing that a longjmp could leave
        // undone: pins belong to the transaction that an error aborts, there is room for all numbers, and numbers need no destructor.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                for (block, buffer) in places {
                    let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
                    let is_there = buffer > 0 && unguarded::ReadRecentBuffer(file, fork, block, buffer);
                    found += usize::from(is_there);
                    buffers.push(if is_there { buffer } else { 0 });
                }
            });
        }
        (0..found).for_each(|_| index.count_hit());
        PinnedPages { buffers }
    }

    /// One of them, if it is there.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&Page> {
        // SAFETY: pinned for as long as `self` lives.
        (self.buffers[at] > 0).then(|| unsafe { &*pg_sys::BufferGetPage(self.buffers[at]).cast::<Page>() })
    }

    /// Takes over one, without its lock, in place of what was there.
    ///
    /// # Safety
    /// Nobody changes the page for as long as `self` lives.
    pub unsafe fn put(&mut self, at: usize, page: SharedPage) {
        let Held { buffer, is_locked, .. } = *ManuallyDrop::new(page.0);
        let before = std::mem::replace(&mut self.buffers[at], buffer);
        // SAFETY: `page` held the lock, `self` the pin of the other one; the closure holds nothing that needs undoing.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                if is_locked {
                    unguarded::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
                }
                if before > 0 {
                    unguarded::ReleaseBuffer(before);
                }
            });
        }
    }
}

impl Drop for PinnedPages {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let pinned = self.buffers.iter().filter(|buffer| **buffer > 0);
            // SAFETY: `self` owns a pin of each; the closure holds nothing that needs undoing.
            unsafe {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    pinned.for_each(|buffer| unguarded::ReleaseBuffer(*buffer))
                });
            }
        }
    }
}

/// How many pages a backend may have pinned at once and leave the others as many (`LimitAdditionalPins` of later versions).
pub fn fair_share_of_buffers() -> usize {
    // SAFETY: constant while the server runs.
    let (buffers, backends) = unsafe { (pg_sys::NBuffers, pg_sys::MaxBackends) };
    (buffers / (backends + AUXILIARY_PROCESSES).max(1)).max(0) as usize
}

/// A page that nobody else reads or changes while this lives. Changes go through [`super::wal`].
#[must_use]
pub struct ExclusivePage {
    held: Held,
    block: u32,
}

impl ExclusivePage {
    /// Reads and exclusively locks a block.
    pub fn read(index: Index, block: u32) -> Self {
        Self::read_with(index, block, Strategy::NORMAL)
    }

    /// The same within a ring of buffers.
    pub fn read_with(index: Index, block: u32, strategy: Strategy) -> Self {
        ExclusivePage { held: Held::read(index, block, strategy, pg_sys::BUFFER_LOCK_EXCLUSIVE), block }
    }

    /// The same, looking first where the page was when it was last read.
    pub fn read_recent(index: Index, block: u32, recent: &RecentBuffer) -> Self {
        let held = Held::read_recent(index, block, recent, pg_sys::BUFFER_LOCK_EXCLUSIVE);
        ExclusivePage { held, block }
    }

    /// Reads and exclusively locks a block unless somebody else holds a lock on it.
    pub fn try_read(index: Index, block: u32) -> Option<Self> {
        Held::existing(index, block);
        // SAFETY: the relation is open; the buffer is either locked and owned by the result, or released.
        unsafe {
            let buffer = pg_sys::ReadBuffer(index.raw(), block);
            if pg_sys::ConditionalLockBuffer(buffer) {
                return Some(ExclusivePage { held: Held::from_raw(buffer, true), block });
            }
            pg_sys::ReleaseBuffer(buffer);
        }
        None
    }

    /// Appends a block of zeros to the relation.
    pub fn extend(index: Index) -> Self {
        Self::extend_fork(index, pg_sys::ForkNumber::MAIN_FORKNUM)
    }

    /// Appends a block of zeros to the initialisation fork of an unlogged relation.
    pub fn extend_init_fork(index: Index) -> Self {
        Self::extend_fork(index, pg_sys::ForkNumber::INIT_FORKNUM)
    }

    fn extend_fork(index: Index, fork: pg_sys::ForkNumber::Type) -> Self {
        let relation = index.raw();
        // Two backends must not take the same end of the file for theirs.
        let lock = !index.is_local();
        let mode = pg_sys::ExclusiveLock as i32;
        // SAFETY: the relation is open; after an error Postgres releases lock and pin with the transaction.
        unsafe {
            if lock {
                pg_sys::LockRelationForExtension(relation, mode);
            }
            let buffer = pg_sys::ReadBufferExtended(
                relation,
                fork,
                pg_sys::InvalidBlockNumber,
                // Locked before anybody else can find it.
                pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK,
                std::ptr::null_mut(),
            );
            if lock {
                pg_sys::UnlockRelationForExtension(relation, mode);
            }
            let block = pg_sys::BufferGetBlockNumber(buffer);
            ExclusivePage { held: Held::from_raw(buffer, true), block }
        }
    }

    /// The block's number.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Our header, or `None` if the page was never written.
    pub fn header(&self) -> bkd::Result<Option<PageHeader>> {
        if self.is_new() {
            return Ok(None);
        }
        PageHeader::read(self).map(Some)
    }

    /// The same without a look at the payload's checksum.
    pub fn header_alone(&self) -> bkd::Result<Option<PageHeader>> {
        if self.is_new() {
            return Ok(None);
        }
        PageHeader::read_alone(self).map(Some)
    }

    fn is_new(&self) -> bool {
        // SAFETY: a pinned page.
        unsafe { pg_sys::PageIsNew(self.held.page.as_ptr().cast()) }
    }

    pub(super) fn buffer(&self) -> pg_sys::Buffer {
        self.held.buffer
    }

    /// Where the page is in memory.
    pub(super) fn start(&self) -> *mut u8 {
        self.held.page.as_ptr().cast()
    }

    /// The page itself, to be changed without a WAL record of its own.
    pub(super) fn page_mut(&mut self) -> &mut Page {
        // SAFETY: exclusively locked for as long as `self` lives, and borrowed from it.
        unsafe { self.held.page.as_mut() }
    }
}

impl Deref for ExclusivePage {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        self.held.page()
    }
}
