//! The inner loops, each compiled for several instruction sets and picked once at run time.
//!
//! Two kinds of loops live here:
//! - Floating point ([`float`]) is written once, over arrays of lanes and without fused multiply-add, and compiled
//!   again under each `target_feature`. It returns the same bits on every machine.
//! - The integer dot products of the coarse scan have a form of their own for each instruction set
//!   ([`avx512`], [`avx2`], [`neon`]). They are exact, so they agree with [`portable`], which defines them.
//!
//! Results are therefore equal on every machine, which the tests assert for whatever the machine has. A process uses the
//! fastest set that it finds; [`use_instruction_set`] makes it use another one, to compare results and speed.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod float;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

pub use float::{Encoded, Floats, Grid, GridSums, AXES, PRODUCTS};

use crate::layout::leaf::LANES;

/// Sixteen dot products, one a lane.
pub type Dots = [i32; LANES];

/// How the coarse scan turns a dot product into a bound, and what it compares that with.
///
/// With `norm` and `residual` decoded from the block's header, a lane's value is `constant + norm - scale * dot`.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    pub constant: f32,
    pub scale: f32,
    pub norm_base: f32,
    pub norm_step: f32,
    pub residual_base: f32,
    pub residual_step: f32,
    /// Squared distances: a lane survives if value <= (tau + residual)² + square * residual². Else: if value <= tau + residual.
    pub squared: bool,
    pub square: f32,
    pub tau: f32,
}

/// A block's lanes that survived the coarse scan, as a bit mask.
pub type Survivors = u16;

/// The inner loops for one instruction set.
pub struct Kernels {
    /// Name of the instruction set.
    pub name: &'static str,
    scan: unsafe fn(&[u8], usize, &[i8], &Threshold, &mut [Survivors]),
    dots: unsafe fn(&[u8], &[i8], &mut Dots),
    floats: Floats,
}

impl Kernels {
    /// The kernels in use: the fastest that this machine has, unless [`use_instruction_set`] chose others.
    #[inline]
    pub fn get() -> &'static Kernels {
        let all = all();
        &all[CHOSEN.load(Ordering::Relaxed).min(all.len() - 1)]
    }

    /// Coarse scan of whole blocks that follow one another. `blocks` holds `survivors.len()` blocks of `1 + groups`
    /// chunks; `weights` is the quantised query, eight numbers from -127 to 127 a group.
    #[inline]
    pub fn scan(
        &self,
        blocks: &[u8],
        groups: usize,
        weights: &[i8],
        by: &Threshold,
        survivors: &mut [Survivors],
    ) {
        assert_eq!(blocks.len(), survivors.len() * (1 + groups) * crate::layout::CHUNK);
        assert_eq!(weights.len(), groups * 8);
        // SAFETY: `available` only offers kernels whose instructions the machine has; lengths were checked above.
        unsafe { (self.scan)(blocks, groups, weights, by, survivors) }
    }

    /// Adds to `dots` what a run of code chunks contributes: for a block that lies on several pages.
    #[inline]
    pub fn dots(&self, chunks: &[u8], weights: &[i8], dots: &mut Dots) {
        assert_eq!(chunks.len(), weights.len() * 8);
        // SAFETY: as in `scan`.
        unsafe { (self.dots)(chunks, weights, dots) }
    }

    /// The comparison of [`Kernels::scan`] for a block whose dot products are complete.
    pub fn threshold(&self, header: &[u8], dots: &Dots, by: &Threshold) -> Survivors {
        portable::threshold(header, dots, by)
    }

    /// The loops over floating-point numbers.
    pub fn floats(&self) -> &Floats {
        &self.floats
    }
}

/// Which of [`all`] are in use. What is beyond the last stands for the last.
static CHOSEN: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Names of the instruction sets that the engine has kernels for and this machine can run, the fastest last.
pub fn instruction_sets() -> Vec<&'static str> {
    all().iter().map(|kernels| kernels.name).collect()
}

/// Makes the whole process use the kernels of this instruction set from now on, for tests and measurements: results do
/// not depend on it. Returns false, and changes nothing, if [`instruction_sets`] does not name it.
#[must_use]
pub fn use_instruction_set(name: &str) -> bool {
    let position = all().iter().position(|kernels| kernels.name == name);
    if let Some(position) = position {
        CHOSEN.store(position, Ordering::Relaxed);
    }
    position.is_some()
}

/// All kernels that this machine can run, the fastest last.
fn all() -> &'static [Kernels] {
    static ALL: OnceLock<Vec<Kernels>> = OnceLock::new();
    ALL.get_or_init(available)
}

fn available() -> Vec<Kernels> {
    #[allow(unused_mut)]
    let mut kernels = vec![Kernels {
        name: "portable",
        scan: portable::scan,
        dots: portable::dots,
        floats: float::portable(),
    }];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            kernels.push(Kernels { name: "avx2", scan: avx2::scan, dots: avx2::dots, floats: float::avx2() });
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni")
        {
            kernels.push(Kernels {
                name: "avx512vnni",
                scan: avx512::scan,
                dots: avx512::dots,
                floats: float::avx512(),
            });
        }
    }
    #[cfg(target_arch = "aarch64")]
    kernels.push(Kernels { name: "neon", scan: neon::scan, dots: neon::dots, floats: float::portable() });
    kernels
}

#[cfg(test)]
mod tests;
