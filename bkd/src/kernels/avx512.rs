//! The coarse scan with AVX-512 VNNI: a chunk is one register, `dpbusd` multiplies and adds four dimensions at once.

use std::arch::x86_64::*;

use super::{Ahead, CodedQuery, Sums, Survivors, Threshold};
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
///
/// # Safety
/// The machine must have the features named below, and the slices the lengths that [`super::Kernels::scan`] checks.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn scan(
    blocks: &[u8],
    groups: usize,
    query: CodedQuery<'_>,
    by: &Threshold,
    survivors: &mut [Survivors],
    mut ahead: Ahead,
) {
    let mut block = blocks.as_ptr();
    for survivors in survivors {
        ahead.fetch(1 + groups);
        // SAFETY: `block` starts one of `survivors.len()` blocks of `1 + groups` chunks, and the query has as many groups.
        *survivors = unsafe {
            let sums = block_sums(block.add(CHUNK), groups, query);
            compare(_mm512_loadu_si512(block.cast()), sums, by)
        };
        // SAFETY: at most one past the end of `blocks`.
        block = unsafe { block.add((1 + groups) * CHUNK) };
    }
}

/// See [`super::Kernels::threshold`].
///
/// # Safety
/// The machine must have the features named below; `header` is a chunk.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn threshold(header: &[u8], sums: &Sums, by: &Threshold) -> Survivors {
    // SAFETY: both are one register wide.
    unsafe {
        let sums = _mm512_loadu_si512(sums.as_ptr().cast());
        compare(_mm512_loadu_si512(header.as_ptr().cast()), sums, by)
    }
}

/// Lanes within the threshold.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn compare(header: __m512i, sums: __m512i, by: &Threshold) -> Survivors {
    let norm = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(header)));
    let residual = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(header)));
    // Separate multiplications and additions, in the order of the portable form: the same bits.
    let norm = _mm512_add_ps(_mm512_set1_ps(by.norm_base), _mm512_mul_ps(_mm512_set1_ps(by.norm_step), norm));
    let residual = _mm512_add_ps(
        _mm512_set1_ps(by.residual_base),
        _mm512_mul_ps(_mm512_set1_ps(by.residual_step), residual),
    );
    let sums = _mm512_mul_ps(_mm512_set1_ps(by.scale), _mm512_cvtepi32_ps(sums));
    let value = _mm512_sub_ps(_mm512_add_ps(_mm512_set1_ps(by.constant), norm), sums);
    let reach = _mm512_add_ps(_mm512_set1_ps(by.tau), residual);
    let limit = if by.squared {
        let square = _mm512_mul_ps(_mm512_set1_ps(by.square), _mm512_mul_ps(residual, residual));
        _mm512_add_ps(_mm512_mul_ps(reach, reach), square)
    } else {
        reach
    };
    _mm512_cmp_ps_mask::<_CMP_LE_OQ>(value, limit)
}

/// See [`super::Kernels::sums`].
///
/// # Safety
/// The machine must have the features named below; `chunks` has 64 bytes for every group of the query.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn sums(chunks: &[u8], query: CodedQuery<'_>, sums: &mut Sums) {
    // SAFETY: lengths are the caller's promise; `sums` is one register wide.
    unsafe {
        let more = block_sums(chunks.as_ptr(), chunks.len() / CHUNK, query);
        let before = _mm512_loadu_si512(sums.as_ptr().cast());
        _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_add_epi32(before, more));
    }
}

/// Sums over `groups` chunks.
///
/// # Safety
/// So many chunks must be readable, and the query has so many groups.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn block_sums(chunks: *const u8, groups: usize, query: CodedQuery<'_>) -> __m512i {
    let weights = query.weights.as_ptr();
    // SAFETY: the caller's promise.
    unsafe {
        match query.places {
            None => products(chunks, groups, weights),
            Some(places) => differences(chunks, groups, places.as_ptr(), weights),
        }
    }
}

/// Four bytes, in each of sixteen lanes.
///
/// # Safety
/// They must be readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn four(bytes: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    _mm512_set1_epi32(unsafe { bytes.cast::<i32>().read_unaligned() })
}

/// Sums of weighted codes.
///
/// # Safety
/// So many chunks must be readable, and eight weights for each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn products(chunks: *const u8, groups: usize, weights: *const i8) -> __m512i {
    let nibble = _mm512_set1_epi8(15);
    let mut low_sums = _mm512_setzero_si512();
    let mut high_sums = _mm512_setzero_si512();
    for group in 0..groups {
        // SAFETY: within the caller's promise.
        let (codes, low_weights, high_weights) = unsafe {
            (
                _mm512_loadu_si512(chunks.add(group * CHUNK).cast()),
                four(weights.add(group * 8)),
                four(weights.add(group * 8 + 4)),
            )
        };
        let low = _mm512_and_si512(codes, nibble);
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble);
        low_sums = _mm512_dpbusd_epi32(low_sums, low, low_weights);
        high_sums = _mm512_dpbusd_epi32(high_sums, high, high_weights);
    }
    _mm512_add_epi32(low_sums, high_sums)
}

/// Sums of weighted differences between places and eightfold codes.
///
/// # Safety
/// So many chunks must be readable, and eight places and weights for each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn differences(chunks: *const u8, groups: usize, places: *const i8, weights: *const i8) -> __m512i {
    // A nibble, times eight.
    let eightfold = _mm512_set1_epi8(0x78);
    let mut low_sums = _mm512_setzero_si512();
    let mut high_sums = _mm512_setzero_si512();
    for group in 0..groups {
        // SAFETY: within the caller's promise.
        let (codes, low_places, high_places, low_weights, high_weights) = unsafe {
            (
                _mm512_loadu_si512(chunks.add(group * CHUNK).cast()),
                four(places.add(group * 8)),
                four(places.add(group * 8 + 4)),
                four(weights.add(group * 8)),
                four(weights.add(group * 8 + 4)),
            )
        };
        let low = _mm512_and_si512(_mm512_slli_epi16::<3>(codes), eightfold);
        let high = _mm512_and_si512(_mm512_srli_epi16::<1>(codes), eightfold);
        let low = _mm512_abs_epi8(_mm512_sub_epi8(low_places, low));
        let high = _mm512_abs_epi8(_mm512_sub_epi8(high_places, high));
        low_sums = _mm512_dpbusd_epi32(low_sums, low, low_weights);
        high_sums = _mm512_dpbusd_epi32(high_sums, high, high_weights);
    }
    _mm512_add_epi32(low_sums, high_sums)
}
