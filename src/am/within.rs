//! "Within a distance" as a condition that an index can search for.
//!
//! What users write is a function of a column, a vector and a radius, `l2_within(embedding, $1, 0.5)`. Postgres asks the function's
//! *support function* whether an index can answer that, and gets the condition `embedding <<-> ROW($1, 0.5)`: an index condition has an
//! operator, with the column on the left and all else on the right. (The plain comparison `embedding <-> $1 <= 0.5` cannot be had: there
//! the function that Postgres asks is core's `<=`.)
//!
//! The operator's function compares as the SQL expression does: NaN is the largest number.

use bkd::Metric;
use pgrx::datum::FromDatum;
use pgrx::prelude::*;
use pgrx::{pg_sys, AnyElement, Internal, PgBox};

use super::opclass::{family_operators, within_strategy};
use crate::types::vector::distance::{cosine, l2, negative_inner_product};
use crate::types::vector::{check_same_dims, VectorArg, VectorRef};

/// The share of a table that is taken to be within a radius: what Postgres assumes of ranges of which it knows nothing
/// (`DEFAULT_RANGE_INEQ_SEL`).
const SELECTIVITY: f64 = 0.005;

#[pg_extern(sql = false)]
fn l2_within(a: VectorArg<'_>, b: VectorArg<'_>, radius: f64) -> bool {
    is_within(Metric::L2, &a.get(), &b.get(), radius)
}

#[pg_extern(sql = false)]
fn cosine_within(a: VectorArg<'_>, b: VectorArg<'_>, radius: f64) -> bool {
    is_within(Metric::Cosine, &a.get(), &b.get(), radius)
}

#[pg_extern(sql = false)]
fn negative_inner_product_within(a: VectorArg<'_>, b: VectorArg<'_>, radius: f64) -> bool {
    is_within(Metric::InnerProduct, &a.get(), &b.get(), radius)
}

/// `vector <<-> vector_range`
#[pg_extern(sql = false)]
fn l2_within_range(a: VectorArg<'_>, range: AnyElement) -> Option<bool> {
    is_within_range(Metric::L2, a, range)
}

/// `vector <<=> vector_range`
#[pg_extern(sql = false)]
fn cosine_within_range(a: VectorArg<'_>, range: AnyElement) -> Option<bool> {
    is_within_range(Metric::Cosine, a, range)
}

/// `vector <<#> vector_range`
#[pg_extern(sql = false)]
fn negative_inner_product_within_range(a: VectorArg<'_>, range: AnyElement) -> Option<bool> {
    is_within_range(Metric::InnerProduct, a, range)
}

fn is_within_range(metric: Metric, a: VectorArg<'_>, range: AnyElement) -> Option<bool> {
    // SAFETY: the SQL declaration says `vector_range`.
    let range = unsafe { Range::from_datum(range.datum()) }?;
    Some(is_within(metric, &a.get(), &range.center, range.radius))
}

fn is_within(metric: Metric, a: &VectorRef<'_>, b: &VectorRef<'_>, radius: f64) -> bool {
    check_same_dims(a, b);
    let distance = match metric {
        Metric::L2 => l2,
        Metric::Cosine => cosine,
        Metric::InnerProduct => negative_inner_product,
    };
    radius.is_nan() || distance(a.as_slice(), b.as_slice()) <= radius
}

/// A value of the composite type `vector_range`, neither part of which is NULL.
pub struct Range<'a> {
    pub center: VectorRef<'a>,
    pub radius: f64,
}

impl Range<'_> {
    /// `None` if a part is NULL.
    ///
    /// # Safety
    /// The datum is a `vector_range`, not NULL, and outlives the result.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Option<Self> {
        // SAFETY: as the caller promises; the type's parts are a vector and a float8.
        unsafe {
            let record = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
            let part = |number| {
                let mut is_null = false;
                let value = pg_sys::GetAttributeByNum(record, number, &mut is_null);
                (!is_null).then_some(value)
            };
            let (center, radius) = (part(1)?, part(2)?);
            let radius = f64::from_datum(radius, false)?;
            Some(Range { center: VectorRef::from_datum(center), radius })
        }
    }
}

#[pg_extern(sql = false)]
fn l2_within_support(request: Internal) -> Internal {
    support(Metric::L2, request)
}

#[pg_extern(sql = false)]
fn cosine_within_support(request: Internal) -> Internal {
    support(Metric::Cosine, request)
}

#[pg_extern(sql = false)]
fn negative_inner_product_within_support(request: Internal) -> Internal {
    support(Metric::InnerProduct, request)
}

/// Answers the planner's questions about a function `within` (`src/include/nodes/supportnodes.h`).
fn support(metric: Metric, request: Internal) -> Internal {
    let nothing = || Internal::from(Some(pg_sys::Datum::from(0)));
    let Some(datum) = request.unwrap() else { return nothing() };
    let node = datum.cast_mut_ptr::<pg_sys::Node>();
    // SAFETY: the planner passes a request; the tag says which.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSelectivity => {
                (*node.cast::<pg_sys::SupportRequestSelectivity>()).selectivity = SELECTIVITY;
                Internal::from(Some(datum))
            }
            pg_sys::NodeTag::T_SupportRequestIndexCondition => {
                let request = &mut *node.cast::<pg_sys::SupportRequestIndexCondition>();
                match index_condition(metric, request) {
                    Some(condition) => {
                        // The index checks what it returns by the same operator.
                        request.lossy = false;
                        let list = pg_sys::lappend(std::ptr::null_mut(), condition.cast());
                        Internal::from(Some(list.into()))
                    }
                    None => nothing(),
                }
            }
            _ => nothing(),
        }
    }
}

/// `column <<-> ROW(center, radius)`, if the column's index can search for that.
///
/// # Safety
/// A request of the planner's.
unsafe fn index_condition(
    metric: Metric,
    request: &pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Expr> {
    // SAFETY: as the caller promises; nodes are made in the planner's memory.
    unsafe {
        if (*request.node).type_ != pg_sys::NodeTag::T_FuncExpr || !super::is_kdtree(&*request.index) {
            return None;
        }
        let call = &*request.node.cast::<pg_sys::FuncExpr>();
        let arguments = call.args.as_ref().filter(|arguments| arguments.length == 3)?;
        let argument = |at: i32| pg_sys::list_nth(arguments, at).cast::<pg_sys::Node>();
        let (column, center) = match request.indexarg {
            0 => (argument(0), argument(1)),
            // Distances are symmetric.
            1 => (argument(1), argument(0)),
            _ => return None,
        };
        let radius = argument(2);
        if ![center, radius]
            .iter()
            .all(|&part| pg_sys::is_pseudo_constant_for_index(request.root, part, request.index))
        {
            return None;
        }
        let operator = family_operators(request.opfamily)
            .into_iter()
            .find(|operator| operator.amopstrategy == within_strategy(metric) as i16)?;
        let mut row = PgBox::<pg_sys::RowExpr>::alloc_node(pg_sys::NodeTag::T_RowExpr);
        row.args = [center, radius]
            .iter()
            .fold(std::ptr::null_mut(), |list, &part| pg_sys::lappend(list, part.cast()));
        row.row_typeid = operator.amoprighttype;
        row.row_format = pg_sys::CoercionForm::COERCE_EXPLICIT_CAST;
        row.location = -1;
        Some(pg_sys::make_opclause(
            operator.amopopr,
            pg_sys::BOOLOID,
            false,
            column.cast(),
            row.into_pg().cast(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
        ))
    }
}
