//! Sixteen `f32` lanes, as the machine has them.
//!
//! Every implementation does the same IEEE operations lane by lane and none of them fuses a multiplication with an
//! addition, so that all of them return the same bits. [`Portable`] says what those bits are.
//!
//! The methods of the SIMD implementations are safe to call only where their instructions exist. They are inlined into
//! the kernels, and a kernel is reached only through [`super::Kernels`], which has asked the CPU.

use vector_format::f16;

/// Lanes of a block.
pub const LANES: usize = 16;

/// A block of [`LANES`] numbers in registers.
pub trait Lanes: Copy {
    /// All lanes zero.
    fn zero() -> Self;
    /// Reads a block.
    fn load(from: &[f32; LANES]) -> Self;
    /// Reads a block of halves, all of them finite.
    #[inline(always)]
    fn load_halves(from: &[f16; LANES]) -> Self {
        Self::load(&from.map(widen))
    }
    /// Writes the block out.
    fn store(self) -> [f32; LANES];
    /// `self + other`
    fn add(self, other: Self) -> Self;
    /// `self - other`
    fn sub(self, other: Self) -> Self;
    /// `self * other`
    fn mul(self, other: Self) -> Self;
    /// `|self|`
    fn abs(self) -> Self;
}

/// A finite half in single precision, which is exact, in operations that every instruction set has on whole registers.
#[inline(always)]
pub fn widen(half: f16) -> f32 {
    /// What the exponents of the two precisions differ by: 127 - 15.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(half.to_bits());
    // Exponent and fraction in the places of single precision. As the multiplication rebiases the exponent, it makes normal
    // numbers of what half precision has as subnormal ones.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// Plain Rust; what the compiler makes of it is up to the target.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn zero() -> Self {
        Portable([0.0; LANES])
    }
    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        Portable(*from)
    }
    #[inline(always)]
    fn store(self) -> [f32; LANES] {
        self.0
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |x, y| x * y)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Portable(self.0.map(f32::abs))
    }
}

/// Implements [`Lanes`] for `$name`, `$count` registers of `$width` lanes each, from the intrinsics of one instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanes_of {
    ($(#[$doc:meta])* $name:ident, $register:ty, $count:literal x $width:literal,
     $zero:expr, $load:path, $store:path, $add:path, $sub:path, $mul:path, $abs:expr $(, $widen:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name([$register; $count]);

        impl $name {
            #[inline(always)]
            fn zip(self, other: Self, f: impl Fn($register, $register) -> $register) -> Self {
                $name(std::array::from_fn(|i| f(self.0[i], other.0[i])))
            }
        }

        // The blocks below are safe where the instruction set exists: see the module's head. Loads and stores stay
        // within the array of LANES elements and need no alignment.
        impl Lanes for $name {
            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: register arithmetic only.
                $name([unsafe { $zero }; $count])
            }
            #[inline(always)]
            fn load(from: &[f32; LANES]) -> Self {
                // SAFETY: `$count * $width` is LANES.
                $name(std::array::from_fn(|i| unsafe { $load(from.as_ptr().add(i * $width)) }))
            }
            $(
                #[inline(always)]
                fn load_halves(from: &[f16; LANES]) -> Self {
                    // SAFETY: as above.
                    $name(std::array::from_fn(|i| unsafe { $widen(from.as_ptr().add(i * $width)) }))
                }
            )?
            #[inline(always)]
            fn store(self) -> [f32; LANES] {
                let mut to = [0.0; LANES];
                for (i, register) in self.0.into_iter().enumerate() {
                    // SAFETY: `$count * $width` is LANES.
                    unsafe { $store(to.as_mut_ptr().add(i * $width), register) }
                }
                to
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: register arithmetic only.
                self.zip(other, |x, y| unsafe { $add(x, y) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: register arithmetic only.
                self.zip(other, |x, y| unsafe { $sub(x, y) })
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: register arithmetic only.
                self.zip(other, |x, y| unsafe { $mul(x, y) })
            }
            #[inline(always)]
            fn abs(self) -> Self {
                // SAFETY: register arithmetic only.
                $name(self.0.map(|x| unsafe { $abs(x) }))
            }
        }

        const _: () = assert!($count * $width == LANES && size_of::<$register>() == 4 * $width);
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{f16, Lanes, LANES};
    use std::arch::x86_64::*;

    lanes_of!(
        /// One 512-bit register. Needs AVX-512F.
        Avx512, __m512, 1 x 16,
        _mm512_setzero_ps(), _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps,
        _mm512_abs_ps,
        |halves: *const f16| _mm512_cvtph_ps(_mm256_loadu_si256(halves.cast()))
    );

    lanes_of!(
        /// Two 256-bit registers. Needs AVX2 and F16C.
        Avx2, __m256, 2 x 8,
        _mm256_setzero_ps(), _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps,
        |x| _mm256_andnot_ps(_mm256_set1_ps(-0.0), x),
        |halves: *const f16| _mm256_cvtph_ps(_mm_loadu_si128(halves.cast()))
    );

    lanes_of!(
        /// Four 128-bit registers. Every 64-bit x86 has SSE2.
        Sse2, __m128, 4 x 4,
        _mm_setzero_ps(), _mm_loadu_ps, _mm_storeu_ps, _mm_add_ps, _mm_sub_ps, _mm_mul_ps,
        |x| _mm_andnot_ps(_mm_set1_ps(-0.0), x)
    );
}
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Sse2};

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Lanes, LANES};
    use std::arch::aarch64::*;

    lanes_of!(
        /// Four 128-bit registers. Every 64-bit ARM has NEON.
        Neon, float32x4_t, 4 x 4,
        vdupq_n_f32(0.0), vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmulq_f32, vabsq_f32
    );
}
#[cfg(target_arch = "aarch64")]
pub use arm::Neon;
