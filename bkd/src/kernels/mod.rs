//! The inner loops, each compiled for several instruction sets and picked once at run time.
//!
//! Three kinds of loops live here:
//! - Floating point ([`float`]) is written once, over arrays of lanes and without fused multiply-add, and compiled
//!   again under each `target_feature`. It returns the same bits on every machine.
//! - Counts of bits ([`bits`]) are written once, too.
//! - The integer sums of the coarse scan have a form of their own for each instruction set ([`avx512`], [`avx2`], [`neon`]).
//!   They are exact, so they agree with [`portable`], which defines them.
//!
//! Results are therefore equal on every machine, which the tests assert for whatever the machine has. A process uses the
//! fastest set that it finds; [`use_instruction_set`] makes it use another one, to compare results and speed.

mod ahead;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bits;
mod float;
mod magnitudes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod several;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

pub use ahead::Ahead;
pub use bits::{Bits, Overlap};
pub use float::{Encoded, Floats, Grid, GridSums, AXES, PRODUCTS};
pub use several::TILE;

use crate::layout::leaf::{GROUP, LANES};
use crate::layout::CHUNK;

/// Up to `WIDTH` vectors, one after the other in `rows`, in the form that the loops want which multiply with them: `WIDTH` numbers a
/// dimension, padded with zeros.
pub fn columns<const WIDTH: usize>(rows: &[f32], dims: usize) -> Vec<f32> {
    let mut columns = vec![0.0; WIDTH * dims];
    for (at, row) in rows.chunks_exact(dims).enumerate() {
        for (column, &x) in columns.chunks_exact_mut(WIDTH).zip(row) {
            column[at] = x;
        }
    }
    columns
}

/// A query as the coarse scan sees it, on the grid of a leaf: numbers for each dimension, padded to whole groups.
#[derive(Clone, Copy)]
pub struct CodedQuery<'a> {
    /// What a unit weighs: -127 to 127. The scan sums up weight * code,
    pub weights: &'a [i8],
    /// or for L1, where weights are not negative, weight * |place - 8 * code|: places are from 0 to 120.
    pub places: Option<&'a [i8]>,
}

impl<'a> CodedQuery<'a> {
    /// Of these groups only.
    pub fn groups(self, groups: std::ops::Range<usize>) -> Self {
        let part = |bytes: &'a [i8]| &bytes[groups.start * GROUP..groups.end * GROUP];
        CodedQuery { weights: part(self.weights), places: self.places.map(part) }
    }

    fn is_of(&self, groups: usize) -> bool {
        self.weights.len() == groups * GROUP
            && self.places.is_none_or(|places| places.len() == groups * GROUP)
    }
}

/// Sixteen sums, one a lane.
pub type Sums = [i32; LANES];

/// How the coarse scan turns a sum into a bound, and what it compares that with.
///
/// With `norm` and `residual` decoded from the block's header, a lane's value is `constant + norm - scale * sum`.
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

/// Chunks between which lines are fetched ahead where there are no blocks to do it in between.
const PACE: usize = 16;

/// A block's lanes that survived the coarse scan, as a bit mask.
pub type Survivors = u16;

/// The inner loops for one instruction set.
pub struct Kernels {
    /// Name of the instruction set.
    pub name: &'static str,
    scan: unsafe fn(&[u8], usize, CodedQuery<'_>, &Threshold, &mut [Survivors], Ahead),
    sums: unsafe fn(&[u8], CodedQuery<'_>, &mut Sums),
    threshold: unsafe fn(&[u8], &Sums, &Threshold) -> Survivors,
    floats: Floats,
    bits: Bits,
}

impl Kernels {
    /// The kernels in use: the fastest that this machine has, unless [`use_instruction_set`] chose others.
    #[inline]
    pub fn get() -> &'static Kernels {
        let all = all();
        &all[CHOSEN.load(Ordering::Relaxed).min(all.len() - 1)]
    }

    /// Coarse scan of whole blocks that follow one another. `blocks` holds `survivors.len()` blocks of `1 + groups`
    /// chunks. Meanwhile as much is fetched of what comes after them.
    #[inline]
    pub fn scan(
        &self,
        blocks: &[u8],
        groups: usize,
        query: CodedQuery<'_>,
        by: &Threshold,
        survivors: &mut [Survivors],
        ahead: Ahead,
    ) {
        assert_eq!(blocks.len(), survivors.len() * (1 + groups) * CHUNK);
        assert!(query.is_of(groups));
        // SAFETY: `available` only offers kernels whose instructions the machine has; lengths were checked above.
        unsafe { (self.scan)(blocks, groups, query, by, survivors, ahead) }
    }

    /// Adds to `sums` what a run of code chunks contributes: for a block that lies on several pages.
    #[inline]
    pub fn sums(&self, chunks: &[u8], query: CodedQuery<'_>, sums: &mut Sums, mut ahead: Ahead) {
        assert!(query.is_of(chunks.len() / CHUNK) && chunks.len().is_multiple_of(CHUNK));
        let mut first = 0;
        for part in chunks.chunks(PACE * CHUNK) {
            let groups = part.len() / CHUNK;
            ahead.fetch(groups);
            // SAFETY: as in `scan`.
            unsafe { (self.sums)(part, query.groups(first..first + groups), sums) };
            first += groups;
        }
    }

    /// The comparison of [`Kernels::scan`] for a block whose sums are complete.
    #[inline]
    pub fn threshold(&self, header: &[u8], sums: &Sums, by: &Threshold) -> Survivors {
        assert_eq!(header.len(), CHUNK);
        // SAFETY: as in `scan`.
        unsafe { (self.threshold)(header, sums, by) }
    }

    /// The loops over floating-point numbers.
    pub fn floats(&self) -> &Floats {
        &self.floats
    }

    /// The loops over bit strings.
    pub fn bits(&self) -> &Bits {
        &self.bits
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
        sums: portable::sums,
        threshold: portable::threshold,
        floats: float::portable(),
        bits: bits::portable(),
    }];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            kernels.push(Kernels {
                name: "avx2",
                scan: avx2::scan,
                sums: avx2::sums,
                threshold: avx2::threshold,
                floats: float::avx2(),
                bits: bits::avx2(),
            });
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("popcnt")
        {
            kernels.push(Kernels {
                name: "avx512vnni",
                scan: avx512::scan,
                sums: avx512::sums,
                threshold: avx512::threshold,
                floats: float::avx512().with_wide_registers(),
                // The first processors with the dot products did not have it.
                bits: match is_x86_feature_detected!("avx512vpopcntdq") {
                    true => bits::avx512(),
                    false => bits::avx2(),
                },
            });
        }
    }
    #[cfg(target_arch = "aarch64")]
    kernels.push(Kernels {
        name: "neon",
        scan: neon::scan,
        sums: neon::sums,
        threshold: portable::threshold,
        floats: float::portable(),
        bits: bits::portable(),
    });
    kernels
}

#[cfg(test)]
mod tests;
