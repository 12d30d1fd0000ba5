//! The coarse scan in plain Rust. It defines what the others return.

use super::{Ahead, CodedQuery, Sums, Survivors, Threshold};
use crate::layout::leaf::{GROUP, LANES};
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
pub fn scan(
    blocks: &[u8],
    groups: usize,
    query: CodedQuery<'_>,
    by: &Threshold,
    survivors: &mut [Survivors],
    mut ahead: Ahead,
) {
    for (block, survivors) in blocks.chunks_exact((1 + groups) * CHUNK).zip(survivors) {
        ahead.fetch(1 + groups);
        let (header, codes) = block.split_at(CHUNK);
        let mut block_sums = [0; LANES];
        sums(codes, query, &mut block_sums);
        *survivors = threshold(header, &block_sums, by);
    }
}

/// See [`super::Kernels::sums`].
pub fn sums(chunks: &[u8], query: CodedQuery<'_>, sums: &mut Sums) {
    match query.places {
        None => add_terms(chunks, query.weights, sums, |code, _| code),
        Some(places) => add_terms(chunks, query.weights, sums, |code, dim| (places[dim] - 8 * code).abs()),
    }
}

/// Adds weight times `term` of the code, for every dimension.
#[inline(always)]
fn add_terms(chunks: &[u8], weights: &[i8], sums: &mut Sums, term: impl Fn(i8, usize) -> i8) {
    for (group, (chunk, weights)) in chunks.chunks_exact(CHUNK).zip(weights.chunks_exact(GROUP)).enumerate() {
        for (sum, codes) in sums.iter_mut().zip(chunk.chunks_exact(4)) {
            for (at, &code) in codes.iter().enumerate() {
                for (within, code) in [(at, code & 15), (4 + at, code >> 4)] {
                    let term = term(code as i8, group * GROUP + within);
                    *sum += i32::from(term) * i32::from(weights[within]);
                }
            }
        }
    }
}

/// See [`super::Kernels::threshold`].
pub fn threshold(header: &[u8], sums: &Sums, by: &Threshold) -> Survivors {
    let mut survivors = 0;
    for (lane, &sum) in sums.iter().enumerate() {
        let code = |at: usize| f32::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let norm = by.norm_base + by.norm_step * code(lane * 2);
        let residual = by.residual_base + by.residual_step * code(2 * LANES + lane * 2);
        let value = (by.constant + norm) - by.scale * sum as f32;
        let reach = by.tau + residual;
        let limit = if by.squared { reach * reach + by.square * (residual * residual) } else { reach };
        survivors |= Survivors::from(value <= limit) << lane;
    }
    survivors
}
