//! Text form, binary form, type modifier.

use std::ffi::{CStr, CString};

use pgrx::datum::Internal;
use pgrx::{pg_extern, pg_sys, AnyArray};

use super::{Halfvec, HalfvecArg};
use crate::types::dense::{binary, text, MAX_DIMS};
use crate::types::message::Message;
use crate::types::typmod;

/// `halfvec_in(cstring, oid, integer)`
#[pg_extern(sql = false)]
fn halfvec_in(text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Halfvec {
    text::read(text, typmod)
}

/// `halfvec_out(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_out(vector: HalfvecArg<'_>) -> CString {
    text::write(vector)
}

/// `halfvec_typmod_in(cstring[])`
#[pg_extern(sql = false)]
fn halfvec_typmod_in(modifiers: AnyArray) -> i32 {
    typmod::parse(modifiers, "halfvec", MAX_DIMS)
}

/// `halfvec_recv(internal, oid, integer)`
#[pg_extern(sql = false)]
fn halfvec_recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Halfvec {
    // SAFETY: the first argument of a receive function is the message.
    binary::receive(unsafe { Message::new(message) }, typmod)
}

/// `halfvec_send(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_send(vector: HalfvecArg<'_>) -> Vec<u8> {
    binary::send(vector)
}
