//! A leaf's grid, seen from the query: how sums over codes become bounds.
//!
//! With the grid's centre m, its steps s and centred coarse codes h (each -7.5 to 7.5), the coarse decoding of a vector is
//! m + 16 s∘h. For squared distances, u = q - m and w = 16 s∘u,
//!
//! ```text
//! ||q - x̂||² = ||u||² - 2 <w, h> + ||16 s∘h||²
//! ```
//!
//! and for inner products, with w = 16 s∘q, <q, x̂> = <q, m> + <w, h>. The last norm is stored for every vector, w is
//! rounded to bytes once a leaf, so what remains for each vector is a dot product of nibbles and bytes.
//!
//! For L1, the query's place on the grid, in units of two steps, is rounded to a byte p, and two steps are the weight w, rounded down.
//! With codes h from 0 to 15, what the query is beyond all that they decode to, and the sum e of what rounding moved it,
//!
//! ```text
//! ||q - x̂||₁ >= ||beyond||₁ + <w, |p - 8 h|> - e
//! ```
//!
//! What rounding can cost goes into the constant of the [`Threshold`].
//!
//! A vector x may be closer than x̂ by the whole residual r; that is certain. An approximate search takes for granted that only
//! a part c of r points towards the query, and compares ||q - x̂||² with (tau + c r)² + (1 - c²) r² instead of (tau + r)².
//!
//! For L1 what the dimensions lost may cancel out, but not where q - x̂ is less than half of a coarse step: there q - x is mostly
//! smaller. If differences are spread like the exponential distribution, that is a share of r of less than r / (r + tau). So
//! ||q - x̂||₁ is compared with tau + (c + (1 - c) r / (r + tau)) r.

use super::leaf::{read_header, LeafScan, SketchedQuery};
use super::stream::Coarse;
use crate::kernels::{Grid, GridSums, Kernels, Threshold};
use crate::layout::leaf::{LeafHeader, GROUP};
use crate::query::{round_up, Scale, PRODUCT_UNDERFLOW, UNDERFLOW, UNIT};
use crate::{Metric, PageRead, Query, Result, Segment};

/// What the coarse codes of a vector lost has no reason to point towards the query. In d dimensions, the cosine of the angle between
/// two directions that have nothing to do with each other has a deviation of 1 / √d; so much is allowed for, and at least the
/// other share, since not all dimensions weigh the same.
const DEVIATIONS: f64 = 4.0;
const LEAST_ALONG: f64 = 0.25;
/// A sum of numbers of random sign, each anywhere in an interval around zero, has this deviation in relation to that of equal ones.
const UNEVEN: f64 = 1.155;

/// The root of half the smallest single-precision number: the square of anything smaller may be rounded to zero.
const LOST_SQUARE: f64 = 2.7e-23;
/// For rounding in double precision.
const ROOM: f64 = 1.0 + 1e-12;

/// What a leaf's grid says about the query.
pub(super) struct View {
    pub threshold: Threshold,
    pub fine: CodeScale,
    /// Of whole codes, if the others are those of sketches.
    pub whole: Option<CodeScale>,
    /// Bytes of the coarse codes of a vector, if there are fine ones that they are to be put together with.
    pub high_bytes: usize,
    pub scale: Scale,
    /// For an approximate search by L1: what is added to the share of the residuals as tau becomes small.
    near: Option<Near>,
    /// The share of a raw bound of vectors that their sketches may see.
    seen: f32,
}

/// How sums over codes become raw bounds.
pub(super) struct CodeScale {
    metric: Metric,
    /// For inner products: the product of the query with the grid's lower end.
    low: f64,
    factor: f64,
    pad: f64,
    residual_base: f32,
    residual_step: f32,
    residual_factor: f64,
}

/// Scales of residuals, of which the share that counts depends on tau.
struct Near {
    along: f64,
    /// The largest residual.
    largest: f64,
    base: f32,
    step: f32,
}

/// What the bounds of all metrics are made of.
struct Measured {
    header: LeafHeader,
    /// Totals of [`GridSums`].
    center: f64,
    low: f64,
    weight: f64,
    /// The lengths, in the metric, that rounding errors are proportional to.
    reach: f64,
    /// What rounding may add to the distance from a decoding.
    pad: f64,
}

impl LeafScan {
    /// Reads a leaf's header and grids, and sets the query against them.
    pub(super) fn view<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        source: u32,
        leaf: usize,
    ) -> Result<View> {
        let at = segment.leaf_chunk(leaf);
        let header = read_header(coarse, at, segment.leaf_vectors(leaf).len())?;
        let layout = segment.layout();
        self.coded = layout.groups * GROUP;
        let is_sketched = self.sketch(source).is_some();
        let LeafScan { kernels, query, sketches, grid, sketch_grid, .. } = self;
        let mut measure = |at: u64, values: &[f32], grid: &mut Grid| {
            measure(coarse, at, kernels, query.metric(), values, grid, &header)
        };
        let (of_codes, whole) = match &sketches[source as usize] {
            None => (measure(at + 1, query.values(), grid)?, None),
            Some(sketch) => {
                let of_sketches = measure(at + 1, &sketch.values, sketch_grid)?;
                let of_vectors = measure(at + 1 + layout.groups as u64, query.values(), grid)?;
                let residuals = (header.whole_base, header.whole_step);
                (of_sketches, Some(CodeScale::new(query, &of_vectors, residuals)))
            }
        };
        let mut fine = CodeScale::new(query, &of_codes, (header.fine_base, header.fine_step));
        let dims = segment.directory().sketch.map_or(query.dims(), |directions| directions as usize);
        let mut threshold = match self.query.metric() {
            Metric::L2 | Metric::Cosine => self.threshold_l2(&of_codes, is_sketched),
            Metric::InnerProduct => self.threshold_ip(&of_codes, is_sketched),
            Metric::L1 => self.threshold_l1(&of_codes),
        };
        if let Some(sketch) = self.sketch(source) {
            let radius = f64::from(segment.directory().radius);
            sketch.allow_for(self.query.metric(), radius, &mut threshold, &mut fine);
        }
        let along = if self.likely { likely_along(self.query.metric(), dims) } else { 1.0 };
        let near = (self.query.metric() == Metric::L1 && along < 1.0).then_some(Near {
            along,
            largest: largest(threshold.residual_base, threshold.residual_step),
            base: threshold.residual_base,
            step: threshold.residual_step,
        });
        let threshold = Threshold {
            residual_base: threshold.residual_base * along as f32,
            residual_step: threshold.residual_step * along as f32,
            square: if threshold.squared { (1.0 / (along * along) - 1.0) as f32 } else { 0.0 },
            ..threshold
        };
        let scale = Scale::new(&self.query, segment.directory().max_norm);
        let seen = if self.likely { segment.likely_seen() } else { 1.0 };
        let high_bytes = segment.fine().map_or(0, |_| layout.groups * GROUP / 2);
        Ok(View { threshold, fine, whole, high_bytes, scale, near, seen })
    }

    /// Rounds the weights of the query, or of its sketch, to bytes: w = scale * bytes + rest. Returns the scale, the norm of the rest, and
    /// sums of the bytes and of their magnitudes.
    fn quantise(&mut self, largest_weight: f64, is_sketched: bool) -> [f64; 4] {
        let scale = (largest_weight / 127.0) as f32;
        let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
        let scale = if inverse > 0.0 { scale } else { 0.0 };
        let grid = if is_sketched { &self.sketch_grid } else { &self.grid };
        let (weights, bytes) = (&grid.weight[..self.coded], &mut self.weights[..self.coded]);
        let quantised = self.kernels.floats().quantise(weights, inverse, scale, bytes);
        let scale = f64::from(scale);
        let padded = self.coded as f64;
        // Single precision loses squares of differences below `LOST_SQUARE`, but no difference exceeds the largest weight.
        let lost = LOST_SQUARE.min(largest_weight) * padded.sqrt();
        let rest = f64::from(quantised.rest).sqrt() * 1.001 + 2e-5 * padded.sqrt() * scale + lost;
        // Sums of integers below 2^24: exact in single precision.
        [scale, rest, f64::from(quantised.sum), f64::from(quantised.magnitude)]
    }

    fn threshold_l2(&mut self, measured: &Measured, is_sketched: bool) -> Threshold {
        let Measured { header, center, pad, .. } = measured;
        let [scale, rest, sum, magnitude] = self.quantise(measured.weight, is_sketched);
        let error = 2.0 * self.query.sum_error() * (center + f64::from(header.norm_max))
            + dot_error(scale, magnitude)
            + PRODUCT_UNDERFLOW;
        Threshold {
            constant: (center + 15.0 * scale * sum - 2.0 * rest * f64::from(header.code_norm) - error) as f32,
            scale: (2.0 * scale) as f32,
            norm_base: header.norm_base,
            norm_step: header.norm_step,
            residual_base: round_up(f64::from(header.coarse_base) + pad),
            residual_step: header.coarse_step,
            squared: true,
            square: 0.0,
            tau: 0.0,
        }
    }

    fn threshold_ip(&mut self, measured: &Measured, is_sketched: bool) -> Threshold {
        let Measured { header, center, .. } = measured;
        let [scale, rest, sum, magnitude] = self.quantise(measured.weight, is_sketched);
        let norm = f64::from(self.query.norm());
        let error = rest * f64::from(header.code_norm) + dot_error(scale, magnitude);
        Threshold {
            constant: (-center + 7.5 * scale * sum - error) as f32,
            scale: scale as f32,
            norm_base: 0.0,
            norm_step: 0.0,
            residual_base: round_up(norm * f64::from(header.coarse_base) + pad_ip(&self.query, measured)),
            residual_step: round_up(norm * f64::from(header.coarse_step)),
            squared: false,
            square: 0.0,
            tau: 0.0,
        }
    }

    fn threshold_l1(&mut self, measured: &Measured) -> Threshold {
        let Measured { header, center, weight, reach, pad, .. } = measured;
        // The largest weight becomes 127 also if the quotient is rounded.
        let scale = (weight / 127.5) as f32;
        let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale * (1.0 - 8.0 * UNIT as f32) } else { 0.0 };
        let scale = if inverse > 0.0 { f64::from(scale) } else { 0.0 };
        let Grid { offset, step, .. } = &self.grid;
        let placed = self.kernels.floats().place(
            offset,
            step,
            inverse,
            &mut self.places,
            &mut self.weights[..self.coded],
        );
        let (rest, weights) = (f64::from(placed.rest), f64::from(placed.weights));
        // Differences of places and codes are at most 120.
        let error = 2.0 * self.query.sum_error() * (center + rest)
            + 8.0 * UNIT * (2.0 * reach + 120.0 * scale * weights)
            + PRODUCT_UNDERFLOW;
        Threshold {
            constant: (center - rest - error) as f32,
            scale: -scale as f32,
            norm_base: 0.0,
            norm_step: 0.0,
            residual_base: round_up(f64::from(header.coarse_base) + pad),
            residual_step: header.coarse_step,
            squared: false,
            square: 0.0,
            tau: 0.0,
        }
    }
}

impl SketchedQuery {
    /// Makes room for what the sketch may be off, given how far vectors may be from the center; and counts the product with the center.
    fn allow_for(&self, metric: Metric, radius: f64, threshold: &mut Threshold, fine: &mut CodeScale) {
        let (at_center, magnitude) = self.at_center;
        let off = match metric {
            // What the sketch is off counts by as much as a vector is long, and by as much as its residual is, which is no longer than twice that.
            Metric::InnerProduct => 4.0 * self.error * radius + 8.0 * UNIT * magnitude,
            Metric::L2 | Metric::Cosine | Metric::L1 => self.error,
        };
        threshold.constant = (f64::from(threshold.constant) - at_center) as f32;
        threshold.residual_base = round_up(f64::from(threshold.residual_base) + off);
        fine.low += at_center;
        fine.pad += off;
    }
}

/// Rounding of a dot product with codes.
fn dot_error(scale: f64, magnitude: f64) -> f64 {
    8.0 * UNIT * 30.0 * scale * magnitude
}

/// What rounding may add to the inner product with a decoding.
fn pad_ip(query: &Query, measured: &Measured) -> f64 {
    let norm = f64::from(query.norm());
    norm * measured.pad + query.sum_error() * norm * measured.reach + PRODUCT_UNDERFLOW
}

/// The largest number on a scale of 16-bit codes.
fn largest(base: f32, step: f32) -> f64 {
    f64::from(base) + 65_535.0 * f64::from(step)
}

/// The part of a coarse residual that is likely to point towards the query, given the dimensions of both.
fn likely_along(metric: Metric, dims: usize) -> f64 {
    let deviation = 1.0 / (dims as f64).sqrt();
    let deviation = if metric == Metric::L1 { UNEVEN * deviation } else { deviation };
    (DEVIATIONS * deviation).clamp(LEAST_ALONG, 1.0)
}

/// Sets a query, or its sketch, against a grid that begins at a chunk.
fn measure<S: PageRead>(
    coarse: &mut Coarse<'_, '_, S>,
    at: u64,
    kernels: &Kernels,
    metric: Metric,
    values: &[f32],
    grid: &mut Grid,
    header: &LeafHeader,
) -> Result<Measured> {
    let floats = kernels.floats();
    let mut sums = GridSums::default();
    coarse.runs(at, values.len() / GROUP, |group, run| match metric {
        Metric::L2 | Metric::Cosine => floats.grid_l2(run, group, values, grid, &mut sums),
        Metric::InnerProduct => floats.grid_ip(run, group, values, grid, &mut sums),
        Metric::L1 => floats.grid_l1(run, group, values, grid, &mut sums),
    })?;
    Ok(Measured::new(metric, &sums, header))
}

impl Measured {
    fn new(metric: Metric, sums: &GridSums, header: &LeafHeader) -> Self {
        let [center, low, offsets, steps, weight] = sums.totals().map(f64::from);
        let (offsets, steps) = match metric {
            Metric::L1 => (offsets, steps),
            _ => (offsets.sqrt(), steps.sqrt()),
        };
        // 255 steps are the extent of the grid.
        let reach = offsets + 255.0 * steps;
        let residuals = largest(header.coarse_base, header.coarse_step)
            + largest(header.fine_base, header.fine_step)
            + largest(header.whole_base, header.whole_step);
        let pad = 8.0 * UNIT * (reach + residuals) + UNDERFLOW;
        Measured { header: *header, center, low, weight, reach, pad }
    }
}

impl View {
    /// The raw bound on coarse and fine codes above which no vector has a key below this.
    pub(super) fn reach(&self, key: f32) -> f32 {
        self.scale.raw(key) * self.seen
    }

    /// Sets the key that vectors must be below.
    pub(super) fn set_tau(&mut self, key: f32) {
        let tau = self.reach(key);
        self.threshold.tau = tau;
        if let Some(Near { along, largest, base, step }) = self.near {
            let along = along + (1.0 - along) * largest / (largest + f64::from(tau));
            // Also if both are zero.
            let along = if along.is_nan() { 1.0 } else { along as f32 };
            self.threshold.residual_base = base * along;
            self.threshold.residual_step = step * along;
        }
    }
}

impl CodeScale {
    fn new(query: &Query, measured: &Measured, (residual_base, residual_step): (f32, f32)) -> Self {
        let distance = CodeScale {
            metric: query.metric(),
            low: 0.0,
            factor: 1.0 - query.sum_error(),
            pad: measured.pad,
            residual_base,
            residual_step,
            residual_factor: 1.0,
        };
        match query.metric() {
            Metric::L2 | Metric::Cosine | Metric::L1 => distance,
            Metric::InnerProduct => CodeScale {
                low: measured.low,
                factor: 1.0,
                pad: pad_ip(query, measured),
                residual_factor: f64::from(query.norm()),
                ..distance
            },
        }
    }

    /// The raw bounds of a vector, from below and from above, by its coarse and fine codes; or by whole codes, if there are no `high` ones.
    /// `None` if it is easy to see that the one from below is above `reach`, which is not negative if these are distances.
    pub(super) fn raw(
        &self,
        kernels: &Kernels,
        grid: &Grid,
        high: &[u8],
        low: &[u8],
        residual: u16,
        reach: f32,
    ) -> Option<[f32; 2]> {
        let residual = f64::from(self.residual_base + self.residual_step * f32::from(residual));
        let residual = residual * self.residual_factor + self.pad;
        let floats = kernels.floats();
        let decoded = match self.metric {
            Metric::L2 | Metric::Cosine => {
                let sum = match high {
                    [] => floats.whole_l2(&grid.offset, &grid.step, low),
                    _ => floats.fine_l2(&grid.offset, &grid.step, high, low),
                };
                // Mostly it is, and to compare squares takes no root.
                let within = (f64::from(reach) * (1.0 + 4.0 * UNIT) + residual) * ROOM;
                if f64::from(sum) * self.factor * self.factor > within * within {
                    return None;
                }
                f64::from(sum).sqrt() * self.factor
            }
            Metric::InnerProduct => {
                let sum = match high {
                    [] => floats.whole_ip(&grid.step, low),
                    _ => floats.fine_ip(&grid.step, high, low),
                };
                -(self.low + f64::from(sum))
            }
            Metric::L1 => f64::from(floats.fine_l1(&grid.offset, &grid.step, high, low)) * self.factor,
        };
        // Room for rounding to single precision, which later comes on top.
        let [lower, upper] = [decoded - residual, decoded / (self.factor * self.factor) + residual];
        Some([(lower - lower.abs() * 2.0 * UNIT) as f32, (upper + upper.abs() * 2.0 * UNIT) as f32])
    }
}
