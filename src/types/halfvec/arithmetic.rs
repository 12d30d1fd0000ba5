//! Element-wise arithmetic, and concatenation.

use pgrx::pg_extern;

use super::{Halfvec, HalfvecArg};
use crate::types::dense::arithmetic;

/// `halfvec_add(halfvec, halfvec)`, operator `+`
#[pg_extern(sql = false)]
fn halfvec_add(a: HalfvecArg<'_>, b: HalfvecArg<'_>) -> Halfvec {
    arithmetic::add(a, b)
}

/// `halfvec_sub(halfvec, halfvec)`, operator `-`
#[pg_extern(sql = false)]
fn halfvec_sub(a: HalfvecArg<'_>, b: HalfvecArg<'_>) -> Halfvec {
    arithmetic::sub(a, b)
}

/// `halfvec_mul(halfvec, halfvec)`, operator `*`
#[pg_extern(sql = false)]
fn halfvec_mul(a: HalfvecArg<'_>, b: HalfvecArg<'_>) -> Halfvec {
    arithmetic::mul(a, b)
}

/// `halfvec_concat(halfvec, halfvec)`, operator `||`
#[pg_extern(sql = false)]
fn halfvec_concat(a: HalfvecArg<'_>, b: HalfvecArg<'_>) -> Halfvec {
    arithmetic::concat(a, b)
}
