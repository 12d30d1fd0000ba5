//! Binary form of dense vectors, as in `COPY ... (FORMAT binary)` and binary parameters.
//!
//! Big-endian: `int2` number of dimensions, `int2` unused and zero, then the elements: four bytes each in single precision,
//! two in half precision, in IEEE's interchange format.

use crate::{check_dims, check_element, check_expected_dims, Element, Error};

/// Bytes before the elements.
pub const HEADER: usize = 4;

/// Reads a vector from the start of a message, and returns it with the number of bytes that it took. A vector of other
/// dimensions than `expected` is refused before its elements are looked at.
///
/// # Errors
/// [`Error::Truncated`] if the message has fewer bytes, and all that can be wrong with dimensions and elements.
pub fn parse<E: Element>(message: &[u8], expected: Option<usize>) -> Result<(Vec<E>, usize), Error> {
    let (header, rest) = message.split_first_chunk::<HEADER>().ok_or(Error::Truncated)?;
    let [dims_high, dims_low, unused_high, unused_low] = *header;
    // A negative number of dimensions is none.
    let dims = i16::from_be_bytes([dims_high, dims_low]).max(0) as usize;
    check_dims(dims)?;
    check_expected_dims(expected, dims)?;
    let unused = i16::from_be_bytes([unused_high, unused_low]);
    if unused != 0 {
        return Err(Error::Unused(unused.into()));
    }
    let bytes = rest.get(..dims * E::SIZE).ok_or(Error::Truncated)?;
    let elements: Vec<E> = bytes.chunks_exact(E::SIZE).filter_map(E::read).collect();
    elements.iter().try_for_each(|&element| check_element(element))?;
    Ok((elements, HEADER + bytes.len()))
}

/// The message that [`parse`] reads back.
///
/// # Panics
/// If there are more elements than a vector has.
pub fn write<E: Element>(elements: &[E]) -> Vec<u8> {
    let dims = i16::try_from(elements.len()).expect("a vector has at most MAX_DIMS dimensions");
    let mut message = Vec::with_capacity(HEADER + size_of_val(elements));
    message.extend_from_slice(&dims.to_be_bytes());
    message.extend_from_slice(&0i16.to_be_bytes());
    elements.iter().for_each(|element| element.write(&mut message));
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{f16, MAX_DIMS};

    #[test]
    fn notices_what_is_wrong() {
        let good = write(&[1f32, -2.0]);
        assert_eq!(parse(&good, Some(2)), Ok((vec![1.0, -2.0], 12)));
        assert_eq!(parse::<f32>(&good, Some(3)), Err(Error::OtherDimensions { expected: 3, found: 2 }));
        for length in 0..good.len() {
            assert_eq!(parse::<f32>(&good[..length], None), Err(Error::Truncated), "{length} bytes");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut message = good.clone();
            message[at..at + bytes.len()].copy_from_slice(bytes);
            parse::<f32>(&message, None)
        };
        assert_eq!(with(0, &[0, 0]), Err(Error::NoDimensions));
        assert_eq!(with(0, &[0xff, 0xff]), Err(Error::NoDimensions));
        assert_eq!(with(0, &[0x80, 0x00]), Err(Error::NoDimensions));
        assert_eq!(with(0, &(MAX_DIMS as i16).to_be_bytes()), Err(Error::Truncated));
        assert_eq!(
            with(0, &(MAX_DIMS as i16 + 1).to_be_bytes()),
            Err(Error::TooManyDimensions { most: MAX_DIMS })
        );
        assert_eq!(with(2, &[0xff, 0xff]), Err(Error::Unused(-1)));
        assert_eq!(with(8, &f32::NAN.to_be_bytes()), Err(Error::Nan));
        assert_eq!(with(4, &f32::NEG_INFINITY.to_be_bytes()), Err(Error::Infinite));
    }

    #[test]
    fn halves_take_two_bytes() {
        let message = [0, 2, 0, 0, 0x3c, 0, 0xc0, 0];
        let elements = vec![f16::from_f32(1.0), f16::from_f32(-2.0)];
        assert_eq!(parse(&message, Some(2)), Ok((elements.clone(), 8)));
        assert_eq!(write(&elements), message);
        assert_eq!(parse::<f16>(&message[..7], None), Err(Error::Truncated));
        assert_eq!(parse::<f16>(&[0, 1, 0, 0, 0x7e, 0], None), Err(Error::Nan));
        assert_eq!(parse::<f16>(&[0, 1, 0, 0, 0xfc, 0], None), Err(Error::Infinite));
    }

    proptest! {
        #[test]
        fn round_trips(bits in prop::collection::vec(any::<u32>(), 1..50), rest: [u8; 3]) {
            let elements: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            prop_assume!(elements.iter().all(|x| x.is_finite()));
            let mut message = write(&elements);
            let length = message.len();
            message.extend_from_slice(&rest);
            let (read, used) = parse::<f32>(&message, None).unwrap();
            prop_assert_eq!(used, length);
            prop_assert_eq!(write(&read), &message[..length]);
        }
    }
}
