//! The numbers that dense vectors are made of.

use half::f16;

/// A floating-point number of single precision or less.
pub trait Element: Copy + PartialOrd {
    /// Bytes of the binary form.
    const SIZE: usize;

    /// The nearest element, ties to even; infinite if that is beyond all of them.
    fn from_f32(value: f32) -> Self;

    /// The same number in single precision.
    fn to_f32(self) -> f32;

    /// The element whose binary form, big-endian, starts `bytes`; `None` if there are too few.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Appends the binary form.
    fn write(self, to: &mut Vec<u8>);
}

impl Element for f32 {
    const SIZE: usize = 4;

    #[inline(always)]
    fn from_f32(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline]
    fn read(bytes: &[u8]) -> Option<f32> {
        bytes.first_chunk().map(|&bytes| f32::from_be_bytes(bytes))
    }

    #[inline]
    fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
}

impl Element for f16 {
    const SIZE: usize = 2;

    #[inline]
    fn from_f32(value: f32) -> f16 {
        f16::from_f32(value)
    }

    #[inline]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    #[inline]
    fn read(bytes: &[u8]) -> Option<f16> {
        bytes.first_chunk().map(|&bytes| f16::from_be_bytes(bytes))
    }

    #[inline]
    fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
}
