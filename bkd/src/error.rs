//! What can go wrong in the engine.

use std::fmt;

/// Why an operation of the engine did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A page or a directory does not say what it must.
    Corrupt(String),
    /// The caller asked for the operation to stop.
    Cancelled,
    /// A size exceeds what the format can hold.
    TooLarge(String),
}

impl Error {
    /// Shorthand for [`Error::Corrupt`].
    pub fn corrupt(what: impl Into<String>) -> Self {
        Error::Corrupt(what.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt(what) => write!(f, "{what}"),
            Error::Cancelled => write!(f, "cancelled"),
            Error::TooLarge(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Error {}

/// What the engine's operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
