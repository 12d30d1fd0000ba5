//! A query vector, and what rounding does to distances from it.
//!
//! Bounds live on three scales:
//! - *raw*: a lower bound of the exact distance (L2, L1, and L2 on normalised vectors for cosine) or of the exact negative
//!   inner product, in real numbers;
//! - *key*: a raw bound less what the SQL operator may round away, so that the operator's value is never below it. Keys
//!   are what candidates are ordered by;
//! - *operator*: the key on the scale of what the operator returns (for cosine half the square).
//!
//! The SQL operators add up d products in single precision, in an order that we do not know (pgvector's depends on how
//! it was compiled). The relative error of such a sum of squares is at most (d + 2) u with u = 2^-24, of a sum of magnitudes
//! (L1) (d + 1) u, the absolute error of an inner product at most (d + 1) u |q||x| (Higham, "Accuracy and Stability of
//! Numerical Algorithms", 3.1).

use crate::kernels::{Floats, Kernels};
use crate::layout::leaf::padded;
use crate::metric::norm;
use crate::sortable::{from_sortable, sortable};
use crate::{prepare, Metric, Placement};

/// Unit roundoff of single precision.
pub(crate) const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// Squares of differences below this vanish in single precision.
pub(crate) const UNDERFLOW: f64 = 1e-18;
/// Products below this vanish in single precision.
pub(crate) const PRODUCT_UNDERFLOW: f64 = 1e-36;

/// A query vector, prepared for searching.
#[derive(Debug, Clone)]
pub struct Query {
    metric: Metric,
    /// Padded with zeros to whole groups.
    values: Vec<f32>,
    dims: usize,
    norm: f32,
}

impl Query {
    /// Prepares a query.
    ///
    /// # Errors
    /// The placement other than [`Placement::Ranked`] if nothing can be said about distances from this query: with
    /// [`Placement::Nan`] every distance is NaN, with [`Placement::Unbounded`] none has a bound.
    pub fn new(metric: Metric, vector: &[f32]) -> Result<Self, Placement> {
        let mut values = Vec::with_capacity(padded(vector.len()));
        match prepare(metric, vector, &mut values) {
            Placement::Ranked => {}
            other => return Err(other),
        }
        let norm = round_up(norm(&values));
        values.resize(padded(vector.len()), 0.0);
        Ok(Query { metric, values, dims: vector.len(), norm })
    }

    /// The metric that the query was prepared for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Dimensions of the query.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Keys of prepared vectors that are known exactly.
    pub fn exact(&self) -> ExactKeys<'_> {
        ExactKeys {
            query: self,
            values: &self.values[..self.dims],
            floats: Kernels::get().floats(),
            factor: 1.0 - self.sum_error(),
            scale: Scale::new(self, 0.0),
        }
    }

    /// The value that the SQL operator returns at the least for a row with this key.
    pub(crate) fn operator_bound(&self, key: f32) -> f64 {
        let key = f64::from(key);
        match self.metric {
            Metric::L2 | Metric::L1 => key,
            // Half the squared distance of the normalised vectors, which were rounded themselves; the operator rounds
            // a quotient of three sums that are at most one.
            Metric::Cosine => {
                let distance = (key - 4.0 * UNIT).max(0.0);
                distance * distance / 2.0 - (2.0 * self.dims as f64 + 16.0) * UNIT
            }
            Metric::InnerProduct => key - PRODUCT_UNDERFLOW,
        }
    }

    /// The key from which on the SQL operator returns more than `value` for every row; infinite, if there is none.
    pub fn end_of(&self, value: f64) -> f32 {
        // The bound ascends with the key, so the first key whose bound is above the value is found by halving.
        let (mut low, mut high) = (sortable(f32::NEG_INFINITY), sortable(f32::INFINITY));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.operator_bound(from_sortable(middle)) > value {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        from_sortable(low)
    }

    /// Values, padded with zeros to whole groups of eight.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Norm, rounded up.
    pub(crate) fn norm(&self) -> f32 {
        self.norm
    }

    /// Relative error of our own sums over the dimensions, which run in eight lanes; generously.
    pub(crate) fn sum_error(&self) -> f64 {
        (self.dims / 8 + 16) as f64 * 2.0 * UNIT
    }
}

/// Computes keys from vectors that are known exactly, those of the delta.
pub struct ExactKeys<'a> {
    query: &'a Query,
    values: &'a [f32],
    floats: &'static Floats,
    factor: f64,
    /// For distances, where it does not depend on the vector's norm.
    scale: Scale,
}

impl ExactKeys<'_> {
    /// The key of a vector as [`crate::prepare`] returned it.
    #[inline]
    pub fn key(&self, prepared: &[f32]) -> f32 {
        assert_eq!(prepared.len(), self.values.len());
        match self.query.metric {
            Metric::L2 | Metric::Cosine => {
                let raw = f64::from(self.floats.l2(self.values, prepared)).sqrt() * self.factor;
                self.scale.key(raw as f32)
            }
            Metric::L1 => {
                let raw = f64::from(self.floats.l1(self.values, prepared)) * self.factor;
                self.scale.key(raw as f32)
            }
            Metric::InnerProduct => {
                let norm = round_up(norm(prepared));
                let error = self.query.sum_error() * f64::from(self.query.norm) * f64::from(norm);
                let product = f64::from(self.floats.ip(self.values, prepared));
                Scale::new(self.query, norm).key((-product - error) as f32)
            }
        }
    }
}

/// Between raw bounds and keys, for vectors of norms up to some limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Keys are raw bounds times this.
    factor: f64,
    /// One over that.
    inverse: f64,
    /// What is taken away besides.
    allowance: f64,
    /// By how much squares of what the operator returns may differ from squares of distances.
    square: f64,
    distance: bool,
}

impl Scale {
    pub(crate) fn new(query: &Query, max_norm: f32) -> Self {
        let rounding = (query.dims as f64 + 16.0) * UNIT;
        let (factor, allowance, square) = match query.metric {
            Metric::L2 | Metric::L1 => (1.0 - rounding, UNDERFLOW, 0.0),
            // `operator_bound` has the operator's part.
            Metric::Cosine => (1.0 - 16.0 * UNIT, UNDERFLOW, 8.0 * rounding),
            Metric::InnerProduct => (1.0, rounding * f64::from(query.norm) * f64::from(max_norm), 0.0),
        };
        let distance = query.metric != Metric::InnerProduct;
        Scale { factor, inverse: 1.0 / factor, allowance, square, distance }
    }

    /// The key of a row whose exact value is at least `raw`.
    #[inline]
    pub(crate) fn key(&self, raw: f32) -> f32 {
        let key = (f64::from(raw) * self.factor - self.allowance) as f32;
        if self.distance {
            key.max(0.0)
        } else {
            key
        }
    }

    /// A key whose operator bound is no less than what the operator returns, about, for a row whose exact value is at most `raw`.
    #[inline]
    pub(crate) fn upper(&self, raw: f32) -> f32 {
        let raw = f64::from(raw);
        let value = if self.square > 0.0 { (raw * raw + self.square).sqrt() } else { raw };
        round_up(value + value.abs() * (1.0 - self.factor) + self.allowance)
    }

    /// A raw bound above which every row's key is above `key`, with room for rounding in the comparison.
    #[inline]
    pub(crate) fn raw(&self, key: f32) -> f32 {
        let raw = (f64::from(key) + self.allowance) * self.inverse;
        round_up(raw + raw.abs() * 8.0 * UNIT)
    }
}

/// The next single-precision number that is not below, and then some.
pub(crate) fn round_up(value: f64) -> f32 {
    let rounded = value as f32;
    if rounded.is_finite() {
        rounded.next_up().next_up()
    } else {
        rounded
    }
}
