//! A query among packed values: keys of values and bounds of leaves, both at most what the SQL operator returns.
//!
//! Keys of bits are what the operator returns, but for the rounding of a quotient to single precision. For sparse vectors the distance is
//! computed in double precision, from the stored size and what the vector shares with the query. From that is taken
//! away what may have been rounded: by us, relative to the largest of the summands, and by the operator, whose sum in single
//! precision of as many terms as both vectors have elements loses up to that many units (see [`crate::query`]).

use super::sparse::Lookup;
use crate::kernels::{Kernels, Overlap};
use crate::layout::packed::{sparse_size, PackedLayout, SparseBody, MAX_ELEMENTS};
use crate::layout::Payload;
use crate::query::{PRODUCT_UNDERFLOW, UNDERFLOW, UNIT};
use crate::{BitMetric, Error, Metric, Packing, Result};

/// What a sum in double precision of as many terms as a sparse vector can have may lose, in relation to the sum of their magnitudes.
const DOUBLE_SUM: f64 = 1.0 / (1u64 << 38) as f64;

/// Room for the rounding of a comparison of shares in single precision.
const QUOTIENT: f32 = 1e-6;

/// A query, prepared for searching.
#[derive(Clone, Debug)]
pub struct PackedQuery {
    layout: PackedLayout,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Bits(BitsQuery),
    Sparse(SparseQuery),
}

#[derive(Clone, Debug)]
struct BitsQuery {
    metric: BitMetric,
    words: Vec<u64>,
    /// Bits that are set.
    ones: u32,
    /// Of the values of a leaf.
    differing: Vec<u32>,
    overlaps: Vec<Overlap>,
}

#[derive(Clone, Debug)]
struct SparseQuery {
    metric: Metric,
    lookup: Lookup,
    /// See [`sparse_size`].
    size: f64,
}

impl PackedQuery {
    /// Prepares a query of so many dimensions, or bits: a body that is [ranked](crate::Placement::Ranked).
    ///
    /// # Panics
    /// If it has another length than values of so many bits have.
    pub fn new(packing: Packing, dims: usize, body: &[u8]) -> Self {
        let layout = PackedLayout::new(packing, dims);
        let kind = match packing {
            Packing::Bits(metric) => {
                assert_eq!(body.len(), layout.width());
                let words: Vec<u64> =
                    body.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect();
                let ones = words.iter().map(|word| word.count_ones()).sum();
                Kind::Bits(BitsQuery { metric, words, ones, differing: Vec::new(), overlaps: Vec::new() })
            }
            Packing::Sparse(metric) => {
                let elements = SparseBody::of(body).expect("whole elements");
                let size = sparse_size(metric, elements);
                Kind::Sparse(SparseQuery { metric, lookup: Lookup::new(elements), size })
            }
        };
        PackedQuery { layout, kind }
    }

    /// The largest key that a value can have for which the SQL operator returns this or less.
    pub fn largest_key(value: f64) -> f32 {
        round_down(value)
    }

    /// How the values lie that the query is compared with.
    pub(crate) fn layout(&self) -> PackedLayout {
        self.layout
    }

    /// The key of a value: at most what the SQL operator returns for it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is no body of the query's layout.
    pub fn key(&mut self, body: &[u8]) -> Result<f32> {
        match &mut self.kind {
            Kind::Bits(bits) if body.len() == self.layout.width() => {
                let mut key = 0.0;
                bits.keys(body, 1, f32::INFINITY, |_, found| {
                    key = found;
                    f32::INFINITY
                });
                Ok(key)
            }
            Kind::Bits(_) => Err(Error::corrupt("a bit string is of another length than the index")),
            Kind::Sparse(sparse) => {
                let elements = SparseBody::of(body).ok_or_else(cut)?;
                Ok(sparse.key(sparse_size(sparse.metric, elements), elements))
            }
        }
    }

    /// Calls `each` with the position and the key of those values of a leaf that are wanted and whose keys are not above `limit`; it
    /// returns the limit from then on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the page does not hold so many values.
    pub(crate) fn keys(
        &mut self,
        page: &Payload,
        count: usize,
        mut limit: f32,
        wanted: impl Fn(usize) -> bool,
        mut each: impl FnMut(usize, f32) -> f32,
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Bits(bits) => {
                let items = page.get(..count.saturating_mul(self.layout.width())).ok_or_else(cut)?;
                bits.keys(items, count, limit, |at, key| {
                    if wanted(at) {
                        limit = each(at, key);
                    }
                    limit
                });
            }
            Kind::Sparse(sparse) => {
                for (at, item) in self.layout.read(page, count).enumerate() {
                    let (size, body) = item?;
                    if wanted(at) {
                        let key = sparse.key(size, SparseBody::of(body).ok_or_else(cut)?);
                        if key <= limit {
                            limit = each(at, key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What the SQL operator returns at the least for values whose sizes are in this range. It descends towards the query's own size and
    /// ascends behind it, or only descends, but for rounding.
    pub(crate) fn bound(&self, low: f32, high: f32) -> f32 {
        let (low, high) = (f64::from(low), f64::from(high));
        let bound = match &self.kind {
            Kind::Bits(bits) => {
                let ones = f64::from(bits.ones);
                match bits.metric {
                    BitMetric::Hamming => (low - ones).max(ones - high).max(0.0),
                    BitMetric::Jaccard => {
                        let nearest = ones.clamp(low, high);
                        let (both, either) = (nearest.min(ones), nearest.max(ones));
                        if both == 0.0 {
                            1.0
                        } else {
                            1.0 - both / either
                        }
                    }
                }
            }
            Kind::Sparse(sparse) => sparse.bound(low, high),
        };
        round_down(bound)
    }
}

fn cut() -> Error {
    Error::corrupt("a page has fewer packed values than the segment directory says")
}

impl BitsQuery {
    fn keys(&mut self, items: &[u8], count: usize, limit: f32, mut each: impl FnMut(usize, f32) -> f32) {
        let kernels = Kernels::get().bits();
        let mut limit = limit;
        match self.metric {
            BitMetric::Hamming => {
                self.differing.resize(count, 0);
                kernels.differing(items, &self.words, &mut self.differing);
                for (at, &differing) in self.differing.iter().enumerate() {
                    let key = differing as f32;
                    if key <= limit {
                        limit = each(at, key);
                    }
                }
            }
            BitMetric::Jaccard => {
                self.overlaps.resize(count, Overlap::default());
                kernels.overlap(items, &self.words, &mut self.overlaps);
                for (at, overlap) in self.overlaps.iter().enumerate() {
                    // A quotient takes longer than all else, and few are needed.
                    if (overlap.both as f32) < overlap.either as f32 * (1.0 - limit - QUOTIENT) {
                        continue;
                    }
                    let distance = match overlap.both {
                        0 => 1.0,
                        both => 1.0 - f64::from(both) / f64::from(overlap.either),
                    };
                    let key = round_down(distance);
                    if key <= limit {
                        limit = each(at, key);
                    }
                }
            }
        }
    }
}

impl SparseQuery {
    /// The key of a vector of this size.
    #[inline]
    fn key(&mut self, size: f64, elements: SparseBody<'_>) -> f32 {
        let sizes = size + self.size;
        let terms = elements.len() + self.lookup.len();
        let key = match self.metric {
            Metric::L2 => {
                let mut product = 0.0;
                self.lookup.shared(elements, |x, q| product += x * q);
                let square = sizes - 2.0 * product - sizes * DOUBLE_SUM;
                distance_key(square.max(0.0).sqrt(), terms)
            }
            Metric::L1 => {
                let mut shared = 0.0;
                self.lookup.shared(elements, |x, q| shared += x.abs() + q.abs() - (x - q).abs());
                distance_key(sizes - shared - sizes * DOUBLE_SUM, terms)
            }
            Metric::InnerProduct => {
                let (mut product, mut magnitude) = (0.0, 0.0);
                self.lookup.shared(elements, |x, q| {
                    product += x * q;
                    magnitude += (x * q).abs();
                });
                -product - magnitude * rounding(elements.len()) - PRODUCT_UNDERFLOW
            }
            Metric::Cosine => {
                let mut product = 0.0;
                self.lookup.shared(elements, |x, q| product += x * q);
                cosine_key(product / (size * self.size).sqrt(), terms)
            }
        };
        round_down(key)
    }

    /// At most what the operator returns for vectors whose sizes are from `low` to `high`. It has to be as careful as keys are.
    fn bound(&self, low: f64, high: f64) -> f64 {
        let terms = MAX_ELEMENTS + self.lookup.len();
        match self.metric {
            Metric::L2 => distance_bound(low.sqrt(), high.sqrt(), self.size.sqrt(), terms),
            Metric::L1 => distance_bound(low, high, self.size, terms),
            Metric::InnerProduct => {
                // Cauchy's inequality holds for the magnitudes, too.
                let most = high.sqrt() * self.size.sqrt();
                -most * (1.0 + rounding(MAX_ELEMENTS) + UNIT) - PRODUCT_UNDERFLOW
            }
            Metric::Cosine => 0.0,
        }
    }
}

/// What the operator returns at the least where norms are from `low` to `high`, and that of the query is `own`. Each end has the rounding of
/// its own numbers, or one vector of enormous size would make the bound of its leaf useless.
fn distance_bound(low: f64, high: f64, own: f64, terms: usize) -> f64 {
    let above = low - own - (low + own) * UNIT;
    let below = own - high - (own + high) * UNIT;
    distance_key(above.max(below), terms)
}

/// What a sum of so many terms in single precision may lose, in relation to the sum of their magnitudes.
fn rounding(terms: usize) -> f64 {
    (terms + 16) as f64 * UNIT
}

/// The operator's value for a distance that is at least this.
fn distance_key(distance: f64, terms: usize) -> f64 {
    (distance * (1.0 - rounding(terms)) - UNDERFLOW).max(0.0)
}

/// The operator's value for a similarity: a quotient of three sums, which it does not let go above one.
fn cosine_key(similarity: f64, terms: usize) -> f64 {
    (1.0 - similarity - 2.0 * rounding(terms)).max(0.0)
}

/// The largest single-precision number that is not above.
#[inline]
pub(super) fn round_down(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) > value {
        rounded.next_down()
    } else {
        rounded
    }
}
