//! The inner loops of the distances: sums over the elements of two vectors, in `f32`.
//!
//! Each loop is written once, over blocks of sixteen [`Lanes`], and compiled for every instruction set. A backend uses the
//! best set that the CPU has, unless [`use_instruction_set`] chose another. All of them return the same bits, on every
//! machine: the blocks are added lane by lane, then the lanes in halves, then the sum of the elements after the last whole
//! block.

mod lanes;

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use lanes::{Lanes, Portable, LANES};

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

/// The kernels of one instruction set.
struct Kernels {
    name: &'static str,
    squared_l2: unsafe fn(&[f32], &[f32]) -> f32,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    l1: unsafe fn(&[f32], &[f32]) -> f32,
    cosine: unsafe fn(&[f32], &[f32]) -> CosineSums,
}

/// The sum of squared differences of `a` and `b`, which are equally long.
#[inline]
pub fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (kernels().squared_l2)(a, b) }
}

/// The inner product of `a` and `b`, which are equally long.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (kernels().dot)(a, b) }
}

/// The sum of absolute differences of `a` and `b`, which are equally long.
#[inline]
pub fn l1(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (kernels().l1)(a, b) }
}

/// Inner product and squared norms of `a` and `b`, which are equally long.
#[inline]
pub fn cosine(a: &[f32], b: &[f32]) -> CosineSums {
    // SAFETY: the CPU was asked for the instruction set when the table was picked.
    unsafe { (kernels().cosine)(a, b) }
}

/// The kernels in use; null until they are asked for.
static CHOSEN: AtomicPtr<Kernels> = AtomicPtr::new(ptr::null_mut());

/// The kernels in use.
#[inline]
fn kernels() -> &'static Kernels {
    let chosen = CHOSEN.load(Ordering::Relaxed);
    // SAFETY: what is not null came from a static, which was there before the program started.
    unsafe { chosen.as_ref() }.unwrap_or_else(choose_best)
}

#[cold]
fn choose_best() -> &'static Kernels {
    let best = *available().last().expect("portable kernels are everywhere");
    choose(best);
    best
}

fn choose(kernels: &'static Kernels) {
    CHOSEN.store(ptr::from_ref(kernels).cast_mut(), Ordering::Relaxed);
}

/// Names of the instruction sets that there are kernels for and this CPU can run, the best last.
pub fn instruction_sets() -> Vec<&'static str> {
    available().iter().map(|kernels| kernels.name).collect()
}

/// Makes the backend use the kernels of this instruction set from now on; results do not depend on it. Returns false, and
/// changes nothing, if [`instruction_sets`] does not name it.
#[must_use]
pub fn use_instruction_set(name: &str) -> bool {
    let found = available().into_iter().find(|kernels| kernels.name == name);
    found.inspect(|kernels| choose(kernels)).is_some()
}

/// The kernels that this CPU can run, best last.
fn available() -> Vec<&'static Kernels> {
    #[allow(unused_mut)]
    let mut available = vec![&PORTABLE];
    #[cfg(target_arch = "aarch64")]
    available.push(&NEON);
    #[cfg(target_arch = "x86_64")]
    {
        available.push(&SSE2);
        if is_x86_feature_detected!("avx2") {
            available.push(&AVX2);
        }
        if is_x86_feature_detected!("avx512f") {
            available.push(&AVX512);
        }
    }
    available
}

/// Compiles the loops for one implementation of [`Lanes`], under its target features.
macro_rules! kernels_of {
    ($table:ident, $module:ident, $lanes:path $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
                squared_l2_in::<$lanes>(a, b)
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn dot(a: &[f32], b: &[f32]) -> f32 {
                dot_in::<$lanes>(a, b)
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn l1(a: &[f32], b: &[f32]) -> f32 {
                l1_in::<$lanes>(a, b)
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn cosine(a: &[f32], b: &[f32]) -> CosineSums {
                cosine_in::<$lanes>(a, b)
            }

            pub static $table: Kernels = Kernels {
                name: stringify!($module),
                squared_l2,
                dot,
                l1,
                cosine,
            };
        }
        use $module::$table;
    };
}

#[cfg(target_arch = "x86_64")]
kernels_of!(AVX512, avx512, lanes::Avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
kernels_of!(AVX2, avx2, lanes::Avx2, "avx2");
#[cfg(target_arch = "x86_64")]
kernels_of!(SSE2, sse2, lanes::Sse2);
#[cfg(target_arch = "aarch64")]
kernels_of!(NEON, neon, lanes::Neon);
kernels_of!(PORTABLE, portable, Portable);

#[inline(always)]
fn squared_l2_in<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        let difference = L::load(x).sub(L::load(y));
        sums = sums.add(difference.mul(difference));
    }
    total(sums) + rest(a, b).map(|(x, y)| (x - y) * (x - y)).fold(0.0, add)
}

#[inline(always)]
fn dot_in<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        sums = sums.add(L::load(x).mul(L::load(y)));
    }
    total(sums) + rest(a, b).map(|(x, y)| x * y).fold(0.0, add)
}

#[inline(always)]
fn l1_in<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = L::zero();
    for (x, y) in blocks(a, b) {
        sums = sums.add(L::load(x).sub(L::load(y)).abs());
    }
    total(sums) + rest(a, b).map(|(x, y)| (x - y).abs()).fold(0.0, add)
}

#[inline(always)]
fn cosine_in<L: Lanes>(a: &[f32], b: &[f32]) -> CosineSums {
    let (mut dots, mut norms_a, mut norms_b) = (L::zero(), L::zero(), L::zero());
    for (x, y) in blocks(a, b) {
        let (x, y) = (L::load(x), L::load(y));
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
fn blocks<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = (&'a [f32; LANES], &'a [f32; LANES])> {
    debug_assert_eq!(a.len(), b.len());
    a.as_chunks().0.iter().zip(b.as_chunks().0)
}

/// The elements after the last whole block of `a` and `b` in pairs.
#[inline(always)]
fn rest<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = (f32, f32)> + 'a {
    a.as_chunks::<LANES>().1.iter().copied().zip(b.as_chunks::<LANES>().1.iter().copied())
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

    #[test]
    fn every_instruction_set_returns_the_bits_of_the_portable_one() {
        for length in lengths() {
            let seed = 0x9e37_79b9_7f4a_7c15 ^ length as u64;
            let (a, b) = (numbers(seed, length), numbers(!seed, length));
            for kernels in available() {
                let context = format!("{}, {length} elements, seed {seed:#x}", kernels.name);
                // SAFETY: `available` asked the CPU.
                unsafe {
                    let bits = |f: unsafe fn(&[f32], &[f32]) -> f32| f(&a, &b).to_bits();
                    assert_eq!(bits(kernels.squared_l2), bits(PORTABLE.squared_l2), "L2, {context}");
                    assert_eq!(bits(kernels.dot), bits(PORTABLE.dot), "dot, {context}");
                    assert_eq!(bits(kernels.l1), bits(PORTABLE.l1), "L1, {context}");
                    let (one, other) = ((kernels.cosine)(&a, &b), (PORTABLE.cosine)(&a, &b));
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
        for kernels in available() {
            // SAFETY: `available` asked the CPU.
            unsafe {
                assert_eq!((kernels.squared_l2)(&a, &b), 333_300.0, "{}", kernels.name);
                assert_eq!((kernels.dot)(&a, &b), 161_700.0, "{}", kernels.name);
                assert_eq!((kernels.l1)(&a, &b), 5_000.0, "{}", kernels.name);
                let sums = CosineSums { dot: 161_700.0, norm_a: 328_350.0, norm_b: 328_350.0 };
                assert_eq!((kernels.cosine)(&a, &b), sums, "{}", kernels.name);
            }
        }
    }
}
