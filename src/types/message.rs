//! Binary input: the message that a receive function reads, and the errors of the forms of vectors as SQL errors.

use pgrx::datum::Internal;
use pgrx::{pg_sys, PgSqlErrorCode};
use vector_format::Error;

use super::error::{raise, raise_with_detail};

/// A message from a client, and how far it has been read.
pub struct Message(pg_sys::StringInfo);

impl Message {
    /// The first argument of a receive function.
    ///
    /// # Safety
    /// It is one. (Only Postgres can pass an `internal`.)
    pub unsafe fn new(argument: Internal) -> Message {
        match argument.unwrap() {
            Some(message) => Message(message.cast_mut_ptr()),
            None => raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "message must not be null"),
        }
    }

    /// Reads a value by `parse`, which is given what has not been read yet, and returns how much it took.
    pub fn read<T>(&self, type_name: &str, parse: impl FnOnce(&[u8]) -> Result<(T, usize), Error>) -> T {
        let parsed = parse(self.rest());
        if matches!(parsed, Err(Error::Truncated)) {
            // This is Postgres' to report, with its own error.
            self.skip(self.rest().len() + 1);
        }
        let (value, length) = parsed.or_raise(type_name);
        self.skip(length);
        value
    }

    /// What has not been read yet.
    fn rest(&self) -> &[u8] {
        // SAFETY: a message holds `len` bytes, of which `cursor` have been read.
        unsafe {
            let message = &*self.0;
            std::slice::from_raw_parts(message.data.cast::<u8>(), message.len as usize)
                .get(message.cursor as usize..)
                .unwrap_or_default()
        }
    }

    /// Goes past `length` bytes. Raises an error if there are fewer.
    fn skip(&self, length: usize) {
        // SAFETY: the message is one; `pq_getmsgbytes` compares the length with what is left.
        unsafe { pg_sys::pq_getmsgbytes(self.0, length as i32) };
    }
}

/// Errors of the forms of a vector become SQL errors.
pub trait OrRaise {
    type Value;

    /// The value. Raises the error, which speaks of a value of this type.
    fn or_raise(self, type_name: &str) -> Self::Value;
}

impl<T> OrRaise for Result<T, Error> {
    type Value = T;

    #[inline]
    #[track_caller]
    fn or_raise(self, type_name: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => report(error, type_name),
        }
    }
}

#[cold]
#[track_caller]
fn report(error: Error, type_name: &str) -> ! {
    use PgSqlErrorCode::*;
    let code = match error {
        Error::NoDimensions | Error::OtherDimensions { .. } => ERRCODE_DATA_EXCEPTION,
        Error::Nan | Error::Infinite | Error::Unused(_) => ERRCODE_DATA_EXCEPTION,
        Error::TooManyDimensions { .. } => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Error::TooManyElements { .. } | Error::MoreElementsThanDimensions => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Error::NegativeElements | Error::StoredZero => ERRCODE_DATA_EXCEPTION,
        Error::IndexOutOfBounds | Error::UnsortedIndices | Error::DuplicateIndices => ERRCODE_DATA_EXCEPTION,
        Error::OutOfRange(_) => ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        Error::Syntax { .. } => ERRCODE_INVALID_TEXT_REPRESENTATION,
        Error::Truncated => ERRCODE_PROTOCOL_VIOLATION,
    };
    let message = error.message(type_name);
    match error.detail() {
        Some(detail) => raise_with_detail(code, message, detail),
        None => raise(code, message),
    }
}
