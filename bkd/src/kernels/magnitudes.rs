//! Loops over floating-point numbers for L1: sums of magnitudes in place of squares and products. They are among those that
//! [`float`](super::float) compiles for every instruction set.

use super::float::body::{codes, encode_with, floats, lanes, larger, total};
use super::float::{Encoded, Grid, GridSums, Placed, PRODUCTS};
use crate::layout::leaf::GROUP;
use crate::layout::CHUNK;

/// Rounds to the nearest integer, which is then in the lowest bits, when added to a small number.
const ROUND: f32 = 12_582_912.0;

#[inline(always)]
pub fn grid_l1(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums) {
    let groups = at * GROUP..at * GROUP + chunks.len() / CHUNK * GROUP;
    let chunks = chunks.chunks_exact(CHUNK).zip(query[groups.clone()].chunks_exact(GROUP));
    let outputs =
        grid.offset[groups.clone()].chunks_exact_mut(GROUP).zip(grid.step[groups].chunks_exact_mut(GROUP));
    for ((chunk, query), (offsets, steps)) in chunks.zip(outputs) {
        let (low, step, query) = (floats(&chunk[..32]), floats(&chunk[32..]), lanes(query));
        for lane in 0..GROUP {
            let offset = query[lane] - low[lane];
            let step = step[lane];
            offsets[lane] = offset;
            steps[lane] = step;
            // Coarse codes decode to 7.5 to 247.5 steps.
            sums.center[lane] += larger(larger(7.5 * step - offset, offset - 247.5 * step), 0.0);
            sums.weight[lane] = larger(sums.weight[lane], 2.0 * step);
            sums.offsets[lane] += offset.abs();
            sums.steps[lane] += step;
        }
    }
}

#[inline(always)]
pub fn place(offset: &[f32], step: &[f32], inverse: f32, places: &mut [i8], weights: &mut [i8]) -> Placed {
    let (mut rest, mut sum) = ([0.0; GROUP], [0.0; GROUP]);
    let grid = offset.chunks_exact(GROUP).zip(step.chunks_exact(GROUP));
    let bytes = places.chunks_exact_mut(GROUP).zip(weights.chunks_exact_mut(GROUP));
    for ((offset, step), (places, weights)) in grid.zip(bytes) {
        for lane in 0..GROUP {
            let (unit, step) = (2.0 * step[lane], step[lane]);
            let per_unit = if step > 0.0 { 1.0 / unit } else { 0.0 };
            let inside = larger(-larger(7.5 * step - offset[lane], -240.0 * step), 0.0);
            let shifted = inside * per_unit + ROUND;
            places[lane] = shifted.to_bits() as i8;
            rest[lane] += (inside - unit * (shifted - ROUND)).abs();
            // Less a half, so that it is rounded down.
            let weight = larger(-larger(-(unit * inverse), -127.5), 0.5) - 0.5 + ROUND;
            weights[lane] = weight.to_bits() as i8;
            sum[lane] += weight - ROUND;
        }
    }
    Placed { rest: total(rest), weights: total(sum) }
}

#[inline(always)]
pub fn fine_l1(offset: &[f32], step: &[f32], high: &[u8], low: &[u8]) -> f32 {
    let mut sums = [0.0; GROUP];
    let groups = offset.chunks_exact(GROUP).zip(step.chunks_exact(GROUP));
    for ((offset, step), (high, low)) in groups.zip(high.chunks_exact(4).zip(low.chunks_exact(4))) {
        let codes = codes(high, low);
        for lane in 0..GROUP {
            sums[lane] += (offset[lane] - step[lane] * codes[lane]).abs();
        }
    }
    total(sums)
}

#[inline(always)]
pub fn boxes_l1(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]) {
    for ((sum, low), high) in sums.iter_mut().zip(low).zip(high) {
        *sum += larger(larger(low - query, query - high), 0.0);
    }
}

#[inline(always)]
pub fn distances_l1(vector: &[f32], columns: &[f32], into: &mut [f32; PRODUCTS]) {
    let mut sums = [0.0f32; PRODUCTS];
    for (x, column) in vector.iter().zip(columns.chunks_exact(PRODUCTS)) {
        for lane in 0..PRODUCTS {
            sums[lane] += (x - column[lane]).abs();
        }
    }
    *into = sums;
}

#[inline(always)]
pub fn combine(weights: &[f32], rows: &[f32], into: &mut [f32]) -> f32 {
    into.fill(0.0);
    for (&weight, row) in weights.iter().zip(rows.chunks_exact(into.len())) {
        for (sum, x) in into.iter_mut().zip(row) {
            *sum += weight * x;
        }
    }
    let (groups, others) = into.as_chunks::<GROUP>();
    let mut largest = [0.0; GROUP];
    for group in groups {
        for lane in 0..GROUP {
            largest[lane] = larger(largest[lane], group[lane].abs());
        }
    }
    largest.into_iter().chain(others.iter().map(|x| x.abs())).fold(0.0, larger)
}

#[inline(always)]
pub fn l1(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; GROUP];
    let (a, b) = (a.chunks_exact(GROUP), b.chunks_exact(GROUP));
    for (lane, (a, b)) in a.remainder().iter().zip(b.remainder()).enumerate() {
        sums[lane] = (a - b).abs();
    }
    for (a, b) in a.zip(b) {
        for lane in 0..GROUP {
            sums[lane] += (a[lane] - b[lane]).abs();
        }
    }
    total(sums)
}

#[inline(always)]
pub fn encode_l1(vector: &[f32], low: &[f32], step: &[f32], inverse: &[f32], codes: &mut [u8]) -> Encoded {
    encode_with(vector, low, step, inverse, codes, f64::abs)
}
