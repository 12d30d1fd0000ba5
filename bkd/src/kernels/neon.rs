//! The coarse scan with NEON: sixteen codes a register, `vmull` multiplies bytes, `vpadal` adds pairs.

use std::arch::aarch64::*;

use super::{portable, Ahead, CodedQuery, Sums, Survivors, Threshold};
use crate::layout::leaf::LANES;
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
///
/// # Safety
/// The slices must have the lengths that [`super::Kernels::scan`] checks. NEON is part of every aarch64 target.
pub unsafe fn scan(
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
        // SAFETY: a block has `groups` chunks of codes, and the query as many groups.
        unsafe { sums(codes, query, &mut block_sums) };
        *survivors = portable::threshold(header, &block_sums, by);
    }
}

/// See [`super::Kernels::sums`].
///
/// # Safety
/// `chunks` has 64 bytes for every group of the query.
pub unsafe fn sums(chunks: &[u8], query: CodedQuery<'_>, sums: &mut Sums) {
    // SAFETY: the caller's promise; there are as many places as weights.
    unsafe {
        let nibble = vdupq_n_u8(15);
        match query.places {
            None => add_terms(chunks, query.weights, sums, |codes, _| {
                let low = vreinterpretq_s8_u8(vandq_u8(codes, nibble));
                (low, vreinterpretq_s8_u8(vshrq_n_u8::<4>(codes)))
            }),
            Some(places) => add_terms(chunks, query.weights, sums, |codes, group| {
                let (low_places, high_places) = halves(places.as_ptr().add(group * 8));
                let low = vreinterpretq_s8_u8(vshlq_n_u8::<3>(vandq_u8(codes, nibble)));
                let high = vreinterpretq_s8_u8(vshlq_n_u8::<3>(vshrq_n_u8::<4>(codes)));
                let low = vabdq_s8(vcombine_s8(low_places, low_places), low);
                (low, vabdq_s8(vcombine_s8(high_places, high_places), high))
            }),
        }
    }
}

/// Adds weights times what `terms` makes of sixteen bytes of codes, of the first four dimensions of a group and of the others.
///
/// # Safety
/// `chunks` has 64 bytes for every eight weights.
#[inline(always)]
unsafe fn add_terms(
    chunks: &[u8],
    weights: &[i8],
    sums: &mut Sums,
    terms: impl Fn(uint8x16_t, usize) -> (int8x16_t, int8x16_t),
) {
    // SAFETY: all loads and stores are within slices of the promised lengths.
    unsafe {
        let mut totals = [vdupq_n_s32(0); 4];
        for (group, chunk) in chunks.chunks_exact(CHUNK).enumerate() {
            let (low_weights, high_weights) = halves(weights.as_ptr().add(group * 8));
            for (quarter, total) in totals.iter_mut().enumerate() {
                let (low, high) = terms(vld1q_u8(chunk.as_ptr().add(quarter * 16)), group);
                // Terms reach 120, products 120 * 127, two of them 30,480: within 16 bits.
                let first =
                    vmlal_s8(vmull_s8(vget_low_s8(low), low_weights), vget_low_s8(high), high_weights);
                let second =
                    vmlal_s8(vmull_s8(vget_high_s8(low), low_weights), vget_high_s8(high), high_weights);
                // Four 16-bit products a lane: add neighbours twice.
                *total = vaddq_s32(*total, vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second)));
            }
        }
        for (quarter, total) in totals.into_iter().enumerate() {
            let out = sums.as_mut_ptr().add(quarter * 4);
            vst1q_s32(out, vaddq_s32(vld1q_s32(out), total));
        }
    }
}

/// The first four of eight bytes, twice, and the others.
///
/// # Safety
/// They must be readable.
#[inline(always)]
unsafe fn halves(bytes: *const i8) -> (int8x8_t, int8x8_t) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = vreinterpret_s32_s8(vld1_s8(bytes));
        (vreinterpret_s8_s32(vdup_lane_s32::<0>(bytes)), vreinterpret_s8_s32(vdup_lane_s32::<1>(bytes)))
    }
}
