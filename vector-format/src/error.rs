//! Why bytes are not a vector. The texts are what the SQL errors say; their SQLSTATEs are the extension's business.

use std::fmt;

use crate::MAX_DIMS;

/// Why bytes are not a vector, or not one that belongs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has no elements.
    NoDimensions,
    /// It has more than [`MAX_DIMS`] elements.
    TooManyDimensions,
    /// It has other dimensions than the column.
    OtherDimensions {
        /// Dimensions of the column.
        expected: usize,
        /// Dimensions of the value.
        found: usize,
    },
    /// An element is not a number.
    Nan,
    /// An element is infinite.
    Infinite,
    /// An element, as it was written, is beyond what single precision can hold.
    OutOfRange(String),
    /// The text has another form than that of a vector.
    Syntax {
        /// The whole text.
        text: String,
        /// What was expected where.
        expected: String,
    },
    /// The field of the binary form that must be zero is not.
    Unused(i16),
    /// The binary form ends before the vector does.
    Truncated,
}

impl Error {
    /// More than the message says, if there is more.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Error::Syntax { expected, .. } => Some(expected),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoDimensions => write!(f, "vector must have at least 1 dimension"),
            Error::TooManyDimensions => write!(f, "vector cannot have more than {MAX_DIMS} dimensions"),
            Error::OtherDimensions { expected, found } => {
                write!(f, "expected {expected} dimensions, not {found}")
            }
            Error::Nan => write!(f, "NaN not allowed in vector"),
            Error::Infinite => write!(f, "infinite value not allowed in vector"),
            Error::OutOfRange(token) => write!(f, "\"{token}\" is out of range for type vector"),
            Error::Syntax { text, .. } => write!(f, "invalid input syntax for type vector: \"{text}\""),
            Error::Unused(value) => write!(f, "expected unused to be 0, not {value}"),
            Error::Truncated => write!(f, "insufficient data left in message"),
        }
    }
}

impl std::error::Error for Error {}
