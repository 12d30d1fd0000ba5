//! What can go wrong in the engine.

use std::fmt;

/// Why an operation of the engine did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A page or a directory does not say what it must.
    Corrupt(String),
    /// A page is sound, but not the one that was looked for: it was given to something else.
    Recycled(String),
    /// A page is of another version of the format than [`crate::layout::FORMAT_VERSION`].
    Version(u16),
    /// A page is of another kind of index, of this name.
    Foreign(&'static str),
    /// The caller asked for the operation to stop.
    Cancelled,
    /// A size exceeds what the format can hold.
    TooLarge(String),
    /// So many bytes were not to be had.
    OutOfMemory(usize),
}

impl Error {
    /// Shorthand for [`Error::Corrupt`].
    pub fn corrupt(what: impl Into<String>) -> Self {
        Error::Corrupt(what.into())
    }

    /// The same error, saying in which block it was.
    pub fn at_block(self, block: u32) -> Self {
        let say = |what: String| format!("block {block}: {what}");
        match self {
            Error::Corrupt(what) => Error::Corrupt(say(what)),
            Error::Recycled(what) => Error::Recycled(say(what)),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt(what) | Error::Recycled(what) => write!(f, "{what}"),
            Error::Version(version) => write!(
                f,
                "page has format version {version}, this library reads version {}",
                crate::layout::FORMAT_VERSION
            ),
            Error::Foreign(name) => write!(f, "page is one of pgvector's access method {name}"),
            Error::Cancelled => write!(f, "cancelled"),
            Error::TooLarge(what) => write!(f, "{what}"),
            Error::OutOfMemory(bytes) => write!(f, "out of memory: {bytes} bytes were wanted"),
        }
    }
}

impl std::error::Error for Error {}

/// What the engine's operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
