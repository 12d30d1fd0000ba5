//! `avg(vector)`; `sum(vector)` needs nothing but `vector_add`.
//!
//! The state is a `double precision[]`: the number of vectors, then the sum of each dimension. It starts as `{0}` and
//! takes its dimensions from the first vector. Partial states are added, so the aggregates run in parallel.

use pgrx::{pg_extern, pg_sys, PgSqlErrorCode};

use super::arithmetic::overflow;
use super::{check_dims, check_element, check_expected_dims, Vector, VectorArg};
use crate::types::array::{Array, ArrayRef};
use crate::types::error::raise;

/// `vector_accum(double precision[], vector)`: adds a vector to a state.
#[pg_extern(sql = false)]
fn vector_accum(mut state: ArrayRef<'_>, vector: VectorArg<'_>, fcinfo: pg_sys::FunctionCallInfo) -> Array {
    let vector = vector.get();
    let (count, sums) = parts(&state);
    if sums.is_empty() {
        let mut first = Vec::with_capacity(1 + vector.dims());
        first.push(count + 1.0);
        first.extend(vector.as_slice().iter().copied().map(f64::from));
        return Array::from_slice(&first);
    }
    check_expected_dims(sums.len() as i32, vector.dims());
    // SAFETY: `fcinfo` is this call's own.
    if unsafe { pg_sys::AggCheckCallContext(fcinfo, std::ptr::null_mut()) } != 0 {
        // SAFETY: an aggregate's state belongs to its transition function.
        accumulate(unsafe { state.as_mut_slice() }.expect("`parts` checked the type"), vector.as_slice());
        state.into_array()
    } else {
        let mut copy = [&[count], sums].concat();
        accumulate(&mut copy, vector.as_slice());
        Array::from_slice(&copy)
    }
}

/// `vector_combine(double precision[], double precision[])`: adds two states.
#[pg_extern(sql = false)]
fn vector_combine(a: ArrayRef<'_>, b: ArrayRef<'_>) -> Array {
    let ((count_a, sums_a), (count_b, sums_b)) = (parts(&a), parts(&b));
    if count_a == 0.0 {
        return b.into_array();
    }
    if count_b == 0.0 {
        return a.into_array();
    }
    check_expected_dims(sums_a.len() as i32, sums_b.len());
    let mut total = Vec::with_capacity(1 + sums_a.len());
    total.push(count_a + count_b);
    total.extend(sums_a.iter().zip(sums_b).map(|(x, y)| x + y));
    check_sums(&total);
    Array::from_slice(&total)
}

/// `vector_avg(double precision[])`: the mean; NULL if there was no vector.
#[pg_extern(sql = false)]
fn vector_avg(state: ArrayRef<'_>) -> Option<Vector> {
    let (count, sums) = parts(&state);
    if count == 0.0 {
        return None;
    }
    check_dims(sums.len());
    let mut mean = Vector::zeroed(sums.len());
    for (element, sum) in mean.as_mut_slice().iter_mut().zip(sums) {
        *element = (sum / count) as f32;
        check_element(*element);
    }
    Some(mean)
}

/// The count and the sums of a state.
fn parts<'a>(state: &'a ArrayRef) -> (f64, &'a [f64]) {
    match state.as_slice().and_then(|numbers: &[f64]| numbers.split_first()) {
        Some((&count, sums)) => (count, sums),
        None => raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            "state of a vector aggregate must be a non-empty double precision array",
        ),
    }
}

fn accumulate(state: &mut [f64], vector: &[f32]) {
    let (count, sums) = state.split_first_mut().expect("a state starts with its count");
    *count += 1.0;
    sums.iter_mut().zip(vector).for_each(|(sum, &element)| *sum += f64::from(element));
    check_sums(sums);
}

fn check_sums(sums: &[f64]) {
    if sums.iter().any(|sum| sum.is_infinite()) {
        overflow();
    }
}
