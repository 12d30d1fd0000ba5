//! From a leaf's vectors to its bytes: the grid, the two planes of nibbles, what each of them loses.

use super::{Coordinates, Input};
use crate::kernels::{Encoded, Kernels};
use crate::layout::fine::FineLayout;
use crate::layout::leaf::{padded, LeafHeader, LeafLayout, GROUP, LANES};
use crate::layout::CHUNK;
use crate::query::{round_up, UNIT};

/// A leaf, ready for the pages.
pub(super) struct EncodedLeaf {
    pub vectors: u32,
    /// Its part of the coarse stream, in whole chunks.
    pub stream: Vec<u8>,
    /// Its fine records.
    pub fine: Vec<u8>,
    /// Its box on the axes, and how far it extends beyond them.
    pub low: Vec<f32>,
    pub high: Vec<f32>,
    pub beyond: f32,
}

/// Steps smaller than this are taken as none: single precision would not compute with them.
pub(crate) const SMALLEST_STEP: f32 = 1e-30;

pub(super) fn encode_leaf(input: &Input<'_>, coordinates: &Coordinates<'_>, ids: &[u32]) -> EncodedLeaf {
    let padded = padded(input.dims);
    let grid = Grid::around(input, ids, padded);
    let floats = Kernels::get().floats();

    let mut codes = vec![0u8; ids.len() * padded];
    let mut vector = vec![0f32; padded];
    let losses: Vec<Encoded> = ids
        .iter()
        .zip(codes.chunks_exact_mut(padded))
        .map(|(&id, codes)| {
            vector[..input.dims].copy_from_slice(input.vector(id));
            floats.encode(&vector, &grid.low, &grid.step, &grid.inverse, codes)
        })
        .collect();

    // Residuals get a little more than the double-precision sums may have lost.
    let residuals = |square: fn(&Encoded) -> f64| -> Vec<f64> {
        let residual =
            |(loss, &id): (&Encoded, &u32)| square(loss).sqrt() * (1.0 + 1e-9) + f64::from(input.slack(id));
        losses.iter().zip(ids).map(residual).collect()
    };
    let coarse = Codes::above(&residuals(|loss| loss.coarse));
    let fine = Codes::above(&residuals(|loss| loss.fine));
    let norms = Codes::below(&losses.iter().map(|loss| loss.norm).collect::<Vec<_>>());
    let largest = |of: fn(&Encoded) -> f64| losses.iter().map(of).fold(0.0, f64::max);
    let header = LeafHeader {
        vectors: ids.len() as u32,
        norm_base: norms.base,
        norm_step: norms.step,
        coarse_base: coarse.base,
        coarse_step: coarse.step,
        fine_base: fine.base,
        fine_step: fine.step,
        code_norm: round_up(largest(|loss| loss.codes).sqrt()),
        norm_max: round_up(largest(|loss| loss.norm)),
    };

    let (low, high, beyond) = bounding_box(input, coordinates, ids);
    EncodedLeaf {
        vectors: ids.len() as u32,
        stream: stream(input.dims, &header, &grid, &codes, &norms.codes, &coarse.codes),
        fine: fine_records(input.dims, &codes, &fine.codes),
        low,
        high,
        beyond,
    }
}

/// The range of every dimension, cut into 255 steps.
struct Grid {
    low: Vec<f32>,
    step: Vec<f32>,
    /// One over the step, or zero if there is none.
    inverse: Vec<f32>,
}

impl Grid {
    fn around(input: &Input<'_>, ids: &[u32], padded: usize) -> Self {
        let floats = Kernels::get().floats();
        let mut low = input.vector(ids[0]).to_vec();
        let mut high = low.clone();
        for &id in ids {
            floats.widen(input.vector(id), &mut low, &mut high);
        }
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

fn bounding_box(input: &Input<'_>, coordinates: &Coordinates<'_>, ids: &[u32]) -> (Vec<f32>, Vec<f32>, f32) {
    let mut low = coordinates.of(ids[0]).to_vec();
    let mut high = low.clone();
    let (mut slack, mut beyond) = (0f32, 0f32);
    for &id in ids {
        Kernels::get().floats().widen(coordinates.of(id), &mut low, &mut high);
        slack = slack.max(input.slack(id));
        beyond = beyond.max(coordinates.beyond(id));
    }
    if slack > 0.0 {
        low.iter_mut().for_each(|x| *x = -round_up(f64::from(slack) - f64::from(*x)));
        high.iter_mut().for_each(|x| *x = round_up(f64::from(slack) + f64::from(*x)));
    }
    (low, high, beyond)
}

/// The leaf's part of the coarse stream, see [`crate::layout::leaf`].
fn stream(
    dims: usize,
    header: &LeafHeader,
    grid: &Grid,
    codes: &[u8],
    norms: &[u16],
    residuals: &[u16],
) -> Vec<u8> {
    let layout = LeafLayout::new(dims);
    let padded = padded(dims);
    let mut stream = vec![0u8; layout.leaf_chunks(norms.len()) * CHUNK];
    header.write(&mut stream);
    let (prefix, blocks) = stream.split_at_mut(layout.prefix_chunks() * CHUNK);
    let chunks = prefix[CHUNK..].chunks_exact_mut(CHUNK);
    for (chunk, (low, step)) in chunks.zip(grid.low.chunks_exact(GROUP).zip(grid.step.chunks_exact(GROUP))) {
        for (bytes, value) in chunk.chunks_exact_mut(4).zip(low.iter().chain(step)) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
    let vectors = codes.chunks_exact(padded).zip(norms.iter().zip(residuals));
    for (at, (codes, (norm, residual))) in vectors.enumerate() {
        let (block, lane) = (at / LANES, at % LANES);
        let block = &mut blocks[block * layout.block_chunks() * CHUNK..][..layout.block_chunks() * CHUNK];
        block[lane * 2..][..2].copy_from_slice(&norm.to_le_bytes());
        block[2 * LANES + lane * 2..][..2].copy_from_slice(&residual.to_le_bytes());
        for (chunk, codes) in block[CHUNK..].chunks_exact_mut(CHUNK).zip(codes.chunks_exact(GROUP)) {
            pack(codes, |code| code >> 4, &mut chunk[lane * 4..][..4]);
        }
    }
    stream
}

fn fine_records(dims: usize, codes: &[u8], residuals: &[u16]) -> Vec<u8> {
    let layout = FineLayout::new(dims);
    let mut records = vec![0u8; residuals.len() * layout.record];
    let vectors = codes.chunks_exact(padded(dims)).zip(residuals);
    for (record, (codes, residual)) in records.chunks_exact_mut(layout.record).zip(vectors) {
        let (nibbles, tail) = record.split_at_mut(layout.record - 2);
        for (bytes, codes) in nibbles.chunks_exact_mut(4).zip(codes.chunks_exact(GROUP)) {
            pack(codes, |code| code & 15, bytes);
        }
        tail.copy_from_slice(&residual.to_le_bytes());
    }
    records
}

/// Packs a nibble of each of eight codes into four bytes: the first four low, the others high.
fn pack(codes: &[u8], nibble: fn(u8) -> u8, into: &mut [u8]) {
    for (at, byte) in into.iter_mut().enumerate() {
        *byte = nibble(codes[at]) | nibble(codes[at + 4]) << 4;
    }
}
