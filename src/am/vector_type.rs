//! The types whose values an index can have in its first column. The engine sees vectors of single precision, which hold what any of
//! them holds without loss.
//!
//! The operator class says which type it is for ([`super::opclass`]); from then on the metapage does.

use bkd::Error;
use pgrx::pg_sys;
use vector_format::f16;

use super::within::Range;
use crate::types::dense::casts::to_numbers;
use crate::types::dense::Element;
use crate::types::halfvec::HalfvecRef;
use crate::types::vector::VectorRef;

/// A type of dense vectors. The number is its code in the metapage and in the operator classes of the SQL script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum VectorType {
    Vector = 0,
    Halfvec = 1,
}

impl VectorType {
    /// The type with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        [VectorType::Vector, VectorType::Halfvec].into_iter().find(|&it| it as u32 == code)
    }

    /// The type that a metapage names.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it names none.
    pub fn of_metapage(code: u32) -> Result<Self, Error> {
        Self::from_code(code).ok_or_else(|| Error::corrupt("metapage names an unknown type of vectors"))
    }

    /// The SQL name.
    pub fn name(self) -> &'static str {
        match self {
            VectorType::Vector => f32::TYPE_NAME,
            VectorType::Halfvec => f16::TYPE_NAME,
        }
    }

    /// Calls `then` with the numbers of a value.
    ///
    /// # Safety
    /// The datum is not NULL, of this type, and stays where it is during the call.
    #[inline]
    pub unsafe fn with_numbers<R>(self, datum: pg_sys::Datum, then: impl FnOnce(&[f32]) -> R) -> R {
        match self {
            VectorType::Vector => {
                // SAFETY: as the caller promises.
                let vector = unsafe { VectorRef::from_datum(datum) };
                let result = then(vector.as_slice());
                vector.release();
                result
            }
            VectorType::Halfvec => {
                // SAFETY: as the caller promises.
                let vector = unsafe { HalfvecRef::from_datum(datum) };
                let numbers = to_numbers(vector.as_slice());
                vector.release();
                then(&numbers)
            }
        }
    }

    /// Center and radius of a value of the type of ranges that belongs to this type; `None` if one of them is NULL.
    ///
    /// # Safety
    /// The datum is such a value, not NULL.
    pub unsafe fn range(self, datum: pg_sys::Datum) -> Option<(Vec<f32>, f64)> {
        // SAFETY: as the caller promises.
        unsafe {
            match self {
                VectorType::Vector => Range::<f32>::from_datum(datum).map(Range::into_numbers),
                VectorType::Halfvec => Range::<f16>::from_datum(datum).map(Range::into_numbers),
            }
        }
    }
}
