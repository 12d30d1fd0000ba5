//! Distances.

use super::HalfvecRef;
use crate::types::dense::distance::{
    cosine, inner_product, l1, l2, negative_inner_product, of_elements, spherical, squared_l2,
};
use crate::types::function::distance_function;

distance_function! {
    /// `l2_distance(halfvec, halfvec)`, operator `<->`
    halfvec_l2_distance, HalfvecRef, |a, b| of_elements(a, b, l2)
}

distance_function! {
    /// `halfvec_l2_squared_distance(halfvec, halfvec)`
    halfvec_l2_squared_distance, HalfvecRef, |a, b| of_elements(a, b, squared_l2)
}

distance_function! {
    /// `inner_product(halfvec, halfvec)`
    halfvec_inner_product, HalfvecRef, |a, b| of_elements(a, b, inner_product)
}

distance_function! {
    /// `halfvec_negative_inner_product(halfvec, halfvec)`, operator `<#>`
    halfvec_negative_inner_product, HalfvecRef, |a, b| of_elements(a, b, negative_inner_product)
}

distance_function! {
    /// `cosine_distance(halfvec, halfvec)`, operator `<=>`
    halfvec_cosine_distance, HalfvecRef, |a, b| of_elements(a, b, cosine)
}

distance_function! {
    /// `l1_distance(halfvec, halfvec)`, operator `<+>`
    halfvec_l1_distance, HalfvecRef, |a, b| of_elements(a, b, l1)
}

distance_function! {
    /// `halfvec_spherical_distance(halfvec, halfvec)`
    halfvec_spherical_distance, HalfvecRef, |a, b| of_elements(a, b, spherical)
}
