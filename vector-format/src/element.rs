//! The numbers that dense vectors are made of.
//!
//! Halves are converted by the instructions that the CPU has for it, chosen at run time; the crate `half` sees to that.
//! Conversions of slices ask once for many.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// A floating-point number of single precision or less.
pub trait Element: Copy + PartialOrd {
    /// Bytes of the binary form.
    const SIZE: usize;

    /// The nearest element, ties to even; infinite if that is beyond all of them.
    fn from_f32(value: f32) -> Self;

    /// The same number in single precision.
    fn to_f32(self) -> f32;

    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// Makes each of `to` the element nearest to one of as many numbers.
    fn narrow(from: &[f32], to: &mut [Self]);

    /// Makes each of `to` the same number as one of as many elements.
    fn widen(from: &[Self], to: &mut [f32]);

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

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline(always)]
    fn narrow(from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
    }

    #[inline(always)]
    fn widen(from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
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

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline]
    fn narrow(from: &[f32], to: &mut [f16]) {
        to.convert_from_f32_slice(from);
    }

    #[inline]
    fn widen(from: &[f16], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
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
