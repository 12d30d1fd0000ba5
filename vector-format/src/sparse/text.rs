//! Text form of sparse vectors: `{1:1.5,3:2}/5`.
//!
//! Pairs of index and element in any order, the first dimension being 1; then the number of dimensions. Zeros are dropped.
//! An element so small that it would round to zero is an error, because a stored element never is zero.

use crate::reader::{out_of_range, Number, Reader};
use crate::sparse::{check_dims, check_index, Sparse, MAX_ELEMENTS};
use crate::{check_expected_dims, Error};

/// The vector that `text` spells. One of other dimensions than `expected` is refused before its indices are looked at.
///
/// # Errors
/// [`Error::Syntax`] and all that can be wrong with dimensions, indices and elements.
pub fn parse(text: &[u8], expected: Option<usize>) -> Result<Sparse, Error> {
    let mut reader = Reader::new(text);
    let mut pairs = pairs(&mut reader)?;
    let dims = dims(&mut reader)?;
    check_dims(dims)?;
    check_expected_dims(expected, dims)?;
    pairs.sort_by_key(|&(index, _)| index);
    let mut last = None;
    let mut vector = Sparse { dims, ..Sparse::default() };
    for (index, value) in pairs {
        check_index(index, last, dims)?;
        last = Some(index);
        vector.indices.push(index as i32);
        vector.values.push(value);
    }
    Ok(vector)
}

/// Reads what stands in braces: zero-based indices and elements that are not zero.
fn pairs(reader: &mut Reader) -> Result<Vec<(i64, f32)>, Error> {
    reader.skip_whitespace();
    if !reader.take(b'{') {
        return Err(reader.invalid("A sparse vector starts with \"{\"."));
    }
    let mut pairs = Vec::new();
    reader.skip_whitespace();
    if reader.take(b'}') {
        return Ok(pairs);
    }
    for count in 1.. {
        if count > MAX_ELEMENTS {
            return Err(Error::TooManyElements { most: MAX_ELEMENTS });
        }
        let index = reader.integer()?;
        if !reader.take(b':') {
            return Err(reader.invalid(format!("Expected \":\" {}.", reader.place())));
        }
        let Number { value, token } = reader.number::<f32>([b',', b'}'])?;
        if value != 0.0 {
            pairs.push((index.saturating_sub(1), value));
        } else if !spells_zero(token) {
            return Err(out_of_range(token));
        }
        if reader.take(b'}') {
            break;
        }
        if !reader.take(b',') {
            return Err(reader.invalid(format!("Expected \",\" or \"}}\" {}.", reader.place())));
        }
    }
    Ok(pairs)
}

/// Reads what stands behind the braces.
fn dims(reader: &mut Reader) -> Result<usize, Error> {
    reader.skip_whitespace();
    if !reader.take(b'/') {
        return Err(
            reader.invalid(format!("Expected \"/\" and the number of dimensions {}.", reader.place()))
        );
    }
    let dims = reader.integer()?;
    if !reader.is_at_end() {
        let place = reader.place();
        let expected = format!("Nothing may follow the number of dimensions, but something does {place}.");
        return Err(reader.invalid(expected));
    }
    // A negative number of dimensions is none.
    Ok(dims.max(0) as usize)
}

/// Whether `token`, read as zero, says so: whether there are only zeros before the exponent.
fn spells_zero(token: &[u8]) -> bool {
    let hexadecimal = token.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'));
    let exponent = if hexadecimal { b'p' } else { b'e' };
    let mantissa = token.split(|byte| byte.eq_ignore_ascii_case(&exponent)).next().unwrap_or_default();
    mantissa.iter().all(|&byte| matches!(byte, b'0' | b'.' | b'+' | b'-' | b'x' | b'X'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sparse::MAX_DIMS;

    fn sparse(dims: usize, pairs: &[(i32, f32)]) -> Sparse {
        Sparse {
            dims,
            indices: pairs.iter().map(|&(index, _)| index).collect(),
            values: pairs.iter().map(|&(_, value)| value).collect(),
        }
    }

    fn detail(text: &str) -> String {
        match parse(text.as_bytes(), None) {
            Err(error @ Error::Syntax { .. }) => error.detail().expect("a syntax error has one").into(),
            other => panic!("{text:?} gives {other:?}"),
        }
    }

    #[test]
    fn reads_pairs_in_any_order() {
        let text = " { 3 : 1.5 ,+1:2\t, 2:0,04:-0 ,5:1.5e1 } / 5 ";
        assert_eq!(parse(text.as_bytes(), Some(5)), Ok(sparse(5, &[(0, 2.0), (2, 1.5), (4, 15.0)])));
        assert_eq!(parse(b"{}/1000000000", None), Ok(sparse(MAX_DIMS, &[])));
        assert_eq!(parse(b"{1:0,1:2,2:0x0p9}/2", None), Ok(sparse(2, &[(0, 2.0)])));
        assert_eq!(
            parse(b"{1000000000:1e-45,1:3.4028235e38}/1000000000", None),
            Ok(sparse(MAX_DIMS, &[(0, f32::MAX), (999_999_999, 1e-45)]))
        );
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(detail(""), "A sparse vector starts with \"{\".");
        assert_eq!(detail("[1,2]"), "A sparse vector starts with \"{\".");
        assert_eq!(detail("{"), "Expected a whole number at the end of the input.");
        assert_eq!(detail("{1.5:1}/2"), "Expected \":\" at character 3.");
        assert_eq!(detail("{-:1}/2"), "Expected a whole number at character 2.");
        assert_eq!(detail("{1:}/2"), "Expected a number at character 4.");
        assert_eq!(detail("{1:1 2:2}/2"), "Expected \",\" or \"}\" at character 6.");
        assert_eq!(detail("{1:1,}/2"), "Expected a whole number at character 6.");
        assert_eq!(detail("{1:1}"), "Expected \"/\" and the number of dimensions at the end of the input.");
        assert_eq!(detail("{1:1}/"), "Expected a whole number at the end of the input.");
        assert_eq!(
            detail("{1:1}/2 3"),
            "Nothing may follow the number of dimensions, but something does at character 9."
        );
    }

    #[test]
    fn keeps_the_limits() {
        assert_eq!(parse(b"{}/0", None), Err(Error::NoDimensions));
        assert_eq!(parse(b"{}/-9223372036854775809", None), Err(Error::NoDimensions));
        for dims in ["1000000001", "2147483648", "9223372036854775808"] {
            let too_many = Err(Error::TooManyDimensions { most: MAX_DIMS });
            assert_eq!(parse(format!("{{}}/{dims}").as_bytes(), None), too_many, "{dims}");
        }
        assert_eq!(parse(b"{9:1}/5", Some(4)), Err(Error::OtherDimensions { expected: 4, found: 5 }));
        for index in ["0", "-1", "6", "2147483648", "9223372036854775808", "-9223372036854775809"] {
            let text = format!("{{{index}:1}}/5");
            assert_eq!(parse(text.as_bytes(), None), Err(Error::IndexOutOfBounds), "{index}");
        }
        assert_eq!(parse(b"{2:1,1:1,2:1}/5", None), Err(Error::DuplicateIndices));
        assert_eq!(parse(b"{1:nan}/5", None), Err(Error::Nan));
        assert_eq!(parse(b"{1:-inf}/5", None), Err(Error::Infinite));
        for number in ["4e38", "1e-46", "-0.01e-50", "0x1p-300", "0xep-300"] {
            let text = format!("{{1:{number}}}/5");
            assert_eq!(parse(text.as_bytes(), None), Err(Error::OutOfRange(number.into())));
        }
        let zeros = |count: usize| {
            let pairs: Vec<String> = (1..=count).map(|index| format!("{index}:1")).collect();
            format!("{{{}}}/20000", pairs.join(","))
        };
        assert_eq!(parse(zeros(MAX_ELEMENTS).as_bytes(), None).unwrap().values.len(), MAX_ELEMENTS);
        let too_many = Err(Error::TooManyElements { most: MAX_ELEMENTS });
        assert_eq!(parse(zeros(MAX_ELEMENTS + 1).as_bytes(), None), too_many);
    }

    proptest! {
        #[test]
        fn reads_what_is_written(
            pairs in prop::collection::btree_map(0i32..1000, any::<u32>(), 0..20),
            dims in 1000usize..=MAX_DIMS,
        ) {
            let pairs: Vec<(i32, f32)> = pairs
                .into_iter()
                .map(|(index, bits)| (index, f32::from_bits(bits)))
                .filter(|(_, value)| value.is_finite() && *value != 0.0)
                .collect();
            let written: Vec<String> =
                pairs.iter().rev().map(|(index, value)| format!("{}:{value}", index + 1)).collect();
            let text = format!("{{{}}}/{dims}", written.join(","));
            prop_assert_eq!(parse(text.as_bytes(), Some(dims)), Ok(sparse(dims, &pairs)));
        }
    }
}
