//! Conditions on attributes: from what the planner found for the index to ranges of keys.
//!
//! Keys say for every condition which rows certainly fail it. Whether all others meet it depends: on the kind of keys (half a UUID, a hash
//! of a text), and on the largest integer, which shares its key with the one before. Where keys do not decide, the executor is asked to
//! look at the row (`xs_recheck`).

use bkd::layout::attributes::LAST_KEY;
use bkd::{Filter, KeyRanges};
use pgrx::{pg_sys, PgSqlErrorCode};

use super::attributes::{key_of, kind_of, Kind};
use super::opclass::Comparison;
use crate::pg::index::Index;
use crate::types::error::raise;

/// All conditions of a scan on attributes.
#[derive(Default)]
pub struct Conditions {
    pub filter: Filter,
    /// Whether a row that passes the filter may still fail a condition.
    pub lossy: bool,
}

impl Conditions {
    /// Adds a condition. One that a NULL is part of is met by no row.
    ///
    /// # Safety
    /// The key is valid, and about an attribute of the index.
    pub unsafe fn add(&mut self, index: Index, key: &pg_sys::ScanKeyData) {
        let attribute = key.sk_attno as usize - 1;
        let Some(comparison) = Comparison::from_strategy(key.sk_strategy) else {
            raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!("a kdtree index cannot search by operator {}", key.sk_strategy),
            )
        };
        let mut side = Side {
            column: index.column_type(attribute),
            argument: match key.sk_subtype {
                pg_sys::InvalidOid => index.column_type(attribute),
                subtype => subtype,
            },
            collation: index.column_collation(attribute),
            comparison,
            lossy: false,
        };
        let ranges = if key.sk_flags & pg_sys::SK_ISNULL as i32 != 0 {
            KeyRanges::default()
        } else if key.sk_flags & pg_sys::SK_SEARCHARRAY as i32 != 0 {
            // SAFETY: as the caller promises.
            let elements = unsafe { elements(key.sk_argument) };
            // SAFETY: elements are of the type of the operator's right side, or are represented as that.
            KeyRanges::any_of(elements.into_iter().map(|element| unsafe { side.range(element) }))
        } else {
            // SAFETY: as the caller promises.
            KeyRanges::any_of([unsafe { side.range(key.sk_argument) }])
        };
        self.lossy |= side.lossy;
        self.filter.require(attribute - 1, ranges);
    }
}

/// One side of a comparison.
struct Side {
    column: pg_sys::Oid,
    argument: pg_sys::Oid,
    collation: pg_sys::Oid,
    comparison: Comparison,
    lossy: bool,
}

impl Side {
    /// The keys that rows must have for the comparison with a value.
    ///
    /// # Safety
    /// The datum is of the argument's type, and not NULL.
    unsafe fn range(&mut self, datum: pg_sys::Datum) -> (u64, u64) {
        // SAFETY: as the caller promises.
        let key = unsafe { key_of(self.argument, self.collation, datum) };
        let exact = match kind_of(self.column) {
            Some(Kind::Float) => true,
            Some(Kind::Integer) => key < LAST_KEY,
            Some(Kind::Uuid | Kind::Text) | None => false,
        };
        self.lossy |= !exact;
        let beside = u64::from(exact);
        match self.comparison {
            // Hashes have no order, and no operator class of ours asks for one.
            Comparison::Equal => (key, key),
            _ if kind_of(self.column) == Some(Kind::Text) => (0, LAST_KEY),
            // A range that ends before it starts has no keys.
            Comparison::Less if exact && key == 0 => (1, 0),
            Comparison::Less => (0, key - beside),
            Comparison::LessOrEqual => (0, key),
            Comparison::GreaterOrEqual => (key, LAST_KEY),
            Comparison::Greater => (key + beside, LAST_KEY),
        }
    }
}

/// The elements of an array that are not NULL: a comparison with a NULL is not true of any row.
///
/// # Safety
/// The datum is an array, and lives for as long as the result.
unsafe fn elements(array: pg_sys::Datum) -> Vec<pg_sys::Datum> {
    // SAFETY: as the caller promises; elements that are no plain values point into the array, of which a copy, if one was made, goes with
    // the memory context.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let element = (*array).elemtype;
        let (mut length, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            array,
            element,
            i32::from(length),
            by_value,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
        let elements = (0..count as usize).filter(|&at| !*nulls.add(at)).map(|at| *values.add(at)).collect();
        pg_sys::pfree(values.cast());
        pg_sys::pfree(nulls.cast());
        elements
    }
}
