//! Functions of one vector.

use pgrx::pg_extern;

use super::{Halfvec, HalfvecArg};
use crate::types::bit::BitString;
use crate::types::dense::functions;

/// `vector_dims(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_vector_dims(vector: HalfvecArg<'_>) -> i32 {
    vector.get().dims() as i32
}

/// `l2_norm(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_l2_norm(vector: HalfvecArg<'_>) -> f64 {
    functions::l2_norm(vector)
}

/// `l2_normalize(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_l2_normalize(vector: HalfvecArg<'_>) -> Halfvec {
    functions::l2_normalize(vector)
}

/// `binary_quantize(halfvec)`
#[pg_extern(sql = false)]
fn halfvec_binary_quantize(vector: HalfvecArg<'_>) -> BitString {
    functions::binary_quantize(vector)
}

/// `subvector(halfvec, integer, integer)`
#[pg_extern(sql = false)]
fn halfvec_subvector(vector: HalfvecArg<'_>, start: i32, count: i32) -> Halfvec {
    functions::subvector(vector, start, count)
}
