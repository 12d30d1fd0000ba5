//! Text form, binary form, type modifier.

use std::ffi::{CStr, CString};

use pgrx::datum::Internal;
use pgrx::{pg_extern, pg_sys, AnyArray};

use super::{Vector, VectorArg};
use crate::types::dense::{binary, text, MAX_DIMS};
use crate::types::message::Message;
use crate::types::typmod;

/// `vector_in(cstring, oid, integer)`
#[pg_extern(sql = false)]
fn vector_in(text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Vector {
    text::read(text, typmod)
}

/// `vector_out(vector)`
#[pg_extern(sql = false)]
fn vector_out(vector: VectorArg<'_>) -> CString {
    text::write(vector)
}

/// `vector_typmod_in(cstring[])`
#[pg_extern(sql = false)]
fn vector_typmod_in(modifiers: AnyArray) -> i32 {
    typmod::parse(modifiers, "vector", MAX_DIMS)
}

/// `vector_recv(internal, oid, integer)`
#[pg_extern(sql = false)]
fn vector_recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Vector {
    // SAFETY: the first argument of a receive function is the message.
    binary::receive(unsafe { Message::new(message) }, typmod)
}

/// `vector_send(vector)`
#[pg_extern(sql = false)]
fn vector_send(vector: VectorArg<'_>) -> Vec<u8> {
    binary::send(vector)
}
