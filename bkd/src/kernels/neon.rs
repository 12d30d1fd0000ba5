//! The coarse scan with NEON: sixteen codes a register, `vmull` multiplies bytes, `vpadal` adds pairs.

use std::arch::aarch64::*;

use super::{portable, Dots, Survivors, Threshold};
use crate::layout::leaf::LANES;
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
///
/// # Safety
/// The slices must have the lengths that [`super::Kernels::scan`] checks. NEON is part of every aarch64 target.
pub unsafe fn scan(
    blocks: &[u8],
    groups: usize,
    weights: &[i8],
    by: &Threshold,
    survivors: &mut [Survivors],
) {
    for (block, survivors) in blocks.chunks_exact((1 + groups) * CHUNK).zip(survivors) {
        let (header, codes) = block.split_at(CHUNK);
        let mut sums = [0; LANES];
        // SAFETY: a block has `groups` chunks of codes, and there are `groups` * 8 weights.
        unsafe { dots(codes, weights, &mut sums) };
        *survivors = portable::threshold(header, &sums, by);
    }
}

/// See [`super::Kernels::dots`].
///
/// # Safety
/// `chunks` has 64 bytes for every eight weights.
pub unsafe fn dots(chunks: &[u8], weights: &[i8], dots: &mut Dots) {
    // SAFETY: all loads and stores are within slices of the promised lengths.
    unsafe {
        let nibble = vdupq_n_u8(15);
        let mut sums = [vdupq_n_s32(0); 4];
        for (chunk, weights) in chunks.chunks_exact(CHUNK).zip(weights.chunks_exact(8)) {
            let weights = vld1_s8(weights.as_ptr());
            let low_weights = vreinterpret_s8_s32(vdup_lane_s32::<0>(vreinterpret_s32_s8(weights)));
            let high_weights = vreinterpret_s8_s32(vdup_lane_s32::<1>(vreinterpret_s32_s8(weights)));
            for (quarter, sum) in sums.iter_mut().enumerate() {
                let codes = vld1q_u8(chunk.as_ptr().add(quarter * 16));
                let low = vreinterpretq_s8_u8(vandq_u8(codes, nibble));
                let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(codes));
                // Products reach 15 * 127 in magnitude, two of them 3,810: within 16 bits.
                let first =
                    vmlal_s8(vmull_s8(vget_low_s8(low), low_weights), vget_low_s8(high), high_weights);
                let second =
                    vmlal_s8(vmull_s8(vget_high_s8(low), low_weights), vget_high_s8(high), high_weights);
                // Four 16-bit products a lane: add neighbours twice.
                *sum = vaddq_s32(*sum, vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second)));
            }
        }
        for (quarter, sum) in sums.into_iter().enumerate() {
            let out = dots.as_mut_ptr().add(quarter * 4);
            vst1q_s32(out, vaddq_s32(vld1q_s32(out), sum));
        }
    }
}
