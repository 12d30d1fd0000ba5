//! Binary form, as in `COPY ... (FORMAT binary)` and binary parameters, read and written by [`vector_format::binary`].

use pgrx::datum::Internal;
use pgrx::{pg_extern, pg_sys, PgSqlErrorCode};
use vector_format::{binary, Error};

use super::{expected_dims, OrRaise, Vector, VectorArg};
use crate::types::error::raise;

/// `vector_recv(internal, oid, integer)`
#[pg_extern(sql = false)]
fn vector_recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Vector {
    let Some(message) = message.unwrap() else {
        raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "message must not be null");
    };
    // SAFETY: a receive function's first argument is the message; only Postgres can pass an `internal`.
    let message = unsafe { Message::new(message.cast_mut_ptr()) };
    let parsed = binary::parse(message.rest(), expected_dims(typmod));
    if matches!(parsed, Err(Error::Truncated)) {
        // This is Postgres' to report, with its own error.
        message.skip(message.rest().len() + 1);
    }
    let (elements, length) = parsed.or_raise();
    message.skip(length);
    Vector::from_slice(&elements)
}

/// `vector_send(vector)`
#[pg_extern(sql = false)]
fn vector_send(vector: VectorArg<'_>) -> Vec<u8> {
    binary::write(vector.get().as_slice())
}

/// A message from a client, and how far it has been read.
struct Message(pg_sys::StringInfo);

impl Message {
    /// # Safety
    /// `message` is one, and nobody else uses it while this exists.
    unsafe fn new(message: pg_sys::StringInfo) -> Message {
        Message(message)
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
