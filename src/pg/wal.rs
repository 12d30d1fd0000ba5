//! Changing pages: atomically with a WAL record, or without one in a relation that nobody else sees yet.

use std::ops::Range;

use bkd::layout::{
    payload_mut, set_checksum, set_header_checksum, PageHeader, Payload, PAGE_SIZE, PAYLOAD_OFFSET,
};
use pgrx::pg_sys;

use super::buffer::{ExclusivePage, Page};
use super::index::Index;
use super::report::OrRaise;

/// The bindings' own declarations, without the guard around each call ([`super::buffer`] says why).
mod unguarded {
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int};

    unsafe extern "C-unwind" {
        pub fn XLogBeginInsert();
        pub fn XLogRegisterBuffer(number: u8, buffer: pg_sys::Buffer, flags: u8);
        pub fn XLogRegisterBufData(number: u8, data: *mut c_char, length: c_int);
        pub fn XLogInsert(manager: pg_sys::RmgrId, info: u8) -> pg_sys::XLogRecPtr;
        pub fn MarkBufferDirty(buffer: pg_sys::Buffer);
    }
}

/// A change of up to four pages that happens as a whole or not at all, also when the server crashes.
///
/// Pages change when the record is committed; until then the changes are in copies. A record that is dropped has changed
/// nothing. Works for unlogged and temporary relations too, where nothing is logged.
///
/// What is logged is generic WAL (`src/backend/access/transam/generic_xlog.c`), which core's code replays: for each page the fragments that
/// changed, each an offset, a length and that many bytes; or the whole page. But the records are made here: `GenericXLog` looks for what
/// changed byte by byte, which took half of the time of a COPY into an indexed table.
#[must_use = "a record changes nothing until it is committed"]
pub struct WalRecord<'a> {
    index: Index,
    changes: Vec<Change<'a>>,
}

/// The new contents of a page.
struct Change<'a> {
    page: &'a ExclusivePage,
    image: Box<Page>,
    /// The page is made anew: what it held before does not matter.
    is_new: bool,
}

impl<'a> WalRecord<'a> {
    pub fn begin(index: Index) -> Self {
        WalRecord { index, changes: Vec::new() }
    }

    /// Changes a page that was read and found sound, once in a record.
    pub fn change(&mut self, page: &'a ExclusivePage, edit: impl FnOnce(&mut PageHeader, &mut Payload)) {
        let mut image = Box::new(**page);
        let mut header = PageHeader::read_alone(&image).or_raise(self.index);
        edit(&mut header, payload_mut(&mut image));
        put_header(&mut image, &header);
        self.changes.push(Change { page, image, is_new: false });
    }

    /// Makes a page anew. `fill` writes the payload, which is zeros, and says how much of it is in use.
    pub fn create(
        &mut self,
        page: &'a ExclusivePage,
        header: PageHeader,
        fill: impl FnOnce(&mut Payload) -> usize,
    ) {
        let mut image = Box::new([0; PAGE_SIZE]);
        initialise(&mut image, header, fill);
        self.changes.push(Change { page, image, is_new: true });
    }

    /// Logs the changes and makes them.
    pub fn commit(self) {
        assert!(self.changes.len() <= MAX_PAGES);
        let needs_wal = self.index.needs_wal();
        let fragments: Vec<Vec<u8>> = self
            .changes
            .iter()
            .map(|change| if change.is_new { Vec::new() } else { change.fragments() })
            .collect();
        // SAFETY: the pages are pinned and exclusively locked, for the record borrows them, and nobody reads through these borrows
        // meanwhile. In the critical section nothing fails short of a server crash; what is registered lives until it is inserted.
        unsafe {
            if needs_wal {
                pg_sys::XLogBeginInsert();
            }
            pg_sys::CritSectionCount += 1;
            for (number, (change, fragments)) in (0u8..).zip(self.changes.iter().zip(&fragments)) {
                let buffer = change.page.buffer();
                std::ptr::copy_nonoverlapping(change.image.as_ptr(), change.page.start(), PAGE_SIZE);
                pg_sys::MarkBufferDirty(buffer);
                if needs_wal {
                    let whole = if change.is_new { pg_sys::REGBUF_FORCE_IMAGE } else { 0 };
                    pg_sys::XLogRegisterBuffer(number, buffer, (whole | pg_sys::REGBUF_STANDARD) as u8);
                    if !fragments.is_empty() {
                        let bytes = fragments.as_ptr().cast_mut().cast();
                        pg_sys::XLogRegisterBufData(number, bytes, fragments.len() as _);
                    }
                }
            }
            if needs_wal {
                let position = pg_sys::XLogInsert(RM_GENERIC_ID, 0);
                self.changes.iter().for_each(|change| set_position(change.page.start(), position));
            }
            pg_sys::CritSectionCount -= 1;
        }
    }
}

impl Change<'_> {
    /// What differs from the page as it is.
    fn fragments(&self) -> Vec<u8> {
        let mut fragments = Vec::new();
        // From its position in the log on, which is not part of the change.
        let pairs = self.page.chunks_exact(COMPARED).zip(self.image.chunks_exact(COMPARED));
        let mut differing =
            pairs.enumerate().filter(|(_, (old, new))| old != new).map(|(at, _)| at).peekable();
        while let Some(first) = differing.next() {
            let mut end = first + 1;
            while differing.next_if_eq(&end).is_some() {
                end += 1;
            }
            let range = (first * COMPARED).max(POSITION_END)..end * COMPARED;
            fragments.extend_from_slice(&fragment_head(&range));
            fragments.extend_from_slice(&self.image[range]);
        }
        fragments
    }
}

/// As many as core's code replays in a record (`MAX_GENERIC_XLOG_PAGES`).
const MAX_PAGES: usize = 4;
/// Pages are compared in pieces of so many bytes.
const COMPARED: usize = 32;
/// End of a page's position in the log (`pd_lsn`).
const POSITION_END: usize = 8;
/// The resource manager of generic WAL.
const RM_GENERIC_ID: pg_sys::RmgrId = pg_sys::RmgrIds::RM_GENERIC_ID as pg_sys::RmgrId;

/// Offset and length of a fragment.
fn fragment_head(range: &Range<usize>) -> [u8; 4] {
    let [a, b] = (range.start as u16).to_ne_bytes();
    let [c, d] = (range.len() as u16).to_ne_bytes();
    [a, b, c, d]
}

/// Puts bytes behind the payload in use of a page with this header, and logs that: what a [`WalRecord`] would do, without a copy of the
/// page.
///
/// # Panics
/// If there is not enough room.
pub fn append(index: Index, page: &mut ExclusivePage, mut header: PageHeader, bytes: &[u8]) {
    let start = PAYLOAD_OFFSET + header.used as usize;
    let end = start + bytes.len();
    assert!(end <= PAGE_SIZE);
    header.appended(bytes);
    let (needs_wal, buffer) = (index.needs_wal(), page.buffer());
    let mut change = || {
        let image = page.page_mut();
        image[start..end].copy_from_slice(bytes);
        header.write(image);
        set_lower(image, &header);
        set_header_checksum(image);
        let mut changed_headers = [0; 4 + HEADERS.end - HEADERS.start];
        changed_headers[..4].copy_from_slice(&fragment_head(&HEADERS));
        changed_headers[4..].copy_from_slice(&image[HEADERS]);
        let mut head = fragment_head(&(start..end));
        let appended = image[start..end].as_mut_ptr();
        // SAFETY: the page is pinned and exclusively locked; what is registered lives until it is inserted.
        unsafe {
            unguarded::MarkBufferDirty(buffer);
            if needs_wal {
                unguarded::XLogRegisterBuffer(0, buffer, pg_sys::REGBUF_STANDARD as u8);
                let register = |bytes: *mut u8, length: usize| {
                    unguarded::XLogRegisterBufData(0, bytes.cast(), length as i32);
                };
                register(changed_headers.as_mut_ptr(), changed_headers.len());
                register(head.as_mut_ptr(), head.len());
                register(appended, bytes.len());
                let position = unguarded::XLogInsert(RM_GENERIC_ID, 0);
                set_position(page.start(), position);
            }
        }
    };
    // SAFETY: the closure holds nothing that a longjmp could leave undone. In the critical section nothing fails short of a server
    // crash.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            if needs_wal {
                unguarded::XLogBeginInsert();
            }
            pg_sys::CritSectionCount += 1;
            change();
            pg_sys::CritSectionCount -= 1;
        });
    }
}

/// The part of the headers that appending changes: from `pd_lower` on.
const HEADERS: Range<usize> = LOWER.start..PAYLOAD_OFFSET;
/// `pd_lower` in Postgres' page header.
const LOWER: Range<usize> = 12..14;

/// Notes on a page where its last change is in the log (`PageSetLSN`).
///
/// # Safety
/// A page, exclusively locked.
unsafe fn set_position(page: *mut u8, position: pg_sys::XLogRecPtr) {
    let halves = [(position >> 32) as u32, position as u32];
    // SAFETY: as the caller promises; pages are aligned.
    unsafe { page.cast::<[u32; 2]>().write(halves) };
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
