//! Binary input of a dense vector, of either precision: what is accepted is finite, has the dimensions that were asked for, and
//! is written out again as the bytes that it was read from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vector_format::{binary, f16, Element, MAX_DIMS};

fn check<E: Element>(message: &[u8], expected: Option<usize>) {
    match binary::parse::<E>(message, expected) {
        Ok((elements, used)) => {
            assert!((1..=MAX_DIMS).contains(&elements.len()));
            assert!(expected.is_none_or(|expected| expected == elements.len()));
            assert!(elements.iter().all(|element| element.to_f32().is_finite()));
            assert_eq!(binary::write(&elements), &message[..used]);
        }
        Err(error) => assert!(!error.message("vector").is_empty()),
    }
}

fuzz_target!(|input: (Option<u16>, &[u8])| {
    let (expected, message) = input;
    check::<f32>(message, expected.map(usize::from));
    check::<f16>(message, expected.map(usize::from));
});
