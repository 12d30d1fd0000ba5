//! What a scan is asked for: its keys, as the index understands them.

use bkd::{PackedQuery, Placement, Space};
use pgrx::pg_sys;

use crate::am::filter;
use crate::am::meta;
use crate::am::value::{Prepared, Value};
use crate::am::vector_type::VectorType;
use crate::am::within::range_parts;
use crate::pg::index::Index;

/// What rows are ordered by their distance from.
pub enum Target {
    /// No ORDER BY. The planner does not choose such a scan.
    None,
    /// A NULL, from which every distance is NULL.
    Null,
    Point(Point),
}

/// A value that rows have distances from.
#[derive(PartialEq)]
pub enum Point {
    Vector(Vec<f32>),
    Packed(PackedPoint),
}

/// A bit string or a sparse vector, as the index has them.
#[derive(PartialEq)]
pub struct PackedPoint {
    dims: u32,
    placement: Placement,
    prepared: Prepared,
}

impl Point {
    fn of(index: Index, value: Value<'_>) -> Self {
        let point = match value.numbers() {
            Some(numbers) => Point::Vector(numbers.to_vec()),
            None => {
                let mut prepared = Prepared::default();
                let placement = value.prepare(meta::read_head(index).space, &mut prepared);
                Point::Packed(PackedPoint { dims: value.dims(), placement, prepared })
            }
        };
        value.release();
        point
    }

    pub fn dims(&self) -> u32 {
        match self {
            Point::Vector(vector) => vector.len() as u32,
            Point::Packed(point) => point.dims,
        }
    }
}

impl PackedPoint {
    /// The query for what is near; where the point belongs, if that is not among the ranked.
    pub fn query(&self, space: Space) -> Result<PackedQuery, Placement> {
        match self.placement {
            Placement::Ranked => {
                let body = self.prepared.body(space).packed();
                Ok(PackedQuery::new(space.packing(), self.dims as usize, body))
            }
            other => Err(other),
        }
    }
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
        Target::Point(Point::of(index, value))
    }
}

/// All conditions that rows must meet.
#[derive(Default)]
pub struct Conditions {
    /// Points, and how far rows may be from them.
    pub within: Vec<(Point, f64)>,
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
        match if is_null { None } else { unsafe { range_parts(key.sk_argument) } } {
            None => self.impossible = true,
            Some((center, radius)) => {
                // SAFETY: the center of such a range is of the type.
                let center = unsafe { Value::from_datum(vector_type, center) };
                self.within.push((Point::of(index, center), radius));
            }
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
