//! Binary input of a sparse vector: what is accepted keeps every limit, and is written out again as the bytes that it was read
//! from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vector_format::sparse::{binary, Sparse, MAX_DIMS, MAX_ELEMENTS};

fuzz_target!(|input: (Option<u32>, &[u8])| {
    let (expected, message) = input;
    let expected = expected.map(|dims| dims as usize);
    match binary::parse(message, expected) {
        Ok((Sparse { dims, indices, values }, used)) => {
            assert!((1..=MAX_DIMS).contains(&dims));
            assert!(expected.is_none_or(|expected| expected == dims));
            assert!(indices.len() == values.len() && values.len() <= MAX_ELEMENTS);
            assert!(indices.is_sorted_by(|a, b| a < b));
            assert!(indices.iter().all(|&index| (0..dims as i32).contains(&index)));
            assert!(values.iter().all(|value| value.is_finite() && *value != 0.0));
            assert_eq!(binary::write(dims, &indices, &values), &message[..used]);
        }
        Err(error) => assert!(!error.message("sparsevec").is_empty()),
    }
});
