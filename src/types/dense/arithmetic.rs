//! Element-wise arithmetic, and concatenation.
//!
//! Computed in single precision and rounded to the element's. A result that this cannot hold is an error, as in Postgres'
//! own `real` arithmetic.

use pgrx::PgSqlErrorCode;

use super::{check_same_dims, Dense, DenseArg, DenseRef, Element};
use crate::types::error::raise;

/// Elements that are widened together.
const BLOCK: usize = 64;

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
    let is_zero = |element: E| element.single() == 0.0;
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
    let blocks = a.as_slice().chunks(BLOCK).zip(b.as_slice().chunks(BLOCK));
    for (to, (x, y)) in elements.chunks_mut(BLOCK).zip(blocks) {
        let (mut left, mut right) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (left, right) = (&mut left[..to.len()], &mut right[..to.len()]);
        E::widen(x, left);
        E::widen(y, right);
        left.iter_mut().zip(right).for_each(|(x, y)| *x = operation(*x, *y));
        E::narrow(left, to);
    }
    check_overflow(elements);
    result
}

/// Raises an error if a result is too large.
pub fn check_overflow<E: Element>(elements: &[E]) {
    if elements.iter().any(|element| !element.is_finite()) {
        overflow();
    }
}

/// Raises the error for a result that is too large.
#[cold]
pub fn overflow() -> ! {
    raise(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}
