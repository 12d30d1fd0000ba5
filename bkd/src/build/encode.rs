//! From a leaf's vectors to its bytes: the grids, the two planes of nibbles, whole codes, what each of them loses.

use super::boxes::BoundingBox;
use super::{ahead, zeros, Coordinates, Input, Sketches};
use crate::kernels::{Encoded, Kernels};
use crate::layout::leaf::{padded, LeafHeader, GROUP, LANES};
use crate::layout::records::RecordLayout;
use crate::layout::CHUNK;
use crate::query::{round_up, UNIT};
use crate::sketch::Layouts;
use crate::{Metric, Result};

/// A leaf, ready for the pages.
pub(super) struct EncodedLeaf {
    /// Its part of the coarse stream, in whole chunks.
    pub stream: Vec<u8>,
    pub bounds: BoundingBox,
}

/// Records of a leaf, to be filled; empty where a segment has no such plane.
pub(super) struct LeafRecords<'a> {
    pub fine: &'a mut [u8],
    pub whole: &'a mut [u8],
}

/// Steps smaller than this are taken as none: single precision would not compute with them.
pub(crate) const SMALLEST_STEP: f32 = 1e-30;

/// So many standard deviations from the mean the grid of sketches ends: of a normal distribution, sixteen steps lose the least between 2.6 and 3.
const DEVIATIONS: f32 = 3.0;

/// Encodes the vectors `ids` as a leaf, whose records go where they are kept until all leaves are written. Coarse and fine codes are those
/// of sketches, if there are to be any.
pub(super) fn encode_leaf(
    input: &Input<'_>,
    coordinates: &Coordinates<'_>,
    sketches: Option<&Sketches<'_>>,
    layouts: Layouts,
    ids: &[u32],
    records: &mut LeafRecords<'_>,
) -> Result<EncodedLeaf> {
    let layout = layouts.leaf;
    let mut stream = zeros(layout.leaf_chunks(ids.len()) * CHUNK)?;
    let (prefix, blocks) = stream.split_at_mut(layout.prefix_chunks() * CHUNK);
    let block_bytes = layout.block_chunks() * CHUNK;
    let put = |at: usize, codes: &[u8]| {
        let (block, lane) = (at / LANES, at % LANES);
        let chunks = blocks[block * block_bytes + CHUNK..][..block_bytes - CHUNK].chunks_exact_mut(CHUNK);
        for (chunk, codes) in chunks.zip(codes.chunks_exact(GROUP)) {
            pack(codes, |code| code >> 4, &mut chunk[lane * 4..][..4]);
        }
        if let Some(RecordLayout { record, .. }) = layouts.fine {
            let fine = records.fine[at * record..].chunks_exact_mut(4);
            fine.zip(codes.chunks_exact(GROUP)).for_each(|(fine, codes)| pack(codes, |code| code & 15, fine));
        }
    };
    let grid = Grid::around(|| ahead::vectors(input, ids), input.dims);
    let (losses, sketched) = match sketches.zip(layouts.whole) {
        None => (grid.encode(input.metric, ahead::vectors(input, ids), put), None),
        Some((sketches, whole)) => {
            let put_whole = |at: usize, codes: &[u8]| {
                records.whole[at * whole.record..][..codes.len()].copy_from_slice(codes);
            };
            let of_vectors = grid.encode(input.metric, ahead::vectors(input, ids), put_whole);
            let (sketches, errors) = sketches.of(input, ids)?;
            let each = layout.groups * GROUP;
            let sketch_grid = Grid::around_most(|| sketches.chunks_exact(each), each);
            let losses = sketch_grid.encode(input.metric, sketches.chunks_exact(each), put);
            (losses, Some((sketch_grid, errors, of_vectors, whole)))
        }
    };

    // Residuals get a little more than the double-precision sums may have lost.
    let residuals = |losses: &[Encoded], lost: fn(&Encoded) -> f64| -> Vec<f64> {
        let residual = |(loss, &id): (&Encoded, &u32)| {
            let distance = input.metric.of_sum(lost(loss));
            distance * (1.0 + 1e-9) + f64::from(input.slack(id))
        };
        losses.iter().zip(ids).map(residual).collect()
    };
    let of_codes = |lost: fn(&Encoded) -> f64| {
        let mut residuals = residuals(&losses, lost);
        if let Some((_, errors, ..)) = &sketched {
            residuals.iter_mut().zip(errors).for_each(|(residual, error)| *residual += error);
        }
        Codes::above(&residuals)
    };
    let coarse = of_codes(|loss| loss.coarse);
    let fine = layouts.fine.map(|layout| {
        let fine = of_codes(|loss| loss.fine);
        put_residuals(&fine, layout, records.fine);
        fine
    });
    let norms = Codes::below(&losses.iter().map(|loss| loss.norm).collect::<Vec<_>>());
    for (at, (norm, residual)) in norms.codes.iter().zip(&coarse.codes).enumerate() {
        let head = &mut blocks[at / LANES * block_bytes..][..CHUNK];
        let lane = at % LANES * 2;
        head[lane..][..2].copy_from_slice(&norm.to_le_bytes());
        head[2 * LANES + lane..][..2].copy_from_slice(&residual.to_le_bytes());
    }
    let whole = sketched.as_ref().map(|(.., of_vectors, layout)| {
        let whole = Codes::above(&residuals(of_vectors, |loss| loss.fine));
        put_residuals(&whole, *layout, records.whole);
        whole
    });

    let largest = |of: fn(&Encoded) -> f64| losses.iter().map(of).fold(0.0, f64::max);
    let [(fine_base, fine_step), (whole_base, whole_step)] =
        [fine, whole].map(|scale| scale.map_or((0.0, 0.0), |scale| (scale.base, scale.step)));
    let header = LeafHeader {
        vectors: ids.len() as u32,
        norm_base: norms.base,
        norm_step: norms.step,
        coarse_base: coarse.base,
        coarse_step: coarse.step,
        fine_base,
        fine_step,
        whole_base,
        whole_step,
        code_norm: round_up(largest(|loss| loss.codes).sqrt()),
        norm_max: round_up(largest(|loss| loss.norm)),
    };
    header.write(prefix);
    let (of_codes, beside) = prefix[CHUNK..].split_at_mut(layout.groups * CHUNK);
    match &sketched {
        None => grid.write(of_codes),
        Some((of_sketches, ..)) => {
            of_sketches.write(of_codes);
            grid.write(beside);
        }
    }
    Ok(EncodedLeaf { stream, bounds: BoundingBox::around(input, coordinates, ids) })
}

/// The range of every dimension, cut into 255 steps.
struct Grid {
    low: Vec<f32>,
    step: Vec<f32>,
    /// One over the step, or zero if there is none.
    inverse: Vec<f32>,
}

impl Grid {
    /// Around vectors of so many dimensions, of which there is at least one.
    fn around<'v, V: Iterator<Item = &'v [f32]>>(vectors: impl Fn() -> V, dims: usize) -> Self {
        let floats = Kernels::get().floats();
        let mut low = vectors().next().expect("a vector").to_vec();
        let mut high = low.clone();
        vectors().for_each(|vector| floats.widen(vector, &mut low, &mut high));
        Self::between(low, high, dims)
    }

    /// Around most of the vectors: it ends [`DEVIATIONS`] from the mean. What is beyond loses more, all others less.
    fn around_most<'v, V: Iterator<Item = &'v [f32]>>(vectors: impl Fn() -> V, dims: usize) -> Self {
        let floats = Kernels::get().floats();
        let origin = vectors().next().expect("a vector");
        let (mut low, mut high) = (origin.to_vec(), origin.to_vec());
        let (mut sums, mut squares) = (vec![0.0; origin.len()], vec![0.0; origin.len()]);
        let mut count = 0.0;
        for vector in vectors() {
            floats.widen(vector, &mut low, &mut high);
            floats.moments(vector, origin, &mut sums, &mut squares);
            count += 1.0;
        }
        for (at, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            let mean = sums[at] / count;
            let reach = DEVIATIONS * (squares[at] / count - mean * mean).max(0.0).sqrt();
            // Not if anything was too large to be squared.
            if reach.is_finite() {
                *low = low.max(origin[at] + mean - reach);
                *high = high.min(origin[at] + mean + reach).max(*low);
            }
        }
        Self::between(low, high, dims)
    }

    fn between(mut low: Vec<f32>, high: Vec<f32>, dims: usize) -> Self {
        let padded = padded(dims);
        let step = |(&low, &high): (&f32, &f32)| match (high - low) / 255.0 {
            step if step < SMALLEST_STEP => 0.0,
            step => step,
        };
        let mut step: Vec<f32> = low.iter().zip(&high).map(step).collect();
        low.resize(padded, 0.0);
        step.resize(padded, 0.0);
        let inverse = step.iter().map(|&step| if step > 0.0 { 1.0 / step } else { 0.0 }).collect();
        Grid { low, step, inverse }
    }

    /// Hands on the codes of each vector, with its position. Returns what they lose.
    fn encode<'v>(
        &self,
        metric: Metric,
        vectors: impl Iterator<Item = &'v [f32]>,
        mut put: impl FnMut(usize, &[u8]),
    ) -> Vec<Encoded> {
        let floats = Kernels::get().floats();
        let Grid { low, step, inverse } = self;
        let mut codes = vec![0u8; low.len()];
        let mut whole = vec![0f32; low.len()];
        let mut losses = Vec::with_capacity(vectors.size_hint().0);
        for (at, numbers) in vectors.enumerate() {
            let vector = if low.len() == numbers.len() {
                numbers
            } else {
                whole[..numbers.len()].copy_from_slice(numbers);
                &whole[..]
            };
            losses.push(match metric {
                Metric::L1 => floats.encode_l1(vector, low, step, inverse, &mut codes),
                _ => floats.encode(vector, low, step, inverse, &mut codes),
            });
            put(at, &codes);
        }
        losses
    }

    /// Eight lower ends and eight steps a chunk.
    fn write(&self, chunks: &mut [u8]) {
        let grid = self.low.chunks_exact(GROUP).zip(self.step.chunks_exact(GROUP));
        for (chunk, (low, step)) in chunks.chunks_exact_mut(CHUNK).zip(grid) {
            for (bytes, value) in chunk.chunks_exact_mut(4).zip(low.iter().chain(step)) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// Numbers as 16-bit codes on a common scale, rounded to one side.
struct Codes {
    base: f32,
    step: f32,
    codes: Vec<u16>,
}

impl Codes {
    const LAST: f64 = u16::MAX as f64;

    /// Decoded numbers are never below the true ones.
    fn above(values: &[f64]) -> Self {
        Self::new(values, |decoded, value| decoded >= value, f64::ceil, 1)
    }

    /// Decoded numbers are never above the true ones.
    fn below(values: &[f64]) -> Self {
        Self::new(values, |decoded, value| decoded <= value, f64::floor, -1)
    }

    fn new(values: &[f64], holds: fn(f64, f64) -> bool, round: fn(f64) -> f64, toward: i32) -> Self {
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = values.iter().copied().fold(0.0, f64::max);
        // The base is at or below all values, the last code at or above: also when the step is nothing to the base, so that
        // their sum is rounded.
        let base = ((smallest * (1.0 - 4.0 * UNIT)) as f32).next_down().max(0.0);
        let range = f64::from(round_up(largest)) - f64::from(base);
        let step = round_up(range.max(0.0) / Self::LAST * (1.0 + 8.0 * UNIT));
        let decode = |code: i32| f64::from(base + step * code as f32);
        let encode = |&value: &f64| {
            let code = round((value - f64::from(base)) / f64::from(step));
            let mut code = code.clamp(0.0, Self::LAST) as i32;
            while !holds(decode(code), value) && (0..=i32::from(u16::MAX)).contains(&(code + toward)) {
                code += toward;
            }
            debug_assert!(holds(decode(code), value), "{value} as {code} on {base} + {step}");
            code as u16
        };
        Codes { base, step, codes: values.iter().map(encode).collect() }
    }
}

/// Puts the codes of residuals at the ends of records.
fn put_residuals(residuals: &Codes, layout: RecordLayout, records: &mut [u8]) {
    for (record, code) in records.chunks_exact_mut(layout.record).zip(&residuals.codes) {
        record[layout.record - 2..].copy_from_slice(&code.to_le_bytes());
    }
}

/// Packs a nibble of each of eight codes into four bytes: the first four low, the others high.
#[inline]
fn pack(codes: &[u8], nibble: impl Fn(u8) -> u8, into: &mut [u8]) {
    for (at, byte) in into.iter_mut().enumerate() {
        *byte = nibble(codes[at]) | nibble(codes[at + 4]) << 4;
    }
}
