//! Many single-precision numbers as bytes, little-endian.

use serde::Serializer;

/// Bytes of a number.
pub(super) const SIZE: usize = size_of::<f32>();

pub(super) fn serialize<S: Serializer>(numbers: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    serializer.serialize_bytes(&bytes)
}

/// Appends the numbers that bytes are. A part of a number in the end is left out.
pub(super) fn extend(numbers: &mut Vec<f32>, bytes: &[u8]) {
    let (whole, _) = bytes.as_chunks::<SIZE>();
    numbers.extend(whole.iter().map(|&number| f32::from_le_bytes(number)));
}
