//! The aggregate `avg`; `sum` needs nothing but addition.
//!
//! The state is a `double precision[]`: the number of vectors, then the sum of each dimension. It starts as `{0}` and
//! takes its dimensions from the first vector. Partial states are added, so the aggregates run in parallel.

use pgrx::{pg_sys, PgSqlErrorCode};

use super::arithmetic::overflow;
use super::{check_dims, check_expected_dims, round_to_element, Dense, DenseArg, Element};
use crate::types::array::{Array, ArrayRef};
use crate::types::error::raise;

/// Adds a vector to a state.
///
/// # Safety
/// `fcinfo` is that of this call of the transition function.
pub unsafe fn accumulate<E: Element>(
    mut state: ArrayRef<'_>,
    vector: DenseArg<E>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Array {
    let vector = vector.get();
    let (count, sums) = parts(&state);
    if sums.is_empty() {
        let mut first = Vec::with_capacity(1 + vector.dims());
        first.push(count + 1.0);
        first.extend(vector.as_slice().iter().map(|element| f64::from(element.to_f32())));
        return Array::from_slice(&first);
    }
    check_expected_dims::<E>(sums.len() as i32, vector.dims());
    // SAFETY: the caller vouches for it.
    if unsafe { pg_sys::AggCheckCallContext(fcinfo, std::ptr::null_mut()) } != 0 {
        // SAFETY: an aggregate's state belongs to its transition function.
        add(unsafe { state.as_mut_slice() }.expect("`parts` checked the type"), vector.as_slice());
        state.into_array()
    } else {
        let mut copy = [&[count], sums].concat();
        add(&mut copy, vector.as_slice());
        Array::from_slice(&copy)
    }
}

/// Adds two states.
pub fn combine(a: ArrayRef<'_>, b: ArrayRef<'_>) -> Array {
    let ((count_a, sums_a), (count_b, sums_b)) = (parts(&a), parts(&b));
    if count_a == 0.0 {
        return b.into_array();
    }
    if count_b == 0.0 {
        return a.into_array();
    }
    check_expected_dims::<f32>(sums_a.len() as i32, sums_b.len());
    let mut total = Vec::with_capacity(1 + sums_a.len());
    total.push(count_a + count_b);
    total.extend(sums_a.iter().zip(sums_b).map(|(x, y)| x + y));
    check_sums(&total);
    Array::from_slice(&total)
}

/// The mean; NULL if there was no vector.
pub fn mean<E: Element>(state: ArrayRef<'_>) -> Option<Dense<E>> {
    let (count, sums) = parts(&state);
    if count == 0.0 {
        return None;
    }
    check_dims::<E>(sums.len());
    let mut mean = Dense::zeroed(sums.len());
    for (element, sum) in mean.as_mut_slice().iter_mut().zip(sums) {
        *element = round_to_element((sum / count) as f32);
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

fn add<E: Element>(state: &mut [f64], vector: &[E]) {
    let (count, sums) = state.split_first_mut().expect("a state starts with its count");
    *count += 1.0;
    sums.iter_mut().zip(vector).for_each(|(sum, element)| *sum += f64::from(element.single()));
    check_sums(sums);
}

fn check_sums(sums: &[f64]) {
    if sums.iter().any(|sum| sum.is_infinite()) {
        overflow();
    }
}
