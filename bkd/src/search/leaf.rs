//! Scanning a leaf: coarse codes of all of its vectors, fine codes of those that the coarse ones cannot rule out; and if these are codes of
//! sketches, whole codes of what is left. How sums over codes become bounds is in [`view`](super::view).

use std::ops::Range;
use std::sync::Arc;

use super::stream::{Coarse, Records, Stream};
use super::view::View;
use super::waiting::Waiting;
use crate::kernels::{Ahead, CodedQuery, Grid, Kernels, Survivors, Threshold};
use crate::layout::leaf::{LeafHeader, LANES};
use crate::layout::{CHUNK, CHUNKS_PER_PAGE};
use crate::query::Scale;
use crate::{Error, Metric, PageRead, Query, Result, Segment};

/// Scratch space for scanning leaves with one query.
pub(super) struct LeafScan {
    pub(super) kernels: &'static Kernels,
    pub(super) query: Query,
    /// How much of a coarse residual may point towards the query: all of it, or what is likely.
    pub(super) likely: bool,
    /// The query's sketches for the segments, by position in the search.
    pub(super) sketches: Arc<[Option<SketchedQuery>]>,
    /// The query on the grid of the vectors of a leaf.
    pub(super) grid: Grid,
    /// Its sketch on the grid of sketches.
    pub(super) sketch_grid: Grid,
    /// Numbers of the query, or of its sketch, on the grid of the coarse codes of the leaf that was [viewed](LeafScan::view) last.
    pub(super) coded: usize,
    /// These, in bytes ([`CodedQuery`]).
    pub(super) weights: Vec<i8>,
    /// For L1.
    pub(super) places: Vec<i8>,
    /// Coarse codes of one vector.
    high: Vec<u8>,
    /// A block that was put together from several pages.
    block: Box<[u8; (1 + COPIED_GROUPS) * CHUNK]>,
}

/// What the last of its codes say of a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub key: f32,
    /// Who looks for this vector has found it, at the latest, when what follows has this key.
    pub upper: f32,
}

/// The sketch of a query for a segment.
pub(super) struct SketchedQuery {
    /// Padded with zeros to whole groups.
    pub values: Vec<f32>,
    /// How far it may be off.
    pub error: f64,
    /// For inner products: that of the query with the center, and the sum of the magnitudes of its terms.
    pub at_center: (f64, f64),
}

impl SketchedQuery {
    fn of(query: &Query, segment: &Segment) -> Option<Self> {
        let mut sketcher = segment.sketcher()?;
        let ((values, error), at_center) = match query.metric() {
            Metric::InnerProduct => {
                (sketcher.sketch_for_products(query.values()), sketcher.at_center(query.values()))
            }
            Metric::L2 | Metric::Cosine | Metric::L1 => (sketcher.sketch(query.values()), (0.0, 0.0)),
        };
        Some(SketchedQuery { values, error, at_center })
    }
}

/// Up to so many groups (128 dimensions) it is cheaper to put a block together than to scan it in parts.
const COPIED_GROUPS: usize = 16;

impl LeafScan {
    /// For the segments of a search, in their order.
    pub(super) fn new<'s>(query: &Query, segments: impl Iterator<Item = &'s Segment>) -> Self {
        let sketches = segments.map(|segment| SketchedQuery::of(query, segment)).collect();
        Self::with(query, sketches)
    }

    fn with(query: &Query, sketches: Arc<[Option<SketchedQuery>]>) -> Self {
        let padded = query.values().len();
        let of_sketches = sketches.iter().flatten().map(|sketch| sketch.values.len()).max().unwrap_or(0);
        let grid =
            |padded| Grid { offset: vec![0.0; padded], step: vec![0.0; padded], weight: vec![0.0; padded] };
        LeafScan {
            kernels: Kernels::get(),
            query: query.clone(),
            likely: false,
            sketches,
            grid: grid(padded),
            sketch_grid: grid(of_sketches),
            coded: 0,
            weights: vec![0; padded.max(of_sketches)],
            places: vec![0; if query.metric() == Metric::L1 { padded } else { 0 }],
            high: vec![0; padded.max(of_sketches) / 2],
            block: Box::new([0; (1 + COPIED_GROUPS) * CHUNK]),
        }
    }

    /// Space for the same query, to be used beside this one.
    pub(super) fn another(&self) -> Self {
        LeafScan { likely: self.likely, ..LeafScan::with(&self.query, self.sketches.clone()) }
    }

    /// The sketch of the query for a segment, if its coarse codes are those of sketches.
    pub(super) fn sketch(&self, source: u32) -> Option<&SketchedQuery> {
        self.sketches[source as usize].as_ref()
    }

    /// From now on, coarse codes rule out what is very likely too far away, also if it is not certain.
    pub(super) fn trust_likely_bounds(&mut self) {
        self.likely = true;
    }

    /// From now on, coarse codes rule out only what is certainly too far away.
    pub(super) fn trust_certain_bounds(&mut self) {
        self.likely = false;
    }

    /// The query on the grid of the leaf that was [viewed](LeafScan::view) last.
    fn coded(&self) -> CodedQuery<'_> {
        let places = (self.query.metric() == Metric::L1).then_some(&self.places[..]);
        CodedQuery { weights: &self.weights[..self.coded], places }
    }

    /// The raw bound above which nothing in a segment can have a key below `tau`.
    pub(super) fn raw(&self, segment: &Segment, tau: f32) -> f32 {
        Scale::new(&self.query, segment.directory().max_norm).raw(tau)
    }

    /// Reads the grid of a leaf of a segment, which has this position in the search, and sets the query against it, for [`LeafScan::scan`]
    /// and [`LeafScan::compare`].
    pub(super) fn open<S: PageRead>(
        &mut self,
        segment: &Segment,
        stream: &mut Stream<'_, S>,
        source: u32,
        leaf: u32,
    ) -> Result<View> {
        self.view(segment, &mut stream.planes().coarse, source, leaf as usize)
    }

    /// Scans the wanted vectors of the leaf of `waiting`, which takes those whose records are not at hand; the leaf was
    /// [opened](LeafScan::open) last. `offer` takes the bounds and ordinals of vectors that may matter, whose keys are tau at the most, and returns
    /// the new tau. Returns how many there were, and of how many coarse codes were compared.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn scan<S: PageRead>(
        &mut self,
        segment: &Segment,
        stream: &mut Stream<'_, S>,
        view: &mut View,
        wanted: Wanted<'_>,
        waiting: &mut Waiting,
        mut tau: f32,
        mut offer: impl FnMut(Bounds, u32) -> f32,
    ) -> Result<Scanned> {
        let Wanted { runs, masks } = wanted;
        let following = stream.following();
        let (mut coarse, mut between, mut last) = stream.planes().stages();
        let layout = segment.layout();
        let leaf = waiting.leaf as usize;
        let vectors = segment.leaf_vectors(leaf);

        let block_chunks = layout.block_chunks();
        let mut survivors = [0 as Survivors; CHUNKS_PER_PAGE / 2];
        let mut scanned = Scanned::default();
        // Vectors that the fine codes of their sketches cannot rule out.
        let mut left: Vec<u32> = Vec::new();
        let concurrency = last.concurrency();
        if tau.is_infinite() && concurrency > 0 {
            // Hardly anything will be ruled out.
            last.prefetch(vectors.clone());
        }
        // Until there are enough candidates everything survives, so look at a few vectors first.
        let mut at_once = if tau.is_infinite() { 1 } else { usize::MAX };
        for (number, run) in runs.iter().enumerate() {
            let after = match runs.get(number + 1) {
                Some(next) => Some(segment.block_chunk(leaf, (next.start - vectors.start) as usize / LANES)),
                None => following,
            };
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
                view.set_tau(tau);
                let at = segment.block_chunk(leaf, block);
                let count = at_once.min(stretch);
                let then = match block + count {
                    next if next < blocks => Some(segment.block_chunk(leaf, next)),
                    _ => after,
                };
                let (chunks, ahead) = coarse.run_then(at, count * block_chunks, then)?;
                at_once = at_once.saturating_mul(2);
                let whole = chunks.len() / (CHUNK * block_chunks);
                let survivors = if whole > 0 {
                    let survivors = &mut survivors[..whole];
                    let chunks = &chunks[..whole * block_chunks * CHUNK];
                    self.kernels.scan(chunks, layout.groups, self.coded(), &view.threshold, survivors, ahead);
                    survivors
                } else {
                    survivors[0] =
                        self.scan_split_block(&mut coarse, at, then, layout.groups, &view.threshold)?;
                    &mut survivors[..1]
                };
                let first = between.as_ref().filter(|_| tau < f32::INFINITY).unwrap_or(&last);
                for (step, lanes) in survivors.iter_mut().enumerate().filter(|(_, lanes)| **lanes != 0) {
                    *lanes &= lanes_within(&run, (block + step) * LANES)
                        & masks.map_or(Survivors::MAX, |masks| masks[block + step]);
                    let mut coming = *lanes;
                    while coming != 0 {
                        first
                            .fetch(vectors.start + ((block + step) * LANES) as u32 + coming.trailing_zeros());
                        coming &= coming - 1;
                    }
                }
                for (step, &lanes) in survivors.iter().enumerate().filter(|(_, &lanes)| lanes != 0) {
                    let mut lanes = lanes;
                    while lanes != 0 {
                        let lane = lanes.trailing_zeros() as usize;
                        lanes &= lanes - 1;
                        let ordinal = vectors.start + ((block + step) * LANES + lane) as u32;
                        let high = &mut self.high[..view.high_bytes];
                        if !high.is_empty() {
                            let codes = at + (step * block_chunks + 1) as u64;
                            gather(&mut coarse, codes, layout.groups, lane, high)?;
                        }
                        let high = &self.high[..view.high_bytes];
                        scanned.fine += 1;
                        // Without tau there is nothing else to do meanwhile, and nothing is ruled out.
                        let may_wait = concurrency > 0 && tau < f32::INFINITY;
                        let mut waits =
                            |of: &Records<'_, '_, S>| may_wait && waiting.takes(of, ordinal, high);
                        let mut before_last = between.as_mut().filter(|_| tau < f32::INFINITY);
                        if let Some(fine) = &mut before_last {
                            if waits(fine) || self.is_ruled_out(fine, view, ordinal, high, tau)? {
                                continue;
                            }
                        }
                        if waits(&last) {
                            continue;
                        }
                        scanned.whole += u64::from(view.whole.is_some());
                        if before_last.is_some() {
                            last.fetch(ordinal);
                            left.push(ordinal);
                            continue;
                        }
                        if let Some(bounds) = self.bounds(&mut last, view, ordinal, high, tau)? {
                            tau = offer(bounds, ordinal);
                        }
                    }
                }
                if left.len() >= TOGETHER {
                    tau = self.offer_each(&mut last, view, by_whole_codes(&mut left), tau, &mut offer)?;
                }
                if masks.is_some() {
                    scanned.coarse += (survivors.len() * LANES) as u64;
                }
                block += survivors.len();
            }
        }
        self.offer_each(&mut last, view, by_whole_codes(&mut left), tau, &mut offer)?;
        Ok(scanned)
    }

    /// Compares the vectors of a leaf, [opened](LeafScan::open) last, whose records were waited for. Returns how many were compared by whole
    /// codes.
    pub(super) fn compare<S: PageRead>(
        &self,
        stream: &mut Stream<'_, S>,
        view: &View,
        waiting: &Waiting,
        tau: f32,
        mut offer: impl FnMut(Bounds, u32) -> f32,
    ) -> Result<u64> {
        let (_, between, mut last) = stream.planes().stages();
        let vectors = waiting.vectors(view.high_bytes);
        let Some(mut between) = between else {
            vectors.clone().for_each(|(ordinal, _)| last.fetch(ordinal));
            let whole = view.whole.as_ref().map_or(0, |_| vectors.clone().count() as u64);
            self.offer_each(&mut last, view, vectors, tau, &mut offer)?;
            return Ok(whole);
        };
        vectors.clone().for_each(|(ordinal, _)| between.fetch(ordinal));
        let mut left = Vec::new();
        for (ordinal, high) in vectors {
            if !self.is_ruled_out(&mut between, view, ordinal, high, tau)? {
                last.send_for(ordinal);
                left.push(ordinal);
            }
        }
        left.iter().for_each(|&ordinal| last.fetch(ordinal));
        let whole = left.len() as u64;
        self.offer_each(&mut last, view, by_whole_codes(&mut left), tau, &mut offer)?;
        Ok(whole)
    }

    /// Offers vectors with these coarse codes, by the last of their codes. Returns tau.
    fn offer_each<'v, S: PageRead>(
        &self,
        last: &mut Records<'_, '_, S>,
        view: &View,
        vectors: impl Iterator<Item = (u32, &'v [u8])>,
        mut tau: f32,
        offer: &mut impl FnMut(Bounds, u32) -> f32,
    ) -> Result<f32> {
        for (ordinal, high) in vectors {
            if let Some(bounds) = self.bounds(last, view, ordinal, high, tau)? {
                tau = offer(bounds, ordinal);
            }
        }
        Ok(tau)
    }

    /// Whether the sketch of a vector with these coarse codes is beyond tau, by its fine codes.
    fn is_ruled_out<S: PageRead>(
        &self,
        fine: &mut Records<'_, '_, S>,
        view: &View,
        ordinal: u32,
        high: &[u8],
        tau: f32,
    ) -> Result<bool> {
        let (low, residual) = fine.record(ordinal)?;
        let reach = view.reach(tau);
        let bounds = view.fine.raw(self.kernels, &self.sketch_grid, high, low, residual, reach);
        Ok(bounds.is_none_or(|[lower, _]| lower > reach))
    }

    /// Where a vector with these coarse codes is, by the last of its codes, unless that is beyond tau.
    fn bounds<S: PageRead>(
        &self,
        last: &mut Records<'_, '_, S>,
        view: &View,
        ordinal: u32,
        high: &[u8],
        tau: f32,
    ) -> Result<Option<Bounds>> {
        let (codes, residual) = last.record(ordinal)?;
        let (scale, high) = match &view.whole {
            Some(whole) => (whole, &[][..]),
            None => (&view.fine, high),
        };
        let bounds = scale.raw(self.kernels, &self.grid, high, codes, residual, view.scale.raw(tau));
        Ok(bounds.and_then(|[lower, upper]| {
            let key = view.scale.key(lower);
            (key <= tau).then(|| Bounds { key, upper: view.scale.upper(upper) })
        }))
    }

    /// The coarse scan of a block that lies on several pages.
    fn scan_split_block<S: PageRead>(
        &mut self,
        coarse: &mut Coarse<'_, '_, S>,
        at: u64,
        then: Option<u64>,
        groups: usize,
        threshold: &Threshold,
    ) -> Result<Survivors> {
        if groups <= COPIED_GROUPS {
            let block = &mut self.block[..(1 + groups) * CHUNK];
            coarse.runs(at, 1 + groups, |chunk, run| {
                block[chunk * CHUNK..][..run.len()].copy_from_slice(run);
            })?;
            let mut survivors = [0];
            let block = &self.block[..(1 + groups) * CHUNK];
            self.kernels.scan(block, groups, self.coded(), threshold, &mut survivors, Ahead::NONE);
            return Ok(survivors[0]);
        }
        let header = &mut self.block[..CHUNK];
        header.copy_from_slice(coarse.run(at, 1)?);
        let mut sums = [0; LANES];
        let mut group = 0;
        while group < groups {
            let (run, ahead) = coarse.run_then(at + 1 + group as u64, groups - group, then)?;
            let end = group + run.len() / CHUNK;
            self.kernels.sums(run, self.coded().groups(group..end), &mut sums, ahead);
            group = end;
        }
        Ok(self.kernels.threshold(&self.block[..CHUNK], &sums, threshold))
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
    /// Those of them that were compared by whole codes.
    pub whole: u64,
}

/// Takes vectors that are compared by whole codes, for which coarse ones are not needed.
fn by_whole_codes(left: &mut Vec<u32>) -> impl Iterator<Item = (u32, &'static [u8])> + '_ {
    left.drain(..).map(|ordinal| (ordinal, &[][..]))
}

/// So many whole codes are fetched before the first is compared. More of them, and tau would be late.
const TOGETHER: usize = 8;

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
