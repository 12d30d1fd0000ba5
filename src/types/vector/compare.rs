//! Ordering: element by element, and where one vector is the beginning of the other the shorter one first.
//!
//! Vectors of any dimensions compare, as arrays do; this is the order of the B-tree operator class.

use std::cmp::Ordering;

use pgrx::pg_extern;

use super::VectorRef;

/// `vector_lt(vector, vector)`, operator `<`
#[pg_extern(sql = false)]
fn vector_lt(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_lt()
}

/// `vector_le(vector, vector)`, operator `<=`
#[pg_extern(sql = false)]
fn vector_le(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_le()
}

/// `vector_eq(vector, vector)`, operator `=`
#[pg_extern(sql = false)]
fn vector_eq(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_eq()
}

/// `vector_ne(vector, vector)`, operator `<>`
#[pg_extern(sql = false)]
fn vector_ne(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_ne()
}

/// `vector_ge(vector, vector)`, operator `>=`
#[pg_extern(sql = false)]
fn vector_ge(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_ge()
}

/// `vector_gt(vector, vector)`, operator `>`
#[pg_extern(sql = false)]
fn vector_gt(a: VectorRef<'_>, b: VectorRef<'_>) -> bool {
    compare(&a, &b).is_gt()
}

/// `vector_cmp(vector, vector)`
#[pg_extern(sql = false)]
fn vector_cmp(a: VectorRef<'_>, b: VectorRef<'_>) -> i32 {
    compare(&a, &b) as i32
}

fn compare(a: &VectorRef, b: &VectorRef) -> Ordering {
    a.as_slice().partial_cmp(b.as_slice()).expect("elements are never NaN")
}
