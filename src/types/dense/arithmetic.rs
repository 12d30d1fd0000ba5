//! Element-wise arithmetic, and concatenation.
//!
//! Computed in single precision and rounded to the element's. A result that this cannot hold is an error, as in Postgres'
//! own `real` arithmetic.

use pgrx::PgSqlErrorCode;

use super::{check_same_dims, Dense, DenseArg, DenseRef, Element};
use crate::types::error::raise;

/// Operator `+`
pub fn add<E: Element>(a: DenseArg<E>, b: DenseArg<E>) -> Dense<E> {
    element_wise(&a.get(), &b.get(), |x, y| x + y)
}

/// Operator `-`
pub fn sub<E: Element>(a: DenseArg<E>, b: DenseArg<E>) -> Dense<E> {
    element_wise(&a.get(), &b.get(), |x, y| x - y)
}

/// Operator `*`
pub fn mul<E: Element>(a: DenseArg<E>, b: DenseArg<E>) -> Dense<E> {
    let (a, b) = (a.get(), b.get());
    let mut product = element_wise(&a, &b, |x, y| x * y);
    let factors = a.as_slice().iter().zip(b.as_slice());
    let is_zero = |element: E| element.to_f32() == 0.0;
    // Sums and differences cannot underflow: they are multiples of the smallest number.
    if product
        .as_mut_slice()
        .iter()
        .zip(factors)
        .any(|(&xy, (&x, &y))| is_zero(xy) && !is_zero(x) && !is_zero(y))
    {
        raise(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow");
    }
    product
}

/// Operator `||`
pub fn concat<E: Element>(a: DenseArg<E>, b: DenseArg<E>) -> Dense<E> {
    let (a, b) = (a.get(), b.get());
    let mut both = Dense::zeroed(a.dims() + b.dims());
    let (first, second) = both.as_mut_slice().split_at_mut(a.dims());
    first.copy_from_slice(a.as_slice());
    second.copy_from_slice(b.as_slice());
    both
}

#[inline(always)]
fn element_wise<E: Element>(
    a: &DenseRef<E>,
    b: &DenseRef<E>,
    operation: impl Fn(f32, f32) -> f32,
) -> Dense<E> {
    check_same_dims(a, b);
    let mut result = Dense::zeroed(a.dims());
    let elements = result.as_mut_slice();
    for ((element, &x), &y) in elements.iter_mut().zip(a.as_slice()).zip(b.as_slice()) {
        *element = E::from_f32(operation(x.to_f32(), y.to_f32()));
    }
    check_overflow(elements);
    result
}

/// Raises an error if a result is too large.
pub fn check_overflow<E: Element>(elements: &[E]) {
    if elements.iter().any(|element| element.to_f32().is_infinite()) {
        overflow();
    }
}

/// Raises the error for a result that is too large.
#[cold]
pub fn overflow() -> ! {
    raise(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}
