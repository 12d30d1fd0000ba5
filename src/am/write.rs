//! Writing a segment: the engine builds it, on threads if it is large, and this thread puts its pages into the index.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use bkd::layout::meta::SegmentEntry;
use bkd::layout::{blob, PageHeader, PageKind, Payload, NO_BLOCK};
use bkd::{BuildOptions, Directory, Error, Extent, PageSink, Progress};

use super::batch::Batch;
use super::space::PageSource;
use crate::pg::buffer::ExclusivePage;
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::threads;
use crate::pg::wal::WalRecord;

/// Where new pages come from, and whether each is logged.
pub trait PageWriter {
    /// Writes a new page somewhere and returns its block.
    fn write(&mut self, header: PageHeader, payload: &[u8]) -> u32;
}

/// For an index under construction: at the end of the file, which is logged as a whole when it is complete.
pub struct AppendUnlogged(pub Index);

impl PageWriter for AppendUnlogged {
    fn write(&mut self, header: PageHeader, payload: &[u8]) -> u32 {
        let mut page = ExclusivePage::extend(self.0);
        page.create_unlogged(header, |bytes| copy(payload, bytes));
        page.block()
    }
}

/// For an index in use: recycled pages first, each logged.
pub struct RecycleLogged {
    pub index: Index,
    pub pages: PageSource,
}

impl PageWriter for RecycleLogged {
    fn write(&mut self, header: PageHeader, payload: &[u8]) -> u32 {
        let page = self.pages.page();
        let mut record = WalRecord::begin(self.index);
        record.create(&page, header, |bytes| copy(payload, bytes));
        record.commit();
        page.block()
    }
}

fn copy(from: &[u8], to: &mut Payload) -> usize {
    to[..from.len()].copy_from_slice(from);
    from.len()
}

/// Builds a segment of a batch and writes it with the owner number `id`. `on_progress` is told now and then how many
/// values are done.
pub fn write_segment(
    index: Index,
    writer: &mut dyn PageWriter,
    id: u64,
    batch: &Batch,
    options: &BuildOptions<'_>,
    on_progress: &mut dyn FnMut(u64),
) -> SegmentEntry {
    let progress = Progress::default();
    let mut extents = Extents::default();
    let mut write = |kind: PageKind, payload: &[u8]| {
        let header = PageHeader::new(kind, id, extents.pages());
        extents.push(writer.write(header, payload));
        on_progress(progress.vectors_done.load(Ordering::Relaxed));
        check_for_interrupts();
    };
    let built = if !batch.is_worth_threads() {
        threads::run_here(WriteHere(&mut write), |pages| batch.build(options, &progress, pages))
    } else {
        let _after = threads::ReleaseFreedMemory;
        threads::run(
            threads::maintenance_threads(),
            || progress.cancel.store(true, Ordering::Relaxed),
            |sender| {
                let mut pages = ToMainThread { sender, finished: Vec::new() };
                let directory = batch.build(options, &progress, &mut pages)?;
                pages.send()?;
                Ok(directory)
            },
            |pages: Vec<FinishedPage>| {
                pages.iter().for_each(|page| write(page.kind, &page.payload[..page.used]));
            },
        )
    };
    let mut directory = built.or_raise(index);
    let data_pages = extents.pages();
    directory.extents = extents.extents;
    let (first, bytes) = write_directory(index, writer, id, &directory);
    SegmentEntry {
        id,
        directory: first,
        directory_bytes: bytes,
        vectors: batch.len() as u32,
        dead: 0,
        pages: data_pages + blob::pages(bytes as usize) as u32,
    }
}

/// Writes the directory, last page first, because each page names the next. Returns its first block and its length.
fn write_directory(index: Index, writer: &mut dyn PageWriter, id: u64, directory: &Directory) -> (u32, u32) {
    let encoded = directory.encode().or_raise(index);
    let parts: Vec<&[u8]> = blob::parts(&encoded).collect();
    let mut next = NO_BLOCK;
    for (sequence, part) in parts.into_iter().enumerate().rev() {
        let header = PageHeader { next, ..PageHeader::new(PageKind::Directory, id, sequence as u32) };
        next = writer.write(header, part);
    }
    (next, encoded.len() as u32)
}

/// Writes pages at once.
struct WriteHere<'a>(&'a mut dyn FnMut(PageKind, &[u8]));

impl PageSink for WriteHere<'_> {
    fn append(&mut self, kind: PageKind, payload: &Payload, used: usize) -> bkd::Result<()> {
        (self.0)(kind, &payload[..used]);
        Ok(())
    }
}

/// A page on its way from the threads that build to the one that writes.
struct FinishedPage {
    kind: PageKind,
    payload: Box<Payload>,
    used: usize,
}

/// Pages that are handed over at once: to wake the other thread for each would take longer than to make it.
const PAGES_AT_ONCE: usize = 16;

struct ToMainThread {
    sender: SyncSender<Vec<FinishedPage>>,
    finished: Vec<FinishedPage>,
}

impl ToMainThread {
    fn send(&mut self) -> bkd::Result<()> {
        // The main thread is gone only if it raised an error.
        self.sender.send(std::mem::take(&mut self.finished)).map_err(|_| Error::Cancelled)
    }
}

impl PageSink for ToMainThread {
    fn append(&mut self, kind: PageKind, payload: &Payload, used: usize) -> bkd::Result<()> {
        self.finished.push(FinishedPage { kind, payload: Box::new(*payload), used });
        if self.finished.len() == PAGES_AT_ONCE {
            self.send()?;
        }
        Ok(())
    }
}

/// The blocks of a segment so far.
#[derive(Default)]
struct Extents {
    extents: Vec<Extent>,
    pages: u32,
}

impl Extents {
    fn pages(&self) -> u32 {
        self.pages
    }

    fn push(&mut self, block: u32) {
        self.pages += 1;
        match self.extents.last_mut() {
            Some(last) if last.start + last.blocks == block => last.blocks += 1,
            _ => self.extents.push(Extent { start: block, blocks: 1 }),
        }
    }
}
