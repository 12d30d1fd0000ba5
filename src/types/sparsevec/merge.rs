//! Walks through the elements of two sparse vectors side by side.

use super::SparseRef;

/// Calls `pair` with index and elements of both vectors wherever one is stored, in ascending order, zero standing for one that
/// is not; until it returns false.
#[inline(always)]
pub fn union(a: &SparseRef, b: &SparseRef, mut pair: impl FnMut(i32, f32, f32) -> bool) {
    let ((a_indices, a_values), (b_indices, b_values)) = (parts(a), parts(b));
    let (mut i, mut j) = (0, 0);
    while i < a_indices.len() && j < b_indices.len() {
        let (left, right) = (a_indices[i], b_indices[j]);
        let x = if left <= right { a_values[i] } else { 0.0 };
        let y = if right <= left { b_values[j] } else { 0.0 };
        if !pair(left.min(right), x, y) {
            return;
        }
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    let rest_of_a = a_indices[i..].iter().zip(&a_values[i..]).map(|(&index, &x)| (index, x, 0.0));
    let rest_of_b = b_indices[j..].iter().zip(&b_values[j..]).map(|(&index, &y)| (index, 0.0, y));
    // One of them is empty.
    for (index, x, y) in rest_of_a.chain(rest_of_b) {
        if !pair(index, x, y) {
            return;
        }
    }
}

/// The elements that both vectors store.
#[inline(always)]
pub fn intersection(a: &SparseRef, b: &SparseRef, mut pair: impl FnMut(f32, f32)) {
    let ((a_indices, a_values), (b_indices, b_values)) = (parts(a), parts(b));
    let (mut i, mut j) = (0, 0);
    while i < a_indices.len() && j < b_indices.len() {
        let (left, right) = (a_indices[i], b_indices[j]);
        if left == right {
            pair(a_values[i], b_values[j]);
        }
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
}

/// Indices and elements, as many of each, which the compiler sees.
#[inline(always)]
fn parts<'a>(vector: &'a SparseRef) -> (&'a [i32], &'a [f32]) {
    let (indices, values) = (vector.indices(), vector.values());
    (indices, &values[..indices.len()])
}
