//! The types whose values an index can have in its first column. Of dense vectors the engine sees single precision, which holds what any of
//! them holds without loss; [`super::value`] makes of all types what it sees.
//!
//! The operator class says which type it is for ([`super::opclass`]); from then on the metapage does.

use bkd::{Error, Packing, Space};
use vector_format::f16;

use crate::types::dense::Element;

/// A type of vectors, or bit strings. The number is its code in the metapage and in the operator classes of the SQL script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum VectorType {
    Vector = 0,
    Halfvec = 1,
    Bit = 2,
    Sparsevec = 3,
}

impl VectorType {
    /// The type with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        use VectorType::*;
        [Vector, Halfvec, Bit, Sparsevec].into_iter().find(|&it| it as u32 == code)
    }

    /// The type of what an index is of, unless its operator class names another.
    pub fn of_space(space: Space) -> Self {
        match space {
            Space::Dense(_) => VectorType::Vector,
            Space::Packed(Packing::Bits(_)) => VectorType::Bit,
            Space::Packed(Packing::Sparse(_)) => VectorType::Sparsevec,
        }
    }

    /// Whether values of this type have the form that the space has.
    pub fn is_of(self, space: Space) -> bool {
        match self {
            VectorType::Vector | VectorType::Halfvec => matches!(space, Space::Dense(_)),
            VectorType::Bit => matches!(space, Space::Packed(Packing::Bits(_))),
            VectorType::Sparsevec => matches!(space, Space::Packed(Packing::Sparse(_))),
        }
    }

    /// The type that a metapage names.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it names none.
    pub fn of_metapage(space: Space, code: u32) -> Result<Self, Error> {
        let named = Self::from_code(code).filter(|named| named.is_of(space));
        named.ok_or_else(|| Error::corrupt("metapage names an unknown type of vectors"))
    }

    /// The SQL name.
    pub fn name(self) -> &'static str {
        match self {
            VectorType::Vector => f32::TYPE_NAME,
            VectorType::Halfvec => f16::TYPE_NAME,
            VectorType::Bit => "bit",
            VectorType::Sparsevec => "sparsevec",
        }
    }
}
