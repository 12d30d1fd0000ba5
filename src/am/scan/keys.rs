//! What a scan is asked for: its keys, as the index understands them.

use bkd::Placement;
use pgrx::pg_sys;

use crate::am::filter;
use crate::am::meta;
use crate::am::value::{Prepared, Value};
use crate::am::vector_type::VectorType;
use crate::pg::index::Index;

/// What rows are ordered by their distance from.
pub enum Target {
    /// No ORDER BY. The planner does not choose such a scan.
    None,
    /// A NULL, from which every distance is NULL.
    Null,
    Vector(Vec<f32>),
    Packed(PackedTarget),
}

/// A bit string or a sparse vector, as the index has them.
pub struct PackedTarget {
    pub dims: u32,
    pub placement: Placement,
    pub prepared: Prepared,
}

impl Target {
    /// # Safety
    /// The key is valid, and its argument of that type.
    pub unsafe fn of(index: Index, vector_type: VectorType, key: &pg_sys::ScanKeyData) -> Self {
        if key.sk_flags & pg_sys::SK_ISNULL as i32 != 0 {
            return Target::Null;
        }
        // SAFETY: as the caller promises.
        let value = unsafe { Value::from_datum(vector_type, key.sk_argument) };
        let target = match value.numbers() {
            Some(numbers) => Target::Vector(numbers.to_vec()),
            None => {
                let mut prepared = Prepared::default();
                let placement = value.prepare(meta::read_head(index).space, &mut prepared);
                Target::Packed(PackedTarget { dims: value.dims(), placement, prepared })
            }
        };
        value.release();
        target
    }
}

/// All conditions that rows must meet.
#[derive(Default)]
pub struct Conditions {
    /// Vectors, and how far rows may be from them.
    pub within: Vec<(Vec<f32>, f64)>,
    pub attributes: filter::Conditions,
    /// Whether no row meets them, because a part of one is NULL.
    pub impossible: bool,
}

impl Conditions {
    /// # Safety
    /// The key is valid: on the vector, with a range of that type as its argument, or on an attribute.
    pub unsafe fn add(&mut self, index: Index, vector_type: VectorType, key: &pg_sys::ScanKeyData) {
        if key.sk_attno != 1 {
            // SAFETY: as the caller promises.
            unsafe { self.attributes.add(index, key) };
            self.impossible |= self.attributes.filter.is_impossible();
            return;
        }
        let is_null = key.sk_flags & pg_sys::SK_ISNULL as i32 != 0;
        // SAFETY: as the caller promises.
        match if is_null { None } else { unsafe { vector_type.range(key.sk_argument) } } {
            None => self.impossible = true,
            Some(range) => self.within.push(range),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.within.is_empty() && self.attributes.filter.is_empty() && !self.impossible
    }

    /// Whether rows that were found by vector and attributes may fail one.
    pub fn are_lossy(&self) -> bool {
        !self.within.is_empty() || self.attributes.lossy
    }
}
