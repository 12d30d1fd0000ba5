//! Why bytes are not a vector. The texts are what the SQL errors say; their SQLSTATEs are the extension's business.

/// Why bytes are not a vector of some type, or not one that belongs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has no dimensions.
    NoDimensions,
    /// It has more dimensions than its type allows.
    TooManyDimensions {
        /// What the type allows.
        most: usize,
    },
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
    /// An element, as it was written, is beyond what its type can hold.
    OutOfRange(String),
    /// The text has another form than that of a vector.
    Syntax {
        /// The whole text.
        text: String,
        /// What was expected where.
        expected: String,
    },
    /// The field of the binary form that must be zero is not.
    Unused(i32),
    /// The binary form ends before the vector does.
    Truncated,
    /// A sparse vector stores more elements than its type allows.
    TooManyElements {
        /// What the type allows.
        most: usize,
    },
    /// A sparse vector stores a negative number of elements.
    NegativeElements,
    /// A sparse vector stores more elements than it has dimensions.
    MoreElementsThanDimensions,
    /// An element's index is below the first or above the last.
    IndexOutOfBounds,
    /// An index comes before one that is smaller.
    UnsortedIndices,
    /// An index comes twice.
    DuplicateIndices,
    /// The binary form stores a zero.
    StoredZero,
}

impl Error {
    /// The message of the SQL error for a value of this type.
    pub fn message(&self, type_name: &str) -> String {
        match self {
            Error::NoDimensions => format!("{type_name} must have at least 1 dimension"),
            Error::TooManyDimensions { most } => {
                format!("{type_name} cannot have more than {most} dimensions")
            }
            Error::OtherDimensions { expected, found } => {
                format!("expected {expected} dimensions, not {found}")
            }
            Error::Nan => format!("NaN not allowed in {type_name}"),
            Error::Infinite => format!("infinite value not allowed in {type_name}"),
            Error::OutOfRange(token) => format!("\"{token}\" is out of range for type {type_name}"),
            Error::Syntax { text, .. } => format!("invalid input syntax for type {type_name}: \"{text}\""),
            Error::Unused(value) => format!("expected unused to be 0, not {value}"),
            Error::Truncated => "insufficient data left in message".into(),
            Error::TooManyElements { most } => {
                format!("{type_name} cannot have more than {most} non-zero elements")
            }
            Error::NegativeElements => format!("{type_name} cannot have negative number of elements"),
            Error::MoreElementsThanDimensions => {
                format!("{type_name} cannot have more elements than dimensions")
            }
            Error::IndexOutOfBounds => format!("{type_name} index out of bounds"),
            Error::UnsortedIndices => format!("{type_name} indices must be in ascending order"),
            Error::DuplicateIndices => format!("{type_name} indices must not contain duplicates"),
            Error::StoredZero => format!("binary representation of {type_name} cannot contain zero values"),
        }
    }

    /// More than the message says, if there is more.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Error::Syntax { expected, .. } => Some(expected),
            _ => None,
        }
    }
}
