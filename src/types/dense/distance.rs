//! Distances.
//!
//! # Error model
//! Sums over the elements are accumulated in `f32`, as in pgvector, in a fixed order (see [`kernels`]), without fused
//! multiply-add; only the sum is widened to `f64`, in which the rest is computed. A sum of `d` terms is therefore off by at
//! most about `d` half-ulps of `f32`, relative to the sum of the terms' absolute values, and is the same on every machine.
//! Sums can overflow to infinity and underflow to zero; those over halves are too small for the former. An index that hands
//! the executor a lower bound of a distance must allow for just this error.
//!
//! | distance | from the sums |
//! |---|---|
//! | L2 | `sqrt(sum of (a - b)²)` |
//! | inner product, negative inner product | `sum of a·b`, with its sign changed |
//! | cosine | `1 - clamp(sum of a·b / sqrt(sum of a² · sum of b²), -1, 1)`; NaN if either is a zero vector |
//! | L1 | <code>sum of \|a - b\|</code> |
//! | spherical | `acos(clamp(sum of a·b, -1, 1)) / π`, for unit vectors |

use std::f64::consts::PI;

use super::{check_same_dims, DenseRef, Element};
use crate::types::kernels;

/// `distance` of the elements. Raises an error if there are more of one than of the other.
#[inline(always)]
pub fn of_elements<E: Element>(
    a: &DenseRef<E>,
    b: &DenseRef<E>,
    distance: impl Fn(&[E], &[E]) -> f64,
) -> f64 {
    check_same_dims(a, b);
    distance(a.as_slice(), b.as_slice())
}

/// What `<->` returns for elements of equal length.
#[inline]
pub fn l2<E: Element>(a: &[E], b: &[E]) -> f64 {
    squared_l2(a, b).sqrt()
}

/// The square of what `<->` returns for elements of equal length.
#[inline]
pub fn squared_l2<E: Element>(a: &[E], b: &[E]) -> f64 {
    kernels::squared_l2(a, b).into()
}

/// The inner product of elements of equal length.
#[inline]
pub fn inner_product<E: Element>(a: &[E], b: &[E]) -> f64 {
    kernels::dot(a, b).into()
}

/// What `<#>` returns for elements of equal length.
#[inline]
pub fn negative_inner_product<E: Element>(a: &[E], b: &[E]) -> f64 {
    -inner_product(a, b)
}

/// What `<=>` returns for elements of equal length.
#[inline]
pub fn cosine<E: Element>(a: &[E], b: &[E]) -> f64 {
    kernels::cosine(a, b).distance()
}

/// What `<+>` returns for elements of equal length.
#[inline]
pub fn l1<E: Element>(a: &[E], b: &[E]) -> f64 {
    kernels::l1(a, b).into()
}

/// The angle between unit vectors of equal length, in units of π.
#[inline]
pub fn spherical<E: Element>(a: &[E], b: &[E]) -> f64 {
    inner_product(a, b).clamp(-1.0, 1.0).acos() / PI
}
