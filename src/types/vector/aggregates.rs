//! The functions of the aggregate `avg(vector)`.

use pgrx::{pg_extern, pg_sys};

use super::{Vector, VectorArg};
use crate::types::array::{Array, ArrayRef};
use crate::types::dense::aggregates;

/// `vector_accum(double precision[], vector)`
#[pg_extern(sql = false)]
fn vector_accum(state: ArrayRef<'_>, vector: VectorArg<'_>, fcinfo: pg_sys::FunctionCallInfo) -> Array {
    // SAFETY: this is the transition function, and `fcinfo` this call's.
    unsafe { aggregates::accumulate(state, vector, fcinfo) }
}

/// `vector_combine(double precision[], double precision[])`, and `halfvec_combine`
#[pg_extern(sql = false)]
fn vector_combine(a: ArrayRef<'_>, b: ArrayRef<'_>) -> Array {
    aggregates::combine(a, b)
}

/// `vector_avg(double precision[])`
#[pg_extern(sql = false)]
fn vector_avg(state: ArrayRef<'_>) -> Option<Vector> {
    aggregates::mean(state)
}
