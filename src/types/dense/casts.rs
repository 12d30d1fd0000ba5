//! Casts: to the dimensions of a column, from arrays, to `real[]`, to and from other types of vectors.

use pgrx::{direct_function_call, pg_sys, PgSqlErrorCode};

use super::{check_dims, check_expected_dims, round_to_element, Dense, DenseArg, DenseRef, Element};
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
    for (to, &from) in converted.as_mut_slice().iter_mut().zip(vector.as_slice()) {
        *to = round_to_element(from.to_f32());
    }
    converted
}

/// The numbers of an array of `integer`, `real`, `double precision` or `numeric`.
pub fn from_array<E: Element>(array: ArrayRef<'_>, typmod: i32) -> Dense<E> {
    check_dims::<E>(array.len());
    check_expected_dims::<E>(typmod, array.len());
    let mut vector = Dense::zeroed(array.len());
    let mut elements = vector.as_mut_slice().iter_mut();
    for_each_number(&array, |number| {
        *elements.next().expect("there are as many as numbers") = round_to_element(number);
    });
    vector
}

/// The elements as an array of `real`.
pub fn to_array<E: Element>(vector: DenseArg<E>) -> Array {
    let vector = vector.get();
    let numbers: Vec<f32> = vector.as_slice().iter().map(|element| element.to_f32()).collect();
    Array::from_slice(&numbers)
}

/// Hands on the numbers of an array of `integer`, `real`, `double precision` or `numeric`, rounded to single precision.
pub fn for_each_number(array: &ArrayRef<'_>, number: impl FnMut(f32)) {
    if let Some(array) = array.as_slice::<f32>() {
        array.iter().copied().for_each(number);
    } else if let Some(array) = array.as_slice::<f64>() {
        array.iter().map(|&number| number as f32).for_each(number);
    } else if let Some(array) = array.as_slice::<i32>() {
        array.iter().map(|&number| number as f32).for_each(number);
    } else if let Some(array) = array.numerics() {
        array.map(numeric_to_f32).for_each(number);
    } else {
        raise(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, "unsupported array type");
    }
}

fn numeric_to_f32(numeric: pg_sys::Datum) -> f32 {
    // SAFETY: `numeric` is a datum of that type; the function is strict and returns a `real`.
    unsafe { direct_function_call(pg_sys::numeric_float4, &[Some(numeric)]) }
        .expect("the number of a numeric is not null")
}
