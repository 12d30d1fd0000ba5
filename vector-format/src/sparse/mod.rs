//! Sparse vectors: of many dimensions, few of them not zero.

pub mod binary;
pub mod text;

use crate::{check_dims_within, Error};

/// Most dimensions of a sparse vector.
pub const MAX_DIMS: usize = 1_000_000_000;

/// Most elements that a sparse vector stores.
pub const MAX_ELEMENTS: usize = 16_000;

/// A sparse vector as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sparse {
    /// The number of dimensions, 1 to [`MAX_DIMS`].
    pub dims: usize,
    /// Which elements are stored: ascending, the first dimension being 0.
    pub indices: Vec<i32>,
    /// Their values, as many: finite, none of them zero.
    pub values: Vec<f32>,
}

/// Whether a sparse vector may have `dims` dimensions.
///
/// # Errors
/// [`Error::NoDimensions`], [`Error::TooManyDimensions`]
pub fn check_dims(dims: usize) -> Result<(), Error> {
    check_dims_within(dims, MAX_DIMS)
}

/// Whether a sparse vector may store so many elements.
///
/// # Errors
/// [`Error::TooManyElements`]
pub fn check_elements(elements: usize) -> Result<(), Error> {
    if elements <= MAX_ELEMENTS {
        Ok(())
    } else {
        Err(Error::TooManyElements { most: MAX_ELEMENTS })
    }
}

/// Whether `index` may follow `last` in a vector of `dims` dimensions.
fn check_index(index: i64, last: Option<i64>, dims: usize) -> Result<(), Error> {
    match last {
        _ if index < 0 || index >= dims as i64 => Err(Error::IndexOutOfBounds),
        Some(last) if index < last => Err(Error::UnsortedIndices),
        Some(last) if index == last => Err(Error::DuplicateIndices),
        _ => Ok(()),
    }
}
