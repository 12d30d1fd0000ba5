//! The coarse scan with AVX-512 VNNI: a chunk is one register, `dpbusd` multiplies and adds four dimensions at once.

use std::arch::x86_64::*;

use super::{Dots, Survivors, Threshold};
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
///
/// # Safety
/// The machine must have the features named below, and the slices the lengths that [`super::Kernels::scan`] checks.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn scan(
    blocks: &[u8],
    groups: usize,
    weights: &[i8],
    by: &Threshold,
    survivors: &mut [Survivors],
) {
    let norm_base = _mm512_set1_ps(by.norm_base);
    let norm_step = _mm512_set1_ps(by.norm_step);
    let residual_base = _mm512_set1_ps(by.residual_base);
    let residual_step = _mm512_set1_ps(by.residual_step);
    let constant = _mm512_set1_ps(by.constant);
    let scale = _mm512_set1_ps(by.scale);
    let tau = _mm512_set1_ps(by.tau);
    let square = _mm512_set1_ps(by.square);
    let mut block = blocks.as_ptr();
    for survivors in survivors {
        // SAFETY: `block` starts one of `survivors.len()` blocks of `1 + groups` chunks, and there are `groups` * 8 weights.
        let (dots, header) = unsafe {
            (block_dots(block.add(CHUNK), groups, weights.as_ptr()), _mm512_loadu_si512(block.cast()))
        };
        let norm = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(header)));
        let residual = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(header)));
        // Separate multiplications and additions, in the order of the portable form: the same bits.
        let norm = _mm512_add_ps(norm_base, _mm512_mul_ps(norm_step, norm));
        let residual = _mm512_add_ps(residual_base, _mm512_mul_ps(residual_step, residual));
        let value =
            _mm512_sub_ps(_mm512_add_ps(constant, norm), _mm512_mul_ps(scale, _mm512_cvtepi32_ps(dots)));
        let reach = _mm512_add_ps(tau, residual);
        let limit = if by.squared {
            let square = _mm512_mul_ps(square, _mm512_mul_ps(residual, residual));
            _mm512_add_ps(_mm512_mul_ps(reach, reach), square)
        } else {
            reach
        };
        *survivors = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(value, limit);
        // SAFETY: at most one past the end of `blocks`.
        block = unsafe { block.add((1 + groups) * CHUNK) };
    }
}

/// See [`super::Kernels::dots`].
///
/// # Safety
/// The machine must have the features named below; `chunks` has 64 bytes for every eight weights.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn dots(chunks: &[u8], weights: &[i8], dots: &mut Dots) {
    // SAFETY: lengths are the caller's promise; `dots` is one register wide.
    unsafe {
        let sums = block_dots(chunks.as_ptr(), weights.len() / 8, weights.as_ptr());
        let before = _mm512_loadu_si512(dots.as_ptr().cast());
        _mm512_storeu_si512(dots.as_mut_ptr().cast(), _mm512_add_epi32(before, sums));
    }
}

/// Dot products of `groups` chunks with `groups` * 8 weights.
///
/// # Safety
/// Both pointers must be readable for that many bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn block_dots(chunks: *const u8, groups: usize, weights: *const i8) -> __m512i {
    let nibble = _mm512_set1_epi8(15);
    let mut low_sums = _mm512_setzero_si512();
    let mut high_sums = _mm512_setzero_si512();
    for group in 0..groups {
        // SAFETY: within the caller's promise.
        let (codes, low_weights, high_weights) = unsafe {
            (
                _mm512_loadu_si512(chunks.add(group * CHUNK).cast()),
                weights.add(group * 8).cast::<i32>().read_unaligned(),
                weights.add(group * 8 + 4).cast::<i32>().read_unaligned(),
            )
        };
        let low = _mm512_and_si512(codes, nibble);
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble);
        low_sums = _mm512_dpbusd_epi32(low_sums, low, _mm512_set1_epi32(low_weights));
        high_sums = _mm512_dpbusd_epi32(high_sums, high, _mm512_set1_epi32(high_weights));
    }
    _mm512_add_epi32(low_sums, high_sums)
}
