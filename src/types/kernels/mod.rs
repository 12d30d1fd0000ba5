//! The inner loops of the distances: sums over the elements of two dense vectors, in `f32`, and counts of bits.
//!
//! Each loop is written once and compiled for every instruction set: the sums over blocks of sixteen [`Lanes`], the counts
//! over words. A backend uses the best set that the CPU has, unless [`use_instruction_set`] chose another. All of them return
//! the same bits, on every machine: the blocks are added lane by lane, then the lanes in halves, then the sum of the elements
//! after the last whole block. Halves are widened to `f32` first, which is exact.

pub mod bits;
mod dispatch;
mod lanes;

use dispatch::{Available, Dispatch};
use lanes::{widen, Lanes, Portable, LANES};
use vector_format::f16;

/// What the cosine of two vectors is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineSums {
    /// The inner product of the two.
    pub dot: f32,
    /// The squared norm of the first.
    pub norm_a: f32,
    /// The squared norm of the second.
    pub norm_b: f32,
}

impl CosineSums {
    /// The cosine distance; NaN if either is a zero vector.
    #[inline]
    pub fn distance(self) -> f64 {
        let norms = (f64::from(self.norm_a) * f64::from(self.norm_b)).sqrt();
        // The clamp keeps a NaN.
        1.0 - (f64::from(self.dot) / norms).clamp(-1.0, 1.0)
    }
}

/// The kernels of one instruction set.
pub struct Kernels {
    singles: Sums<f32>,
    halves: Sums<f16>,
}

/// The sums over elements of one type.
pub struct Sums<E: 'static> {
    squared_l2: unsafe fn(&[E], &[E]) -> f32,
    dot: unsafe fn(&[E], &[E]) -> f32,
    l1: unsafe fn(&[E], &[E]) -> f32,
    cosine: unsafe fn(&[E], &[E]) -> CosineSums,
}

/// An element that there are kernels for.
pub trait Summed: Copy + 'static {
    /// The sums over these.
    fn sums(kernels: &Kernels) -> &Sums<Self>;
    /// A block of these.
    fn load<L: Lanes>(block: &[Self; LANES]) -> L;
    /// One of these.
    fn single(self) -> f32;
}

impl Summed for f32 {
    #[inline(always)]
    fn sums(kernels: &Kernels) -> &Sums<f32> {
        &kernels.singles
    }
    #[inline(always)]
    fn load<L: Lanes>(block: &[f32; LANES]) -> L {
        L::load(block)
    }
    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
}

impl Summed for f16 {
    #[inline(always)]
    fn sums(kernels: &Kernels) -> &Sums<f16> {
        &kernels.halves
    }
    #[inline(always)]
    fn load<L: Lanes>(block: &[f16; LANES]) -> L {
        L::load_halves(block)
    }
    #[inline(always)]
    fn single(self) -> f32 {
        widen(self)
    }
}

/// The sum of squared differences of `a` and `b`, which are equally long.
#[inline]
pub fn squared_l2<E: Summed>(a: &[E], b: &[E]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (E::sums(KERNELS.get()).squared_l2)(a, b) }
}

/// The inner product of `a` and `b`, which are equally long.
#[inline]
pub fn dot<E: Summed>(a: &[E], b: &[E]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (E::sums(KERNELS.get()).dot)(a, b) }
}

/// The sum of absolute differences of `a` and `b`, which are equally long.
#[inline]
pub fn l1<E: Summed>(a: &[E], b: &[E]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (E::sums(KERNELS.get()).l1)(a, b) }
}

/// Inner product and squared norms of `a` and `b`, which are equally long.
#[inline]
pub fn cosine<E: Summed>(a: &[E], b: &[E]) -> CosineSums {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (E::sums(KERNELS.get()).cosine)(a, b) }
}

/// Names of the instruction sets that there are kernels for and this CPU can run, the best last.
pub fn instruction_sets() -> Vec<&'static str> {
    KERNELS.names()
}

/// Makes the backend use the kernels of this instruction set from now on; results do not depend on it. Returns false, and
/// changes nothing, if [`instruction_sets`] does not name it.
#[must_use]
pub fn use_instruction_set(name: &str) -> bool {
    KERNELS.choose(name)
}

static KERNELS: Dispatch<Kernels> = Dispatch::new(available);

fn available() -> Vec<Available<Kernels>> {
    #[allow(unused_mut)]
    let mut available = vec![("portable", &PORTABLE)];
    #[cfg(target_arch = "aarch64")]
    available.push(("neon", &NEON));
    #[cfg(target_arch = "x86_64")]
    {
        available.push(("sse2", &SSE2));
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
            available.push(("avx2", &AVX2));
        }
        if is_x86_feature_detected!("avx512f") {
            available.push(("avx512", &AVX512));
        }
    }
    available
}

/// Compiles the loops for one implementation of [`Lanes`], under its target features.
macro_rules! kernels_of {
    ($table:ident, $lanes:path $(, $features:literal)?) => {
        static $table: Kernels = {
            $(#[target_feature(enable = $features)])?
            unsafe fn squared_l2<E: Summed>(a: &[E], b: &[E]) -> f32 {
                squared_l2_in::<E, $lanes>(a, b)
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn dot<E: Summed>(a: &[E], b: &[E]) -> f32 {
                dot_in::<E, $lanes>(a, b)
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn l1<E: Summed>(a: &[E], b: &[E]) -> f32 {
                l1_in::<E, $lanes>(a, b)
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn cosine<E: Summed>(a: &[E], b: &[E]) -> CosineSums {
                cosine_in::<E, $lanes>(a, b)
            }

            Kernels {
                singles: Sums { squared_l2, dot, l1, cosine },
                halves: Sums { squared_l2, dot, l1, cosine },
            }
        };
    };
}

#[cfg(target_arch = "x86_64")]
kernels_of!(AVX512, lanes::Avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
kernels_of!(AVX2, lanes::Avx2, "avx2,f16c");
#[cfg(target_arch = "x86_64")]
kernels_of!(SSE2, lanes::Sse2);
#[cfg(target_arch = "aarch64")]
kernels_of!(NEON, lanes::Neon);
kernels_of!(PORTABLE, Portable);

#[inline(always)]
fn squared_l2_in<E: Summed, L: Lanes>(a: &[E], b: &[E]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        let difference = E::load::<L>(x).sub(E::load::<L>(y));
        sums = sums.add(difference.mul(difference));
    }
    total(sums) + rest(a, b).map(|(x, y)| (x - y) * (x - y)).fold(0.0, add)
}

#[inline(always)]
fn dot_in<E: Summed, L: Lanes>(a: &[E], b: &[E]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        sums = sums.add(E::load::<L>(x).mul(E::load::<L>(y)));
    }
    total(sums) + rest(a, b).map(|(x, y)| x * y).fold(0.0, add)
}

#[inline(always)]
fn l1_in<E: Summed, L: Lanes>(a: &[E], b: &[E]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        sums = sums.add(E::load::<L>(x).sub(E::load::<L>(y)).abs());
    }
    total(sums) + rest(a, b).map(|(x, y)| (x - y).abs()).fold(0.0, add)
}

#[inline(always)]
fn cosine_in<E: Summed, L: Lanes>(a: &[E], b: &[E]) -> CosineSums {
    let (mut dots, mut norms_a, mut norms_b) = (L::zero(), L::zero(), L::zero());
    for (x, y) in blocks(a, b) {
        let (x, y) = (E::load::<L>(x), E::load::<L>(y));
        dots = dots.add(x.mul(y));
        norms_a = norms_a.add(x.mul(x));
        norms_b = norms_b.add(y.mul(y));
    }
    let (dot, norm_a, norm_b) = rest(a, b)
        .fold((0.0, 0.0, 0.0), |(dot, norm_a, norm_b), (x, y)| (dot + x * y, norm_a + x * x, norm_b + y * y));
    CosineSums { dot: total(dots) + dot, norm_a: total(norms_a) + norm_a, norm_b: total(norms_b) + norm_b }
}

/// The whole blocks of `a` and `b` in pairs.
#[inline(always)]
fn blocks<'a, E>(a: &'a [E], b: &'a [E]) -> impl Iterator<Item = (&'a [E; LANES], &'a [E; LANES])> {
    debug_assert_eq!(a.len(), b.len());
    a.as_chunks().0.iter().zip(b.as_chunks().0)
}

/// The elements after the last whole block of `a` and `b` in pairs.
#[inline(always)]
fn rest<'a, E: Summed>(a: &'a [E], b: &'a [E]) -> impl Iterator<Item = (f32, f32)> + 'a {
    let single = |element: &E| element.single();
    a.as_chunks::<LANES>().1.iter().map(single).zip(b.as_chunks::<LANES>().1.iter().map(single))
}

/// The sum of the lanes: halves are added until one is left.
#[inline(always)]
fn total<L: Lanes>(sums: L) -> f32 {
    let mut lanes = sums.store();
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn add(x: f32, y: f32) -> f32 {
    x + y
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of mixed sign and very different size, by a xorshift generator.
    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..count)
            .map(|_| {
                let unit = (next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
                unit * 10f32.powi((next() % 13) as i32 - 6)
            })
            .collect()
    }

    fn lengths() -> impl Iterator<Item = usize> {
        (1..=67).chain([1000, 16_000])
    }

    /// Finite halves of every kind, from the same generator's bits.
    fn halves(seed: u64, count: usize) -> Vec<f16> {
        let finite =
            |bits: u32| f16::from_bits(bits as u16 & if bits & 0x7c00 == 0x7c00 { 0xbfff } else { 0xffff });
        numbers(seed, count).into_iter().map(|number| finite(number.to_bits() >> 7)).collect()
    }

    #[test]
    fn widening_is_exact() {
        for half in (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()) {
            assert_eq!(widen(half).to_bits(), f32::from(half).to_bits(), "{half:?}");
        }
    }

    #[test]
    fn halves_are_summed_like_the_singles_that_they_equal() {
        for length in lengths() {
            let seed = 0x9e37_79b9_7f4a_7c15 ^ length as u64;
            let (a, b) = (halves(seed, length), halves(!seed, length));
            let singles = |halves: &[f16]| -> Vec<f32> { halves.iter().copied().map(f32::from).collect() };
            let (x, y) = (singles(&a), singles(&b));
            for (name, kernels) in available() {
                let context = format!("{name}, {length} elements, seed {seed:#x}");
                let (halves, singles) = (&kernels.halves, &kernels.singles);
                // SAFETY: `available` asked the CPU.
                unsafe {
                    assert_eq!((halves.squared_l2)(&a, &b), (singles.squared_l2)(&x, &y), "L2, {context}");
                    assert_eq!((halves.dot)(&a, &b), (singles.dot)(&x, &y), "dot, {context}");
                    assert_eq!((halves.l1)(&a, &b), (singles.l1)(&x, &y), "L1, {context}");
                    assert_eq!((halves.cosine)(&a, &b), (singles.cosine)(&x, &y), "cosine, {context}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_returns_the_bits_of_the_portable_one() {
        for length in lengths() {
            let seed = 0x9e37_79b9_7f4a_7c15 ^ length as u64;
            let (a, b) = (numbers(seed, length), numbers(!seed, length));
            for (name, Kernels { singles: kernels, .. }) in available() {
                let context = format!("{name}, {length} elements, seed {seed:#x}");
                // SAFETY: `available` asked the CPU.
                unsafe {
                    let bits = |f: unsafe fn(&[f32], &[f32]) -> f32| f(&a, &b).to_bits();
                    assert_eq!(bits(kernels.squared_l2), bits(PORTABLE.singles.squared_l2), "L2, {context}");
                    assert_eq!(bits(kernels.dot), bits(PORTABLE.singles.dot), "dot, {context}");
                    assert_eq!(bits(kernels.l1), bits(PORTABLE.singles.l1), "L1, {context}");
                    let (one, other) = ((kernels.cosine)(&a, &b), (PORTABLE.singles.cosine)(&a, &b));
                    assert_eq!(one.dot.to_bits(), other.dot.to_bits(), "cosine, {context}");
                    assert_eq!(one.norm_a.to_bits(), other.norm_a.to_bits(), "cosine, {context}");
                    assert_eq!(one.norm_b.to_bits(), other.norm_b.to_bits(), "cosine, {context}");
                }
            }
        }
    }

    /// The error of a sum of `n` terms, each rounded a few times, is at most about `n` roundings of the sum of their
    /// absolute values. The index relies on this.
    #[test]
    fn sums_stay_within_the_error_model() {
        let terms = |a: &[f32], b: &[f32], f: fn(f64, f64) -> f64| -> (f64, f64) {
            let terms = a.iter().zip(b).map(|(&x, &y)| f(x.into(), y.into()));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        for length in lengths() {
            let seed = 0x2545_f491_4f6c_dd1d ^ length as u64;
            let (a, b) = (numbers(seed, length), numbers(!seed, length));
            let check = |what: &str, got: f32, (exact, size): (f64, f64)| {
                let allowed = (length + 3) as f64 * f64::from(f32::EPSILON) / 2.0 * size;
                let error = (f64::from(got) - exact).abs();
                assert!(error <= allowed, "{what}, {length} elements, seed {seed:#x}: {error} > {allowed}");
            };
            check("L2", squared_l2(&a, &b), terms(&a, &b, |x, y| (x - y) * (x - y)));
            check("dot", dot(&a, &b), terms(&a, &b, |x, y| x * y));
            check("L1", l1(&a, &b), terms(&a, &b, |x, y| (x - y).abs()));
            let sums = cosine(&a, &b);
            check("cosine dot", sums.dot, terms(&a, &b, |x, y| x * y));
            check("cosine norm of a", sums.norm_a, terms(&a, &b, |x, _| x * x));
            check("cosine norm of b", sums.norm_b, terms(&a, &b, |_, y| y * y));
        }
    }

    #[test]
    fn small_integers_are_exact() {
        let a: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..100).map(|i| (99 - i) as f32).collect();
        for (name, Kernels { singles: kernels, .. }) in available() {
            // SAFETY: `available` asked the CPU.
            unsafe {
                assert_eq!((kernels.squared_l2)(&a, &b), 333_300.0, "{name}");
                assert_eq!((kernels.dot)(&a, &b), 161_700.0, "{name}");
                assert_eq!((kernels.l1)(&a, &b), 5_000.0, "{name}");
                let sums = CosineSums { dot: 161_700.0, norm_a: 328_350.0, norm_b: 328_350.0 };
                assert_eq!((kernels.cosine)(&a, &b), sums, "{name}");
            }
        }
    }
}
