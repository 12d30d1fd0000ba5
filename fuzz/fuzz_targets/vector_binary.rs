//! Binary input of a vector: what is accepted is finite, has the dimensions that were asked for, and is written out again
//! as the bytes that it was read from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vector_format::{binary, MAX_DIMS};

fuzz_target!(|input: (Option<u16>, &[u8])| {
    let (expected, message) = input;
    let expected = expected.map(usize::from);
    match binary::parse(message, expected) {
        Ok((elements, used)) => {
            assert!((1..=MAX_DIMS).contains(&elements.len()));
            assert!(expected.is_none_or(|expected| expected == elements.len()));
            assert!(elements.iter().all(|element| element.is_finite()));
            assert_eq!(binary::write(&elements), &message[..used]);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
