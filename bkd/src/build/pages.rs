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

/// Writes records of one length, none of which crosses a page.
pub(super) struct RecordPages {
    kind: PageKind,
    record: usize,
    page: Box<Payload>,
    used: usize,
}

impl RecordPages {
    pub(super) fn new(kind: PageKind, record: usize) -> Self {
        RecordPages { kind, record, page: Box::new([0; PAYLOAD]), used: 0 }
    }

    pub(super) fn append(&mut self, record: &[u8], sink: &mut (dyn PageSink + Send)) -> Result<()> {
        debug_assert_eq!(record.len(), self.record);
        self.page[self.used..self.used + record.len()].copy_from_slice(record);
        self.used += record.len();
        if self.used + self.record > PAYLOAD {
            sink.append(self.kind, &self.page, self.used)?;
            self.page.fill(0);
            self.used = 0;
        }
        Ok(())
    }

    pub(super) fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<()> {
        if self.used > 0 {
            sink.append(self.kind, &self.page, self.used)?;
        }
        Ok(())
    }
}
