//! Casts: to the dimensions of a column, from arrays, to `real[]`, from and to `vector`.

use pgrx::pg_extern;

use super::{Halfvec, HalfvecArg, HalfvecRef};
use crate::types::array::{Array, ArrayRef};
use crate::types::dense::casts;
use crate::types::vector::{Vector, VectorArg};

/// `halfvec(halfvec, integer, boolean)`
#[pg_extern(sql = false)]
fn halfvec_to_halfvec<'a>(vector: HalfvecArg<'a>, typmod: i32, _explicit: bool) -> HalfvecRef<'a> {
    casts::same(vector, typmod)
}

/// `array_to_halfvec(integer[] | real[] | double precision[] | numeric[], integer, boolean)`
#[pg_extern(sql = false)]
fn array_to_halfvec(array: ArrayRef<'_>, typmod: i32, _explicit: bool) -> Halfvec {
    casts::from_array(array, typmod)
}

/// `halfvec_to_float4(halfvec, integer, boolean)`
#[pg_extern(sql = false)]
fn halfvec_to_float4(vector: HalfvecArg<'_>, _typmod: i32, _explicit: bool) -> Array {
    casts::to_array(vector)
}

/// `halfvec_to_vector(halfvec, integer, boolean)`
#[pg_extern(sql = false)]
fn halfvec_to_vector(vector: HalfvecArg<'_>, typmod: i32, _explicit: bool) -> Vector {
    casts::convert(vector, typmod)
}

/// `vector_to_halfvec(vector, integer, boolean)`
#[pg_extern(sql = false)]
fn vector_to_halfvec(vector: VectorArg<'_>, typmod: i32, _explicit: bool) -> Halfvec {
    casts::convert(vector, typmod)
}
