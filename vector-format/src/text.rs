//! Text form: `[1,2.5,-3]`.
//!
//! Elements are read as `real` is: decimal or hexadecimal, with sign and exponent, whitespace around them, correctly
//! rounded; too small becomes zero, too large is an error.

use std::ffi::CString;

use crate::{check_dims, check_element, Error, MAX_DIMS};

/// The elements that `text` spells, 1 to [`MAX_DIMS`] finite numbers.
///
/// # Errors
/// [`Error::Syntax`] and all that can be wrong with dimensions and elements.
pub fn parse(text: &[u8]) -> Result<Vec<f32>, Error> {
    let mut reader = Reader { text, at: 0 };
    let elements = reader.vector()?;
    check_dims(elements.len())?;
    Ok(elements)
}

/// A cursor on the text of a vector.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Reads all of the text.
    fn vector(&mut self) -> Result<Vec<f32>, Error> {
        self.skip_whitespace();
        if !self.take(b'[') {
            return Err(self.invalid("A vector starts with \"[\"."));
        }
        let commas = self.text.iter().filter(|&&byte| byte == b',').count();
        let mut elements = Vec::with_capacity(commas.min(MAX_DIMS) + 1);
        self.skip_whitespace();
        if !self.take(b']') {
            loop {
                if elements.len() == MAX_DIMS {
                    return Err(Error::TooManyDimensions);
                }
                elements.push(self.element()?);
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.invalid(format!("Expected \",\" or \"]\" {}.", self.place())));
                }
            }
        }
        self.skip_whitespace();
        if self.at < self.text.len() {
            let place = self.place();
            return Err(
                self.invalid(format!("Nothing may follow the closing \"]\", but something does {place}."))
            );
        }
        Ok(elements)
    }

    /// Reads a number and the whitespace around it.
    fn element(&mut self) -> Result<f32, Error> {
        self.skip_whitespace();
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|&byte| matches!(byte, b',' | b']') || is_whitespace(byte))
            .unwrap_or(rest.len());
        let token = &rest[..length];
        let Some(value) = number(token) else {
            return Err(self.invalid(format!("Expected a number {}.", self.place())));
        };
        if value.is_infinite() && !names_infinity(token) {
            return Err(Error::OutOfRange(String::from_utf8_lossy(token).into_owned()));
        }
        check_element(value)?;
        self.at += length;
        self.skip_whitespace();
        Ok(value)
    }

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

    /// Where the reader stands, for an error's DETAIL.
    fn place(&self) -> String {
        if self.at == self.text.len() {
            return "at the end of the input".into();
        }
        let character = String::from_utf8_lossy(&self.text[..self.at]).chars().count() + 1;
        format!("at character {character}")
    }

    #[cold]
    fn invalid(&self, expected: impl Into<String>) -> Error {
        Error::Syntax { text: String::from_utf8_lossy(self.text).into_owned(), expected: expected.into() }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detail(text: &str) -> String {
        match parse(text.as_bytes()) {
            Err(error @ Error::Syntax { .. }) => error.detail().expect("a syntax error has one").into(),
            other => panic!("{text:?} gives {other:?}"),
        }
    }

    #[test]
    fn reads_what_real_reads() {
        let text = " [ 1,2.5 , -3e2,\t+.5\n,1.,0x1p-3, -0,1e-60, 3.4028235e38 ] ";
        let expected = [1.0, 2.5, -300.0, 0.5, 1.0, 0.125, -0.0, 0.0, f32::MAX];
        let bits = |elements: &[f32]| elements.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&parse(text.as_bytes()).unwrap()), bits(&expected));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(detail("1,2"), "A vector starts with \"[\".");
        assert_eq!(detail(""), "A vector starts with \"[\".");
        assert_eq!(detail("[1,"), "Expected a number at the end of the input.");
        assert_eq!(detail("[1,,2]"), "Expected a number at character 4.");
        assert_eq!(detail("[é]"), "Expected a number at character 2.");
        assert_eq!(detail("[1 é]"), "Expected \",\" or \"]\" at character 4.");
        assert_eq!(detail("[1"), "Expected \",\" or \"]\" at the end of the input.");
        assert_eq!(
            detail("[1]]"),
            "Nothing may follow the closing \"]\", but something does at character 4."
        );
        assert!(matches!(parse(b"[1\xff]"), Err(Error::Syntax { .. })));
        assert!(matches!(parse(b"[1\0]"), Err(Error::Syntax { .. })));
    }

    #[test]
    fn keeps_the_limits() {
        assert_eq!(parse(b"[]"), Err(Error::NoDimensions));
        let ones = |count: usize| format!("[1{}]", ",1".repeat(count - 1));
        assert_eq!(parse(ones(MAX_DIMS).as_bytes()).unwrap().len(), MAX_DIMS);
        assert_eq!(parse(ones(MAX_DIMS + 1).as_bytes()), Err(Error::TooManyDimensions));
        for nan in ["nan", "-NaN", "nan(1)"] {
            assert_eq!(parse(format!("[{nan}]").as_bytes()), Err(Error::Nan), "{nan}");
        }
        for infinity in ["inf", "-Infinity", "+INF"] {
            assert_eq!(parse(format!("[{infinity}]").as_bytes()), Err(Error::Infinite), "{infinity}");
        }
        for large in ["1e39", "-3.4028236e38", "0x1p128", "1e999999999999"] {
            assert_eq!(parse(format!("[{large}]").as_bytes()), Err(Error::OutOfRange(large.into())));
        }
    }

    proptest! {
        #[test]
        fn reads_every_finite_number(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [format!("[{value}]"), format!("[{value:e}]")] {
                let read = parse(text.as_bytes()).unwrap();
                prop_assert_eq!(read[0].to_bits(), bits, "{}", text);
            }
        }
    }
}
