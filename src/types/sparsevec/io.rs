//! Text form, binary form, type modifier.

use std::ffi::{CStr, CString};

use pgrx::datum::Internal;
use pgrx::{pg_extern, pg_sys, AnyArray};
use vector_format::sparse::{binary, text};

use super::{Sparse, SparseArg, MAX_DIMS, TYPE_NAME};
use crate::types::dense::text::append;
use crate::types::message::{Message, OrRaise};
use crate::types::typmod::{self, expected_dims};

/// `sparsevec_in(cstring, oid, integer)`
#[pg_extern(sql = false)]
fn sparsevec_in(text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Sparse {
    text::parse(text.to_bytes(), expected_dims(typmod)).or_raise(TYPE_NAME).into()
}

/// `sparsevec_out(sparsevec)`: indices are counted from 1, elements are written as `real` is.
#[pg_extern(sql = false)]
fn sparsevec_out(vector: SparseArg<'_>) -> CString {
    let vector = vector.get();
    let mut text = vec![b'{'];
    for (i, (index, value)) in vector.elements().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        text.extend_from_slice((i64::from(index) + 1).to_string().as_bytes());
        text.push(b':');
        append(value, &mut text);
    }
    text.extend_from_slice(format!("}}/{}", vector.dims()).as_bytes());
    // SAFETY: digits and punctuation hold no NUL.
    unsafe { CString::from_vec_unchecked(text) }
}

/// `sparsevec_typmod_in(cstring[])`
#[pg_extern(sql = false)]
fn sparsevec_typmod_in(modifiers: AnyArray) -> i32 {
    typmod::parse(modifiers, TYPE_NAME, MAX_DIMS)
}

/// `sparsevec_recv(internal, oid, integer)`
#[pg_extern(sql = false)]
fn sparsevec_recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Sparse {
    // SAFETY: the first argument of a receive function is the message.
    let message = unsafe { Message::new(message) };
    message.read(TYPE_NAME, |bytes| binary::parse(bytes, expected_dims(typmod))).into()
}

/// `sparsevec_send(sparsevec)`
#[pg_extern(sql = false)]
fn sparsevec_send(vector: SparseArg<'_>) -> Vec<u8> {
    let vector = vector.get();
    binary::write(vector.dims(), vector.indices(), vector.values())
}
