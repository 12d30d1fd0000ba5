//! Binary form, as in `COPY ... (FORMAT binary)` and binary parameters.
//!
//! Big-endian: `int2` number of dimensions, `int2` unused and zero, then a `float4` per element.

use pgrx::datum::Internal;
use pgrx::{pg_extern, pg_sys, PgSqlErrorCode};

use super::{check_dims, check_element, check_expected_dims, Vector, VectorArg, PREFIX};
use crate::types::error::raise;

/// `vector_recv(internal, oid, integer)`
#[pg_extern(sql = false)]
fn vector_recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Vector {
    let Some(message) = message.unwrap() else {
        raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "message must not be null");
    };
    // SAFETY: a receive function's first argument is the message; only Postgres can pass an `internal`.
    let message: pg_sys::StringInfo = message.cast_mut_ptr();
    // SAFETY: as above.
    let [dims, unused] = unsafe { take(message, PREFIX) }.as_chunks().0 else {
        unreachable!("two numbers were taken")
    };
    let (dims, unused) = (i16::from_be_bytes(*dims), i16::from_be_bytes(*unused));
    check_dims(dims.max(0) as usize);
    check_expected_dims(typmod, dims as usize);
    if unused != 0 {
        raise(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, format!("expected unused to be 0, not {unused}"));
    }
    let mut vector = Vector::zeroed(dims as usize);
    // SAFETY: as above.
    let elements = unsafe { take(message, size_of_val(vector.as_mut_slice())) }.as_chunks().0;
    for (element, bytes) in vector.as_mut_slice().iter_mut().zip(elements) {
        *element = f32::from_be_bytes(*bytes);
        check_element(*element);
    }
    vector
}

/// `vector_send(vector)`
#[pg_extern(sql = false)]
fn vector_send(vector: VectorArg<'_>) -> Vec<u8> {
    let vector = vector.get();
    let mut message = Vec::with_capacity(PREFIX + size_of_val(vector.as_slice()));
    message.extend_from_slice(&(vector.dims() as i16).to_be_bytes());
    message.extend_from_slice(&0i16.to_be_bytes());
    for element in vector.as_slice() {
        message.extend_from_slice(&element.to_be_bytes());
    }
    message
}

/// The next `length` bytes of a message. Raises an error if there are fewer.
///
/// # Safety
/// `message` is a message, which is neither changed nor freed while the bytes are in use.
unsafe fn take<'a>(message: pg_sys::StringInfo, length: usize) -> &'a [u8] {
    // SAFETY: `pq_getmsgbytes` returns only if `length` bytes are there.
    unsafe { std::slice::from_raw_parts(pg_sys::pq_getmsgbytes(message, length as i32).cast(), length) }
}
