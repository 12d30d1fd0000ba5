//! Distances: those of dense vectors, with zeros where no element is stored.
//!
//! Sums are accumulated in `f32`, in ascending order of the indices, without fused multiply-add; only the sum is widened to
//! `f64`. See [`dense::distance`](crate::types::dense::distance) for what that means.

use super::merge::{intersection, union};
use super::{check_same_dims, SparseRef};
use crate::types::function::distance_function;
use crate::types::kernels::CosineSums;

distance_function! {
    /// `l2_distance(sparsevec, sparsevec)`, operator `<->`
    sparsevec_l2_distance, SparseRef, l2
}

distance_function! {
    /// `sparsevec_l2_squared_distance(sparsevec, sparsevec)`
    sparsevec_l2_squared_distance, SparseRef, squared_l2
}

distance_function! {
    /// `inner_product(sparsevec, sparsevec)`
    sparsevec_inner_product, SparseRef, |a, b| dot(a, b).into()
}

distance_function! {
    /// `sparsevec_negative_inner_product(sparsevec, sparsevec)`, operator `<#>`
    sparsevec_negative_inner_product, SparseRef, negative_inner_product
}

distance_function! {
    /// `cosine_distance(sparsevec, sparsevec)`, operator `<=>`
    sparsevec_cosine_distance, SparseRef, cosine
}

distance_function! {
    /// `l1_distance(sparsevec, sparsevec)`, operator `<+>`
    sparsevec_l1_distance, SparseRef, l1
}

pub fn l2(a: &SparseRef, b: &SparseRef) -> f64 {
    squared_l2(a, b).sqrt()
}

pub fn negative_inner_product(a: &SparseRef, b: &SparseRef) -> f64 {
    -f64::from(dot(a, b))
}

fn squared_l2(a: &SparseRef, b: &SparseRef) -> f64 {
    check_same_dims(a, b);
    let mut sum = 0.0f32;
    union(a, b, |_, x, y| {
        sum += (x - y) * (x - y);
        true
    });
    sum.into()
}

fn dot(a: &SparseRef, b: &SparseRef) -> f32 {
    check_same_dims(a, b);
    let mut sum = 0.0;
    intersection(a, b, |x, y| sum += x * y);
    sum
}

pub fn cosine(a: &SparseRef, b: &SparseRef) -> f64 {
    let squared_norm = |vector: &SparseRef| vector.values().iter().fold(0.0, |sum, &x| sum + x * x);
    CosineSums { dot: dot(a, b), norm_a: squared_norm(a), norm_b: squared_norm(b) }.distance()
}

pub fn l1(a: &SparseRef, b: &SparseRef) -> f64 {
    check_same_dims(a, b);
    let mut sum = 0.0f32;
    union(a, b, |_, x, y| {
        sum += (x - y).abs();
        true
    });
    sum.into()
}
