//! Opened segments: directories are decoded once per backend and kept, pages are read from shared buffers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::rc::Rc;
use std::sync::Arc;

use bkd::layout::meta::{Meta, SegmentEntry};
use bkd::layout::{blob, payload, PageHeader, PageKind, Payload, PAYLOAD, PAYLOAD_OFFSET};
use bkd::{Directory, Error, PageRead, Result, Segment};
use pgrx::pg_sys;

use super::chain::read_header;
use super::lookahead::Lookahead;
use crate::pg::buffer::{
    address, damage_is_found, fair_share_of_buffers, fetch_beginning, io_concurrency, last_buffer, map,
    next_buffer, prefetch, PinnedPages, RecentBuffer, SharedPage,
};
use crate::pg::index::{FileEnd, FileId, Index};
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::mark::Marks;
use crate::pg::read_ahead::read_ahead;
use crate::pg::report::{in_recovery, OrRaise};

/// Memory that a backend keeps directories in, about. The segments of the index that was used last stay in any case.
const CACHE_BYTES: usize = 256 << 20;

/// One in so many pages is looked up anew in each scan, so that Postgres sees that it is in use.
const REFRESH: u32 = 64;

/// A segment, and where its pages were found.
#[derive(Clone)]
pub struct Opened {
    pub segment: Arc<Segment>,
    recent: Rc<[RecentBuffer]>,
}

impl Opened {
    /// A segment none of whose pages was read yet.
    pub fn new(segment: Segment) -> Self {
        let pages = segment.pages() as usize;
        Opened { segment: Arc::new(segment), recent: vec![RecentBuffer::new(0); pages].into() }
    }

    /// Access to the pages, for one scan.
    pub fn pages(&self, index: Index) -> SegmentPages {
        SegmentPages {
            index,
            opened: self.clone(),
            refresh: pages_to_refresh(),
            disk: Disk::default(),
            trusted: damage_is_found(),
            marks: None,
            mapped: Cell::default(),
            unchanging: false,
        }
    }

    /// Memory that it takes, about.
    fn memory(&self) -> usize {
        self.segment.memory() + size_of_val(&*self.recent)
    }
}

/// Reads the pages of a segment.
pub struct SegmentPages {
    index: Index,
    opened: Opened,
    /// Which pages to look up anew, modulo [`REFRESH`].
    refresh: u32,
    disk: Disk,
    /// Whether pages in buffers are what was written.
    trusted: bool,
    /// How those are known that another backend found sound, if this one is to believe it.
    marks: Option<Marks>,
    /// The last buffers whose memory was asked for.
    mapped: Cell<(pg_sys::Buffer, pg_sys::Buffer)>,
    /// Whether nobody changes pages of codes as long as this lives.
    unchanging: bool,
}

/// So many pages are mapped at once.
const MAPPED: u32 = 128;

impl SegmentPages {
    /// For a scan: pages that are sound are marked, and those that are marked taken for sound. Pages of codes are written once, and recycled when
    /// no snapshot is left that could see them ([`super::meta`]); but on a standby they may be recycled under a scan.
    fn for_scan(self) -> Self {
        let marks = Marks::of(self.index).filter(|_| !self.trusted);
        SegmentPages { marks, unchanging: !self.index.is_local() && !in_recovery(), ..self }
    }

    /// The marks of a page's kind.
    #[inline]
    fn marks(&self, kind: PageKind) -> Option<Marks> {
        self.marks.filter(|_| is_written_once(kind))
    }

    /// Has the system read what follows on the route from a page on, if it comes from a disk.
    fn read_ahead_from(&self, page: u32) {
        if self.disk.concurrency.get() > 0 {
            let pages = self.disk.lookahead.borrow_mut().ahead_of(page);
            pages.into_iter().for_each(|pages| self.read_ahead(pages));
        }
    }

    /// Has the system read pages that lie in order.
    fn read_ahead(&self, pages: Range<u32>) {
        let segment = &self.opened.segment;
        let mut start = pages.start;
        while start < pages.end {
            let block = segment.block(start);
            let is_next = |&page: &u32| segment.block(page) == block + (page - start);
            let end = (start..pages.end).take_while(is_next).last().map_or(pages.end, |page| page + 1);
            read_ahead(self.index, block..block + (end - start));
            start = end;
        }
    }

    /// Maps the memory of the buffers in which a page of the coarse stream and, probably, those behind it are.
    fn map_from(&self, sequence: u32, buffer: pg_sys::Buffer) {
        let (first, end) = self.mapped.get();
        if (first..end).contains(&buffer) {
            return;
        }
        let pages = self.opened.segment.leaf_pages().end.saturating_sub(sequence).min(MAPPED);
        let end = buffer.saturating_add(pages as pg_sys::Buffer).min(last_buffer());
        map(buffer..end);
        self.mapped.set((buffer, end));
    }
}

/// Whether pages have to be read from disk. Asking for them ahead takes time, so it begins when a page was missing, and ends when no
/// other is.
#[derive(Default)]
struct Disk {
    /// Reads that it pays to have under way; 0 as long as pages are found in buffers.
    concurrency: Cell<usize>,
    /// Pages that were asked for and were there, one after the other.
    found: Cell<usize>,
    /// What is read of the coarse stream.
    lookahead: RefCell<Lookahead>,
}

/// The most pages that are lent at once, with however many buffers.
const MOST_LENT: usize = 256;

/// So many pages that lie in order are rather read by the system together than asked for one by one.
const MANY: usize = 8;

/// After so many pages that were there, those that follow are taken to be there, too.
const FOUND: usize = 64;

impl Disk {
    fn missed(&self, index: Index) {
        if self.concurrency.get() == 0 {
            self.concurrency.set(io_concurrency(index));
        }
        self.found.set(0);
    }

    fn asked(&self, pages: usize, missing: usize) {
        self.found.set(if missing > 0 { 0 } else { self.found.get() + pages });
        if self.found.get() >= FOUND {
            self.concurrency.set(0);
        }
    }
}

impl SegmentPages {
    /// The buffer in which to look for a page that is likely in this one, or 0 if it is to be looked up anew in this scan.
    #[inline]
    fn place(&self, sequence: u32, likely: pg_sys::Buffer) -> pg_sys::Buffer {
        if sequence % REFRESH == self.refresh {
            0
        } else {
            likely
        }
    }

    /// A page of codes where it was read before, without a lock; `before` is let go of.
    #[inline]
    fn where_it_was(&self, kind: PageKind, sequence: u32, before: Option<SharedPage>) -> Option<SharedPage> {
        let place = self.place(sequence, self.opened.recent[sequence as usize].get());
        if !self.unchanging || !is_written_once(kind) || place <= 0 {
            return None;
        }
        let block = self.opened.segment.block(sequence);
        // SAFETY: nobody changes it, as `for_scan` knows.
        let page = unsafe { SharedPage::where_it_was(self.index, block, place, before) }?;
        PageHeader::matches(&page, kind, self.opened.segment.id(), sequence).then_some(page)
    }

    #[inline]
    fn read(&self, kind: PageKind, sequence: u32) -> Result<SharedPage> {
        let segment = &self.opened.segment;
        let block = segment.block(sequence);
        let recent = &self.opened.recent[sequence as usize];
        let before = recent.get();
        let likely = if before == 0 && sequence > 0 {
            // The first query of a connection. To look up all pages took half as long as to search.
            next_buffer(self.opened.recent[sequence as usize - 1].get())
        } else {
            before
        };
        let place = RecentBuffer::new(self.place(sequence, likely));
        if before == 0 && likely > 0 && kind == PageKind::Leaf {
            self.map_from(sequence, likely);
        }
        let (page, was_read) = SharedPage::read_recent(self.index, block, &place);
        if was_read {
            self.disk.missed(self.index);
            if kind == PageKind::Leaf {
                self.read_ahead_from(sequence + 1);
            }
        }
        // The checksum is looked at when the page is new to this backend: read for the first time, from disk, or found in another buffer,
        // so read from disk by somebody else; unless Postgres did that, or another backend, which then left a mark. Later the header is enough
        // to tell that the page is still this one.
        let is_new = (was_read || place.get() != before) && !self.trusted;
        let is_unknown = is_new && !self.marks(kind).is_some_and(|marks| marks.is_on(&page, block));
        if is_unknown || !PageHeader::matches(&page, kind, segment.id(), sequence) {
            read_header(&page, block, kind, segment.id(), sequence)?;
            if let Some(marks) = self.marks(kind) {
                marks.put(&page, block);
            }
        }
        // Not before: a page that is damaged is to be an error the next time, too.
        recent.set(place.get());
        Ok(page)
    }
}

impl PageRead for SegmentPages {
    type Page<'a> = SegmentPage;
    type Lent<'a> = PinnedPages;

    #[inline]
    fn page(&self, kind: PageKind, sequence: u32) -> Result<SegmentPage> {
        self.page_after(None, kind, sequence)
    }

    #[inline]
    fn page_after(&self, before: Option<SegmentPage>, kind: PageKind, sequence: u32) -> Result<SegmentPage> {
        match self.where_it_was(kind, sequence, before.map(|page| page.0)) {
            Some(page) => Ok(SegmentPage(page)),
            None => self.read(kind, sequence).map(SegmentPage),
        }
    }

    fn lendable(&self) -> usize {
        if !self.unchanging {
            return 0;
        }
        fair_share_of_buffers().min(MOST_LENT)
    }

    fn lend(
        &self,
        kind: PageKind,
        pages: &[u32],
        each: &mut dyn FnMut(&Payload),
    ) -> Result<Option<PinnedPages>> {
        // The first scan of a session looks for them, and at their checksums: then the rest is soon done here, too.
        if pages.iter().any(|&page| self.opened.recent[page as usize].get() == 0) {
            return Ok(None);
        }
        // Their descriptors and headers are not in the processor's caches.
        pages.iter().for_each(|&page| self.fetch(page));
        let places = pages.iter().map(|&page| {
            (self.opened.segment.block(page), self.place(page, self.opened.recent[page as usize].get()))
        });
        let mut pinned = PinnedPages::where_they_were(self.index, places);
        for (at, &sequence) in pages.iter().enumerate() {
            let is_known = |page| PageHeader::matches(page, kind, self.opened.segment.id(), sequence);
            if !pinned.get(at).is_some_and(is_known) {
                // SAFETY: as in `where_it_was`.
                unsafe { pinned.put(at, self.read(kind, sequence)?) };
            }
            each(payload(pinned.get(at).expect("just read")));
        }
        Ok(Some(pinned))
    }

    #[inline]
    fn address(&self, page: u32) -> Option<*const u8> {
        let recent = self.opened.recent.get(page as usize)?;
        Some(address(recent.get())?.wrapping_add(PAYLOAD_OFFSET))
    }

    #[inline]
    fn fetch(&self, page: u32) {
        if let Some(recent) = self.opened.recent.get(page as usize) {
            fetch_beginning(recent.get());
        }
    }

    #[inline]
    fn concurrency(&self) -> usize {
        self.disk.concurrency.get()
    }

    fn prefetch(&self, pages: Range<u32>) -> bool {
        if pages.len() >= MANY {
            self.read_ahead(pages);
            return true;
        }
        let count = pages.len();
        let missing = prefetch(self.index, pages.map(|page| self.opened.segment.block(page)));
        self.disk.asked(count, missing);
        missing > 0
    }

    fn expect(&self, pages: Vec<Range<u32>>) {
        let first = pages.first().map(|pages| pages.start);
        self.disk.lookahead.replace(Lookahead::new(pages));
        first.into_iter().for_each(|page| self.read_ahead_from(page));
    }
}

/// Whether pages of this kind never change.
fn is_written_once(kind: PageKind) -> bool {
    matches!(kind, PageKind::Leaf | PageKind::Fine | PageKind::Whole)
}

/// A segment's page in shared buffers.
pub struct SegmentPage(SharedPage);

impl Deref for SegmentPage {
    type Target = Payload;

    #[inline]
    fn deref(&self) -> &Payload {
        payload(&self.0)
    }
}

/// All segments of an index, ready to be read.
pub fn open_all(index: Index, meta: &Meta) -> Vec<Opened> {
    let known = CACHE.with_borrow_mut(|cache| cache.take(index.file()));
    // The cache is not borrowed here: reading may raise an error.
    let opened = open_with(index, meta, known);
    CACHE.with_borrow_mut(|cache| {
        cache.put(index.file(), meta.segments.iter().copied().zip(opened.iter().cloned()))
    });
    opened
}

/// The same as what searches take: each segment with its pages.
pub fn readable(index: Index, meta: &Meta) -> Vec<(Arc<Segment>, SegmentPages)> {
    open_all(index, meta)
        .into_iter()
        .map(|opened| (opened.segment.clone(), opened.pages(index).for_scan()))
        .collect()
}

/// One segment, without keeping it.
pub fn open(index: Index, meta: &Meta, entry: &SegmentEntry) -> Opened {
    Opened::new(read_segment(index, meta, entry).or_raise(index))
}

fn open_with(index: Index, meta: &Meta, mut known: HashMap<u64, Cached>) -> Vec<Opened> {
    let mut opened = Vec::with_capacity(meta.segments.len());
    for entry in &meta.segments {
        opened.push(match known.remove(&entry.id) {
            Some(cached) if cached.is_of(entry) => cached.opened,
            _ => open(index, meta, entry),
        });
        check_for_interrupts();
    }
    opened
}

/// Reads a segment's directory and validates it.
pub fn read_segment(index: Index, meta: &Meta, entry: &SegmentEntry) -> Result<Segment> {
    let directory = decode_directory(index, entry)?;
    if (directory.space, directory.dims, directory.attributes.columns)
        != (meta.space, meta.dims, meta.columns)
    {
        return Err(Error::corrupt(format!(
            "segment {} is of another metric or dimension than the index, or has other attributes",
            entry.id
        )));
    }
    // Checked once here, so that no damaged number makes a scan read beyond the end of the file.
    let blocks = index.blocks();
    if directory.extents.iter().any(|extent| extent.start.saturating_add(extent.blocks) > blocks) {
        return Err(Error::corrupt(format!("segment {} names blocks beyond the end of the index", entry.id)));
    }
    let segment = Segment::open(entry.id, directory)?;
    if segment.vectors() != entry.vectors {
        return Err(Error::corrupt(format!(
            "segment {} has {} vectors, the metapage says {}",
            entry.id,
            segment.vectors(),
            entry.vectors
        )));
    }
    Ok(segment)
}

/// Decodes a directory from where its pages are.
fn decode_directory(index: Index, entry: &SegmentEntry) -> Result<Directory> {
    let mut pages = DirectoryPages::new(index, entry);
    Directory::decode_parts(entry.directory_bytes as usize, || {
        check_for_interrupts();
        pages.next()
    })
}

/// The pages of a directory, one after the other.
struct DirectoryPages {
    index: Index,
    owner: u64,
    end: FileEnd,
    sequence: u32,
    /// Bytes on the pages that were not read yet.
    left: usize,
    block: u32,
    /// The buffer of the last page.
    before: pg_sys::Buffer,
    refresh: u32,
}

impl DirectoryPages {
    fn new(index: Index, entry: &SegmentEntry) -> Self {
        DirectoryPages {
            index,
            owner: entry.id,
            end: FileEnd::of(index),
            sequence: 0,
            left: entry.directory_bytes as usize,
            block: entry.directory,
            before: 0,
            refresh: pages_to_refresh(),
        }
    }

    /// The next page. All are full but the last.
    fn next(&mut self) -> Result<Option<DirectoryPage>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.end.check(self.block)?;
        let is_refreshed = self.sequence % REFRESH == self.refresh;
        let place = RecentBuffer::new(if is_refreshed { 0 } else { next_buffer(self.before) });
        let (page, _) = SharedPage::read_recent(self.index, self.block, &place);
        let header = read_header(&page, self.block, PageKind::Directory, self.owner, self.sequence)?;
        let used = self.left.min(PAYLOAD);
        if header.used as usize != used {
            return Err(Error::corrupt(format!(
                "block {}: directory of segment {} has {} bytes on a page where {used} should be",
                self.block, self.owner, header.used
            )));
        }
        self.before = place.get();
        self.block = header.next;
        self.sequence += 1;
        self.left -= used;
        Ok(Some(DirectoryPage { page, used }))
    }
}

/// What a page has of a directory.
struct DirectoryPage {
    page: SharedPage,
    used: usize,
}

impl Deref for DirectoryPage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &payload(&self.page)[..self.used]
    }
}

/// Reads and decodes a directory; `visit` is told the blocks in which it lies.
pub fn read_directory(
    index: Index,
    owner: u64,
    first: u32,
    bytes: u32,
    mut visit: impl FnMut(u32),
) -> Result<Directory> {
    let mut encoded = Vec::new();
    let walked = walk_directory(index, owner, first, bytes, |block, used| {
        visit(block);
        encoded.extend_from_slice(used);
    })?;
    if encoded.len() != bytes as usize {
        return Err(Error::corrupt(format!(
            "directory of segment {owner} has {} bytes on {walked} pages, the metapage says {bytes}",
            encoded.len()
        )));
    }
    Directory::decode(&encoded)
}

/// Visits the pages of a directory: their blocks and what they hold. Returns their number.
fn walk_directory(
    index: Index,
    owner: u64,
    first: u32,
    bytes: u32,
    mut visit: impl FnMut(u32, &[u8]),
) -> Result<u32> {
    let pages = blob::pages(bytes as usize) as u32;
    let end = FileEnd::of(index);
    let mut block = first;
    for sequence in 0..pages {
        end.check(block)?;
        let page = SharedPage::read(index, block);
        let header = read_header(&page, block, PageKind::Directory, owner, sequence)?;
        visit(block, &payload(&page)[..header.used as usize]);
        block = header.next;
        drop(page);
        check_for_interrupts();
    }
    Ok(pages)
}

/// Which pages to look up anew this time, modulo [`REFRESH`].
fn pages_to_refresh() -> u32 {
    SCANS.with(|scans| scans.replace(scans.get().wrapping_add(1))) % REFRESH
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
    /// Scans so far.
    /// Not from zero: connections that ask one query each are to look up different pages.
    static SCANS: Cell<u32> = Cell::new(std::process::id());
}

/// A segment and what the metapage said of it: owner numbers start anew in a new file, and a file may get the number of one that was
/// dropped.
struct Cached {
    entry: SegmentEntry,
    opened: Opened,
}

impl Cached {
    fn is_of(&self, entry: &SegmentEntry) -> bool {
        // `dead` changes over time.
        SegmentEntry { dead: 0, ..self.entry } == SegmentEntry { dead: 0, ..*entry }
    }
}

/// The segments of the indexes that this backend has used.
#[derive(Default)]
struct Cache {
    /// Most recently used last.
    indexes: Vec<(FileId, HashMap<u64, Cached>)>,
}

impl Cache {
    fn take(&mut self, file: FileId) -> HashMap<u64, Cached> {
        match self.indexes.iter().position(|(other, _)| *other == file) {
            Some(at) => self.indexes.remove(at).1,
            None => HashMap::new(),
        }
    }

    fn put(&mut self, file: FileId, segments: impl Iterator<Item = (SegmentEntry, Opened)>) {
        let segments = segments.map(|(entry, opened)| (entry.id, Cached { entry, opened })).collect();
        self.indexes.push((file, segments));
        while self.indexes.len() > 1 && self.memory() > CACHE_BYTES {
            self.indexes.remove(0);
        }
    }

    fn memory(&self) -> usize {
        self.indexes
            .iter()
            .flat_map(|(_, segments)| segments.values())
            .map(|cached| cached.opened.memory())
            .sum()
    }
}
