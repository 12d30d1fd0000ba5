//! Text input of a vector, compared with a reader that splits at commas and leaves the numbers to Rust. Only hexadecimal
//! numbers may be read without its consent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vector_format::{f16, text, Error, MAX_DIMS};

/// What C's `isspace` takes for whitespace.
const WHITESPACE: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

fn reference(text: &str) -> Option<Vec<f32>> {
    let inner = text.trim_matches(WHITESPACE).strip_prefix('[')?.strip_suffix(']')?;
    let number = |token: &str| token.trim_matches(WHITESPACE).parse().ok().filter(|x: &f32| x.is_finite());
    inner.split(',').map(number).collect::<Option<Vec<f32>>>().filter(|elements| elements.len() <= MAX_DIMS)
}

fn bits(elements: &[f32]) -> Vec<u32> {
    elements.iter().map(|element| element.to_bits()).collect()
}

fuzz_target!(|input: &[u8]| {
    let expected = std::str::from_utf8(input).ok().and_then(reference);
    let parsed = text::parse::<f32>(input);
    match (&parsed, expected) {
        (Ok(elements), Some(expected)) => assert_eq!(bits(elements), bits(&expected)),
        (Ok(_), None) => assert!(input.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'))),
        (Err(error), Some(_)) => panic!("refused: {error:?}"),
        (Err(error), None) => assert!(!error.message("vector").is_empty()),
    }
    // The same text in half precision is the same numbers, rounded; or it is refused for the same reason, or out of range.
    match (&parsed, text::parse::<f16>(input)) {
        (Ok(elements), Ok(halves)) => {
            let rounded: Vec<u16> =
                elements.iter().map(|&element| f16::from_f32(element).to_bits()).collect();
            assert_eq!(halves.iter().map(|half| half.to_bits()).collect::<Vec<_>>(), rounded);
        }
        (Err(single), Err(half)) if *single == half => (),
        (_, Err(Error::OutOfRange(_))) => (),
        (single, half) => panic!("{single:?} in single precision, {half:?} in half"),
    }
    if let Ok(elements) = parsed {
        assert!((1..=MAX_DIMS).contains(&elements.len()));
        assert!(elements.iter().all(|element| element.is_finite()));
        let written: Vec<String> = elements.iter().map(f32::to_string).collect();
        let again =
            text::parse(format!("[{}]", written.join(",")).as_bytes()).expect("it was written from one");
        assert_eq!(bits(&elements), bits(&again));
    }
});
