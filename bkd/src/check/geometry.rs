//! What the directory says about where vectors lie: boxes on the axes, the part that the axes do not see, the largest norm and
//! the largest distance from the axes' center.

use super::{Full, Report};
use crate::kernels::{Kernels, AXES};
use crate::query::UNIT;
use crate::search::{invisible, projection_error, vanished, ORTHONORMALITY};
use crate::{Axes, BoxTable, Metric, Segment, Space};

/// Denormal numbers round to multiples of 1.4e-45. That much of a sum over as many dimensions as there can be.
pub(super) const TINY: f64 = 1e-39;
/// Relative rounding of our own sums, in double precision.
pub(super) const DOUBLE: f64 = 1e-11;
/// Relative rounding of a number that was rounded up to single precision.
pub(super) const ROUNDED_UP: f64 = 8.0 * UNIT;

/// Any directions will do, if they are orthonormal.
pub(super) fn check_axes(segment: &Segment, report: &mut Report<'_>) -> Result<(), Full> {
    let directory = segment.directory();
    let dims = segment.dims();
    let hidden = directory.leaves.beyond.iter().any(|&beyond| beyond != 0.0);
    let Axes::Principal { rows, .. } = &directory.axes else {
        if f64::from(directory.radius) > TINY || hidden {
            report.add(None, "segment directory has axes of its own and measures those of others")?;
        }
        return Ok(());
    };
    if hidden && directory.space != Space::Dense(Metric::InnerProduct) {
        report.add(None, "segment directory has measures of another metric")?;
    }
    for (axis, row) in rows.chunks_exact(dims).enumerate() {
        // A bound of how far an eigenvalue of the matrix of all products is from one (Gershgorin's circle).
        let off: f64 = rows
            .chunks_exact(dims)
            .enumerate()
            .map(|(other, column)| {
                let product: f64 = row.iter().zip(column).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
                if other == axis {
                    (1.0 - product).abs()
                } else {
                    product.abs()
                }
            })
            .sum();
        if off > ORTHONORMALITY {
            report.add(None, format!("axis {axis} of the segment is not orthonormal to all others"))?;
        }
    }
    Ok(())
}

/// Measures vectors as the directory does.
pub(super) struct Geometry {
    /// Coordinates on the axes of the vector that was measured last.
    coordinates: Vec<f64>,
    /// That vector, from the axes' center.
    centered: Vec<f32>,
    origin: Vec<f32>,
}

/// Lengths of a vector, which may be `reach` away from one that was indexed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    reach: f64,
    /// Its norm.
    norm: f64,
    /// Its distance from the axes' center.
    radius: f64,
    /// Squared length of what the axes do not see, and what rounding makes of that, here and when the segment was built.
    hidden: f64,
    hidden_error: f64,
    /// How far its coordinates may be off, including the builder's.
    error: f64,
}

impl Geometry {
    pub(super) fn new(segment: &Segment) -> Self {
        Geometry { coordinates: Vec::new(), centered: Vec::new(), origin: vec![0.0; segment.dims()] }
    }

    /// Measures a vector, of which only the segment's dimensions count. One that was indexed is at most `reach` away. (That is a Euclidean
    /// distance; an L1 distance, which is never less, will do.)
    pub(super) fn measure(&mut self, segment: &Segment, vector: &[f64], reach: f64) -> Lengths {
        let vector = &vector[..segment.dims()];
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        self.coordinates.clear();
        let Axes::Principal { center, .. } = &segment.directory().axes else {
            self.coordinates.extend_from_slice(vector);
            let error = DOUBLE * norm + TINY;
            return Lengths { reach, norm, radius: 0.0, hidden: 0.0, hidden_error: 0.0, error };
        };
        self.centered.clear();
        self.centered.extend(vector.iter().zip(center).map(|(x, &c)| (x - f64::from(c)) as f32));
        let square: f64 = vector.iter().zip(center).map(|(x, &c)| (x - f64::from(c)).powi(2)).sum();
        let radius = square.sqrt();
        let mut coordinates = [0.0; AXES];
        let floats = Kernels::get().floats();
        floats.project(&self.centered, &self.origin, segment.directions(), &mut coordinates);
        let (dims, axes) = (segment.dims(), segment.directory().axes.count(segment.dims()));
        self.coordinates.extend(coordinates[..axes].iter().map(|&x| f64::from(x)));
        let seen: f64 = self.coordinates.iter().map(|x| x * x).sum();
        let length = radius + reach;
        Lengths {
            reach,
            norm,
            radius,
            hidden: (square - seen).max(0.0),
            hidden_error: invisible(axes, dims) * length * length + vanished(axes, dims, length).powi(2),
            error: (2.0 * projection_error(axes, dims) + 4.0 * UNIT) * length + DOUBLE * norm + TINY,
        }
    }

    /// Whether the vector that was measured last is not in its cell.
    pub(super) fn contradicts_cell(
        &self,
        segment: &Segment,
        cells: &BoxTable,
        cell: usize,
        lengths: &Lengths,
    ) -> bool {
        self.is_outside(cells, cell, lengths)
            || measures_hidden(segment) && lengths.least_hidden() > lengths.room(cells.beyond[cell])
    }

    /// Whether the vector that was measured last is not in one of the boxes.
    fn is_outside(&self, boxes: &BoxTable, at: usize, lengths: &Lengths) -> bool {
        let stride = boxes.vectors.len();
        let outside = |(axis, x): (usize, &f64)| {
            let (low, high) = (boxes.low[axis * stride + at], boxes.high[axis * stride + at]);
            (f64::from(low) - x).max(x - f64::from(high)).max(0.0)
        };
        let outside: f64 = self.coordinates.iter().enumerate().map(outside).map(|x| x * x).sum();
        outside.sqrt() > lengths.reach * (1.0 + DOUBLE) + lengths.error
    }

    /// What is wrong with the directory, or with the vector that was measured last, given that its leaf is this one.
    pub(super) fn contradiction(
        &self,
        segment: &Segment,
        leaf: usize,
        lengths: &Lengths,
    ) -> Option<&'static str> {
        let directory = segment.directory();
        let boxes = &directory.leaves;
        if self.is_outside(boxes, leaf, lengths) {
            Some("is outside of the leaf's box")
        } else if lengths.norm > lengths.room(directory.max_norm) {
            Some("is longer than any of the segment should be")
        } else if lengths.radius > lengths.room(directory.radius) {
            Some("is farther from the axes' center than any of the segment should be")
        } else if measures_hidden(segment) && lengths.least_hidden() > lengths.room(boxes.beyond[leaf]) {
            Some("is farther beyond the axes than any of the leaf should be")
        } else {
            None
        }
    }
}

/// Whether the directory says how far leaves extend beyond the axes.
fn measures_hidden(segment: &Segment) -> bool {
    let directory = segment.directory();
    directory.space == Space::Dense(Metric::InnerProduct) && matches!(directory.axes, Axes::Principal { .. })
}

impl Lengths {
    /// The most that one of them may be where the directory says that none is more than `limit`.
    fn room(&self, limit: f32) -> f64 {
        (f64::from(limit) + self.reach) * (1.0 + DOUBLE) + TINY
    }

    fn least_hidden(&self) -> f64 {
        (self.hidden - self.hidden_error).max(0.0).sqrt()
    }

    fn most_hidden(&self) -> f64 {
        ((self.hidden.sqrt() + self.reach).powi(2) + 4.0 * self.hidden_error).sqrt() + self.reach
    }
}

/// The least that the directory must say about a set of vectors. If it says more, it is not the builder's either: ends of boxes
/// and largest lengths are those of some vector.
#[derive(Default)]
pub(super) struct Hull {
    low: Vec<f64>,
    high: Vec<f64>,
    norm: f64,
    radius: f64,
    hidden: f64,
    /// The largest reach and error of any of them.
    reach: f64,
    error: f64,
}

impl Hull {
    pub(super) fn add(&mut self, geometry: &Geometry, lengths: &Lengths) {
        if self.low.is_empty() {
            self.low.extend_from_slice(&geometry.coordinates);
            self.high.extend_from_slice(&geometry.coordinates);
        }
        for ((x, low), high) in geometry.coordinates.iter().zip(&mut self.low).zip(&mut self.high) {
            *low = low.min(*x);
            *high = high.max(*x);
        }
        self.norm = self.norm.max(lengths.norm + lengths.reach);
        self.radius = self.radius.max(lengths.radius + lengths.reach);
        self.hidden = self.hidden.max(lengths.most_hidden());
        self.reach = self.reach.max(lengths.reach);
        self.error = self.error.max(lengths.error);
    }

    /// Forgets the vectors but for the lengths of which the directory knows the largest in the segment.
    pub(super) fn next_box(&mut self) {
        *self = Hull { norm: self.norm, radius: self.radius, ..Hull::default() };
    }

    /// Whether a box, and what is beyond the axes, end far from all of the vectors.
    pub(super) fn is_too_large(&self, segment: &Segment, boxes: &BoxTable, at: usize) -> bool {
        let stride = boxes.vectors.len();
        let ends = self.low.iter().zip(&self.high).enumerate();
        let too_wide = |(axis, (low, high)): (usize, (&f64, &f64))| {
            let at = axis * stride + at;
            // Twice, because the slack of one vector widens the box for all.
            let room = |end: f64| 2.0 * self.reach * (1.0 + ROUNDED_UP) + end.abs() * ROUNDED_UP + self.error;
            f64::from(boxes.low[at]) < low - room(*low) || f64::from(boxes.high[at]) > high + room(*high)
        };
        let too_deep =
            measures_hidden(segment) && f64::from(boxes.beyond[at]) > self.hidden * (1.0 + ROUNDED_UP) + TINY;
        too_deep || ends.into_iter().any(too_wide)
    }

    /// Whether no vector is as long, or as far from the center, as the directory says.
    pub(super) fn is_segment_too_large(&self, segment: &Segment) -> bool {
        let directory = segment.directory();
        f64::from(directory.max_norm) > self.norm * (1.0 + ROUNDED_UP) + TINY
            || f64::from(directory.radius) > self.radius * (1.0 + ROUNDED_UP) + TINY
    }
}
