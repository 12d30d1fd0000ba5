//! What an operator class orders by: its support function says so, and `amvalidate` checks that it fits.
//!
//! The support functions take no arguments and return the number of a metric. The operator itself is only ever called by
//! the executor.

use bkd::Metric;
use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use crate::pg::index::Index;
use crate::types::error::raise;

/// Number of the support function.
pub const METRIC_PROC: u16 = 1;
/// Number of the distance operator.
pub const DISTANCE_STRATEGY: u16 = 1;

#[pg_extern(sql = false)]
fn kdtree_metric_l2() -> i32 {
    Metric::L2 as i32
}

#[pg_extern(sql = false)]
fn kdtree_metric_cosine() -> i32 {
    Metric::Cosine as i32
}

#[pg_extern(sql = false)]
fn kdtree_metric_ip() -> i32 {
    Metric::InnerProduct as i32
}

/// The metric of an index, from its operator class. An index that exists has it in its metapage too.
pub fn metric(index: Index) -> Metric {
    // SAFETY: the index is open; the support function takes no arguments.
    let code = unsafe {
        let procedure = pg_sys::index_getprocid(index.raw(), 1, METRIC_PROC);
        if procedure == pg_sys::InvalidOid {
            None
        } else {
            Some(call(procedure))
        }
    };
    code.and_then(from_code).unwrap_or_else(|| {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("the operator class of index \"{}\" does not name a metric", index.name()),
        )
    })
}

/// The metric that a support function names, if any.
///
/// # Safety
/// `procedure` is a function without arguments that returns an integer.
pub unsafe fn metric_of(procedure: pg_sys::Oid) -> Option<Metric> {
    // SAFETY: as the caller promises.
    from_code(unsafe { call(procedure) })
}

/// # Safety
/// `procedure` is a function without arguments that returns an integer.
unsafe fn call(procedure: pg_sys::Oid) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::OidFunctionCall0Coll(procedure, pg_sys::InvalidOid) }.value() as i32
}

fn from_code(code: i32) -> Option<Metric> {
    u8::try_from(code).ok().and_then(Metric::from_code)
}
