//! The order of dense vectors.

use std::cmp::Ordering;

use super::{DenseArg, Element};

/// Compares element by element, then dimensions.
#[inline]
pub fn compare<E: Element>(a: DenseArg<E>, b: DenseArg<E>) -> Ordering {
    let a = a.get();
    let b = b.get();
    let order = a.as_slice().partial_cmp(b.as_slice()).expect("elements are never NaN");
    // A sort compares in a memory context that lasts as long as the sort.
    a.release();
    b.release();
    order
}
