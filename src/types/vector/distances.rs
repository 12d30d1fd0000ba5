//! Distances.

use super::VectorRef;
use crate::types::dense::distance::{
    cosine, inner_product, l1, l2, negative_inner_product, of_elements, spherical, squared_l2,
};
use crate::types::function::distance_function;

distance_function! {
    /// `l2_distance(vector, vector)`, operator `<->`
    l2_distance, VectorRef, |a, b| of_elements(a, b, l2)
}

distance_function! {
    /// `vector_l2_squared_distance(vector, vector)`
    vector_l2_squared_distance, VectorRef, |a, b| of_elements(a, b, squared_l2)
}

distance_function! {
    /// `inner_product(vector, vector)`
    inner_product, VectorRef, |a, b| of_elements(a, b, inner_product)
}

distance_function! {
    /// `vector_negative_inner_product(vector, vector)`, operator `<#>`
    vector_negative_inner_product, VectorRef, |a, b| of_elements(a, b, negative_inner_product)
}

distance_function! {
    /// `cosine_distance(vector, vector)`, operator `<=>`
    cosine_distance, VectorRef, |a, b| of_elements(a, b, cosine)
}

distance_function! {
    /// `l1_distance(vector, vector)`, operator `<+>`
    l1_distance, VectorRef, |a, b| of_elements(a, b, l1)
}

distance_function! {
    /// `vector_spherical_distance(vector, vector)`
    vector_spherical_distance, VectorRef, |a, b| of_elements(a, b, spherical)
}
