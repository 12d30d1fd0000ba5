//! Vectors that the coarse codes cannot rule out and whose records are on their way from the disk. The scan goes on meanwhile.
//!
//! A record is a small read somewhere in its plane. Were each waited for, they would take several times as long as the coarse plane,
//! which is read in sequence. So as many as [`PageRead::concurrency`] says are sent for, while other leaves are scanned. What that costs is
//! that tau is some leaves behind, and some more vectors are sent for than would have been. Nothing waits if pages are in memory.

use std::collections::VecDeque;

use super::stream::Records;
use crate::PageRead;

/// Vectors of one leaf, in ascending order.
pub(super) struct Waiting {
    /// The segment, by position in the search.
    pub source: u32,
    pub leaf: u32,
    ordinals: Vec<u32>,
    /// Their coarse codes, one after the other.
    high: Vec<u8>,
    /// Pages that they wait for.
    pages: usize,
    /// The last of them.
    last: Option<u32>,
}

impl Waiting {
    /// None yet.
    pub(super) fn new(source: u32, leaf: u32) -> Self {
        Waiting { source, leaf, ordinals: Vec::new(), high: Vec::new(), pages: 0, last: None }
    }

    /// Takes a vector with these coarse codes if its record has to be waited for.
    pub(super) fn takes<S: PageRead>(
        &mut self,
        records: &Records<'_, '_, S>,
        ordinal: u32,
        high: &[u8],
    ) -> bool {
        let page = records.page_of(ordinal);
        if self.last != Some(page) {
            if records.is_at_hand(page) {
                return false;
            }
            self.last = Some(page);
            self.pages += 1;
        }
        self.ordinals.push(ordinal);
        self.high.extend_from_slice(high);
        true
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.ordinals.is_empty()
    }

    /// The vectors with their coarse codes of so many bytes each.
    pub(super) fn vectors(&self, bytes: usize) -> impl Iterator<Item = (u32, &[u8])> + Clone {
        let codes_of = move |at: usize| &self.high[at * bytes..][..bytes];
        self.ordinals.iter().copied().enumerate().map(move |(at, ordinal)| (ordinal, codes_of(at)))
    }
}

/// Those of several leaves, first come, first served.
#[derive(Default)]
pub(super) struct Queue {
    leaves: VecDeque<Waiting>,
    /// Pages that they wait for.
    pages: usize,
}

impl Queue {
    pub(super) fn push(&mut self, waiting: Waiting) {
        if waiting.pages > 0 {
            self.pages += waiting.pages;
            self.leaves.push_back(waiting);
        }
    }

    /// The first, if more pages than these are waited for.
    pub(super) fn pop_beyond(&mut self, pages: usize) -> Option<Waiting> {
        if self.pages <= pages {
            return None;
        }
        let first = self.leaves.pop_front()?;
        self.pages -= first.pages;
        Some(first)
    }
}
