//! Distances between bit strings of equal length.

use pgrx::PgSqlErrorCode;

use super::BitsRef;
use crate::types::error::raise;
use crate::types::function::distance_function;
use crate::types::kernels::bits;

distance_function! {
    /// `hamming_distance(bit, bit)`, operator `<~>`
    hamming_distance, BitsRef, hamming
}

distance_function! {
    /// `jaccard_distance(bit, bit)`, operator `<%>`
    jaccard_distance, BitsRef, jaccard
}

/// The number of bits that differ.
pub fn hamming(a: &BitsRef, b: &BitsRef) -> f64 {
    check_same_length(a, b);
    bits::differing(a.as_bytes(), b.as_bytes()) as f64
}

/// 1 less the part that the bits set in both are of those set in either; 1 if none is set in both.
pub fn jaccard(a: &BitsRef, b: &BitsRef) -> f64 {
    check_same_length(a, b);
    let overlap = bits::overlap(a.as_bytes(), b.as_bytes());
    if overlap.both == 0 {
        1.0
    } else {
        1.0 - overlap.both as f64 / overlap.either as f64
    }
}

fn check_same_length(a: &BitsRef, b: &BitsRef) {
    if a.len() != b.len() {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different bit lengths {} and {}", a.len(), b.len()),
        );
    }
}
