//! All rows, for queries from which nothing has a distance that could be bounded.

use std::sync::Arc;

use crate::layout::{tids, PageKind};
use crate::{PageRead, Result, Segment, Tid};

/// The rows of segments, in no order.
pub struct Everything<S> {
    segments: Vec<(Arc<Segment>, S)>,
    segment: usize,
    /// The page of the segment to be read next, from the first of its pages of row addresses.
    page: u32,
    pending: Vec<Tid>,
}

impl<S: PageRead> Everything<S> {
    /// Starts the enumeration; nothing is read before the first [`Everything::next`].
    pub fn new(segments: Vec<(Arc<Segment>, S)>) -> Self {
        Everything { segments, segment: 0, page: 0, pending: Vec::new() }
    }

    /// The next row. `check` is called now and then, with no page held.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a page is not what it should be.
    pub fn next(&mut self, check: &mut dyn FnMut()) -> Result<Option<Tid>> {
        loop {
            if let Some(tid) = self.pending.pop() {
                return Ok(Some(tid));
            }
            let Some((segment, store)) = self.segments.get(self.segment) else { return Ok(None) };
            let sequence = segment.tid_pages().start + self.page;
            if !segment.tid_pages().contains(&sequence) {
                self.segment += 1;
                self.page = 0;
                continue;
            }
            check();
            let page = store.page(PageKind::Tids, sequence)?;
            let tids = (0..segment.tids_on(sequence)).map(|slot| tids::get(&page, slot));
            self.pending.extend(tids.filter(|tid| !tid.is_dead()));
            self.page += 1;
        }
    }
}
