//! What a client may send as a `vector`: the text form, the binary form, and the limits of both.
//!
//! Input comes from whoever can reach the database, so nothing here trusts it, and nothing here needs Postgres: these are
//! functions from bytes to elements or an [`Error`], which the extension turns into SQLSTATEs and which unit tests and
//! fuzzing call as they are.

#![warn(missing_docs)]

pub mod binary;
mod error;
pub mod text;

pub use error::Error;

/// Most dimensions of a vector.
pub const MAX_DIMS: usize = 16_000;

/// Whether a vector may have `dims` dimensions.
///
/// # Errors
/// [`Error::NoDimensions`], [`Error::TooManyDimensions`]
#[inline]
pub fn check_dims(dims: usize) -> Result<(), Error> {
    match dims {
        0 => Err(Error::NoDimensions),
        1..=MAX_DIMS => Ok(()),
        _ => Err(Error::TooManyDimensions),
    }
}

/// Whether a vector of `dims` dimensions may go where those of `expected` dimensions do; `None` stands for any.
///
/// # Errors
/// [`Error::OtherDimensions`]
#[inline]
pub fn check_expected_dims(expected: Option<usize>, dims: usize) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != dims => Err(Error::OtherDimensions { expected, found: dims }),
        _ => Ok(()),
    }
}

/// Whether `value` may be an element.
///
/// # Errors
/// [`Error::Nan`], [`Error::Infinite`]
#[inline]
pub fn check_element(value: f32) -> Result<(), Error> {
    if value.is_finite() {
        Ok(())
    } else if value.is_nan() {
        Err(Error::Nan)
    } else {
        Err(Error::Infinite)
    }
}
