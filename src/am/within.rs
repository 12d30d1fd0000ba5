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
use vector_format::f16;

use super::opclass::{family_operators, within_strategy};
use crate::types::dense::casts::to_numbers;
use crate::types::dense::distance::{cosine, l1, l2, negative_inner_product};
use crate::types::dense::{check_same_dims, DenseRef, Element};
use crate::types::halfvec::HalfvecArg;
use crate::types::vector::VectorArg;

/// The share of a table that is taken to be within a radius: what Postgres assumes of ranges of which it knows nothing
/// (`DEFAULT_RANGE_INEQ_SEL`).
const SELECTIVITY: f64 = 0.005;

/// Defines the SQL function and the function of the operator for a type and a metric.
macro_rules! within_functions {
    ($($metric:expr, $argument:ident, $element:ty: $within:ident $within_range:ident)*) => {$(
        #[pg_extern(sql = false)]
        fn $within(a: $argument<'_>, b: $argument<'_>, radius: f64) -> bool {
            is_within($metric, &a.get(), &b.get(), radius)
        }

        #[pg_extern(sql = false)]
        fn $within_range(a: $argument<'_>, range: AnyElement) -> Option<bool> {
            // SAFETY: the SQL declaration says that it is a range of this type.
            let range = unsafe { Range::<$element>::from_datum(range.datum()) }?;
            Some(is_within($metric, &a.get(), &range.center, range.radius))
        }
    )*};
}

within_functions! {
    Metric::L2, VectorArg, f32: l2_within l2_within_range
    Metric::Cosine, VectorArg, f32: cosine_within cosine_within_range
    Metric::InnerProduct, VectorArg, f32: negative_inner_product_within negative_inner_product_within_range
    Metric::L1, VectorArg, f32: l1_within l1_within_range
    Metric::L2, HalfvecArg, f16: halfvec_l2_within halfvec_l2_within_range
    Metric::Cosine, HalfvecArg, f16: halfvec_cosine_within halfvec_cosine_within_range
    Metric::InnerProduct, HalfvecArg, f16: halfvec_negative_inner_product_within halfvec_negative_inner_product_within_range
    Metric::L1, HalfvecArg, f16: halfvec_l1_within halfvec_l1_within_range
}

fn is_within<E: Element>(metric: Metric, a: &DenseRef<'_, E>, b: &DenseRef<'_, E>, radius: f64) -> bool {
    check_same_dims(a, b);
    let distance = match metric {
        Metric::L2 => l2,
        Metric::Cosine => cosine,
        Metric::InnerProduct => negative_inner_product,
        Metric::L1 => l1,
    };
    radius.is_nan() || distance(a.as_slice(), b.as_slice()) <= radius
}

/// A value of the composite type `vector_range` or `halfvec_range`, neither part of which is NULL.
pub struct Range<'a, E> {
    center: DenseRef<'a, E>,
    radius: f64,
}

impl<E: Element> Range<'_, E> {
    /// `None` if a part is NULL.
    ///
    /// # Safety
    /// The datum is such a value of these elements, not NULL, and outlives the result.
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
            Some(Range { center: DenseRef::from_datum(center), radius })
        }
    }

    /// Center and radius as the engine wants them.
    pub fn into_numbers(self) -> (Vec<f32>, f64) {
        let numbers = to_numbers(self.center.as_slice());
        self.center.release();
        (numbers, self.radius)
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

#[pg_extern(sql = false)]
fn l1_within_support(request: Internal) -> Internal {
    support(Metric::L1, request)
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
