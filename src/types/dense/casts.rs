//! Casts: to the dimensions of a column, from arrays, to `real[]`, to and from other types of vectors.

use pgrx::{direct_function_call, pg_sys, PgSqlErrorCode};

use super::{check_dims, check_expected_dims, round_to_elements, Dense, DenseArg, DenseRef, Element};
use crate::types::array::{Array, ArrayRef};
use crate::types::error::raise;

/// The value, if its dimensions are those of the type modifier.
pub fn same<'a, E: Element>(vector: DenseArg<'a, E>, typmod: i32) -> DenseRef<'a, E> {
    let vector = vector.get();
    check_expected_dims::<E>(typmod, vector.dims());
    vector
}

/// The same numbers with elements of another type.
pub fn convert<From: Element, To: Element>(vector: DenseArg<From>, typmod: i32) -> Dense<To> {
    let vector = vector.get();
    check_expected_dims::<To>(typmod, vector.dims());
    let mut converted = Dense::zeroed(vector.dims());
    round_to_elements(&to_numbers(vector.as_slice()), converted.as_mut_slice());
    converted
}

/// The numbers of an array of `integer`, `real`, `double precision` or `numeric`.
pub fn from_array<E: Element>(array: ArrayRef<'_>, typmod: i32) -> Dense<E> {
    check_dims::<E>(array.len());
    check_expected_dims::<E>(typmod, array.len());
    let mut vector = Dense::zeroed(array.len());
    round_to_elements(&numbers_of_array(&array), vector.as_mut_slice());
    vector
}

/// The elements as an array of `real`.
pub fn to_array<E: Element>(vector: DenseArg<E>) -> Array {
    Array::from_slice(&to_numbers(vector.get().as_slice()))
}

/// The elements in single precision.
pub fn to_numbers<E: Element>(elements: &[E]) -> Vec<f32> {
    let mut numbers = vec![0.0; elements.len()];
    E::widen(elements, &mut numbers);
    numbers
}

/// The numbers of an array of `integer`, `real`, `double precision` or `numeric`, rounded to single precision.
pub fn numbers_of_array(array: &ArrayRef<'_>) -> Vec<f32> {
    if let Some(array) = array.as_slice::<f32>() {
        array.to_vec()
    } else if let Some(array) = array.as_slice::<f64>() {
        array.iter().map(|&number| number as f32).collect()
    } else if let Some(array) = array.as_slice::<i32>() {
        array.iter().map(|&number| number as f32).collect()
    } else if let Some(array) = array.numerics() {
        array.map(numeric_to_f32).collect()
    } else {
        raise(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, "unsupported array type");
    }
}

fn numeric_to_f32(numeric: pg_sys::Datum) -> f32 {
    // SAFETY: `numeric` is a datum of that type; the function is strict and returns a `real`.
    unsafe { direct_function_call(pg_sys::numeric_float4, &[Some(numeric)]) }
        .expect("the number of a numeric is not null")
}
