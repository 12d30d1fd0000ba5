//! Packed values: bit strings and sparse vectors, kept as they are.
//!
//! | | body |
//! |---|---|
//! | bit string | the bits in the order of Postgres, eight to a byte, and zeros up to a multiple of eight bytes |
//! | sparse vector | the indices of its elements, ascending from 0, in 4 bytes each, then the elements, `f32`, none of them zero |
//!
//! In the delta a body follows its row's address, its length in two bytes and the keys of the row's attributes. An item never lies on
//! two pages, so there is a largest one ([`DeltaLayout::largest_body`](super::chain::DeltaLayout::largest_body)).
//!
//! In a segment a leaf is a page ([`Leaf`](super::PageKind::Leaf)). Bodies of bits, all of one length, follow each other without
//! anything in between; before the body of a sparse vector come its *size* ([`sparse_size`]), `f64`, and the number of its elements.

use super::{Payload, PAYLOAD};
use crate::{Error, Metric, Packing, Result};

/// Most bits of a bit string, as in pgvector's indexes.
pub const MAX_BITS: usize = 64_000;
/// Most elements of a sparse vector, as in pgvector's indexes.
pub const MAX_ELEMENTS: usize = 1_000;
/// Most dimensions of a sparse vector, as in pgvector.
pub const MAX_SPARSE_DIMS: usize = 1_000_000_000;

/// What bodies are multiples of, and begin at multiples of in the delta.
pub(super) const WORD: usize = 8;
/// Bytes of an element of a sparse vector: index and value.
const ELEMENT: usize = 8;
/// Bytes before the body of a sparse vector in a leaf.
const SPARSE_PREFIX: usize = 12;

const _: () = assert!(MAX_BITS / 8 <= PAYLOAD && SPARSE_PREFIX + MAX_ELEMENTS * ELEMENT <= PAYLOAD);

/// How the packed values of an index lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLayout {
    packing: Packing,
    dims: usize,
}

impl PackedLayout {
    /// For values of so many dimensions, or bits.
    pub fn new(packing: Packing, dims: usize) -> Self {
        PackedLayout { packing, dims }
    }

    /// Bytes of a bit string's body; 0 for sparse vectors, of which each has its own length.
    pub fn width(&self) -> usize {
        match self.packing {
            Packing::Bits(_) => bits_width(self.dims),
            Packing::Sparse(_) => 0,
        }
    }

    /// Whether a body can have so many bytes.
    pub(super) fn is_length(&self, bytes: usize) -> bool {
        match self.packing {
            Packing::Bits(_) => bytes == self.width(),
            Packing::Sparse(_) => bytes.is_multiple_of(ELEMENT),
        }
    }

    /// Bytes that a body takes in a leaf.
    pub(crate) fn in_leaf(&self, body: &[u8]) -> usize {
        match self.packing {
            Packing::Bits(_) => body.len(),
            Packing::Sparse(_) => SPARSE_PREFIX + body.len(),
        }
    }

    /// Values in a leaf, at most.
    pub(crate) fn most_in_leaf(&self) -> usize {
        match self.packing {
            Packing::Bits(_) => PAYLOAD / self.width(),
            Packing::Sparse(_) => PAYLOAD / SPARSE_PREFIX,
        }
    }

    /// Whether these bytes, from disk, are a body: those that a builder writes, bit by bit.
    pub fn is_body(&self, body: &[u8]) -> bool {
        match self.packing {
            Packing::Bits(_) => {
                let (whole, cut) = (self.dims / 8, self.dims % 8);
                // Of the first byte that is not all bits, those behind the last one.
                let behind = |at: usize| if at == 0 { u8::MAX >> cut } else { u8::MAX };
                body.len() == self.width()
                    && body.iter().skip(whole).enumerate().all(|(at, &byte)| byte & behind(at) == 0)
            }
            Packing::Sparse(_) => {
                let Some(elements) = SparseBody::of(body) else { return false };
                elements.len() <= MAX_ELEMENTS
                    && elements.indices().is_sorted_by(|a, b| a < b)
                    && elements.indices().all(|index| (index as usize) < self.dims)
                    && elements.values().all(|value| value.is_finite() && value != 0.0)
            }
        }
    }

    /// Writes a body into the rest of a leaf, which has room for it.
    pub(crate) fn write(&self, body: &[u8], into: &mut [u8]) {
        match self.packing {
            Packing::Bits(_) => into[..body.len()].copy_from_slice(body),
            Packing::Sparse(metric) => {
                let elements = SparseBody::of(body).expect("whole elements");
                into[..8].copy_from_slice(&sparse_size(metric, elements).to_le_bytes());
                into[8..SPARSE_PREFIX].copy_from_slice(&(elements.len() as u32).to_le_bytes());
                into[SPARSE_PREFIX..][..body.len()].copy_from_slice(body);
            }
        }
    }

    /// The first `count` values of a leaf: their bodies, and what is said of the size of each sparse vector.
    pub(crate) fn read<'p>(&self, page: &'p Payload, count: usize) -> LeafItems<'p> {
        LeafItems { width: self.width(), rest: page, left: count }
    }
}

/// Bytes of the body of so many bits.
pub(crate) fn bits_width(bits: usize) -> usize {
    bits.div_ceil(8).next_multiple_of(WORD)
}

/// Reads the values of a leaf one after the other.
pub(crate) struct LeafItems<'p> {
    /// Of bit strings.
    width: usize,
    rest: &'p [u8],
    left: usize,
}

impl<'p> LeafItems<'p> {
    /// Bytes behind the last value that was read.
    pub(crate) fn rest(&self) -> &'p [u8] {
        self.rest
    }
}

impl<'p> Iterator for LeafItems<'p> {
    /// What is said of the value's size, 0 for bits, and the body. After an error, nothing.
    type Item = Result<(f64, &'p [u8])>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (size, prefix, length) = if self.width > 0 {
            (0.0, 0, self.width)
        } else {
            let Some((size, rest)) = self.rest.split_first_chunk() else { return Some(self.end()) };
            let Some((count, _)) = rest.split_first_chunk() else { return Some(self.end()) };
            let count = u32::from_le_bytes(*count) as usize;
            (f64::from_le_bytes(*size), SPARSE_PREFIX, count.saturating_mul(ELEMENT))
        };
        match self.rest.split_at_checked(prefix.saturating_add(length)) {
            Some((item, rest)) => {
                self.rest = rest;
                Some(Ok((size, &item[prefix..])))
            }
            None => Some(self.end()),
        }
    }
}

impl LeafItems<'_> {
    #[cold]
    fn end<T>(&mut self) -> Result<T> {
        self.left = 0;
        Err(Error::corrupt("a packed value goes on beyond its page"))
    }
}

/// The body of a sparse vector.
#[derive(Clone, Copy)]
pub(crate) struct SparseBody<'a> {
    indices: &'a [[u8; 4]],
    values: &'a [[u8; 4]],
}

impl<'a> SparseBody<'a> {
    /// `None` if these are no whole elements.
    #[inline]
    pub(crate) fn of(body: &'a [u8]) -> Option<Self> {
        let (numbers, rest) = body.as_chunks();
        let (indices, values) = numbers.split_at(numbers.len() / 2);
        (rest.is_empty() && indices.len() == values.len()).then_some(SparseBody { indices, values })
    }

    /// The number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    #[inline]
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + 'a {
        self.indices.iter().map(|&bytes| u32::from_le_bytes(bytes))
    }

    #[inline]
    pub(crate) fn index(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.indices[at])
    }

    #[inline]
    pub(crate) fn value(&self, at: usize) -> f32 {
        f32::from_le_bytes(self.values[at])
    }

    #[inline]
    pub(crate) fn values(&self) -> impl Iterator<Item = f32> + 'a {
        self.values.iter().map(|&bytes| f32::from_le_bytes(bytes))
    }
}

/// What distances of a sparse vector are made of that does not depend on the query: the sum of its elements' magnitudes for L1, of their
/// squares for the others.
pub(crate) fn sparse_size(metric: Metric, elements: SparseBody<'_>) -> f64 {
    let values = elements.values().map(f64::from);
    match metric {
        Metric::L1 => values.map(f64::abs).sum(),
        Metric::L2 | Metric::Cosine | Metric::InnerProduct => values.map(|x| x * x).sum(),
    }
}
