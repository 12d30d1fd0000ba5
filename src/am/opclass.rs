//! What an operator class orders by: its support function says so, and `amvalidate` checks that it fits. Operator classes for
//! attributes have no support function: what becomes of a value follows from its type ([`super::attributes`]). Those of pgvector's access
//! methods are pgvector's own ([`super::pgvector`]).
//!
//! The support functions take no arguments and return a number: the first that of a metric; the second, which is there for
//! `halfvec` only, that of the type of the values. The operator itself is only ever called by the executor.

use std::ffi::CStr;

use bkd::{BitMetric, Metric, Packing, Space};
use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use super::vector_type::VectorType;
use super::{is_named_kdtree, pgvector};
use crate::pg::index::Index;
use crate::types::error::raise_with_hint;

/// Number of the support function that names the metric.
pub const METRIC_PROC: u16 = 1;
/// Number of the support function that names the type of the values.
pub const TYPE_PROC: u16 = 2;
/// The largest number of a support function.
pub const LAST_PROC: u16 = TYPE_PROC;
/// Number of the distance operator, for ORDER BY.
pub const DISTANCE_STRATEGY: u16 = 1;
/// The largest number of an operator.
pub const LAST_STRATEGY: u16 = within_strategy(Space::Packed(Packing::Bits(BitMetric::Jaccard)));

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
pub const fn within_strategy(space: Space) -> u16 {
    match space {
        Space::Dense(metric) | Space::Packed(Packing::Sparse(metric)) => match metric {
            Metric::L2 => 2,
            Metric::Cosine => 3,
            Metric::InnerProduct => 4,
            // 5 to 9 are those on attributes.
            Metric::L1 => 10,
        },
        Space::Packed(Packing::Bits(BitMetric::Hamming)) => 11,
        Space::Packed(Packing::Bits(BitMetric::Jaccard)) => 12,
    }
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

/// The support functions.
macro_rules! support_functions {
    ($($name:ident: $number:expr,)*) => {
        $(
            #[pg_extern(sql = false)]
            fn $name() -> i32 {
                i32::from($number)
            }
        )*
    };
}

support_functions! {
    kdtree_metric_l2: Space::Dense(Metric::L2).code(),
    kdtree_metric_cosine: Space::Dense(Metric::Cosine).code(),
    kdtree_metric_ip: Space::Dense(Metric::InnerProduct).code(),
    kdtree_metric_l1: Space::Dense(Metric::L1).code(),
    kdtree_metric_hamming: Space::Packed(Packing::Bits(BitMetric::Hamming)).code(),
    kdtree_metric_jaccard: Space::Packed(Packing::Bits(BitMetric::Jaccard)).code(),
    kdtree_metric_sparse_l2: Space::Packed(Packing::Sparse(Metric::L2)).code(),
    kdtree_metric_sparse_cosine: Space::Packed(Packing::Sparse(Metric::Cosine)).code(),
    kdtree_metric_sparse_ip: Space::Packed(Packing::Sparse(Metric::InnerProduct)).code(),
    kdtree_metric_sparse_l1: Space::Packed(Packing::Sparse(Metric::L1)).code(),
    kdtree_type_halfvec: VectorType::Halfvec as u8,
}

/// What an index is of and the type of its values, from its operator class. An index that exists has both in its metapage too.
pub fn indexed(index: Index) -> (Space, VectorType) {
    let (space, named) = if is_named_kdtree(index) {
        // SAFETY: the functions are the operator class's.
        let space = procedure(index, METRIC_PROC).and_then(|procedure| unsafe { space_of(procedure) });
        let named = match procedure(index, TYPE_PROC) {
            None => space.map(VectorType::of_space),
            // SAFETY: as above.
            Some(procedure) => unsafe { vector_type_of(procedure) },
        };
        (space, named)
    } else {
        pgvector::distance(index).map_or((None, None), |(space, named)| (Some(space), Some(named)))
    };
    let Some(space) = space else {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("the operator class of index \"{}\" does not name a metric", index.name()),
            "The first column of a kdtree index is the vector; columns to filter by follow.",
        )
    };
    let input = type_name(index.column_type(0));
    let named = named.filter(|named| named.is_of(space) && named.name() == input);
    let vector_type = named.unwrap_or_else(|| {
        raise_with_hint(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("the operator class of index \"{}\" does not say that it is for type {input}", index.name()),
            "Support function 2 returns the number of the type, like kdtree_type_halfvec(). There is none for vector.",
        )
    });
    (space, vector_type)
}

/// A support function of the vector's operator class.
fn procedure(index: Index, number: u16) -> Option<pg_sys::Oid> {
    // SAFETY: the index is open.
    let procedure = unsafe { pg_sys::index_getprocid(index.raw(), 1, number) };
    (procedure != pg_sys::InvalidOid).then_some(procedure)
}

/// The name of a type, without its schema.
pub fn type_name(type_oid: pg_sys::Oid) -> String {
    // SAFETY: a row of pg_type, released when the name has been copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::TYPEOID as i32, type_oid.into());
        if tuple.is_null() {
            panic!("cache lookup failed for type {}", type_oid.to_u32());
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>();
        let name = CStr::from_ptr((*form).typname.data.as_ptr()).to_string_lossy().into_owned();
        pg_sys::ReleaseSysCache(tuple);
        name
    }
}

/// The space that a support function names, if any.
///
/// # Safety
/// `procedure` is a function without arguments that returns an integer.
pub unsafe fn space_of(procedure: pg_sys::Oid) -> Option<Space> {
    // SAFETY: as the caller promises.
    u8::try_from(unsafe { call(procedure) }).ok().and_then(Space::from_code)
}

/// The type that a support function names, if any.
///
/// # Safety
/// As for [`space_of`].
pub unsafe fn vector_type_of(procedure: pg_sys::Oid) -> Option<VectorType> {
    // SAFETY: as the caller promises.
    u32::try_from(unsafe { call(procedure) }).ok().and_then(VectorType::from_code)
}

/// # Safety
/// `procedure` is a function without arguments that returns an integer.
unsafe fn call(procedure: pg_sys::Oid) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::OidFunctionCall0Coll(procedure, pg_sys::InvalidOid) }.value() as i32
}
