//! A sparse query: which of its elements a stored vector shares.
//!
//! Of the elements of a stored vector hardly any are the query's. So each index is looked up in a small table first, of bytes that say
//! whether the query may have it; without a branch, and mostly that is all. Everything else about the vector follows from
//! its size, which is stored.

use crate::layout::packed::SparseBody;

/// Entries of the table for each element of the query.
const ENTRIES_PER_ELEMENT: usize = 64;
/// Entries of the smallest and the largest table: from half a cache way to what the second cache has room for.
const ENTRIES: std::ops::RangeInclusive<usize> = 1 << 11..=1 << 16;

/// The elements of a query.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    indices: Vec<u32>,
    values: Vec<f32>,
    /// 1 where the query may have an index that [`Lookup::entry`] leads to, else 0.
    table: Vec<u8>,
    /// Bits of an entry's number less than 32.
    shift: u32,
    /// Positions in the stored vector that the query may share.
    candidates: Vec<u32>,
}

impl Lookup {
    pub(super) fn new(elements: SparseBody<'_>) -> Self {
        let wanted = (elements.len() * ENTRIES_PER_ELEMENT).next_power_of_two();
        let entries = wanted.clamp(*ENTRIES.start(), *ENTRIES.end());
        let mut lookup = Lookup {
            indices: elements.indices().collect(),
            values: elements.values().collect(),
            table: vec![0; entries],
            shift: u32::BITS - entries.trailing_zeros(),
            candidates: Vec::new(),
        };
        for at in 0..lookup.indices.len() {
            let entry = lookup.entry(lookup.indices[at]);
            lookup.table[entry] = 1;
        }
        lookup
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Where the table speaks of an index (Knuth's multiplicative hashing).
    #[inline]
    fn entry(&self, index: u32) -> usize {
        (index.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }

    /// Calls `each` with the stored vector's and the query's values of all elements that both have.
    #[inline]
    pub(super) fn shared(&mut self, stored: SparseBody<'_>, mut each: impl FnMut(f64, f64)) {
        // One more, to be written to and not counted.
        if self.candidates.len() <= stored.len() {
            self.candidates.resize(stored.len() + 1, 0);
        }
        let mut count = 0;
        for (at, index) in (0..).zip(stored.indices()) {
            self.candidates[count] = at;
            count += usize::from(self.table[self.entry(index)]);
        }
        for &at in &self.candidates[..count] {
            let at = at as usize;
            if let Ok(found) = self.indices.binary_search(&stored.index(at)) {
                each(stored.value(at).into(), self.values[found].into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::pack_sparse;
    use crate::Metric;

    #[test]
    fn finds_what_is_shared() {
        let vector = |step: u32, count: u32| {
            let mut packed = Vec::new();
            let values: Vec<f32> = (0..count).map(|i| (i * step) as f32 + 1.0).collect();
            pack_sparse(Metric::L2, (0..count).map(|i| i * step), &values, &mut packed);
            packed
        };
        for (query, stored) in
            [((3, 1000), (2, 900)), ((1, 0), (5, 10)), ((7, 10), (1, 0)), ((1, 50), (1, 1000))]
        {
            let (query_packed, stored_packed) = (vector(query.0, query.1), vector(stored.0, stored.1));
            let mut lookup = Lookup::new(SparseBody::of(&query_packed).unwrap());
            let mut found = Vec::new();
            lookup.shared(SparseBody::of(&stored_packed).unwrap(), |x, q| {
                assert_eq!(x, q);
                found.push(x as u32 - 1);
            });
            let of = |(step, count): (u32, u32), index| index % step == 0 && index / step < count;
            let expected: Vec<u32> = (0..10_000).filter(|&i| of(query, i) && of(stored, i)).collect();
            assert_eq!(found, expected);
        }
    }
}
