//! The coarse scan with AVX2: a chunk is two registers, `maddubs` multiplies bytes and adds pairs.

use std::arch::x86_64::*;

use super::{Ahead, CodedQuery, Sums, Survivors, Threshold};
use crate::layout::CHUNK;

/// See [`super::Kernels::scan`].
///
/// # Safety
/// The machine must have AVX2, and the slices the lengths that [`super::Kernels::scan`] checks.
#[target_feature(enable = "avx2")]
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
            compare(block, sums, by)
        };
        // SAFETY: at most one past the end of `blocks`.
        block = unsafe { block.add((1 + groups) * CHUNK) };
    }
}

/// See [`super::Kernels::threshold`].
///
/// # Safety
/// The machine must have AVX2; `header` is a chunk.
#[target_feature(enable = "avx2")]
pub unsafe fn threshold(header: &[u8], sums: &Sums, by: &Threshold) -> Survivors {
    // SAFETY: `sums` is two registers wide, and the header as long as promised.
    unsafe {
        let sums = sums.as_ptr().cast::<__m256i>();
        compare(header.as_ptr(), [_mm256_loadu_si256(sums), _mm256_loadu_si256(sums.add(1))], by)
    }
}

/// Lanes within the threshold.
///
/// # Safety
/// A chunk must be readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn compare(header: *const u8, sums: [__m256i; 2], by: &Threshold) -> Survivors {
    // SAFETY: within the caller's promise.
    unsafe {
        let low = half(header, header.add(32), sums[0], by);
        let high = half(header.add(16), header.add(48), sums[1], by);
        low | high << 8
    }
}

/// See [`super::Kernels::sums`].
///
/// # Safety
/// The machine must have AVX2; `chunks` has 64 bytes for every group of the query.
#[target_feature(enable = "avx2")]
pub unsafe fn sums(chunks: &[u8], query: CodedQuery<'_>, sums: &mut Sums) {
    // SAFETY: lengths are the caller's promise; `sums` is two registers wide.
    unsafe {
        let more = block_sums(chunks.as_ptr(), chunks.len() / CHUNK, query);
        let out = sums.as_mut_ptr().cast::<__m256i>();
        for (half, sum) in more.into_iter().enumerate() {
            _mm256_storeu_si256(out.add(half), _mm256_add_epi32(_mm256_loadu_si256(out.add(half)), sum));
        }
    }
}

/// Sums over `groups` chunks: lanes 0 to 7 and 8 to 15.
///
/// # Safety
/// So many chunks must be readable, and the query has so many groups.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn block_sums(chunks: *const u8, groups: usize, query: CodedQuery<'_>) -> [__m256i; 2] {
    let weights = query.weights.as_ptr();
    // SAFETY: the caller's promise.
    unsafe {
        match query.places {
            None => products(chunks, groups, weights),
            Some(places) => differences(chunks, groups, places.as_ptr(), weights),
        }
    }
}

/// Four bytes, in each of eight lanes.
///
/// # Safety
/// They must be readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four(bytes: *const i8) -> __m256i {
    // SAFETY: the caller's promise.
    _mm256_set1_epi32(unsafe { bytes.cast::<i32>().read_unaligned() })
}

/// Sums of weighted codes.
///
/// # Safety
/// So many chunks must be readable, and eight weights for each.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn products(chunks: *const u8, groups: usize, weights: *const i8) -> [__m256i; 2] {
    let nibble = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); 2];
    for group in 0..groups {
        // SAFETY: within the caller's promise.
        let (low_weights, high_weights) =
            unsafe { (four(weights.add(group * 8)), four(weights.add(group * 8 + 4))) };
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: within the caller's promise.
            let codes = unsafe { _mm256_loadu_si256(chunks.add(group * CHUNK + half * 32).cast()) };
            let low = _mm256_and_si256(codes, nibble);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
            // Pairs reach at most 2 * 15 * 127 in magnitude, four of them 15,240: within 16 bits.
            let pairs = _mm256_add_epi16(
                _mm256_maddubs_epi16(low, low_weights),
                _mm256_maddubs_epi16(high, high_weights),
            );
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    sums
}

/// Sums of weighted differences between places and eightfold codes.
///
/// # Safety
/// So many chunks must be readable, and eight places and weights for each.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn differences(
    chunks: *const u8,
    groups: usize,
    places: *const i8,
    weights: *const i8,
) -> [__m256i; 2] {
    // A nibble, times eight.
    let eightfold = _mm256_set1_epi8(0x78);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); 2];
    for group in 0..groups {
        // SAFETY: within the caller's promise.
        let (low_places, high_places, low_weights, high_weights) = unsafe {
            (
                four(places.add(group * 8)),
                four(places.add(group * 8 + 4)),
                four(weights.add(group * 8)),
                four(weights.add(group * 8 + 4)),
            )
        };
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: within the caller's promise.
            let codes = unsafe { _mm256_loadu_si256(chunks.add(group * CHUNK + half * 32).cast()) };
            let low = _mm256_and_si256(_mm256_slli_epi16::<3>(codes), eightfold);
            let high = _mm256_and_si256(_mm256_srli_epi16::<1>(codes), eightfold);
            let low = _mm256_abs_epi8(_mm256_sub_epi8(low_places, low));
            let high = _mm256_abs_epi8(_mm256_sub_epi8(high_places, high));
            // Pairs reach at most 2 * 120 * 127: within 16 bits, but no two of them.
            let low = _mm256_madd_epi16(_mm256_maddubs_epi16(low, low_weights), ones);
            let high = _mm256_madd_epi16(_mm256_maddubs_epi16(high, high_weights), ones);
            *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(low, high));
        }
    }
    sums
}

/// The comparison for eight lanes.
///
/// # Safety
/// Sixteen bytes of norms and of residuals must be readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn half(norms: *const u8, residuals: *const u8, sums: __m256i, by: &Threshold) -> Survivors {
    // SAFETY: the caller's promise.
    let (norms, residuals) = unsafe { (_mm_loadu_si128(norms.cast()), _mm_loadu_si128(residuals.cast())) };
    let norm = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(norms));
    let residual = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(residuals));
    let norm = _mm256_add_ps(_mm256_set1_ps(by.norm_base), _mm256_mul_ps(_mm256_set1_ps(by.norm_step), norm));
    let residual = _mm256_add_ps(
        _mm256_set1_ps(by.residual_base),
        _mm256_mul_ps(_mm256_set1_ps(by.residual_step), residual),
    );
    let value = _mm256_sub_ps(
        _mm256_add_ps(_mm256_set1_ps(by.constant), norm),
        _mm256_mul_ps(_mm256_set1_ps(by.scale), _mm256_cvtepi32_ps(sums)),
    );
    let reach = _mm256_add_ps(_mm256_set1_ps(by.tau), residual);
    let limit = if by.squared {
        let square = _mm256_mul_ps(_mm256_set1_ps(by.square), _mm256_mul_ps(residual, residual));
        _mm256_add_ps(_mm256_mul_ps(reach, reach), square)
    } else {
        reach
    };
    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(value, limit)) as Survivors
}
