//! What an operator class orders by: its support function says so, and `amvalidate` checks that it fits. Operator classes for
//! attributes have no support function: what becomes of a value follows from its type ([`super::attributes`]). Those of pgvector's access
//! methods are pgvector's own ([`super::pgvector`]).
//!
//! The support functions take no arguments and return the number of a metric. The operator itself is only ever called by
//! the executor.

use bkd::Metric;
use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use super::{is_named_kdtree, pgvector};
use crate::pg::index::Index;
use crate::types::error::raise_with_hint;

/// Number of the support function.
pub const METRIC_PROC: u16 = 1;
/// Number of the distance operator, for ORDER BY.
pub const DISTANCE_STRATEGY: u16 = 1;
/// The largest number of an operator.
pub const LAST_STRATEGY: u16 = Comparison::Greater as u16;

/// What operators on attributes ask; their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Comparison {
    Less = 5,
    LessOrEqual = 6,
    Equal = 7,
    GreaterOrEqual = 8,
    Greater = 9,
}

impl Comparison {
    /// What the operator with a number asks, if it is one on attributes.
    pub fn from_strategy(strategy: u16) -> Option<Self> {
        use Comparison::*;
        [Less, LessOrEqual, Equal, GreaterOrEqual, Greater]
            .into_iter()
            .find(|&comparison| comparison as u16 == strategy)
    }
}

/// Number of the operator that searches for all within a distance. Each metric has its own, so that an operator
/// family cannot be taken for another's.
pub const fn within_strategy(metric: Metric) -> u16 {
    DISTANCE_STRATEGY + metric as u16
}

/// The operators of a family.
pub fn family_operators(family: pg_sys::Oid) -> Vec<pg_sys::FormData_pg_amop> {
    family_members(pg_sys::SysCacheIdentifier::AMOPSTRATEGY, family)
}

/// Rows of pg_amop or pg_amproc that belong to a family.
pub fn family_members<T: Copy>(cache: pg_sys::SysCacheIdentifier::Type, family: pg_sys::Oid) -> Vec<T> {
    let none = pg_sys::Datum::from(0);
    // SAFETY: both caches have the family as their first key, and `T` is the row type of the cache.
    unsafe {
        let list = pg_sys::SearchSysCacheList(cache as i32, 1, family.into(), none, none);
        let members = (*list).members.as_slice((*list).n_members as usize);
        let rows =
            members.iter().map(|&member| *pg_sys::GETSTRUCT(&raw mut (*member).tuple).cast::<T>()).collect();
        pg_sys::ReleaseCatCacheList(list);
        rows
    }
}

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
    let metric = if is_named_kdtree(index) { named_metric(index) } else { pgvector::metric(index) };
    metric.unwrap_or_else(|| {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("the operator class of index \"{}\" does not name a metric", index.name()),
            "The first column of a kdtree index is the vector; columns to filter by follow.",
        )
    })
}

fn named_metric(index: Index) -> Option<Metric> {
    // SAFETY: the index is open; the support function takes no arguments.
    unsafe {
        let procedure = pg_sys::index_getprocid(index.raw(), 1, METRIC_PROC);
        if procedure == pg_sys::InvalidOid {
            None
        } else {
            metric_of(procedure)
        }
    }
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
