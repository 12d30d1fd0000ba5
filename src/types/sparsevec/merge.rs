//! Walks through the elements of two sparse vectors side by side.

use std::cmp::Ordering;

use super::SparseRef;

/// Calls `pair` with index and elements of both vectors wherever one is stored, in ascending order, zero standing for one that
/// is not; until it returns false.
#[inline(always)]
pub fn union(a: &SparseRef, b: &SparseRef, mut pair: impl FnMut(i32, f32, f32) -> bool) {
    let (mut left, mut right) = (a.elements().peekable(), b.elements().peekable());
    loop {
        let (index, x, y) = match (left.peek().copied(), right.peek().copied()) {
            (Some((i, x)), Some((j, y))) => match i.cmp(&j) {
                Ordering::Less => (i, x, 0.0),
                Ordering::Equal => (i, x, y),
                Ordering::Greater => (j, 0.0, y),
            },
            (Some((i, x)), None) => (i, x, 0.0),
            (None, Some((j, y))) => (j, 0.0, y),
            (None, None) => return,
        };
        if !pair(index, x, y) {
            return;
        }
        left.next_if(|&(i, _)| i == index);
        right.next_if(|&(j, _)| j == index);
    }
}

/// The elements that both vectors store.
#[inline(always)]
pub fn intersection(a: &SparseRef, b: &SparseRef, mut pair: impl FnMut(f32, f32)) {
    let (mut left, mut right) = (a.elements(), b.elements());
    let (mut one, mut other) = (left.next(), right.next());
    while let (Some((i, x)), Some((j, y))) = (one, other) {
        if i == j {
            pair(x, y);
        }
        if i <= j {
            one = left.next();
        }
        if j <= i {
            other = right.next();
        }
    }
}
