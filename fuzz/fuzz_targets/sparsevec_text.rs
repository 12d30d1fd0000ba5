//! Text input of a sparse vector: what is accepted keeps every limit, and reads the same when it is written in another order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vector_format::sparse::{text, MAX_DIMS, MAX_ELEMENTS};

fuzz_target!(|input: (Option<u32>, &[u8])| {
    let (expected, input) = input;
    let expected = expected.map(|dims| dims as usize);
    match text::parse(input, expected) {
        Ok(vector) => {
            let pairs = vector.indices.iter().zip(&vector.values);
            assert!((1..=MAX_DIMS).contains(&vector.dims));
            assert!(expected.is_none_or(|expected| expected == vector.dims));
            assert!(vector.indices.len() == vector.values.len() && vector.values.len() <= MAX_ELEMENTS);
            assert!(vector.indices.is_sorted_by(|a, b| a < b));
            assert!(vector.indices.iter().all(|&index| (0..vector.dims as i32).contains(&index)));
            assert!(vector.values.iter().all(|value| value.is_finite() && *value != 0.0));
            let written: Vec<String> =
                pairs.rev().map(|(index, value)| format!("{}:{value}", i64::from(*index) + 1)).collect();
            let written = format!("{{{}}}/{}", written.join(","), vector.dims);
            assert_eq!(text::parse(written.as_bytes(), None), Ok(vector));
        }
        Err(error) => assert!(!error.message("sparsevec").is_empty()),
    }
});
