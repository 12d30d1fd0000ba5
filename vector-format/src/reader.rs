//! A cursor on the text of a vector, and how numbers are read.
//!
//! Elements are read as `real` is: decimal or hexadecimal, with sign and exponent, correctly rounded; too large is an error.

use std::ffi::CString;

use crate::{check_element, Element, Error};

/// How far a text has been read.
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// An element as it was read.
pub struct Number<'a, E> {
    /// Its value, which is finite.
    pub value: E,
    /// What the text says.
    pub token: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a [u8]) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// The whole text.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Reads a number, which ends where one of `ends` or whitespace is, and the whitespace around it.
    pub fn number<E: Element>(&mut self, ends: [u8; 2]) -> Result<Number<'a, E>, Error> {
        self.skip_whitespace();
        let rest = &self.text[self.at..];
        let length =
            rest.iter().position(|&byte| ends.contains(&byte) || is_whitespace(byte)).unwrap_or(rest.len());
        let token = &rest[..length];
        let Some(number) = number(token) else {
            return Err(self.invalid(format!("Expected a number {}.", self.place())));
        };
        let value = E::from_f32(number);
        if value.to_f32().is_infinite() && !names_infinity(token) {
            return Err(out_of_range(token));
        }
        check_element(value)?;
        self.at += length;
        self.skip_whitespace();
        Ok(Number { value, token })
    }

    /// Reads a whole number in decimal digits, with or without a sign, and the whitespace around it. What is beyond the
    /// range of an `i64` becomes its end.
    pub fn integer(&mut self) -> Result<i64, Error> {
        self.skip_whitespace();
        let start = self.at;
        let negative = self.take(b'-');
        if !negative {
            self.take(b'+');
        }
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            self.at = start;
            return Err(self.invalid(format!("Expected a whole number {}.", self.place())));
        }
        let magnitude = self.text[self.at..self.at + digits]
            .iter()
            .fold(0i64, |number, &digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        self.at += digits;
        self.skip_whitespace();
        Ok(if negative { -magnitude } else { magnitude })
    }

    pub fn skip_whitespace(&mut self) {
        while self.text.get(self.at).is_some_and(|&byte| is_whitespace(byte)) {
            self.at += 1;
        }
    }

    /// Goes past `byte` if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// Whether all of the text has been read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Where the reader stands, for an error's DETAIL.
    pub fn place(&self) -> String {
        if self.is_at_end() {
            return "at the end of the input".into();
        }
        let character = String::from_utf8_lossy(&self.text[..self.at]).chars().count() + 1;
        format!("at character {character}")
    }

    #[cold]
    pub fn invalid(&self, expected: impl Into<String>) -> Error {
        Error::Syntax { text: String::from_utf8_lossy(self.text).into_owned(), expected: expected.into() }
    }
}

/// The error for a number that its type cannot hold.
#[cold]
pub fn out_of_range(token: &[u8]) -> Error {
    Error::OutOfRange(String::from_utf8_lossy(token).into_owned())
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
