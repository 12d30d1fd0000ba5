//! Attributes: what rows can be filtered by, beside their distance. A row has a *key* of 64 bits for each attribute column, whose order is
//! that of the column's values as far as 64 bits can tell.
//!
//! The keys of a leaf lie column by column, each as a *code*, the difference from the smallest key of the column in the leaf, in as
//! few bytes as the largest of them takes: 0, 1, 2, 4 or 8. A NULL has the code behind the last. The columns follow each
//! other in one stream over all pages and start at multiples of eight bytes, so no code lies across pages, and a page is an array
//! of codes to be compared as such. The smallest and the largest key of each leaf are in the directory.

use super::PAYLOAD;
use crate::{Error, Result};

/// The key of a NULL. No condition is met by it.
pub const NULL_KEY: u64 = u64::MAX;
/// The largest key of a value.
pub const LAST_KEY: u64 = NULL_KEY - 1;
/// Attribute columns of an index, at most: Postgres allows 32 columns, of which one is the vector.
pub const MAX_COLUMNS: usize = 31;

/// What columns start at multiples of.
const ALIGNMENT: u64 = 8;
const _: () = assert!(PAYLOAD.is_multiple_of(ALIGNMENT as usize));

/// The keys of one column in one leaf: what there is to know without their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest key of a value.
    pub least: u64,
    /// The largest; below the smallest if there is no value.
    pub most: u64,
    /// Whether there are NULLs.
    pub nulls: bool,
}

impl Span {
    /// Of no keys.
    pub const EMPTY: Span = Span { least: 1, most: 0, nulls: false };

    /// Of some keys.
    pub fn of(keys: impl Iterator<Item = u64>) -> Self {
        let mut span = Span { least: LAST_KEY, most: 0, nulls: false };
        let mut values = false;
        for key in keys {
            if key == NULL_KEY {
                span.nulls = true;
            } else {
                values = true;
                span.least = span.least.min(key);
                span.most = span.most.max(key);
            }
        }
        if values {
            span
        } else {
            Span { nulls: span.nulls, ..Span::EMPTY }
        }
    }

    /// Whether there is a value.
    pub fn has_values(&self) -> bool {
        self.least <= self.most
    }

    /// Whether this can be the span of the keys of a leaf.
    pub(crate) fn is_valid(&self) -> bool {
        if self.has_values() {
            self.most <= LAST_KEY
        } else {
            *self == Span { nulls: true, ..Span::EMPTY }
        }
    }

    /// The largest code.
    pub fn last_code(&self) -> u64 {
        match self.has_values() {
            true => self.most - self.least + u64::from(self.nulls),
            false => 0,
        }
    }

    /// Bytes of a code.
    pub fn width(&self) -> usize {
        match self.last_code() {
            0 => 0,
            1..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        }
    }

    /// Bytes that the codes of so many vectors take.
    pub fn bytes(&self, vectors: usize) -> u64 {
        (vectors as u64 * self.width() as u64).next_multiple_of(ALIGNMENT)
    }

    /// The code of one of the keys.
    pub fn code(&self, key: u64) -> u64 {
        match key {
            NULL_KEY if self.has_values() => self.most - self.least + 1,
            NULL_KEY => 0,
            key => key - self.least,
        }
    }

    /// The key of a code.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is the code of none.
    pub fn key(&self, code: u64) -> Result<u64> {
        if code > self.last_code() {
            Err(Error::corrupt("an attribute has a code that its leaf does not have"))
        } else if !self.has_values() || code > self.most - self.least {
            Ok(NULL_KEY)
        } else {
            Ok(self.least + code)
        }
    }
}

/// Writes a code in so many bytes.
pub fn write_code(code: u64, bytes: &mut [u8]) {
    let width = bytes.len();
    bytes.copy_from_slice(&code.to_le_bytes()[..width]);
}

/// Reads a code of so many bytes.
pub fn read_code(bytes: &[u8]) -> u64 {
    let mut code = [0; 8];
    code[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip() {
        let sets: [&[u64]; 9] = [
            &[7],
            &[7, NULL_KEY],
            &[NULL_KEY, NULL_KEY],
            &[0, LAST_KEY],
            &[0, LAST_KEY, NULL_KEY],
            &[1000, 1255],
            &[1000, 1255, NULL_KEY],
            &[5, 5 + 0xffff_ffff],
            &[5, NULL_KEY, 5 + 0xffff_ffff],
        ];
        for (keys, width) in sets.into_iter().zip([0, 1, 0, 8, 8, 1, 2, 4, 8]) {
            let span = Span::of(keys.iter().copied());
            assert!(span.is_valid());
            assert_eq!(span.width(), width, "{keys:?}");
            for &key in keys {
                let mut bytes = vec![0; width];
                write_code(span.code(key), &mut bytes);
                assert_eq!(span.key(read_code(&bytes)), Ok(key));
            }
            assert!(span.last_code() == u64::MAX || span.key(span.last_code() + 1).is_err());
        }
    }

    #[test]
    fn impossible_spans_are_refused() {
        for (least, most, nulls) in [(1, 0, false), (2, 1, true), (2, 0, true), (0, NULL_KEY, false)] {
            assert!(!Span { least, most, nulls }.is_valid());
        }
    }
}
