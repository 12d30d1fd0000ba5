//! "Within a distance" as a condition that an index can search for.
//!
//! What users write is a function of a column, a vector and a radius, `l2_within(embedding, $1, 0.5)`. Postgres asks the function's
//! *support function* whether an index can answer that, and gets the condition `embedding <<-> ROW($1, 0.5)`: an index condition has an
//! operator, with the column on the left and all else on the right. (The plain comparison `embedding <-> $1 <= 0.5` cannot be had: there
//! the function that Postgres asks is core's `<=`.)
//!
//! The operator's function compares as the SQL expression does: NaN is the largest number.

use bkd::{BitMetric, Metric, Packing, Space};
use pgrx::datum::FromDatum;
use pgrx::prelude::*;
use pgrx::{pg_sys, AnyElement, Internal, PgBox};

use super::opclass::{family_operators, within_strategy};
use crate::types::bit::{distance as bits, BitsArg, BitsRef};
use crate::types::dense::{distance as dense, DenseRef, Element};
use crate::types::halfvec::{HalfvecArg, HalfvecRef};
use crate::types::sparsevec::{distance as sparse, SparseArg, SparseRef};
use crate::types::vector::{VectorArg, VectorRef};

/// The share of a table that is taken to be within a radius: what Postgres assumes of ranges of which it knows nothing
/// (`DEFAULT_RANGE_INEQ_SEL`).
const SELECTIVITY: f64 = 0.005;

/// Defines the SQL function and the function of the operator for a type and a distance.
macro_rules! within_functions {
    ($($value:ident, $argument:ident, $distance:expr => $within:ident $within_range:ident)*) => {$(
        #[pg_extern(sql = false)]
        fn $within(a: $argument<'_>, b: $argument<'_>, radius: f64) -> bool {
            is_within($distance(&a.get(), &b.get()), radius)
        }

        #[pg_extern(sql = false)]
        fn $within_range(a: $argument<'_>, range: AnyElement) -> Option<bool> {
            // SAFETY: the SQL declaration says that it is a range of this type.
            let (center, radius) = unsafe {
                let (center, radius) = range_parts(range.datum())?;
                ($value::from_datum(center), radius)
            };
            Some(is_within($distance(&a.get(), &center), radius))
        }
    )*};
}

within_functions! {
    VectorRef, VectorArg, dense(dense::l2) => l2_within l2_within_range
    VectorRef, VectorArg, dense(dense::cosine) => cosine_within cosine_within_range
    VectorRef, VectorArg, dense(dense::negative_inner_product)
        => negative_inner_product_within negative_inner_product_within_range
    VectorRef, VectorArg, dense(dense::l1) => l1_within l1_within_range
    HalfvecRef, HalfvecArg, dense(dense::l2) => halfvec_l2_within halfvec_l2_within_range
    HalfvecRef, HalfvecArg, dense(dense::cosine) => halfvec_cosine_within halfvec_cosine_within_range
    HalfvecRef, HalfvecArg, dense(dense::negative_inner_product)
        => halfvec_negative_inner_product_within halfvec_negative_inner_product_within_range
    HalfvecRef, HalfvecArg, dense(dense::l1) => halfvec_l1_within halfvec_l1_within_range
    SparseRef, SparseArg, sparse::l2 => sparsevec_l2_within sparsevec_l2_within_range
    SparseRef, SparseArg, sparse::cosine => sparsevec_cosine_within sparsevec_cosine_within_range
    SparseRef, SparseArg, sparse::negative_inner_product
        => sparsevec_negative_inner_product_within sparsevec_negative_inner_product_within_range
    SparseRef, SparseArg, sparse::l1 => sparsevec_l1_within sparsevec_l1_within_range
    BitsRef, BitsArg, bits::hamming => hamming_within hamming_within_range
    BitsRef, BitsArg, bits::jaccard => jaccard_within jaccard_within_range
}

/// A distance of dense vectors that have the same dimensions, or else an error.
fn dense<E: Element>(distance: fn(&[E], &[E]) -> f64) -> impl Fn(&DenseRef<E>, &DenseRef<E>) -> f64 {
    move |a, b| dense::of_elements(a, b, distance)
}

fn is_within(distance: f64, radius: f64) -> bool {
    radius.is_nan() || distance <= radius
}

/// Center and radius of a value of one of the composite types `vector_range`, `bit_range` and so on; `None` if one of them is NULL.
///
/// # Safety
/// The datum is such a value, not NULL. The center outlives neither it nor the current memory context.
pub unsafe fn range_parts(range: pg_sys::Datum) -> Option<(pg_sys::Datum, f64)> {
    // SAFETY: as the caller promises; the type's parts are a value to measure from and a float8.
    unsafe {
        let record = pg_sys::pg_detoast_datum(range.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let part = |number| {
            let mut is_null = false;
            let value = pg_sys::GetAttributeByNum(record, number, &mut is_null);
            (!is_null).then_some(value)
        };
        let (center, radius) = (part(1)?, part(2)?);
        Some((center, f64::from_datum(radius, false)?))
    }
}

/// Defines the support function of the functions for a metric. Those of `sparsevec` share the ones of dense vectors, as their operators
/// have the same numbers.
macro_rules! support_functions {
    ($($name:ident: $space:expr,)*) => {$(
        #[pg_extern(sql = false)]
        fn $name(request: Internal) -> Internal {
            support(within_strategy($space), request)
        }
    )*};
}

support_functions! {
    l2_within_support: Space::Dense(Metric::L2),
    cosine_within_support: Space::Dense(Metric::Cosine),
    negative_inner_product_within_support: Space::Dense(Metric::InnerProduct),
    l1_within_support: Space::Dense(Metric::L1),
    hamming_within_support: Space::Packed(Packing::Bits(BitMetric::Hamming)),
    jaccard_within_support: Space::Packed(Packing::Bits(BitMetric::Jaccard)),
}

/// Answers the planner's questions about a function `within`, whose operators have this number (`src/include/nodes/supportnodes.h`).
fn support(strategy: u16, request: Internal) -> Internal {
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
                match index_condition(strategy, request) {
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
    strategy: u16,
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
            .find(|operator| operator.amopstrategy == strategy as i16)?;
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
