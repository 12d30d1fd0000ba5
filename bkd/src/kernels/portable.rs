//! The coarse scan in plain Rust. It defines what the others return.

use super::{Dots, Survivors, Threshold};
use crate::layout::leaf::LANES;
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
pub fn scan(blocks: &[u8], groups: usize, weights: &[i8], by: &Threshold, survivors: &mut [Survivors]) {
    for (block, survivors) in blocks.chunks_exact((1 + groups) * CHUNK).zip(survivors) {
        let (header, codes) = block.split_at(CHUNK);
        let mut sums = [0; LANES];
        dots(codes, weights, &mut sums);
        *survivors = threshold(header, &sums, by);
    }
}

/// See [`super::Kernels::dots`].
pub fn dots(chunks: &[u8], weights: &[i8], dots: &mut Dots) {
    for (chunk, weights) in chunks.chunks_exact(CHUNK).zip(weights.chunks_exact(8)) {
        for (dot, codes) in dots.iter_mut().zip(chunk.chunks_exact(4)) {
            for (at, &code) in codes.iter().enumerate() {
                *dot += i32::from(code & 15) * i32::from(weights[at])
                    + i32::from(code >> 4) * i32::from(weights[4 + at]);
            }
        }
    }
}

/// See [`super::Kernels::threshold`].
pub fn threshold(header: &[u8], dots: &Dots, by: &Threshold) -> Survivors {
    let mut survivors = 0;
    for (lane, &dot) in dots.iter().enumerate() {
        let code = |at: usize| f32::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let norm = by.norm_base + by.norm_step * code(lane * 2);
        let residual = by.residual_base + by.residual_step * code(2 * LANES + lane * 2);
        let value = (by.constant + norm) - by.scale * dot as f32;
        let reach = by.tau + residual;
        let limit = if by.squared { reach * reach + by.square * (residual * residual) } else { reach };
        survivors |= Survivors::from(value <= limit) << lane;
    }
    survivors
}
