//! Filling pages.

use crate::layout::{PageKind, Payload, PAYLOAD};
use crate::{PageSink, Result};

/// Packs bytes densely into the pages of a stream and hands on each page as it fills.
pub(super) struct StreamPages {
    kind: PageKind,
    page: Box<Payload>,
    used: usize,
}

impl StreamPages {
    pub(super) fn new(kind: PageKind) -> Self {
        StreamPages { kind, page: Box::new([0; PAYLOAD]), used: 0 }
    }

    pub(super) fn append(&mut self, mut bytes: &[u8], sink: &mut (dyn PageSink + Send)) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PAYLOAD - self.used));
            self.page[self.used..self.used + now.len()].copy_from_slice(now);
            self.used += now.len();
            bytes = later;
            if self.used == PAYLOAD {
                sink.append(self.kind, &self.page, self.used)?;
                self.page.fill(0);
                self.used = 0;
            }
        }
        Ok(())
    }

    /// The same of bytes none of which are to lie on another page than the others, and that fit on one.
    pub(super) fn append_unbroken(&mut self, bytes: &[u8], sink: &mut (dyn PageSink + Send)) -> Result<()> {
        if self.used + bytes.len() > PAYLOAD {
            let left = PAYLOAD - self.used;
            self.append(&[0; PAYLOAD][..left], sink)?;
        }
        self.append(bytes, sink)
    }

    pub(super) fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<()> {
        if self.used > 0 {
            sink.append(self.kind, &self.page, self.used)?;
        }
        Ok(())
    }
}

/// Writes records of one length, none of which crosses a page.
pub(crate) struct RecordPages {
    kind: PageKind,
    record: usize,
    page: Box<Payload>,
    used: usize,
}

impl RecordPages {
    pub(crate) fn new(kind: PageKind, record: usize) -> Self {
        RecordPages { kind, record, page: Box::new([0; PAYLOAD]), used: 0 }
    }

    pub(crate) fn append(&mut self, record: &[u8], sink: &mut (dyn PageSink + Send)) -> Result<()> {
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

    pub(crate) fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<()> {
        if self.used > 0 {
            sink.append(self.kind, &self.page, self.used)?;
        }
        Ok(())
    }
}
