//! Reading a segment's coarse stream and fine records, holding on to the page that was read last.

use std::ops::Range;

use crate::kernels::Ahead;
use crate::layout::{PageKind, Payload, CHUNK, CHUNKS_PER_PAGE, PAYLOAD};
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
            // One page at a time: let go of the old one first.
            self.current = None;
            self.current = Some((sequence, self.store.page(self.kind, sequence)?));
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
    /// The chunk that is read after those that were asked for, if that is known.
    following: Option<u64>,
}

impl<'a, S: PageRead> Stream<'a, S> {
    pub(crate) fn new(segment: &'a Segment, store: &'a S) -> Self {
        let plane = |kind| Plane { store, kind, current: None };
        Stream { segment, coarse: plane(PageKind::Leaf), fine: plane(PageKind::Fine), following: None }
    }

    /// Says which leaf is probably read after the next.
    pub(crate) fn expect(&mut self, leaf: Option<u32>) {
        self.following = leaf.map(|leaf| self.segment.leaf_chunk(leaf as usize));
    }

    /// First chunk of that leaf.
    pub(crate) fn following(&self) -> Option<u64> {
        self.following
    }

    /// Both planes, to be read side by side.
    pub(crate) fn split(&mut self) -> (Coarse<'_, 'a, S>, Fine<'_, 'a, S>) {
        (Coarse(&mut self.coarse), Fine(self.segment, &mut self.fine))
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

/// Reader of fine records.
pub(crate) struct Fine<'r, 'a, S: PageRead + 'a>(&'a Segment, &'r mut Plane<'a, S>);

impl<S: PageRead> Fine<'_, '_, S> {
    /// Low nibbles and residual code of a vector.
    #[inline]
    pub(crate) fn record(&mut self, ordinal: u32) -> Result<(&[u8], u16)> {
        let (page, at) = self.0.fine_position(ordinal);
        let record = &self.1.page(page)?[at..at + self.0.fine_layout().record];
        let (low, residual) = record.split_at(record.len() - 2);
        Ok((low, u16::from_le_bytes([residual[0], residual[1]])))
    }

    /// Has the processor fetch the record of a vector.
    pub(crate) fn fetch(&self, ordinal: u32) {
        let (page, at) = self.0.fine_position(ordinal);
        if let Some(payload) = self.1.store.address(page) {
            self.1.store.fetch(page);
            Ahead::of(payload.wrapping_add(at), self.0.fine_layout().record).fetch_all();
        }
    }

    /// How many records it pays to wait for at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.1.store.concurrency()
    }

    /// The page of a vector's record.
    pub(crate) fn page_of(&self, ordinal: u32) -> u32 {
        self.0.fine_position(ordinal).0
    }

    /// Whether a page can be had without waiting. If not, it is sent for.
    pub(crate) fn is_at_hand(&self, page: u32) -> bool {
        self.1.is_current(page) || !self.1.store.prefetch(page..page + 1)
    }

    /// Sends for the records of vectors.
    pub(crate) fn prefetch(&self, ordinals: Range<u32>) {
        self.1.store.prefetch(self.0.fine_page_range(&ordinals));
    }
}
