//! Distances.
//!
//! # Error model
//! Sums over the elements are accumulated in `f32`, as in pgvector, in a fixed order (see [`kernels`](super::kernels)),
//! without fused multiply-add; only the sum is widened to `f64`, in which the rest is computed. A sum of `d` terms is
//! therefore off by at most about `d` half-ulps of `f32`, relative to the sum of the terms' absolute values, and is the
//! same on every machine. Sums can overflow to infinity and underflow to zero. An index that hands the executor a lower
//! bound of a distance must allow for just this error.
//!
//! | distance | from the sums |
//! |---|---|
//! | L2 | `sqrt(sum of (a - b)²)` |
//! | inner product, negative inner product | `sum of a·b`, with its sign changed |
//! | cosine | `1 - clamp(sum of a·b / sqrt(sum of a² · sum of b²), -1, 1)`; NaN if either is a zero vector |
//! | L1 | <code>sum of \|a - b\|</code> |
//! | spherical | `acos(clamp(sum of a·b, -1, 1)) / π`, for unit vectors |

use std::f64::consts::PI;

use pgrx::pg_extern;

use super::{check_same_dims, kernels, VectorArg};

/// `l2_distance(vector, vector)`, operator `<->`
#[pg_extern(sql = false)]
fn l2_distance(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, l2)
}

/// `vector_l2_squared_distance(vector, vector)`
#[pg_extern(sql = false)]
fn vector_l2_squared_distance(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, |a, b| kernels::squared_l2(a, b).into())
}

/// `inner_product(vector, vector)`
#[pg_extern(sql = false)]
fn inner_product(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, |a, b| kernels::dot(a, b).into())
}

/// `vector_negative_inner_product(vector, vector)`, operator `<#>`
#[pg_extern(sql = false)]
fn vector_negative_inner_product(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, negative_inner_product)
}

/// `cosine_distance(vector, vector)`, operator `<=>`
#[pg_extern(sql = false)]
fn cosine_distance(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, cosine)
}

/// `l1_distance(vector, vector)`, operator `<+>`
#[pg_extern(sql = false)]
fn l1_distance(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, |a, b| kernels::l1(a, b).into())
}

/// `vector_spherical_distance(vector, vector)`
#[pg_extern(sql = false)]
fn vector_spherical_distance(a: VectorArg<'_>, b: VectorArg<'_>) -> f64 {
    apply(a, b, |a, b| f64::from(kernels::dot(a, b)).clamp(-1.0, 1.0).acos() / PI)
}

/// Reads two arguments of equal dimensions and computes their distance.
#[inline(always)]
fn apply(a: VectorArg, b: VectorArg, distance: impl Fn(&[f32], &[f32]) -> f64) -> f64 {
    let a = a.get();
    let b = b.get();
    check_same_dims(&a, &b);
    distance(a.as_slice(), b.as_slice())
}

/// What `<->` returns for elements of equal length.
pub fn l2(a: &[f32], b: &[f32]) -> f64 {
    f64::from(kernels::squared_l2(a, b)).sqrt()
}

/// What `<#>` returns for elements of equal length.
pub fn negative_inner_product(a: &[f32], b: &[f32]) -> f64 {
    -f64::from(kernels::dot(a, b))
}

/// What `<=>` returns for elements of equal length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let sums = kernels::cosine(a, b);
    let norms = (f64::from(sums.norm_a) * f64::from(sums.norm_b)).sqrt();
    // The clamp keeps a NaN.
    1.0 - (f64::from(sums.dot) / norms).clamp(-1.0, 1.0)
}
