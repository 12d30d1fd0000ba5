//! The functions of the aggregate `avg(halfvec)`.

use pgrx::{pg_extern, pg_sys};

use super::{Halfvec, HalfvecArg};
use crate::types::array::{Array, ArrayRef};
use crate::types::dense::aggregates;

/// `halfvec_accum(double precision[], halfvec)`
#[pg_extern(sql = false)]
fn halfvec_accum(state: ArrayRef<'_>, vector: HalfvecArg<'_>, fcinfo: pg_sys::FunctionCallInfo) -> Array {
    // SAFETY: this is the transition function, and `fcinfo` this call's.
    unsafe { aggregates::accumulate(state, vector, fcinfo) }
}

/// `halfvec_avg(double precision[])`
#[pg_extern(sql = false)]
fn halfvec_avg(state: ArrayRef<'_>) -> Option<Halfvec> {
    aggregates::mean(state)
}
