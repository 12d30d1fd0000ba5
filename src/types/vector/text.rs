//! Text form: `[1,2.5,-3]`.
//!
//! Elements are read as `real` is: decimal or hexadecimal, with sign and exponent, whitespace around them, correctly
//! rounded; too small becomes zero, too large is an error. They are written as `real` is: the shortest digits that read
//! back as the same number.

use std::ffi::{c_char, c_int, CStr, CString};

use pgrx::{pg_extern, pg_sys, PgSqlErrorCode};

use super::{check_dims, check_element, check_expected_dims, Vector, VectorArg, MAX_DIMS};
use crate::types::error::{raise, raise_with_detail};

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
    let elements = parse(text.to_bytes());
    check_dims(elements.len());
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

/// A cursor on the text of a vector.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// The elements in `text`. Raises an error if it is not the text of a vector.
fn parse(text: &[u8]) -> Vec<f32> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_whitespace();
    if !reader.take(b'[') {
        reader.invalid("A vector starts with \"[\".");
    }
    let mut elements =
        Vec::with_capacity(text.iter().filter(|&&byte| byte == b',').count().min(MAX_DIMS) + 1);
    reader.skip_whitespace();
    if !reader.take(b']') {
        loop {
            if elements.len() == MAX_DIMS {
                check_dims(MAX_DIMS + 1);
            }
            elements.push(reader.element());
            if reader.take(b']') {
                break;
            }
            if !reader.take(b',') {
                reader.invalid(format!("Expected \",\" or \"]\" {}.", reader.place()));
            }
        }
    }
    reader.skip_whitespace();
    if reader.at < text.len() {
        reader
            .invalid(format!("Nothing may follow the closing \"]\", but something does {}.", reader.place()));
    }
    elements
}

impl Reader<'_> {
    fn skip_whitespace(&mut self) {
        while self.text.get(self.at).is_some_and(|&byte| is_whitespace(byte)) {
            self.at += 1;
        }
    }

    /// Goes past `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// Reads a number and the whitespace around it.
    fn element(&mut self) -> f32 {
        self.skip_whitespace();
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|&byte| matches!(byte, b',' | b']') || is_whitespace(byte))
            .unwrap_or(rest.len());
        let token = &rest[..length];
        let Some(value) = number(token) else {
            self.invalid(format!("Expected a number {}.", self.place()));
        };
        if value.is_infinite() && !names_infinity(token) {
            raise(
                PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{}\" is out of range for type vector", String::from_utf8_lossy(token)),
            );
        }
        check_element(value);
        self.at += length;
        self.skip_whitespace();
        value
    }

    /// Where the reader stands, for an error's DETAIL.
    fn place(&self) -> String {
        if self.at == self.text.len() {
            return "at the end of the input".into();
        }
        let character = String::from_utf8_lossy(&self.text[..self.at]).chars().count() + 1;
        format!("at character {character}")
    }

    #[cold]
    fn invalid(&self, detail: impl Into<String>) -> ! {
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type vector: \"{}\"", String::from_utf8_lossy(self.text)),
            detail,
        )
    }
}

/// What C's `isspace` says in the C locale.
fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The number that `token` spells, correctly rounded, if it spells one.
fn number(token: &[u8]) -> Option<f32> {
    std::str::from_utf8(token).ok()?.parse().ok().or_else(|| number_in_c(token))
}

/// What only C's `strtof` reads as a number: hexadecimal, and NaN with a payload.
#[cold]
fn number_in_c(token: &[u8]) -> Option<f32> {
    let token = CString::new(token).ok().filter(|token| !token.is_empty())?;
    let mut end = std::ptr::null_mut();
    // SAFETY: the token is terminated, and `end` comes back pointing into it or at its terminator.
    let (value, rest) = unsafe { (libc::strtof(token.as_ptr(), &mut end), *end) };
    (rest == 0).then_some(value)
}

/// Whether `token`, read as an infinite number, spells infinity rather than digits.
fn names_infinity(token: &[u8]) -> bool {
    token.iter().any(|byte| byte.eq_ignore_ascii_case(&b'n'))
}
