//! Ordering: element by element, and where one vector is the beginning of the other the shorter one first.
//!
//! Vectors of any dimensions compare, as arrays do; this is the order of the B-tree operator class.

use std::cmp::Ordering;

use pgrx::pg_extern;

use super::VectorArg;

/// `vector_lt(vector, vector)`, operator `<`
#[pg_extern(sql = false)]
fn vector_lt(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_lt()
}

/// `vector_le(vector, vector)`, operator `<=`
#[pg_extern(sql = false)]
fn vector_le(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_le()
}

/// `vector_eq(vector, vector)`, operator `=`
#[pg_extern(sql = false)]
fn vector_eq(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_eq()
}

/// `vector_ne(vector, vector)`, operator `<>`
#[pg_extern(sql = false)]
fn vector_ne(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_ne()
}

/// `vector_ge(vector, vector)`, operator `>=`
#[pg_extern(sql = false)]
fn vector_ge(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_ge()
}

/// `vector_gt(vector, vector)`, operator `>`
#[pg_extern(sql = false)]
fn vector_gt(a: VectorArg<'_>, b: VectorArg<'_>) -> bool {
    compare(a, b).is_gt()
}

/// `vector_cmp(vector, vector)`
#[pg_extern(sql = false)]
fn vector_cmp(a: VectorArg<'_>, b: VectorArg<'_>) -> i32 {
    compare(a, b) as i32
}

#[inline]
fn compare(a: VectorArg, b: VectorArg) -> Ordering {
    let a = a.get();
    let b = b.get();
    let order = a.as_slice().partial_cmp(b.as_slice()).expect("elements are never NaN");
    // A sort compares in a memory context that lasts as long as the sort.
    a.release();
    b.release();
    order
}
