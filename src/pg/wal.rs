//! Changing pages: atomically with a WAL record, or without one in a relation that nobody else sees yet.

use bkd::layout::{payload_mut, set_checksum, PageHeader, Payload, PAYLOAD_OFFSET};
use pgrx::pg_sys;

use super::buffer::{ExclusivePage, Page};
use super::index::Index;
use super::report::OrRaise;

/// A change of up to four pages (`MAX_GENERIC_XLOG_PAGES`) that happens as a whole or not at all, also when the server crashes.
///
/// Pages change when the record is committed; until then the changes are in copies. A record that is dropped has changed
/// nothing. Works for unlogged and temporary relations too, where nothing is logged.
#[must_use = "a record changes nothing until it is committed"]
pub struct WalRecord {
    state: *mut pg_sys::GenericXLogState,
    index: Index,
}

impl WalRecord {
    pub fn begin(index: Index) -> Self {
        // SAFETY: the relation is open.
        WalRecord { state: unsafe { pg_sys::GenericXLogStart(index.raw()) }, index }
    }

    /// Changes a page that was read and found sound, once in a record. The lock on `page` must be held until the record is
    /// committed.
    pub fn change(&mut self, page: &ExclusivePage, edit: impl FnOnce(&mut PageHeader, &mut Payload)) {
        let index = self.index;
        let image = self.register(page, 0);
        let mut header = PageHeader::read_unchecked(image).or_raise(index);
        edit(&mut header, payload_mut(image));
        put_header(image, &header);
    }

    /// Makes a page anew. `fill` writes the payload, which is zeros, and says how much of it is in use.
    pub fn create(
        &mut self,
        page: &ExclusivePage,
        header: PageHeader,
        fill: impl FnOnce(&mut Payload) -> usize,
    ) {
        let image = self.register(page, pg_sys::GENERIC_XLOG_FULL_IMAGE as i32);
        initialise(image, header, fill);
    }

    fn register(&mut self, page: &ExclusivePage, flags: i32) -> &mut Page {
        // SAFETY: the state is unfinished; the buffer is exclusively locked; the copy is a whole page, valid until the
        // record is finished, and borrowed from `self` until then.
        unsafe { &mut *pg_sys::GenericXLogRegisterBuffer(self.state, page.buffer(), flags).cast::<Page>() }
    }

    /// Logs the changes and makes them.
    pub fn commit(self) {
        let state = self.state;
        std::mem::forget(self);
        // SAFETY: the state is unfinished and not used again.
        unsafe { pg_sys::GenericXLogFinish(state) };
    }
}

impl Drop for WalRecord {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the state is unfinished and not used again.
            unsafe { pg_sys::GenericXLogAbort(self.state) }
        }
    }
}

impl ExclusivePage {
    /// Makes the page anew without logging it: in a relation under construction, which is logged as a whole in the end.
    pub fn create_unlogged(&mut self, header: PageHeader, fill: impl FnOnce(&mut Payload) -> usize) {
        initialise(self.page_mut(), header, fill);
        // SAFETY: pinned and exclusively locked.
        unsafe { pg_sys::MarkBufferDirty(self.buffer()) }
    }

    /// Changes the header without logging it, as above.
    pub fn change_unlogged(&mut self, header: PageHeader) {
        put_header(self.page_mut(), &header);
        // SAFETY: pinned and exclusively locked.
        unsafe { pg_sys::MarkBufferDirty(self.buffer()) }
    }

    /// Logs the page as it is.
    pub fn log_image(&self) {
        // SAFETY: pinned, exclusively locked and dirty; a critical section as `log_newpage_buffer` demands.
        unsafe {
            pg_sys::CritSectionCount += 1;
            pg_sys::log_newpage_buffer(self.buffer(), true);
            pg_sys::CritSectionCount -= 1;
        }
    }
}

/// Logs all pages of a relation that was written without a log.
pub fn log_whole(index: Index) {
    if index.needs_wal() {
        // SAFETY: the relation is open and nobody else writes to it.
        unsafe {
            pg_sys::log_newpage_range(index.raw(), pg_sys::ForkNumber::MAIN_FORKNUM, 0, index.blocks(), true)
        }
    }
}

fn initialise(page: &mut Page, mut header: PageHeader, fill: impl FnOnce(&mut Payload) -> usize) {
    // SAFETY: a whole page, writable.
    unsafe { pg_sys::PageInit(page.as_mut_ptr().cast(), page.len(), 0) };
    header.used = fill(payload_mut(page)) as u32;
    put_header(page, &header);
}

/// Writes our header, Postgres' idea of what lies between header and free space (the log leaves out the latter), and the checksum:
/// the last step of every change.
fn put_header(page: &mut Page, header: &PageHeader) {
    header.write(page);
    let lower = PAYLOAD_OFFSET + header.used as usize;
    assert!(lower <= page.len());
    // SAFETY: a page starts with this header, and buffers and WAL images are aligned for it.
    let postgres = unsafe { &mut *page.as_mut_ptr().cast::<pg_sys::PageHeaderData>() };
    postgres.pd_lower = lower as u16;
    set_checksum(page);
}
