//! Text form: `[1,2.5,-3]`, read by [`vector_format::text`].
//!
//! Elements are written as `real` is: the shortest digits that read back as the same number.

use std::ffi::{c_char, c_int, CStr, CString};

use pgrx::{pg_extern, pg_sys};

use super::{check_expected_dims, OrRaise, Vector, VectorArg};

/// Most bytes of a `real` in text form: sign, nine digits, point, exponent of four, and one to spare.
const MAX_ELEMENT_TEXT: usize = 16;

extern "C" {
    /// Postgres' own shortest round-trip output, which `real` uses too. Writes at most [`MAX_ELEMENT_TEXT`] bytes without
    /// a terminator, returns how many, and raises no error.
    fn float_to_shortest_decimal_bufn(value: f32, to: *mut c_char) -> c_int;
}

/// `vector_in(cstring, oid, integer)`
#[pg_extern(sql = false)]
fn vector_in(text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Vector {
    let elements = vector_format::text::parse(text.to_bytes()).or_raise();
    check_expected_dims(typmod, elements.len());
    Vector::from_slice(&elements)
}

/// `vector_out(vector)`
#[pg_extern(sql = false)]
fn vector_out(vector: VectorArg<'_>) -> CString {
    let vector = vector.get();
    let elements = vector.as_slice();
    let mut text: Vec<u8> = Vec::with_capacity(elements.len() * (1 + MAX_ELEMENT_TEXT) + 2);
    text.push(b'[');
    for (i, &element) in elements.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        let length = text.len();
        // SAFETY: every element has room for its separator and its longest output, which is bytes without NUL.
        unsafe {
            let written = float_to_shortest_decimal_bufn(element, text.as_mut_ptr().add(length).cast());
            text.set_len(length + written as usize);
        }
    }
    text.push(b']');
    // SAFETY: digits and punctuation hold no NUL.
    unsafe { CString::from_vec_unchecked(text) }
}
