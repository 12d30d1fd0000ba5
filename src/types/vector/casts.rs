//! Casts: to the dimensions of a column, from arrays, to `real[]`.

use pgrx::pg_extern;

use super::{Vector, VectorArg, VectorRef};
use crate::types::array::{Array, ArrayRef};
use crate::types::dense::casts;

/// `vector(vector, integer, boolean)`
#[pg_extern(sql = false)]
fn vector_to_vector<'a>(vector: VectorArg<'a>, typmod: i32, _explicit: bool) -> VectorRef<'a> {
    casts::same(vector, typmod)
}

/// `array_to_vector(integer[] | real[] | double precision[] | numeric[], integer, boolean)`
#[pg_extern(sql = false)]
fn array_to_vector(array: ArrayRef<'_>, typmod: i32, _explicit: bool) -> Vector {
    casts::from_array(array, typmod)
}

/// `vector_to_float4(vector, integer, boolean)`
#[pg_extern(sql = false)]
fn vector_to_float4(vector: VectorArg<'_>, _typmod: i32, _explicit: bool) -> Array {
    casts::to_array(vector)
}
