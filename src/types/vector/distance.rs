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

use super::abi::distance_function;
use super::kernels;

distance_function! {
    /// `l2_distance(vector, vector)`, operator `<->`
    l2_distance, l2
}

distance_function! {
    /// `vector_l2_squared_distance(vector, vector)`
    vector_l2_squared_distance, |a, b| kernels::squared_l2(a, b).into()
}

distance_function! {
    /// `inner_product(vector, vector)`
    inner_product, |a, b| kernels::dot(a, b).into()
}

distance_function! {
    /// `vector_negative_inner_product(vector, vector)`, operator `<#>`
    vector_negative_inner_product, negative_inner_product
}

distance_function! {
    /// `cosine_distance(vector, vector)`, operator `<=>`
    cosine_distance, cosine
}

distance_function! {
    /// `l1_distance(vector, vector)`, operator `<+>`
    l1_distance, |a, b| kernels::l1(a, b).into()
}

distance_function! {
    /// `vector_spherical_distance(vector, vector)`
    vector_spherical_distance, |a, b| f64::from(kernels::dot(a, b)).clamp(-1.0, 1.0).acos() / PI
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
