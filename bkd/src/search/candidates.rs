//! The bounded set of candidates of a pass.

use std::collections::BinaryHeap;

use crate::sortable::{from_sortable, sortable};

/// Source of candidates that are delta entries.
pub(crate) const DELTA: u32 = u32::MAX;

/// A vector and its key. Ordered by key first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// The key's bits, made to sort as unsigned numbers.
    key: u32,
    /// Segment by position, or [`DELTA`].
    pub source: u32,
    pub ordinal: u32,
}

impl Candidate {
    #[inline]
    pub(crate) fn new(key: f32, source: u32, ordinal: u32) -> Self {
        Candidate { key: sortable(key), source, ordinal }
    }

    pub(crate) fn key(self) -> f32 {
        from_sortable(self.key)
    }

    /// Moves the key into a range.
    pub(crate) fn move_into(&mut self, low: f32, high: f32) {
        let key = self.key();
        if !(low..=high).contains(&key) {
            *self = Candidate::new(key.max(low).min(high), self.source, self.ordinal);
        }
    }
}

/// The candidates with the smallest keys.
pub(crate) struct Candidates {
    heap: BinaryHeap<Candidate>,
    capacity: usize,
    /// Keys from here on are refused.
    end: f32,
    /// Of how many rows upper bounds are kept.
    wanted: usize,
    /// The smallest of these, [sortable]. Were they wrong, fewer rows would be found than are wanted, but none would be left out for good: what tau rules
    /// out is beyond tau.
    upper: BinaryHeap<u32>,
}

impl Candidates {
    /// So many, with keys before `end`.
    pub(crate) fn new(capacity: usize, end: f32) -> Self {
        let heap = BinaryHeap::with_capacity(capacity.min(4096));
        Candidates { heap, capacity, end, wanted: usize::MAX, upper: BinaryHeap::new() }
    }

    /// The same for who wants so many rows: what is beyond the upper bounds of so many does not matter to him.
    pub(crate) fn wanting(self, rows: usize) -> Self {
        Candidates { wanted: rows, ..self }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.heap.len() >= self.capacity
    }

    /// What a key must be below to matter.
    #[inline]
    pub(crate) fn tau(&self) -> f32 {
        match self.heap.peek() {
            Some(last) if self.is_full() => match self.upper.peek() {
                Some(&upper) if self.upper.len() >= self.wanted => last.key().min(from_sortable(upper)),
                _ => last.key(),
            },
            _ => self.end,
        }
    }

    /// Adds a candidate of which an upper bound is known, too.
    #[inline]
    pub(crate) fn push_between(&mut self, candidate: Candidate, upper: f32) {
        self.push(candidate);
        if self.wanted == usize::MAX {
            return;
        }
        if self.upper.len() < self.wanted {
            self.upper.push(sortable(upper));
        } else if let Some(mut last) = self.upper.peek_mut() {
            if sortable(upper) < *last {
                *last = sortable(upper);
            }
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, candidate: Candidate) {
        if !self.is_full() {
            // Infinite keys are below an infinite end: there is none.
            if candidate.key() < self.end || self.end == f32::INFINITY {
                self.heap.push(candidate);
            }
        } else if let Some(mut last) = self.heap.peek_mut() {
            if candidate < *last {
                *last = candidate;
            }
        }
    }

    /// The smallest of both sets, which are of one capacity.
    pub(crate) fn and(mut self, other: Self) -> Self {
        other.heap.into_iter().for_each(|candidate| self.push(candidate));
        self
    }

    /// The candidates, the smallest key last.
    pub(crate) fn into_descending(self) -> Vec<Candidate> {
        let mut candidates = self.heap.into_vec();
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_smallest_in_order() {
        let keys = [3.0, -1.0, f32::INFINITY, 0.0, -7.5, 1e-40, 2.0];
        let mut candidates = Candidates::new(4, f32::INFINITY);
        for (ordinal, &key) in keys.iter().enumerate() {
            assert_eq!(Candidate::new(key, 0, 0).key(), key);
            candidates.push(Candidate::new(key, 0, ordinal as u32));
        }
        assert_eq!(candidates.tau(), 1e-40);
        let kept: Vec<f32> = candidates.into_descending().iter().map(|c| c.key()).collect();
        assert_eq!(kept, [1e-40, 0.0, -1.0, -7.5]);

        let mut candidates = Candidates::new(4, 2.0);
        keys.iter().for_each(|&key| candidates.push(Candidate::new(key, 0, 0)));
        assert_eq!(candidates.tau(), 1e-40);
        let mut candidates = Candidates::new(10, 2.0);
        keys.iter().for_each(|&key| candidates.push(Candidate::new(key, 0, 0)));
        assert_eq!((candidates.tau(), candidates.is_full()), (2.0, false));
        assert_eq!(candidates.into_descending().len(), 4);
    }

    #[test]
    fn what_is_beyond_all_that_is_wanted_does_not_matter() {
        let mut candidates = Candidates::new(4, f32::INFINITY).wanting(2);
        for (key, upper, tau) in [
            (3.0, 3.5, f32::INFINITY),
            (-1.0, 5.0, f32::INFINITY),
            (2.0, 2.5, f32::INFINITY),
            // Four, two of which are within 3.5.
            (4.0, 4.5, 3.5),
            (-2.0, -1.5, 2.5),
            (-3.0, 2.0, 2.0),
            // The four smallest keys end before the second upper bound.
            (-4.0, 9.0, -1.0),
        ] {
            candidates.push_between(Candidate::new(key, 0, 0), upper);
            assert_eq!(candidates.tau(), tau, "{key}");
        }
    }

    #[test]
    fn keys_move_into_a_range() {
        for (key, moved) in [(-5.0, -1.0), (-1.0, -1.0), (0.5, 0.5), (7.0, 2.0), (f32::INFINITY, 2.0)] {
            let mut candidate = Candidate::new(key, 3, 4);
            candidate.move_into(-1.0, 2.0);
            assert_eq!((candidate.key(), candidate.source, candidate.ordinal), (moved, 3, 4));
        }
    }
}
