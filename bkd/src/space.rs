//! What an index is of: the form of its values, and the distance that it orders them by.
//!
//! Dense vectors make trees of quantised leaves. Bit strings and sparse vectors are *packed*: kept as they are, a page of them a leaf
//! ([`layout::packed`](crate::layout::packed)), and compared one by one.

use serde::{Deserialize, Serialize};

use crate::layout::packed;
use crate::{Metric, MAX_DIMS};

/// The form of the values, and their distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// Vectors all of whose elements are stored.
    Dense(Metric),
    /// Values that are kept as they are.
    Packed(Packing),
}

/// The form of packed values, and their distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packing {
    /// Bit strings of one length.
    Bits(BitMetric),
    /// Vectors of which only the elements that are not zero are stored.
    Sparse(Metric),
}

/// Distances between bit strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum BitMetric {
    /// The number of bits that differ, `<~>`.
    Hamming = 1,
    /// 1 less the share that the bits set in both have of those set in either, `<%>`.
    Jaccard = 2,
}

/// A value in the form in which the index keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// As [`crate::prepare`] returned it.
    Dense(&'a [f32]),
    /// As [`crate::pack_bits`] or [`crate::pack_sparse`] returned it.
    Packed(&'a [u8]),
}

impl<'a> Body<'a> {
    /// The vector.
    ///
    /// # Panics
    /// If it is packed: for those who know of what the index is.
    pub fn dense(self) -> &'a [f32] {
        match self {
            Body::Dense(vector) => vector,
            Body::Packed(_) => panic!("a packed value in an index of vectors"),
        }
    }

    /// The packed value.
    ///
    /// # Panics
    /// If it is a vector.
    pub fn packed(self) -> &'a [u8] {
        match self {
            Body::Packed(bytes) => bytes,
            Body::Dense(_) => panic!("a vector in an index of packed values"),
        }
    }
}

/// What is added to the numbers of metrics to make codes.
const BITS: u8 = 16;
const SPARSE: u8 = 32;

impl Space {
    /// Everything that an index can be of.
    pub const ALL: [Space; 10] = [
        Space::Dense(Metric::L2),
        Space::Dense(Metric::Cosine),
        Space::Dense(Metric::InnerProduct),
        Space::Dense(Metric::L1),
        Space::Packed(Packing::Bits(BitMetric::Hamming)),
        Space::Packed(Packing::Bits(BitMetric::Jaccard)),
        Space::Packed(Packing::Sparse(Metric::L2)),
        Space::Packed(Packing::Sparse(Metric::Cosine)),
        Space::Packed(Packing::Sparse(Metric::InnerProduct)),
        Space::Packed(Packing::Sparse(Metric::L1)),
    ];

    /// The code on disk and in the operator classes of the SQL script; that of dense vectors is their metric's.
    pub fn code(self) -> u8 {
        match self {
            Space::Dense(metric) => metric as u8,
            Space::Packed(Packing::Bits(metric)) => BITS + metric as u8,
            Space::Packed(Packing::Sparse(metric)) => SPARSE + metric as u8,
        }
    }

    /// What has this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.code() == code)
    }

    /// The metric of dense vectors.
    pub fn dense(self) -> Option<Metric> {
        match self {
            Space::Dense(metric) => Some(metric),
            Space::Packed(_) => None,
        }
    }

    /// The same for those who know that the vectors are dense.
    ///
    /// # Panics
    /// If they are not.
    pub fn dense_metric(self) -> Metric {
        self.dense().expect("only dense vectors are searched like this")
    }

    /// The packing, for those who know that there is one.
    ///
    /// # Panics
    /// If the vectors are dense.
    pub fn packing(self) -> Packing {
        match self {
            Space::Packed(packing) => packing,
            Space::Dense(_) => panic!("dense vectors are not packed"),
        }
    }

    /// The metric of the distance, for people.
    pub fn name(self) -> &'static str {
        match self {
            Space::Dense(metric) | Space::Packed(Packing::Sparse(metric)) => metric.name(),
            Space::Packed(Packing::Bits(BitMetric::Hamming)) => "hamming",
            Space::Packed(Packing::Bits(BitMetric::Jaccard)) => "jaccard",
        }
    }

    /// The most dimensions, or bits, that a value can have.
    pub fn max_dims(self) -> usize {
        match self {
            Space::Dense(_) => MAX_DIMS,
            Space::Packed(Packing::Bits(_)) => packed::MAX_BITS,
            Space::Packed(Packing::Sparse(_)) => packed::MAX_SPARSE_DIMS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        for space in Space::ALL {
            assert_eq!(Space::from_code(space.code()), Some(space));
        }
        assert_eq!(Space::from_code(0), None);
        assert_eq!(Space::from_code(BITS), None);
    }
}
