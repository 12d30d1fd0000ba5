//! Element-wise arithmetic, and concatenation.
//!
//! A result that `real` cannot hold is an error, as in Postgres' own `real` arithmetic.

use pgrx::{pg_extern, PgSqlErrorCode};

use super::{check_same_dims, Vector, VectorArg, VectorRef};
use crate::types::error::raise;

/// `vector_add(vector, vector)`, operator `+`
#[pg_extern(sql = false)]
fn vector_add(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    element_wise(&a.get(), &b.get(), |x, y| x + y)
}

/// `vector_sub(vector, vector)`, operator `-`
#[pg_extern(sql = false)]
fn vector_sub(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    element_wise(&a.get(), &b.get(), |x, y| x - y)
}

/// `vector_mul(vector, vector)`, operator `*`
#[pg_extern(sql = false)]
fn vector_mul(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    let (a, b) = (a.get(), b.get());
    let mut product = element_wise(&a, &b, |x, y| x * y);
    let factors = a.as_slice().iter().zip(b.as_slice());
    // Sums and differences cannot underflow: they are multiples of the smallest number.
    if product.as_mut_slice().iter().zip(factors).any(|(&xy, (&x, &y))| xy == 0.0 && x != 0.0 && y != 0.0) {
        raise(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow");
    }
    product
}

/// `vector_concat(vector, vector)`, operator `||`
#[pg_extern(sql = false)]
fn vector_concat(a: VectorArg<'_>, b: VectorArg<'_>) -> Vector {
    let (a, b) = (a.get(), b.get());
    let mut both = Vector::zeroed(a.dims() + b.dims());
    let (first, second) = both.as_mut_slice().split_at_mut(a.dims());
    first.copy_from_slice(a.as_slice());
    second.copy_from_slice(b.as_slice());
    both
}

#[inline(always)]
fn element_wise(a: &VectorRef, b: &VectorRef, operation: impl Fn(f32, f32) -> f32) -> Vector {
    check_same_dims(a, b);
    let mut result = Vector::zeroed(a.dims());
    let elements = result.as_mut_slice();
    for ((element, &x), &y) in elements.iter_mut().zip(a.as_slice()).zip(b.as_slice()) {
        *element = operation(x, y);
    }
    check_overflow(elements);
    result
}

/// Raises an error if a result is too large.
pub(super) fn check_overflow(elements: &[f32]) {
    if elements.iter().any(|element| element.is_infinite()) {
        overflow();
    }
}

/// Raises the error for a result that is too large.
#[cold]
pub(super) fn overflow() -> ! {
    raise(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}
