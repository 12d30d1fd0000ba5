//! Text form of dense vectors: `[1,2.5,-3]`.
//!
//! Elements are read as `real` is: decimal or hexadecimal, with sign and exponent, whitespace around them, correctly
//! rounded; too small becomes zero, too large is an error.

use crate::reader::Reader;
use crate::{check_dims, Element, Error, MAX_DIMS};

/// The elements that `text` spells, 1 to [`MAX_DIMS`] finite numbers. Those of less than single precision are rounded
/// twice, to single precision first.
///
/// # Errors
/// [`Error::Syntax`] and all that can be wrong with dimensions and elements.
pub fn parse<E: Element>(text: &[u8]) -> Result<Vec<E>, Error> {
    let mut reader = Reader::new(text);
    let elements = dense(&mut reader)?;
    check_dims(elements.len())?;
    Ok(elements)
}

/// Reads all of the text.
fn dense<E: Element>(reader: &mut Reader) -> Result<Vec<E>, Error> {
    reader.skip_whitespace();
    if !reader.take(b'[') {
        return Err(reader.invalid("A vector starts with \"[\"."));
    }
    let commas = reader.text().iter().filter(|&&byte| byte == b',').count();
    let mut elements = Vec::with_capacity(commas.min(MAX_DIMS) + 1);
    reader.skip_whitespace();
    if !reader.take(b']') {
        loop {
            if elements.len() == MAX_DIMS {
                return Err(Error::TooManyDimensions { most: MAX_DIMS });
            }
            elements.push(reader.number([b',', b']'])?.value);
            if reader.take(b']') {
                break;
            }
            if !reader.take(b',') {
                return Err(reader.invalid(format!("Expected \",\" or \"]\" {}.", reader.place())));
            }
        }
    }
    reader.skip_whitespace();
    if !reader.is_at_end() {
        let place = reader.place();
        return Err(
            reader.invalid(format!("Nothing may follow the closing \"]\", but something does {place}."))
        );
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::f16;

    fn detail(text: &str) -> String {
        match parse::<f32>(text.as_bytes()) {
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
        assert!(matches!(parse::<f32>(b"[1\xff]"), Err(Error::Syntax { .. })));
        assert!(matches!(parse::<f32>(b"[1\0]"), Err(Error::Syntax { .. })));
    }

    #[test]
    fn keeps_the_limits() {
        assert_eq!(parse::<f32>(b"[]"), Err(Error::NoDimensions));
        let ones = |count: usize| format!("[1{}]", ",1".repeat(count - 1));
        assert_eq!(parse::<f32>(ones(MAX_DIMS).as_bytes()).unwrap().len(), MAX_DIMS);
        let too_many = Err(Error::TooManyDimensions { most: MAX_DIMS });
        assert_eq!(parse::<f32>(ones(MAX_DIMS + 1).as_bytes()), too_many);
        for nan in ["nan", "-NaN", "nan(1)"] {
            assert_eq!(parse::<f32>(format!("[{nan}]").as_bytes()), Err(Error::Nan), "{nan}");
        }
        for infinity in ["inf", "-Infinity", "+INF"] {
            assert_eq!(parse::<f32>(format!("[{infinity}]").as_bytes()), Err(Error::Infinite), "{infinity}");
        }
        for large in ["1e39", "-3.4028236e38", "0x1p128", "1e999999999999"] {
            assert_eq!(parse::<f32>(format!("[{large}]").as_bytes()), Err(Error::OutOfRange(large.into())));
        }
    }

    #[test]
    fn rounds_to_half_precision() {
        let text = "[65504,65519.99,-65519.99,6e-8,2.98e-8,3e-8,0.1,2049,2051]";
        let expected =
            [65504.0, 65504.0, -65504.0, 5.9604645e-8, 0.0, 5.9604645e-8, 0.099975586, 2048.0, 2052.0];
        let read: Vec<f32> = parse::<f16>(text.as_bytes()).unwrap().into_iter().map(f32::from).collect();
        assert_eq!(read, expected);
        for large in ["65520", "-1e5", "1e39", "0x1p16"] {
            assert_eq!(parse::<f16>(format!("[{large}]").as_bytes()), Err(Error::OutOfRange(large.into())));
        }
        assert_eq!(parse::<f16>(b"[inf]"), Err(Error::Infinite));
    }

    proptest! {
        #[test]
        fn reads_every_finite_half(bits: u16) {
            let value = f16::from_bits(bits);
            prop_assume!(value.is_finite());
            let read = parse::<f16>(format!("[{value}]").as_bytes()).unwrap();
            prop_assert_eq!(read[0].to_bits(), bits, "{}", value);
        }

        #[test]
        fn reads_every_finite_number(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [format!("[{value}]"), format!("[{value:e}]")] {
                let read = parse::<f32>(text.as_bytes()).unwrap();
                prop_assert_eq!(read[0].to_bits(), bits, "{}", text);
            }
        }
    }
}
