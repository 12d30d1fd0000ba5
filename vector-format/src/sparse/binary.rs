//! Binary form of sparse vectors, as in `COPY ... (FORMAT binary)` and binary parameters.
//!
//! Big-endian: `int4` number of dimensions, `int4` number of elements, `int4` unused and zero, then an `int4` index per
//! element, ascending and from 0, then a `float4` per element, none of them zero.

use crate::sparse::{check_dims, check_elements, check_index, Sparse};
use crate::{check_element, check_expected_dims, Error};

/// Reads a sparse vector from the start of a message, and returns it with the number of bytes that it took. One of other
/// dimensions than `expected` is refused before its elements are looked at.
///
/// # Errors
/// [`Error::Truncated`] if the message has fewer bytes, and all that can be wrong with dimensions, indices and elements.
pub fn parse(message: &[u8], expected: Option<usize>) -> Result<(Sparse, usize), Error> {
    let mut rest = message;
    let (dims, count, unused) = (next(&mut rest)?, next(&mut rest)?, next(&mut rest)?);
    // A negative number of dimensions is none.
    let dims = dims.max(0) as usize;
    check_dims(dims)?;
    let count = usize::try_from(count).map_err(|_| Error::NegativeElements)?;
    check_elements(count)?;
    if count > dims {
        return Err(Error::MoreElementsThanDimensions);
    }
    check_expected_dims(expected, dims)?;
    if unused != 0 {
        return Err(Error::Unused(unused));
    }

    let mut vector = Sparse { dims, ..Sparse::default() };
    let mut last = None;
    for _ in 0..count {
        let index = next(&mut rest)?;
        check_index(index.into(), last, dims)?;
        last = Some(index.into());
        vector.indices.push(index);
    }
    for _ in 0..count {
        let value = f32::from_bits(next(&mut rest)? as u32);
        check_element(value)?;
        if value == 0.0 {
            return Err(Error::StoredZero);
        }
        vector.values.push(value);
    }
    Ok((vector, message.len() - rest.len()))
}

/// The message that [`parse`] reads back.
///
/// # Panics
/// If there are more dimensions or elements than a sparse vector has.
pub fn write(dims: usize, indices: &[i32], values: &[f32]) -> Vec<u8> {
    let mut message = Vec::with_capacity(12 + size_of_val(indices) + size_of_val(values));
    let [dims, count] = [dims, indices.len()].map(|number| i32::try_from(number).expect("both have limits"));
    for number in [dims, count, 0].iter().chain(indices) {
        message.extend_from_slice(&number.to_be_bytes());
    }
    for value in values {
        message.extend_from_slice(&value.to_be_bytes());
    }
    message
}

/// Reads an `int4`.
fn next(rest: &mut &[u8]) -> Result<i32, Error> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Error::Truncated)?;
    *rest = after;
    Ok(i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sparse::{MAX_DIMS, MAX_ELEMENTS};

    fn sparse(dims: usize, indices: &[i32], values: &[f32]) -> Sparse {
        Sparse { dims, indices: indices.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn notices_what_is_wrong() {
        let good = write(5, &[0, 2], &[1.5, -2.0]);
        assert_eq!(good.len(), 28);
        assert_eq!(parse(&good, Some(5)), Ok((sparse(5, &[0, 2], &[1.5, -2.0]), 28)));
        assert_eq!(parse(&good, Some(4)), Err(Error::OtherDimensions { expected: 4, found: 5 }));
        for length in 0..good.len() {
            assert_eq!(parse(&good[..length], None), Err(Error::Truncated), "{length} bytes");
        }
        let with = |at: usize, number: u32| {
            let mut message = good.clone();
            message[at..at + 4].copy_from_slice(&number.to_be_bytes());
            parse(&message, None)
        };
        assert_eq!(with(0, 0), Err(Error::NoDimensions));
        assert_eq!(with(0, u32::MAX), Err(Error::NoDimensions));
        assert_eq!(with(0, MAX_DIMS as u32 + 1), Err(Error::TooManyDimensions { most: MAX_DIMS }));
        assert_eq!(with(4, u32::MAX), Err(Error::NegativeElements));
        assert_eq!(with(4, 6), Err(Error::MoreElementsThanDimensions));
        let most = MAX_ELEMENTS;
        assert_eq!(with(4, most as u32 + 1), Err(Error::TooManyElements { most }));
        assert_eq!(with(8, 7), Err(Error::Unused(7)));
        assert_eq!(with(12, 2), Err(Error::DuplicateIndices));
        assert_eq!(with(12, 3), Err(Error::UnsortedIndices));
        assert_eq!(with(16, 5), Err(Error::IndexOutOfBounds));
        assert_eq!(with(12, u32::MAX), Err(Error::IndexOutOfBounds));
        assert_eq!(with(20, 0), Err(Error::StoredZero));
        assert_eq!(with(24, (-0f32).to_bits()), Err(Error::StoredZero));
        assert_eq!(with(20, f32::NAN.to_bits()), Err(Error::Nan));
        assert_eq!(with(24, f32::INFINITY.to_bits()), Err(Error::Infinite));
    }

    proptest! {
        #[test]
        fn round_trips(
            pairs in prop::collection::btree_map(0i32..1000, any::<u32>(), 0..20),
            dims in 1000usize..=MAX_DIMS,
            rest: [u8; 3],
        ) {
            let (indices, values): (Vec<i32>, Vec<f32>) = pairs
                .into_iter()
                .map(|(index, bits)| (index, f32::from_bits(bits)))
                .filter(|(_, value)| value.is_finite() && *value != 0.0)
                .unzip();
            let mut message = write(dims, &indices, &values);
            let length = message.len();
            message.extend_from_slice(&rest);
            prop_assert_eq!(parse(&message, None), Ok((sparse(dims, &indices, &values), length)));
        }
    }
}
