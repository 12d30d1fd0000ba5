//! Lower bounds for whole leaves, or groups of them, from their boxes.

use std::ops::Range;

use crate::directory::BoxTable;
use crate::kernels::{Kernels, AXES};
use crate::query::{round_up, PRODUCT_UNDERFLOW, UNDERFLOW, UNIT};
use crate::{Axes, Metric, Query, Segment};

/// A leaf and what its box says.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankedLeaf {
    /// Raw bound, see [`crate::query`].
    pub bound: f32,
    /// Segment, by position in the search.
    pub source: u32,
    pub leaf: u32,
    /// Whether any of its vectors may meet the filter.
    pub matches: bool,
}

impl RankedLeaf {
    pub(super) fn by_bound(&self, other: &Self) -> std::cmp::Ordering {
        self.bound.total_cmp(&other.bound).then(self.place().cmp(&other.place()))
    }

    /// Ascends in the order of storage.
    pub(super) fn place(&self) -> (u32, u32) {
        (self.source, self.leaf)
    }
}

/// A query on the axes of a segment.
pub(super) struct Ranker {
    coordinates: Vec<f32>,
    form: Form,
}

/// How what lies outside of a box becomes a bound.
enum Form {
    /// Distances in single precision, which vectorises: the factor makes room for the rounding of sums, the slack for that of projections.
    Distance { metric: Metric, factor: f32, slack: f32 },
    /// L1 on principal axes.
    Weighted { slack: f64 },
    /// Products: with the center of the axes, with what the axes do not see, and what rounding may add.
    Product { at_center: f64, beyond: f64, slack: f64 },
}

impl Ranker {
    pub(super) fn new(query: &Query, segment: &Segment) -> Self {
        let directory = segment.directory();
        let axes = directory.axes.count(segment.dims());
        // Rounding of the sums over the axes, relative to the largest terms that can occur in them.
        let sum_error = (axes as f64 + 8.0) * UNIT;
        let projection_error = match directory.axes {
            Axes::Own => 0.0,
            Axes::Principal { .. } => projection_error(axes, segment.dims()),
        };
        let factor = (1.0 - 2.0 * sum_error - 8.0 * UNIT) as f32;
        let (mut coordinates, form) = match (query.metric(), &directory.axes) {
            (metric @ (Metric::L2 | Metric::Cosine), axes) => {
                let (coordinates, length) = match axes {
                    Axes::Own => (query.values().to_vec(), 0.0),
                    Axes::Principal { center, .. } => project(query, segment, center),
                };
                let slack = projection_error * (length + f64::from(directory.radius));
                (coordinates, Form::Distance { metric, factor, slack: round_up(slack + UNDERFLOW) })
            }
            (metric @ Metric::L1, Axes::Own) => {
                (query.values().to_vec(), Form::Distance { metric, factor, slack: UNDERFLOW as f32 })
            }
            (Metric::L1, Axes::Principal { center, .. }) => {
                let (coordinates, length) = project(query, segment, center);
                let slack = projection_error * (length + f64::from(directory.radius)) + UNDERFLOW;
                (coordinates, Form::Weighted { slack })
            }
            (Metric::InnerProduct, own_or_principal) => {
                let norm = f64::from(query.norm());
                let (coordinates, at_center, beyond) = match own_or_principal {
                    Axes::Own => (query.values().to_vec(), 0.0, 0.0),
                    Axes::Principal { center, .. } => {
                        let (coordinates, _) = project(query, segment, &vec![0.0; center.len()]);
                        let inside: f64 = coordinates.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                        let beyond =
                            (norm * norm - inside).max(0.0) + invisible(axes, segment.dims()) * norm * norm;
                        let pairs = query.values().iter().zip(center);
                        let at_center: f64 = pairs.map(|(&q, &c)| f64::from(q) * f64::from(c)).sum();
                        (coordinates, at_center, beyond.sqrt())
                    }
                };
                let vectors = f64::from(directory.max_norm) + f64::from(directory.radius);
                let relative =
                    2.0 * projection_error + 2.0 * (axes as f64).sqrt() * sum_error + ORTHONORMALITY;
                let vanished = vanished(axes, segment.dims(), norm) * vectors
                    + vanished(axes, segment.dims(), vectors) * norm
                    + PRODUCT_UNDERFLOW;
                let slack = relative * norm * vectors + vanished;
                (coordinates, Form::Product { at_center, beyond, slack })
            }
        };
        coordinates.truncate(axes);
        Ranker { coordinates, form }
    }

    /// Whether to rank a box takes much less than to compare the vectors of a cell.
    pub(super) fn is_quick(&self) -> bool {
        !matches!(self.form, Form::Weighted { .. })
    }

    /// The bounds of some of the boxes, which are those of leaves or of groups of leaves of the segment.
    pub(super) fn bounds(&self, segment: &Segment, boxes: &BoxTable, range: Range<usize>) -> Vec<f32> {
        let BoxTable { low, high, .. } = boxes;
        let stride = boxes.vectors.len();
        match self.form {
            Form::Distance { metric, factor, slack } => {
                let sums = sums(low, high, stride, range, &self.coordinates, metric).into_iter();
                let root = |sum: f32| if metric == Metric::L1 { sum } else { sum.sqrt() };
                sums.map(|sum| (root(sum) * factor - slack).max(0.0)).collect()
            }
            Form::Weighted { slack } => {
                let Axes::Principal { rows, .. } = &segment.directory().axes else {
                    unreachable!("as in `new`")
                };
                OnAxes { rows, coordinates: &self.coordinates, slack }.bounds(low, high, stride, range)
            }
            Form::Product { at_center, beyond, slack } => {
                sums(low, high, stride, range.clone(), &self.coordinates, Metric::InnerProduct)
                    .into_iter()
                    .zip(&boxes.beyond[range])
                    .map(|(sum, &vectors)| {
                        -(at_center + f64::from(sum) + beyond * f64::from(vectors) + slack)
                    })
                    .map(|bound| (bound - bound.abs() * 4.0 * UNIT) as f32)
                    .collect()
            }
        }
    }
}

/// L1 distances from boxes on orthonormal axes.
///
/// If a box lies o away from the query on the axes, all its vectors x have <z, q - x> >= ||o||² for z = Σ o_k v_k, the sum of the axes
/// v_k with these weights. Since <z, q - x> <= ||z||∞ ||q - x||₁, the distance is at least ||o||² / ||z||∞. As ||z||∞ <= ||z|| = ||o||, that
/// is never less than what is known of the Euclidean distance, and mostly some times as much.
struct OnAxes<'a> {
    rows: &'a [f32],
    /// The query's.
    coordinates: &'a [f32],
    /// How far coordinates may be off, those of the boxes included.
    slack: f64,
}

impl OnAxes<'_> {
    fn bounds(&self, low: &[f32], high: &[f32], stride: usize, range: Range<usize>) -> Vec<f32> {
        let axes = self.coordinates.len();
        let floats = Kernels::get().floats();
        let mut outside = vec![0.0; axes];
        let mut sum = vec![0.0; self.rows.len() / axes.max(1)];
        let mut bound = |leaf: usize| {
            for (axis, (outside, &x)) in outside.iter_mut().zip(self.coordinates).enumerate() {
                let (low, high) = (low[axis * stride + leaf], high[axis * stride + leaf]);
                *outside = x - x.clamp(low, high);
            }
            let square: f64 = outside.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            if square == 0.0 {
                return 0.0;
            }
            // All components of an axis are at most one, but for rounding.
            let weights: f64 = outside.iter().map(|&x| f64::from(x).abs()).sum();
            let rounding = (axes as f64 + 8.0) * 2.0 * UNIT * weights + PRODUCT_UNDERFLOW;
            let largest = f64::from(floats.combine(&outside, self.rows, &mut sum)) + rounding;
            let product = square - square.sqrt() * self.slack;
            (product / largest * (1.0 - 16.0 * UNIT)).max(0.0) as f32
        };
        range.map(&mut bound).collect()
    }
}

/// How far the axes may be from orthonormal: `crate::axes` makes them so to a few units of rounding.
pub(crate) const ORTHONORMALITY: f64 = 1e-5;

/// Rounding of projections, relative to the length of what is projected, summed over the axes in quadrature.
pub(crate) fn projection_error(axes: usize, dims: usize) -> f64 {
    (axes as f64).sqrt() * (dims as f64 + 8.0) * UNIT
}

/// What part of a squared length may be hidden from the axes by rounding, for `x - center` whose projection says that
/// nothing is.
pub(crate) fn invisible(axes: usize, dims: usize) -> f64 {
    ORTHONORMALITY + 2.0 * projection_error(axes, dims)
}

/// By how much projections of something so long may be off, and the length of what they hide, because products near zero
/// vanish in single precision.
pub(crate) fn vanished(axes: usize, dims: usize, length: f64) -> f64 {
    let lost = (axes as f64).sqrt() * dims as f64 * f64::from(f32::from_bits(1));
    (lost * (lost + 2.0 * length)).sqrt()
}

/// The query's coordinates on the principal axes, and its distance from their origin.
fn project(query: &Query, segment: &Segment, center: &[f32]) -> (Vec<f32>, f64) {
    let mut coordinates = [0.0; AXES];
    let vector = &query.values()[..segment.dims()];
    Kernels::get().floats().project(vector, center, segment.directions(), &mut coordinates);
    let square = |(&x, &c): (&f32, &f32)| (f64::from(x) - f64::from(c)).powi(2);
    (coordinates.to_vec(), vector.iter().zip(center).map(square).sum::<f64>().sqrt())
}

/// Sums over the axes, for some of the boxes at once; or for points, if both ends are the same. Each axis has `stride` numbers.
pub(super) fn sums(
    low: &[f32],
    high: &[f32],
    stride: usize,
    range: Range<usize>,
    coordinates: &[f32],
    metric: Metric,
) -> Vec<f32> {
    let floats = Kernels::get().floats();
    let mut sums = vec![0.0; range.len()];
    for (axis, &coordinate) in coordinates.iter().enumerate() {
        let axis = axis * stride + range.start..axis * stride + range.end;
        let (low, high) = (&low[axis.clone()], &high[axis]);
        match metric {
            Metric::L2 | Metric::Cosine => floats.boxes_l2(low, high, coordinate, &mut sums),
            Metric::InnerProduct => floats.boxes_ip(low, high, coordinate, &mut sums),
            Metric::L1 => floats.boxes_l1(low, high, coordinate, &mut sums),
        }
    }
    sums
}

#[cfg(test)]
mod tests;
