//! Casts: to the dimensions of a column, from arrays, to `real[]`.

use pgrx::{direct_function_call, pg_extern, pg_sys, PgSqlErrorCode};

use super::{check_dims, check_element, check_expected_dims, Vector, VectorArg, VectorRef};
use crate::types::array::{Array, ArrayRef};
use crate::types::error::raise;

/// `vector(vector, integer, boolean)`: checks the dimensions against the type modifier.
#[pg_extern(sql = false)]
fn vector_to_vector<'a>(vector: VectorArg<'a>, typmod: i32, _explicit: bool) -> VectorRef<'a> {
    let vector = vector.get();
    check_expected_dims(typmod, vector.dims());
    vector
}

/// `array_to_vector(integer[] | real[] | double precision[] | numeric[], integer, boolean)`
#[pg_extern(sql = false)]
fn array_to_vector(array: ArrayRef<'_>, typmod: i32, _explicit: bool) -> Vector {
    check_dims(array.len());
    check_expected_dims(typmod, array.len());
    let mut vector = Vector::zeroed(array.len());
    let elements = vector.as_mut_slice();
    if let Some(array) = array.as_slice::<f32>() {
        elements.copy_from_slice(array);
    } else if let Some(array) = array.as_slice::<f64>() {
        fill(elements, array.iter().map(|&number| number as f32));
    } else if let Some(array) = array.as_slice::<i32>() {
        fill(elements, array.iter().map(|&number| number as f32));
    } else if let Some(array) = array.numerics() {
        fill(elements, array.map(numeric_to_f32));
    } else {
        raise(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, "unsupported array type");
    }
    elements.iter().copied().for_each(check_element);
    vector
}

/// `vector_to_float4(vector, integer, boolean)`
#[pg_extern(sql = false)]
fn vector_to_float4(vector: VectorArg<'_>, _typmod: i32, _explicit: bool) -> Array {
    Array::from_slice(vector.get().as_slice())
}

fn fill(elements: &mut [f32], numbers: impl Iterator<Item = f32>) {
    elements.iter_mut().zip(numbers).for_each(|(element, number)| *element = number);
}

fn numeric_to_f32(numeric: pg_sys::Datum) -> f32 {
    // SAFETY: `numeric` is a datum of that type; the function is strict and returns a `real`.
    unsafe { direct_function_call(pg_sys::numeric_float4, &[Some(numeric)]) }
        .expect("the number of a numeric is not null")
}
