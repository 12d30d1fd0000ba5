//! Element-wise arithmetic, and concatenation.

use pgrx::pg_extern;

use super::{Vector, VectorArg};
use crate::types::dense::arithmetic;

/// `vector_add(vector, vector)`, operator `+`
#[pg_extern(sql = false)]
fn vector_add(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    arithmetic::add(a, b)
}

/// `vector_sub(vector, vector)`, operator `-`
#[pg_extern(sql = false)]
fn vector_sub(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    arithmetic::sub(a, b)
}

/// `vector_mul(vector, vector)`, operator `*`
#[pg_extern(sql = false)]
fn vector_mul(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    arithmetic::mul(a, b)
}

/// `vector_concat(vector, vector)`, operator `||`
#[pg_extern(sql = false)]
fn vector_concat(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    arithmetic::concat(a, b)
}
