//! Reading a segment's coarse stream and records, holding on to the page of each plane that was read last.

use std::ops::Range;

use crate::kernels::Ahead;
use crate::layout::{PageKind, Payload, CHUNK, CHUNKS_PER_PAGE, PAYLOAD};
use crate::segment::RecordPlane;
use crate::{PageRead, Result, Segment};

/// The pages of one plane.
struct Plane<'a, S: PageRead + 'a> {
    store: &'a S,
    kind: PageKind,
    current: Option<(u32, S::Page<'a>)>,
}

impl<'a, S: PageRead> Plane<'a, S> {
    fn page(&mut self, sequence: u32) -> Result<&Payload> {
        if !self.is_current(sequence) {
            // One page at a time.
            let before = self.current.take().map(|(_, page)| page);
            self.current = Some((sequence, self.store.page_after(before, self.kind, sequence)?));
        }
        Ok(&self.current.as_ref().expect("just read").1)
    }

    fn is_current(&self, sequence: u32) -> bool {
        self.current.as_ref().is_some_and(|(held, _)| *held == sequence)
    }
}

/// A reader of one segment.
pub(crate) struct Stream<'a, S: PageRead + 'a> {
    segment: &'a Segment,
    coarse: Plane<'a, S>,
    fine: Plane<'a, S>,
    whole: Plane<'a, S>,
    /// The chunk that is read after those that were asked for, if that is known.
    following: Option<u64>,
}

impl<'a, S: PageRead> Stream<'a, S> {
    pub(crate) fn new(segment: &'a Segment, store: &'a S) -> Self {
        let plane = |kind| Plane { store, kind, current: None };
        Stream {
            segment,
            coarse: plane(PageKind::Leaf),
            fine: plane(PageKind::Fine),
            whole: plane(PageKind::Whole),
            following: None,
        }
    }

    /// Says which leaf is probably read after the next.
    pub(crate) fn expect(&mut self, leaf: Option<u32>) {
        self.following = leaf.map(|leaf| self.segment.leaf_chunk(leaf as usize));
    }

    /// First chunk of that leaf.
    pub(crate) fn following(&self) -> Option<u64> {
        self.following
    }

    /// The planes, to be read side by side.
    pub(crate) fn planes(&mut self) -> Planes<'_, 'a, S> {
        Planes {
            coarse: Coarse(&mut self.coarse),
            fine: self.segment.fine().map(|place| Records { place, plane: &mut self.fine }),
            whole: self.segment.whole().map(|place| Records { place, plane: &mut self.whole }),
        }
    }
}

/// Readers of the planes of a segment.
pub(crate) struct Planes<'r, 'a, S: PageRead + 'a> {
    pub coarse: Coarse<'r, 'a, S>,
    /// Fine codes. Sketches need not have any.
    pub fine: Option<Records<'r, 'a, S>>,
    /// Whole codes, if the others are those of sketches.
    pub whole: Option<Records<'r, 'a, S>>,
}

impl<'r, 'a, S: PageRead> Planes<'r, 'a, S> {
    /// In the order in which a search reads them: records that it reads of what coarse codes cannot rule out, if there are any before the last,
    /// and the last.
    pub(crate) fn stages(self) -> (Coarse<'r, 'a, S>, Option<Records<'r, 'a, S>>, Records<'r, 'a, S>) {
        let (between, last) = match (self.fine, self.whole) {
            (between, Some(whole)) => (between, whole),
            (fine, None) => (None, fine.expect("a plane of records")),
        };
        (self.coarse, between, last)
    }
}

/// Reader of the coarse stream.
pub(crate) struct Coarse<'r, 'a, S: PageRead + 'a>(&'r mut Plane<'a, S>);

impl<S: PageRead> Coarse<'_, '_, S> {
    /// The chunks from `chunk` on, up to the end of its page but no more than `max`.
    #[inline]
    pub(crate) fn run(&mut self, chunk: u64, max: usize) -> Result<&[u8]> {
        let (page, at) = (chunk / CHUNKS_PER_PAGE as u64, (chunk % CHUNKS_PER_PAGE as u64) as usize);
        let end = (at + max).min(CHUNKS_PER_PAGE);
        Ok(&self.0.page(page as u32)?[at * CHUNK..end * CHUNK])
    }

    /// The same, and what is to be fetched meanwhile: the next page, if the run goes on there, else what `then` says,
    /// or nothing if that is on the same page.
    #[inline]
    pub(crate) fn run_then(&mut self, chunk: u64, max: usize, then: Option<u64>) -> Result<(&[u8], Ahead)> {
        let end = (chunk / CHUNKS_PER_PAGE as u64 + 1) * CHUNKS_PER_PAGE as u64;
        let next = if chunk + max as u64 > end { Some(end) } else { then };
        let ahead = next.map_or(Ahead::NONE, |next| self.ahead(chunk, next));
        Ok((self.run(chunk, max)?, ahead))
    }

    /// The rest of a page from `next` on, if it is read after that of `chunk` and does not lie right behind it, where
    /// the processor would go by itself.
    #[inline]
    fn ahead(&self, chunk: u64, next: u64) -> Ahead {
        let (page, at) = ((next / CHUNKS_PER_PAGE as u64) as u32, (next % CHUNKS_PER_PAGE as u64) as usize);
        let before = (chunk / CHUNKS_PER_PAGE as u64) as u32;
        let store = self.0.store;
        let (Some(from), Some(to)) = (store.address(before), store.address(page)) else { return Ahead::NONE };
        if (to as usize).wrapping_sub(from as usize) <= PAYLOAD + 2 * CHUNK {
            return Ahead::NONE;
        }
        store.fetch(page);
        Ahead::new(to.wrapping_add(at * CHUNK), CHUNKS_PER_PAGE - at)
    }

    /// Calls `each` with the runs that make up `count` chunks, and with the number of chunks before each.
    pub(crate) fn runs(
        &mut self,
        chunk: u64,
        count: usize,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let mut done = 0;
        while done < count {
            let run = self.run(chunk + done as u64, count - done)?;
            each(done, run);
            done += run.len() / CHUNK;
        }
        Ok(())
    }
}

/// Reader of the records of a plane.
pub(crate) struct Records<'r, 'a, S: PageRead + 'a> {
    place: RecordPlane,
    plane: &'r mut Plane<'a, S>,
}

impl<S: PageRead> Records<'_, '_, S> {
    /// Codes and residual code of a vector.
    #[inline]
    pub(crate) fn record(&mut self, ordinal: u32) -> Result<(&[u8], u16)> {
        let (page, at) = self.place.position(ordinal);
        let record = &self.plane.page(page)?[at..at + self.place.layout.record];
        let (codes, residual) = record.split_at(record.len() - 2);
        Ok((codes, u16::from_le_bytes([residual[0], residual[1]])))
    }

    /// Has the processor fetch the record of a vector.
    pub(crate) fn fetch(&self, ordinal: u32) {
        let (page, at) = self.place.position(ordinal);
        if let Some(payload) = self.plane.store.address(page) {
            self.plane.store.fetch(page);
            Ahead::of(payload.wrapping_add(at), self.place.layout.record).fetch_all();
        }
    }

    /// How many records it pays to wait for at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.plane.store.concurrency()
    }

    /// The page of a vector's record.
    pub(crate) fn page_of(&self, ordinal: u32) -> u32 {
        self.place.position(ordinal).0
    }

    /// Whether a page can be had without waiting. If not, it is sent for.
    pub(crate) fn is_at_hand(&self, page: u32) -> bool {
        self.plane.is_current(page) || !self.plane.store.prefetch(page..page + 1)
    }

    /// Sends for the record of a vector, if it has to be waited for.
    pub(crate) fn send_for(&self, ordinal: u32) {
        if self.concurrency() > 0 {
            self.is_at_hand(self.page_of(ordinal));
        }
    }

    /// Sends for the records of vectors.
    pub(crate) fn prefetch(&self, ordinals: Range<u32>) {
        self.plane.store.prefetch(self.place.pages_of(&ordinals));
    }
}
