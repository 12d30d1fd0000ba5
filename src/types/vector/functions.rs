//! Functions of one vector.

use pgrx::pg_extern;

use super::{Vector, VectorArg};
use crate::types::bit::BitString;
use crate::types::dense::functions;

/// `vector_dims(vector)`
#[pg_extern(sql = false)]
fn vector_dims(vector: VectorArg<'_>) -> i32 {
    vector.get().dims() as i32
}

/// `vector_norm(vector)`
#[pg_extern(sql = false)]
fn vector_norm(vector: VectorArg<'_>) -> f64 {
    functions::l2_norm(vector)
}

/// `l2_normalize(vector)`
#[pg_extern(sql = false)]
fn l2_normalize(vector: VectorArg<'_>) -> Vector {
    functions::l2_normalize(vector)
}

/// `binary_quantize(vector)`
#[pg_extern(sql = false)]
fn binary_quantize(vector: VectorArg<'_>) -> BitString {
    functions::binary_quantize(vector)
}

/// `subvector(vector, integer, integer)`
#[pg_extern(sql = false)]
fn subvector(vector: VectorArg<'_>, start: i32, count: i32) -> Vector {
    functions::subvector(vector, start, count)
}
