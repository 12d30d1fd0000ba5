//! Counts over two bit strings, in whole words.
//!
//! The loops are plain Rust; compiled for an instruction set they count in its registers: with `vpopcntq` where AVX-512 has
//! it, by tables of nibbles in AVX2.

use super::dispatch::{Available, Dispatch};

/// What the Jaccard distance of two bit strings is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Bits that are set in both.
    pub both: u64,
    /// Bits that are set in either.
    pub either: u64,
}

/// The kernels of one instruction set.
struct Kernels {
    differing: unsafe fn(&[u8], &[u8]) -> u64,
    overlap: unsafe fn(&[u8], &[u8]) -> Overlap,
}

/// The number of bits in which `a` and `b`, which are equally long, differ.
#[inline]
pub fn differing(a: &[u8], b: &[u8]) -> u64 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (KERNELS.get().differing)(a, b) }
}

/// What `a` and `b`, which are equally long, have in common.
#[inline]
pub fn overlap(a: &[u8], b: &[u8]) -> Overlap {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (KERNELS.get().overlap)(a, b) }
}

/// Names of the instruction sets that there are kernels for and this CPU can run, the best last.
pub fn instruction_sets() -> Vec<&'static str> {
    KERNELS.names()
}

/// Makes the backend use the kernels of this instruction set from now on, if [`instruction_sets`] names it.
#[must_use]
pub fn use_instruction_set(name: &str) -> bool {
    KERNELS.choose(name)
}

static KERNELS: Dispatch<Kernels> = Dispatch::new(available);

fn available() -> Vec<Available<Kernels>> {
    #[allow(unused_mut)]
    let mut available = vec![("portable", &PORTABLE)];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            available.push(("avx2", &AVX2));
        }
        if is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512vl") {
            available.push(("avx512", &AVX512));
        }
    }
    available
}

/// Compiles the loops under target features.
macro_rules! kernels_of {
    ($table:ident $(, $features:literal)?) => {
        static $table: Kernels = {
            $(#[target_feature(enable = $features)])?
            unsafe fn differing(a: &[u8], b: &[u8]) -> u64 {
                differing_in(a, b)
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn overlap(a: &[u8], b: &[u8]) -> Overlap {
                overlap_in(a, b)
            }

            Kernels { differing, overlap }
        };
    };
}

#[cfg(target_arch = "x86_64")]
kernels_of!(AVX512, "avx512vpopcntdq,avx512vl,popcnt");
#[cfg(target_arch = "x86_64")]
kernels_of!(AVX2, "avx2,popcnt");
kernels_of!(PORTABLE);

#[inline(always)]
fn differing_in(a: &[u8], b: &[u8]) -> u64 {
    words(a).zip(words(b)).map(|(x, y)| ones(x ^ y)).sum::<u64>() + ones(rest(a) ^ rest(b))
}

#[inline(always)]
fn overlap_in(a: &[u8], b: &[u8]) -> Overlap {
    let (mut both, mut either) = (ones(rest(a) & rest(b)), ones(rest(a) | rest(b)));
    for (x, y) in words(a).zip(words(b)) {
        both += ones(x & y);
        either += ones(x | y);
    }
    Overlap { both, either }
}

/// The whole words of a bit string, in any byte order: counts do not depend on it.
#[inline(always)]
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks().0.iter().map(|&bytes| u64::from_ne_bytes(bytes))
}

/// The bytes after the last whole word, and zeros.
#[inline(always)]
fn rest(bytes: &[u8]) -> u64 {
    let rest = bytes.as_chunks::<8>().1;
    rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[inline(always)]
fn ones(word: u64) -> u64 {
    u64::from(word.count_ones())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_counts_bit_by_bit() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        for length in (0..=140).chain([1000, 8191]) {
            let (a, b): (Vec<u8>, Vec<u8>) = (0..length).map(|_| (byte(), byte())).unzip();
            let count = |test: fn(bool, bool) -> bool| {
                let bits = |bytes: &[u8], i: usize| bytes[i / 8] >> (i % 8) & 1 == 1;
                (0..8 * length).filter(|&i| test(bits(&a, i), bits(&b, i))).count() as u64
            };
            let overlap = Overlap { both: count(|x, y| x && y), either: count(|x, y| x || y) };
            for (name, kernels) in available() {
                // SAFETY: `available` asked the CPU.
                unsafe {
                    assert_eq!((kernels.differing)(&a, &b), count(|x, y| x != y), "{name}, {length} bytes");
                    assert_eq!((kernels.overlap)(&a, &b), overlap, "{name}, {length} bytes");
                }
            }
        }
    }
}
