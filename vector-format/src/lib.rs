//! What a client may send as a `vector`, `halfvec` or `sparsevec`: the text form, the binary form, and the limits of both.
//!
//! Input comes from whoever can reach the database, so nothing here trusts it, and nothing here needs Postgres: these are
//! functions from bytes to elements or an [`Error`], which the extension turns into SQLSTATEs and which unit tests and
//! fuzzing call as they are.
//!
//! `vector` and `halfvec` are *dense*, and differ in the [`Element`] only: [`text`] and [`binary`] serve both. What a
//! [`sparse`] vector looks like is different in both forms.

#![warn(missing_docs)]

pub mod binary;
mod element;
mod error;
mod reader;
pub mod sparse;
pub mod text;

pub use element::Element;
pub use error::Error;
pub use half::f16;

/// Most dimensions of a dense vector.
pub const MAX_DIMS: usize = 16_000;

/// Whether a dense vector may have `dims` dimensions.
///
/// # Errors
/// [`Error::NoDimensions`], [`Error::TooManyDimensions`]
#[inline]
pub fn check_dims(dims: usize) -> Result<(), Error> {
    check_dims_within(dims, MAX_DIMS)
}

#[inline]
fn check_dims_within(dims: usize, most: usize) -> Result<(), Error> {
    match dims {
        0 => Err(Error::NoDimensions),
        _ if dims <= most => Ok(()),
        _ => Err(Error::TooManyDimensions { most }),
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
pub fn check_element<E: Element>(value: E) -> Result<(), Error> {
    if value.is_finite() {
        Ok(())
    } else if value.to_f32().is_nan() {
        Err(Error::Nan)
    } else {
        Err(Error::Infinite)
    }
}
