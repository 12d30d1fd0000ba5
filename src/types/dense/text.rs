//! Text form: `[1,2.5,-3]`, read by [`vector_format::text`].
//!
//! Elements are written as `real` is: the shortest digits that read back as the same number of single precision.

use std::ffi::{c_char, c_int, CStr, CString};

use super::{check_expected_dims, Dense, DenseArg, Element};
use crate::types::message::OrRaise;

/// Most bytes of a `real` in text form: sign, nine digits, point, exponent of four, and one to spare.
const MAX_ELEMENT_TEXT: usize = 16;

extern "C" {
    /// Postgres' own shortest round-trip output, which `real` uses too. Writes at most [`MAX_ELEMENT_TEXT`] bytes without
    /// a terminator, returns how many, and raises no error.
    fn float_to_shortest_decimal_bufn(value: f32, to: *mut c_char) -> c_int;
}

/// Input.
pub fn read<E: Element>(text: &CStr, typmod: i32) -> Dense<E> {
    let elements = vector_format::text::parse(text.to_bytes()).or_raise(E::TYPE_NAME);
    check_expected_dims::<E>(typmod, elements.len());
    Dense::from_slice(&elements)
}

/// Output.
pub fn write<E: Element>(vector: DenseArg<E>) -> CString {
    let vector = vector.get();
    let elements = vector.as_slice();
    let mut text = Vec::with_capacity(elements.len() * (1 + MAX_ELEMENT_TEXT) + 2);
    text.push(b'[');
    for (i, &element) in elements.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        append(element.to_f32(), &mut text);
    }
    text.push(b']');
    // SAFETY: digits and punctuation hold no NUL.
    unsafe { CString::from_vec_unchecked(text) }
}

/// Appends a number as `real` writes it.
pub fn append(number: f32, text: &mut Vec<u8>) {
    text.reserve(MAX_ELEMENT_TEXT);
    let length = text.len();
    // SAFETY: there is room for the longest output, which is bytes without NUL.
    unsafe {
        let written = float_to_shortest_decimal_bufn(number, text.as_mut_ptr().add(length).cast());
        text.set_len(length + written as usize);
    }
}

/// A number as `real` writes it.
pub fn shortest(number: f32) -> String {
    let mut text = Vec::new();
    append(number, &mut text);
    text.into_iter().map(char::from).collect()
}
