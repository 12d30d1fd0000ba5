//! Scanning a leaf: coarse codes of all of its vectors, fine codes of those that the coarse ones cannot rule out.
//!
//! With the grid's centre m, its steps s and centred coarse codes h (each -7.5 to 7.5), the coarse decoding of a vector is
//! m + 16 s∘h. For squared distances, u = q - m and w = 16 s∘u,
//!
//! ```text
//! ||q - x̂||² = ||u||² - 2 <w, h> + ||16 s∘h||²
//! ```
//!
//! and for inner products, with w = 16 s∘q, <q, x̂> = <q, m> + <w, h>. The last norm is stored for every vector, w is
//! rounded to bytes once a leaf, so what remains for each vector is a dot product of nibbles and bytes. What the
//! rounding of w can cost, and all other rounding, goes into the constant of the [`Threshold`].
//!
//! A vector x may be closer than x̂ by the whole residual r; that is certain. An approximate search takes for granted that only
//! a part c of r points towards the query, and compares ||q - x̂||² with (tau + c r)² + (1 - c²) r² instead of (tau + r)².

use std::ops::Range;

use super::stream::{Coarse, Stream};
use crate::kernels::{Grid, GridSums, Kernels, Survivors, Threshold};
use crate::layout::leaf::{LeafHeader, GROUP, LANES};
use crate::layout::{CHUNK, CHUNKS_PER_PAGE};
use crate::query::{round_up, Scale, PRODUCT_UNDERFLOW, UNDERFLOW, UNIT};
use crate::{Error, Metric, PageRead, Query, Result, Segment};

/// Scratch space for scanning leaves with one query.
pub(super) struct LeafScan {
    kernels: &'static Kernels,
    query: Query,
    /// How much of a coarse residual may point towards the query: all of it, or what is likely.
    along: f64,
    grid: Grid,
    weights: Vec<i8>,
    /// Coarse codes of one vector.
    high: Vec<u8>,
    /// A block that was put together from several pages.
    block: Box<[u8; (1 + COPIED_GROUPS) * CHUNK]>,
}

/// Up to so many groups (128 dimensions) it is cheaper to put a block together than to scan it in parts.
const COPIED_GROUPS: usize = 16;

/// What the coarse codes of a vector lost has no reason to point towards the query. In d dimensions, the cosine of the angle between
/// two directions that have nothing to do with each other has a deviation of 1 / √d; so much is allowed for, and at least the
/// other share, since not all dimensions weigh the same.
const DEVIATIONS: f64 = 4.0;
const LEAST_ALONG: f64 = 0.25;

/// The root of half the smallest single-precision number: the square of anything smaller may be rounded to zero.
const LOST_SQUARE: f64 = 2.7e-23;

/// What a leaf's grid says about the query.
struct View {
    threshold: Threshold,
    fine: FineScale,
    scale: Scale,
}

/// How sums over fine codes become raw bounds.
struct FineScale {
    metric: Metric,
    /// For inner products: the product of the query with the grid's lower end.
    low: f64,
    factor: f64,
    pad: f64,
    residual_base: f32,
    residual_step: f32,
    residual_factor: f64,
}

impl LeafScan {
    pub(super) fn new(query: &Query) -> Self {
        let padded = query.values().len();
        LeafScan {
            kernels: Kernels::get(),
            query: query.clone(),
            along: 1.0,
            grid: Grid { offset: vec![0.0; padded], step: vec![0.0; padded], weight: vec![0.0; padded] },
            weights: vec![0; padded],
            high: vec![0; padded / 2],
            block: Box::new([0; (1 + COPIED_GROUPS) * CHUNK]),
        }
    }

    /// From now on, coarse codes rule out what is very likely too far away, also if it is not certain.
    pub(super) fn trust_likely_bounds(&mut self) {
        self.along = (DEVIATIONS / (self.query.dims() as f64).sqrt()).clamp(LEAST_ALONG, 1.0);
    }

    /// From now on, coarse codes rule out only what is certainly too far away.
    pub(super) fn trust_certain_bounds(&mut self) {
        self.along = 1.0;
    }

    /// The raw bound above which nothing in a segment can have a key below `tau`.
    pub(super) fn raw(&self, segment: &Segment, tau: f32) -> f32 {
        Scale::new(&self.query, segment.directory().max_norm).raw(tau)
    }

    /// Scans the wanted vectors of a leaf. `offer` takes the keys and ordinals of vectors that may matter and returns the new tau.
    /// Returns how many there were, and of how many coarse codes were compared.
    pub(super) fn scan<S: PageRead>(
        &mut self,
        segment: &Segment,
        stream: &mut Stream<'_, S>,
        leaf: usize,
        wanted: Wanted<'_>,
        mut tau: f32,
        mut offer: impl FnMut(f32, u32) -> f32,
    ) -> Result<Scanned> {
        let Wanted { runs, masks } = wanted;
        let (mut coarse, mut fine) = stream.split();
        let layout = segment.layout();
        let vectors = segment.leaf_vectors(leaf);
        let at = segment.leaf_chunk(leaf);
        let mut view = self.view(segment, &mut coarse, at, vectors.len())?;
        let at = at + layout.prefix_chunks() as u64;

        let block_chunks = layout.block_chunks();
        let mut survivors = [0 as Survivors; CHUNKS_PER_PAGE / 2];
        let mut scanned = Scanned::default();
        // Until there are enough candidates everything survives, so look at a few vectors first.
        let mut at_once = if tau.is_infinite() { 1 } else { usize::MAX };
        for run in runs {
            let run = (run.start - vectors.start) as usize..(run.end - vectors.start) as usize;
            let mut block = run.start / LANES;
            let blocks = run.end.div_ceil(LANES);
            if masks.is_none() {
                scanned.coarse += run.len() as u64;
            }
            while block < blocks {
                let stretch = masks.map_or(blocks - block, |masks| {
                    // No more than a page has.
                    stretch(&masks[block..blocks.min(block + CHUNKS_PER_PAGE / block_chunks + 1)])
                });
                if stretch == 0 {
                    block += 1;
                    continue;
                }
                view.threshold.tau = view.scale.raw(tau);
                let at = at + (block * block_chunks) as u64;
                let chunks = coarse.run(at, at_once.min(stretch) * block_chunks)?;
                at_once = at_once.saturating_mul(2);
                let whole = chunks.len() / (CHUNK * block_chunks);
                let survivors = if whole > 0 {
                    let survivors = &mut survivors[..whole];
                    let chunks = &chunks[..whole * block_chunks * CHUNK];
                    self.kernels.scan(chunks, layout.groups, &self.weights, &view.threshold, survivors);
                    survivors
                } else {
                    survivors[0] = self.scan_split_block(&mut coarse, at, layout.groups, &view.threshold)?;
                    &mut survivors[..1]
                };
                for (step, &lanes) in survivors.iter().enumerate().filter(|(_, &lanes)| lanes != 0) {
                    let mut lanes = lanes
                        & lanes_within(&run, (block + step) * LANES)
                        & masks.map_or(Survivors::MAX, |masks| masks[block + step]);
                    while lanes != 0 {
                        let lane = lanes.trailing_zeros() as usize;
                        lanes &= lanes - 1;
                        let ordinal = vectors.start + ((block + step) * LANES + lane) as u32;
                        let codes = at + (step * block_chunks + 1) as u64;
                        gather(&mut coarse, codes, layout.groups, lane, &mut self.high)?;
                        let (low, residual) = fine.record(ordinal)?;
                        let raw = view.fine.raw(self.kernels, &self.grid, &self.high, low, residual);
                        scanned.fine += 1;
                        let key = view.scale.key(raw);
                        if key < tau {
                            tau = offer(key, ordinal);
                        }
                    }
                }
                if masks.is_some() {
                    scanned.coarse += (survivors.len() * LANES) as u64;
                }
                block += survivors.len();
            }
        }
        Ok(scanned)
    }

    /// Reads the leaf's header and grid, and sets the query against them.
    fn view<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        at: u64,
        count: usize,
    ) -> Result<View> {
        let header = read_header(coarse, at, count)?;
        let metric = self.query.metric();
        let floats = self.kernels.floats();
        let mut sums = GridSums::default();
        coarse.runs(at + 1, segment.layout().groups, |group, run| match metric {
            Metric::L2 | Metric::Cosine => {
                floats.grid_l2(run, group, self.query.values(), &mut self.grid, &mut sums)
            }
            Metric::InnerProduct => {
                floats.grid_ip(run, group, self.query.values(), &mut self.grid, &mut sums)
            }
        })?;
        let [center, low, offset_squares, step_squares, largest_weight] = sums.totals().map(f64::from);

        // Weights as bytes: w = scale * bytes + rest.
        let scale = (largest_weight / 127.0) as f32;
        let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
        let scale = if inverse > 0.0 { scale } else { 0.0 };
        let quantised = floats.quantise(&self.grid.weight, inverse, scale, &mut self.weights);
        let scale = f64::from(scale);
        let padded = self.weights.len() as f64;
        // Single precision loses squares of differences below `LOST_SQUARE`, but no difference exceeds the largest weight.
        let lost = LOST_SQUARE.min(largest_weight) * padded.sqrt();
        let rest = f64::from(quantised.rest).sqrt() * 1.001 + 2e-5 * padded.sqrt() * scale + lost;
        // Sums of integers below 2^24: exact in single precision.
        let (sum, magnitude) = (f64::from(quantised.sum), f64::from(quantised.magnitude));

        // Lengths that rounding errors are proportional to; 255 steps are the extent of the grid.
        let sum_error = self.query.sum_error();
        let reach = offset_squares.sqrt() + 255.0 * step_squares.sqrt();
        let of = |base: f32, step: f32| f64::from(base) + 65_535.0 * f64::from(step);
        let residual = of(header.coarse_base, header.coarse_step);
        let fine_residual = of(header.fine_base, header.fine_step);
        let pad = 8.0 * UNIT * (reach + residual + fine_residual) + UNDERFLOW;
        let dot_error = 8.0 * UNIT * 30.0 * scale * magnitude;
        let code_norm = f64::from(header.code_norm);

        let (threshold, fine) = match metric {
            Metric::L2 | Metric::Cosine => {
                let error =
                    2.0 * sum_error * (center + f64::from(header.norm_max)) + dot_error + PRODUCT_UNDERFLOW;
                let threshold = Threshold {
                    constant: (center + 15.0 * scale * sum - 2.0 * rest * code_norm - error) as f32,
                    scale: (2.0 * scale) as f32,
                    norm_base: header.norm_base,
                    norm_step: header.norm_step,
                    residual_base: round_up(f64::from(header.coarse_base) + pad),
                    residual_step: header.coarse_step,
                    squared: true,
                    square: (1.0 / (self.along * self.along) - 1.0) as f32,
                    tau: 0.0,
                };
                let fine = FineScale {
                    low: 0.0,
                    factor: 1.0 - sum_error,
                    residual_factor: 1.0,
                    pad,
                    metric,
                    residual_base: header.fine_base,
                    residual_step: header.fine_step,
                };
                (threshold, fine)
            }
            Metric::InnerProduct => {
                let norm = f64::from(self.query.norm());
                let pad = norm * pad + sum_error * norm * reach + PRODUCT_UNDERFLOW;
                let threshold = Threshold {
                    constant: (-center + 7.5 * scale * sum - rest * code_norm - dot_error) as f32,
                    scale: scale as f32,
                    norm_base: 0.0,
                    norm_step: 0.0,
                    residual_base: round_up(norm * f64::from(header.coarse_base) + pad),
                    residual_step: round_up(norm * f64::from(header.coarse_step)),
                    squared: false,
                    square: 0.0,
                    tau: 0.0,
                };
                let fine = FineScale {
                    low,
                    factor: 1.0,
                    residual_factor: norm,
                    pad,
                    metric,
                    residual_base: header.fine_base,
                    residual_step: header.fine_step,
                };
                (threshold, fine)
            }
        };
        let along = self.along as f32;
        let threshold = Threshold {
            residual_base: threshold.residual_base * along,
            residual_step: threshold.residual_step * along,
            ..threshold
        };
        Ok(View { threshold, fine, scale: Scale::new(&self.query, segment.directory().max_norm) })
    }

    /// The coarse scan of a block that lies on several pages.
    fn scan_split_block<S: PageRead>(
        &mut self,
        coarse: &mut Coarse<'_, '_, S>,
        at: u64,
        groups: usize,
        threshold: &Threshold,
    ) -> Result<Survivors> {
        if groups <= COPIED_GROUPS {
            let block = &mut self.block[..(1 + groups) * CHUNK];
            coarse.runs(at, 1 + groups, |chunk, run| {
                block[chunk * CHUNK..][..run.len()].copy_from_slice(run);
            })?;
            let mut survivors = [0];
            self.kernels.scan(block, groups, &self.weights, threshold, &mut survivors);
            return Ok(survivors[0]);
        }
        let header = &mut self.block[..CHUNK];
        header.copy_from_slice(coarse.run(at, 1)?);
        let mut dots = [0; LANES];
        coarse.runs(at + 1, groups, |group, run| {
            let weights = &self.weights[group * GROUP..][..run.len() / CHUNK * GROUP];
            self.kernels.dots(run, weights, &mut dots);
        })?;
        Ok(self.kernels.threshold(&self.block[..CHUNK], &dots, threshold))
    }
}

impl FineScale {
    fn raw(&self, kernels: &Kernels, grid: &Grid, high: &[u8], low: &[u8], residual: u16) -> f32 {
        let residual = f64::from(self.residual_base + self.residual_step * f32::from(residual));
        let residual = residual * self.residual_factor + self.pad;
        let floats = kernels.floats();
        let decoded = match self.metric {
            Metric::L2 | Metric::Cosine => {
                f64::from(floats.fine_l2(&grid.offset, &grid.step, high, low)).sqrt() * self.factor
            }
            Metric::InnerProduct => -(self.low + f64::from(floats.fine_ip(&grid.step, high, low))),
        };
        // Less a rounding to single precision, which later comes on top.
        let raw = decoded - residual;
        (raw - raw.abs() * 2.0 * UNIT) as f32
    }
}

/// Vectors of a leaf to be scanned.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// By ordinal in the segment.
    pub runs: &'a [Range<u32>],
    /// Only those whose bits are set, by block of the leaf, if there are any.
    pub masks: Option<&'a [Survivors]>,
}

/// How many vectors a scan compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scanned {
    /// By whole blocks, if only some of a leaf are wanted.
    pub coarse: u64,
    /// Those of them that the coarse codes could not rule out.
    pub fine: u64,
}

/// Blocks in a row none of whose vectors is wanted that are better scanned than left out.
const SMALL_GAP: usize = 3;

/// How many blocks from the first on are scanned at once, given which of their vectors are wanted; none if the first has none.
fn stretch(masks: &[Survivors]) -> usize {
    let mut end = 0;
    for (at, _) in masks.iter().enumerate().filter(|(_, &mask)| mask != 0) {
        if at > end + if end == 0 { 0 } else { SMALL_GAP } {
            break;
        }
        end = at + 1;
    }
    end
}

/// The header of a leaf, which should have `count` vectors.
pub(crate) fn read_header<S: PageRead>(
    coarse: &mut Coarse<'_, '_, S>,
    at: u64,
    count: usize,
) -> Result<LeafHeader> {
    let header = LeafHeader::read(coarse.run(at, 1)?)?;
    if header.vectors as usize != count {
        return Err(Error::corrupt(format!("leaf has {} vectors instead of {count}", header.vectors)));
    }
    Ok(header)
}

/// The lanes of a block that begins with vector `first` of a leaf which lie within a run of these.
fn lanes_within(run: &Range<usize>, first: usize) -> Survivors {
    let until = |end: usize| -> Survivors {
        match end.saturating_sub(first) {
            lanes if lanes >= LANES => Survivors::MAX,
            lanes => (1 << lanes) - 1,
        }
    };
    until(run.end) & !until(run.start)
}

/// Collects the coarse codes of one vector from the chunks of its block.
fn gather<S: PageRead>(
    coarse: &mut Coarse<'_, '_, S>,
    at: u64,
    groups: usize,
    lane: usize,
    high: &mut [u8],
) -> Result<()> {
    coarse.runs(at, groups, |group, run| {
        let into = high[group * 4..].chunks_exact_mut(4);
        for (chunk, into) in run.chunks_exact(CHUNK).zip(into) {
            into.copy_from_slice(&chunk[lane * 4..lane * 4 + 4]);
        }
    })
}

#[cfg(test)]
mod tests;
