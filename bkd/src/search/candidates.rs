//! The bounded set of candidates of a pass.

use std::collections::BinaryHeap;

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
        let bits = key.to_bits();
        let sign = (bits as i32 >> 31) as u32;
        Candidate { key: bits ^ (sign | 1 << 31), source, ordinal }
    }

    pub(crate) fn key(self) -> f32 {
        let sign = !(self.key as i32 >> 31) as u32;
        f32::from_bits(self.key ^ (sign | 1 << 31))
    }

    /// Raises the key to at least this.
    pub(crate) fn raise(&mut self, to: f32) {
        if self.key() < to {
            *self = Candidate::new(to, self.source, self.ordinal);
        }
    }
}

/// The candidates with the smallest keys.
pub(crate) struct Candidates {
    heap: BinaryHeap<Candidate>,
    capacity: usize,
    /// Keys from here on are refused.
    end: f32,
}

impl Candidates {
    pub(crate) fn new(capacity: usize, end: f32) -> Self {
        Candidates { heap: BinaryHeap::with_capacity(capacity.min(4096)), capacity, end }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.heap.len() >= self.capacity
    }

    /// What a key must be below to matter.
    #[inline]
    pub(crate) fn tau(&self) -> f32 {
        match self.heap.peek() {
            Some(last) if self.is_full() => last.key(),
            _ => self.end,
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
}
