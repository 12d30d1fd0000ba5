//! Filling pages.

use crate::layout::{PageKind, Payload, CHUNK, PAYLOAD};
use crate::{PageSink, Result};

/// Packs chunks densely into pages of the coarse stream and hands on each page as it fills.
pub(super) struct ChunkPages {
    page: Box<Payload>,
    used: usize,
}

impl ChunkPages {
    pub(super) fn new() -> Self {
        ChunkPages { page: Box::new([0; PAYLOAD]), used: 0 }
    }

    pub(super) fn append(&mut self, mut chunks: &[u8], sink: &mut (dyn PageSink + Send)) -> Result<()> {
        debug_assert!(chunks.len().is_multiple_of(CHUNK));
        while !chunks.is_empty() {
            let (now, later) = chunks.split_at(chunks.len().min(PAYLOAD - self.used));
            self.page[self.used..self.used + now.len()].copy_from_slice(now);
            self.used += now.len();
            chunks = later;
            if self.used == PAYLOAD {
                sink.append(PageKind::Leaf, &self.page, self.used)?;
                self.page.fill(0);
                self.used = 0;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<()> {
        if self.used > 0 {
            sink.append(PageKind::Leaf, &self.page, self.used)?;
        }
        Ok(())
    }
}

/// Collects records of one length, none of which crosses a page.
pub(super) struct RecordPages {
    kind: PageKind,
    record: usize,
    per_page: usize,
    bytes: Vec<u8>,
}

impl RecordPages {
    pub(super) fn new(kind: PageKind, record: usize) -> Self {
        RecordPages { kind, record, per_page: PAYLOAD / record, bytes: Vec::new() }
    }

    /// Appends whole records.
    pub(super) fn append(&mut self, records: &[u8]) {
        debug_assert!(records.len().is_multiple_of(self.record));
        self.bytes.extend_from_slice(records);
    }

    pub(super) fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<()> {
        let mut page = Box::new([0; PAYLOAD]);
        for records in self.bytes.chunks(self.per_page * self.record) {
            page.fill(0);
            page[..records.len()].copy_from_slice(records);
            sink.append(self.kind, &page, records.len())?;
        }
        Ok(())
    }
}
