//! Changing pages: atomically with a WAL record, or without one in a relation that nobody else sees yet.

use std::ops::Range;

use bkd::layout::{
    payload_mut, set_checksum, set_header_checksum, PageHeader, Payload, PAGE_SIZE, PAYLOAD_OFFSET,
};
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
        let mut header = PageHeader::read_alone(image).or_raise(index);
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

/// Puts bytes behind the payload in use of a page with this header, and logs that.
///
/// The record is one of generic WAL too, but made here: [`WalRecord`] finds out what changed by comparing the page with a copy of itself, byte
/// by byte, which took half of the time of a COPY into an indexed table. For each page such a record holds fragments, an offset, a
/// length and that many bytes (`src/backend/access/transam/generic_xlog.c`).
///
/// # Panics
/// If there is not enough room.
pub fn append(index: Index, page: &mut ExclusivePage, mut header: PageHeader, bytes: &[u8]) {
    let start = PAYLOAD_OFFSET + header.used as usize;
    let end = start + bytes.len();
    assert!(end <= PAGE_SIZE);
    header.appended(bytes);
    let needs_wal = index.needs_wal();
    // SAFETY: the page is pinned and exclusively locked. In the critical section nothing fails short of a server crash; what is
    // registered lives until it is inserted.
    unsafe {
        pg_sys::CritSectionCount += 1;
        let image = page.page_mut();
        image[start..end].copy_from_slice(bytes);
        header.write(image);
        set_lower(image, &header);
        set_header_checksum(image);
        // The last fragment's bytes follow from the page itself.
        let mut fragments = FragmentHeads::default();
        fragments.add(LOWER).extend(&image[LOWER]);
        fragments.add(CHANGED_BY_APPEND).extend(&image[CHANGED_BY_APPEND]);
        fragments.add(start..end);
        let appended = image[start..end].as_mut_ptr();
        pg_sys::MarkBufferDirty(page.buffer());
        if needs_wal {
            pg_sys::XLogBeginInsert();
            pg_sys::XLogRegisterBuffer(0, page.buffer(), pg_sys::REGBUF_STANDARD as u8);
            pg_sys::XLogRegisterBufData(0, fragments.bytes.as_mut_ptr().cast(), fragments.length as i32);
            pg_sys::XLogRegisterBufData(0, appended.cast(), bytes.len() as i32);
            let position = pg_sys::XLogInsert(RM_GENERIC_ID, 0);
            set_position(page.page_mut(), position);
        }
        pg_sys::CritSectionCount -= 1;
    }
}

/// The resource manager of generic WAL.
const RM_GENERIC_ID: pg_sys::RmgrId = pg_sys::RmgrIds::RM_GENERIC_ID as pg_sys::RmgrId;
/// `pd_lower` in Postgres' page header.
const LOWER: Range<usize> = 12..14;
/// The part of our header that appending changes: bytes in use and checksums.
const CHANGED_BY_APPEND: Range<usize> = 48..PAYLOAD_OFFSET;

/// The fragments of an appending record, but for the bytes of the last.
#[derive(Default)]
struct FragmentHeads {
    bytes: [u8; 3 * 4 + LOWER.end - LOWER.start + CHANGED_BY_APPEND.end - CHANGED_BY_APPEND.start],
    length: usize,
}

impl FragmentHeads {
    /// Adds offset and length of a fragment.
    fn add(&mut self, range: Range<usize>) -> &mut Self {
        self.extend(&(range.start as u16).to_ne_bytes()).extend(&(range.len() as u16).to_ne_bytes())
    }

    fn extend(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }
}

/// Notes on a page where its last change is in the log (`PageSetLSN`).
fn set_position(page: &mut Page, position: pg_sys::XLogRecPtr) {
    page[..4].copy_from_slice(&((position >> 32) as u32).to_ne_bytes());
    page[4..8].copy_from_slice(&(position as u32).to_ne_bytes());
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

/// Writes our header, Postgres' idea of it, and the checksums: the last step of every change.
fn put_header(page: &mut Page, header: &PageHeader) {
    header.write(page);
    set_lower(page, header);
    set_checksum(page);
}

/// Writes Postgres' idea of what lies between the bytes in use and free space: the log leaves out the latter.
fn set_lower(page: &mut Page, header: &PageHeader) {
    let lower = PAYLOAD_OFFSET + header.used as usize;
    assert!(lower <= page.len());
    page[LOWER].copy_from_slice(&(lower as u16).to_ne_bytes());
}
