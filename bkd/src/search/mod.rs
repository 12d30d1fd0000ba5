//! Searching: rows in ascending order of bounds, without knowing how many will be wanted.
//!
//! A pass keeps the `capacity` candidates with the smallest keys; the largest of them, `tau`, is what leaves and coarse
//! codes are compared with. The candidates are handed over in order. When they are used up, everything else is known
//! to be at `tau` or beyond (the *watermark*), and a pass with a larger capacity looks for the next ones, leaving out
//! what was handed over already.
//!
//! With a [recall](Search::set_recall) below one, a pass visits only the cells in which the calibration expects that share of the
//! nearest neighbours ([`cells`]). The next pass visits more, so the search never ends early. But it may find rows that are
//! nearer than what was handed over before. These *latecomers* have no place in the order any more and wait until all others
//! have been handed over; then they follow, in an order of their own.

mod candidates;
mod cells;
mod contention;
mod everything;
mod helpers;
mod leaf;
mod leaves;
mod mask;
mod rank;
mod route;
mod runs;
mod stream;
mod tasks;
mod view;
mod waiting;
mod within;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use candidates::{Candidate, Candidates, DELTA};
pub(crate) use cells::{cell_scores, place};
use cells::{Budget, Cells, RankedCell};
pub use everything::Everything;
pub use helpers::HelpingThreads;
use helpers::{Found, Helpers, PART};
pub(crate) use leaf::read_header;
use leaf::{Bounds, LeafScan, Scanned, Wanted};
pub(crate) use leaves::group;
use leaves::Leaves;
pub(crate) use mask::{may_match, Mask, Met};
use rank::RankedLeaf;
pub(crate) use rank::{invisible, projection_error, vanished, ORTHONORMALITY};
pub(crate) use route::Route;
pub(crate) use stream::{Coarse, Planes, Stream};
use view::View;
use waiting::{Queue, Waiting};
pub(crate) use within::push_rows;
pub use within::Within;

use crate::build::CELL;
use crate::layout::leaf::LANES;
use crate::layout::{tids, PageKind, CHUNKS_PER_PAGE};
use crate::{Filter, PageRead, Query, Result, Segment, Space, Tid};

/// A row and a lower bound of the value that the SQL operator returns for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Never above the operator's value for this row or any later one, but for the latecomers of an approximate search.
    pub bound: f64,
    /// Where the row is.
    pub tid: Tid,
}

/// What a search did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Segments, and leaves in all of them.
    pub segments: u64,
    /// Leaves of all segments.
    pub leaves: u64,
    /// Leaves of which coarse codes were scanned, counted again in every pass.
    pub leaves_visited: u64,
    /// Vectors compared by their coarse codes.
    pub coarse: u64,
    /// Vectors compared by their fine codes too.
    pub fine: u64,
    /// Those of them that were compared by whole codes, where fine codes are those of sketches.
    pub whole: u64,
    /// Vectors of the delta.
    pub delta: u64,
    /// Rows handed over.
    pub rows: u64,
    /// Passes over the index.
    pub passes: u64,
}

impl ScanStats {
    /// Of a search that has not begun.
    fn of<S>(query: &Query, segments: &[(Arc<Segment>, S)]) -> Self {
        for (segment, _) in segments {
            assert_eq!(
                (segment.dims(), segment.directory().space),
                (query.dims(), Space::Dense(query.metric()))
            );
        }
        ScanStats {
            segments: segments.len() as u64,
            leaves: segments.iter().map(|(segment, _)| segment.leaves() as u64).sum(),
            ..ScanStats::default()
        }
    }

    fn add(&mut self, scanned: Scanned) {
        self.coarse += scanned.coarse;
        self.fine += scanned.fine;
        self.whole += scanned.whole;
    }
}

/// Capacity of the first pass if the caller expects no more. Small: tau gets tight, and few vectors reach the fine plane
/// (on a million uniform vectors of 64 dimensions 850, where a capacity of 64 lets 2,500 pass).
pub(crate) const FIRST_CAPACITY: usize = 16;
/// Candidates beyond those that the caller says he will want, one in so many and some: he goes on until bounds are above what he has, and for every
/// tenth query of GloVe with ten neighbours, a fourth more would not do. Another pass costs what the first one did.
const SPARE_SHARE: usize = 4;
const SPARE: usize = 8;
/// Rows that he is believed to want beyond those, and the same share: some he may not see, or have no use for. Fewer than candidates, for of those
/// farther away he needs but one.
const SPARE_WANTED: usize = 2;
/// Rows that the caller is expected to want if he does not say.
const FIRST_WANTED: usize = 12;
/// How many vectors an approximate pass visits at the least for every one that it may keep. Were it to keep all, the farthest of them would say
/// nothing about what is in between.
const ROOM: usize = 4;
/// How much larger each pass is than the one before.
pub(crate) const GROWTH: usize = 8;
/// The most candidates that a pass keeps: 12 MB of them.
pub(crate) const MAX_CAPACITY: usize = 1 << 20;
/// Leaves that are visited best first, to make tau tight; the others follow in storage order, which reads faster.
const BEST_FIRST: usize = 32;
/// So many are in any case.
const FEW_JUMPS: usize = 4;
/// Leaves that an exact search looks at one by one until there is a tau, at the most.
const MOST_FIRST_LEAVES: usize = 64;
/// Cells that an exact search visits before anything else, at the least.
const FIRST_CELLS: usize = 8;
/// Axes that are enough to find some that are near.
const FIRST_AXES: usize = 16;
/// Leaves by which the selectivity of a filter is judged.
const SAMPLED_LEAVES: usize = 16;
/// Leaves between two calls of `check`.
const CHECK_EVERY: usize = 64;

/// An ordered search through segments and a set of delta entries.
pub struct Search<S> {
    query: Query,
    /// What rows of the segments must meet. Those of the delta do.
    filter: Filter,
    /// The share of the vectors that meet it, about.
    selectivity: f64,
    mask: Mask,
    segments: Vec<(Arc<Segment>, S)>,
    /// Keys and addresses of the delta's rows.
    delta: Vec<(f32, Tid)>,
    /// Leaves of all segments with their bounds; filled by the first pass.
    leaves: Leaves,
    /// Candidates of the current pass, the smallest key last.
    pending: Vec<Candidate>,
    /// From here on, the pages of their addresses were sent for, if that pays.
    sent_for: usize,
    /// No row that is not pending has a key below this.
    watermark: f32,
    /// Rows with keys from here on are not wanted.
    end: f32,
    /// Share of the nearest neighbours to be found; 1 for all of them.
    recall: f64,
    /// Rows that the caller is likely to want of the next pass.
    wanted: usize,
    /// Cells of the segments, ranked by the first pass of an approximate search.
    cells: Option<Cells>,
    /// Rows handed over or pending, as a bit a vector; made when a second pass is needed. The last is the delta's.
    seen: Vec<Vec<u64>>,
    capacity: usize,
    /// Rows that were pending so far.
    handed_over: usize,
    exhausted: bool,
    helpers: Option<Arc<HelpingThreads>>,
    scan: LeafScan,
    stats: ScanStats,
}

impl<S: PageRead> Search<S> {
    /// Starts a search. `delta` holds keys from [`Query::exact`]. Nothing is read before the first [`Search::next`].
    ///
    /// # Panics
    /// If a segment's dimensions or metric are not the query's.
    pub fn new(query: Query, segments: Vec<(Arc<Segment>, S)>, delta: Vec<(f32, Tid)>) -> Self {
        let stats = ScanStats { delta: delta.len() as u64, ..ScanStats::of(&query, &segments) };
        Search {
            scan: LeafScan::new(&query, segments.iter().map(|(segment, _)| &**segment)),
            query,
            filter: Filter::new(),
            selectivity: 1.0,
            mask: Mask::default(),
            segments,
            delta,
            leaves: Leaves::default(),
            pending: Vec::new(),
            sent_for: 0,
            watermark: f32::NEG_INFINITY,
            end: f32::INFINITY,
            recall: 1.0,
            wanted: FIRST_WANTED,
            cells: None,
            seen: Vec::new(),
            capacity: FIRST_CAPACITY,
            handed_over: 0,
            exhausted: false,
            helpers: None,
            stats,
        }
    }

    /// Lets threads help. They see the pages that stores [lend](PageRead::lend), and nothing else of the caller's.
    pub fn set_helpers(&mut self, threads: Arc<HelpingThreads>) {
        self.helpers = Some(threads);
    }

    /// How many rows the caller is likely to want: a hint for the size of the first pass.
    pub fn expect(&mut self, rows: usize) {
        self.capacity = rows.saturating_add(rows / SPARE_SHARE + SPARE).clamp(FIRST_CAPACITY, MAX_CAPACITY);
        self.wanted = rows.clamp(1, MAX_CAPACITY);
    }

    /// Leaves out rows of the segments that do not meet a filter. To be called before the first [`Search::next`], and the delta must
    /// have none of them.
    pub fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// Leaves out rows for which the SQL operator certainly returns more than `value`.
    pub fn stop_after(&mut self, value: f64) {
        self.end = self.query.end_of(value);
    }

    /// Makes the search approximate: of the rows that are handed over, about this share are those that an exact search would
    /// hand over. To be called before the first [`Search::next`].
    ///
    /// # Panics
    /// If the search [stops](Search::stop_after) somewhere: everything within a distance is not most of it.
    pub fn set_recall(&mut self, recall: f64) {
        assert!(recall >= 1.0 || self.end == f32::INFINITY);
        self.recall = recall;
        if self.is_approximate() {
            self.scan.trust_likely_bounds();
        }
    }

    /// The next row in ascending order of bounds; after the last of them, the latecomers of an approximate search. `check` is called now and then, with no page held.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a page is not what it should be.
    pub fn next(&mut self, check: &mut dyn FnMut()) -> Result<Option<Hit>> {
        loop {
            loop {
                self.prefetch_tids();
                let Some(candidate) = self.pending.pop() else { break };
                let tid = self.tid(candidate)?;
                if !tid.is_dead() {
                    self.stats.rows += 1;
                    let bound = self.query.operator_bound(candidate.key());
                    return Ok(Some(Hit { bound, tid }));
                }
            }
            if self.exhausted {
                return Ok(None);
            }
            self.pass(check)?;
        }
    }

    /// What the search did so far.
    pub fn stats(&self) -> ScanStats {
        self.stats
    }

    /// Sends for the addresses of the next rows, as many as pay, if they have to be waited for.
    fn prefetch_tids(&mut self) {
        let concurrency = concurrency(&self.segments);
        if concurrency == 0 || self.pending.len() > self.sent_for {
            return;
        }
        self.sent_for = self.pending.len().saturating_sub(concurrency);
        for candidate in self.pending[self.sent_for..].iter().rev().filter(|next| next.source != DELTA) {
            let (segment, store) = &self.segments[candidate.source as usize];
            let (page, _) = segment.tid_position(candidate.ordinal);
            store.prefetch(page..page + 1);
        }
    }

    fn tid(&self, candidate: Candidate) -> Result<Tid> {
        if candidate.source == DELTA {
            return Ok(self.delta[candidate.ordinal as usize].1);
        }
        let (segment, store) = &self.segments[candidate.source as usize];
        let (page, slot) = segment.tid_position(candidate.ordinal);
        Ok(tids::get(&*store.page(PageKind::Tids, page)?, slot))
    }

    /// Fills `pending` with the next candidates.
    fn pass(&mut self, check: &mut dyn FnMut()) -> Result<()> {
        self.stats.passes += 1;
        if self.stats.passes == 1 {
            self.leaves = if self.filter.is_empty() && !self.is_approximate() {
                Leaves::grouped(&self.query, &self.segments)
            } else {
                Leaves::all(&self.query, &self.filter, &self.segments)
            };
            self.selectivity = self.estimate_selectivity()?;
        }
        let mut candidates = Candidates::new(self.capacity, self.end);
        if self.stats.passes == 1 {
            candidates = candidates.wanting(self.wanted + self.wanted / SPARE_SHARE + SPARE_WANTED);
        }
        let mut latecomers = false;
        for (ordinal, &(key, _)) in self.delta.iter().enumerate() {
            if !is_seen(&self.seen, self.segments.len(), ordinal as u32) {
                if key < self.watermark && self.is_approximate() {
                    latecomers = true;
                } else {
                    candidates.push_between(Candidate::new(key, DELTA, ordinal as u32), key);
                }
            }
        }
        let mut left_out = false;
        if self.is_approximate() {
            let cells =
                self.cells.get_or_insert_with(|| Cells::rank(&self.query, &self.segments, usize::MAX));
            // Of all neighbours, so many make the wanted number that meet the filter.
            let of_all = |rows: usize| (rows as f64 / self.selectivity) as usize;
            let at_least = of_all(self.handed_over + ROOM * self.capacity);
            let budget = cells.choose(&self.segments, self.recall, of_all(self.wanted), at_least);
            left_out = budget.leaves_out;
            latecomers |= if left_out {
                self.visit_cells(budget, &mut candidates, check)?
            } else {
                self.visit_leaves(&mut candidates, check)?
            };
        } else {
            self.visit_leaves(&mut candidates, check)?;
        }

        let full = candidates.is_full();
        if left_out && !full {
            // There would be no telling how many rows are nearer than the last of these. The next pass visits more.
            return Ok(());
        }
        let tau = candidates.tau().max(self.watermark);
        self.pending = candidates.into_descending();
        self.sent_for = self.pending.len();
        self.exhausted = !full && !latecomers;
        // Bounds of this pass are those of rows that were at the old watermark or beyond; and from tau on there may be others.
        for candidate in &mut self.pending {
            candidate.move_into(self.watermark, tau);
        }
        if self.exhausted {
            return Ok(());
        }
        if left_out {
            // Fewer rows were looked for than are here: the caller gets some more than he wants, since he must look ahead.
            let extra = self.pending.len().saturating_sub(self.wanted + self.wanted / 2 + 4);
            self.pending.drain(..extra);
        }
        self.mark_seen();
        self.handed_over += self.pending.len();
        if let Some(last) = self.pending.first() {
            self.watermark = last.key();
        }
        if latecomers && !full {
            // All else is pending: what remains are the latecomers, for which an exact search begins anew.
            self.recall = 1.0;
            self.scan.trust_certain_bounds();
            self.watermark = f32::NEG_INFINITY;
        }
        self.capacity = (self.capacity * GROWTH).min(MAX_CAPACITY);
        self.wanted = self.capacity;
        Ok(())
    }

    /// The share of the vectors that meet the filter, judged by some of the leaves.
    fn estimate_selectivity(&mut self) -> Result<f64> {
        if self.filter.is_empty() {
            return Ok(1.0);
        }
        let (mut met, mut sampled) = (0.0, 0.0);
        let leaves = self.leaves.ranked();
        let step = leaves.len().div_ceil(SAMPLED_LEAVES).max(1);
        for leaf in leaves.iter().step_by(step) {
            let (segment, store) = &self.segments[leaf.source as usize];
            let count = segment.leaf_vectors(leaf.leaf as usize).len() as f64;
            sampled += count;
            met += count * self.mask.share(&self.filter, segment, store, leaf.leaf as usize)?;
        }
        // None of the sample is not none.
        Ok(f64::max(met, 1.0) / f64::max(sampled, 1.0))
    }

    fn is_approximate(&self) -> bool {
        self.recall < 1.0
    }

    /// The nearest cells first, or else the nearest leaves: they make tau finite, and tight. Then the most promising of the leaves that are
    /// still within tau, then the others as they lie. Returns whether there were latecomers.
    fn visit_leaves(&mut self, candidates: &mut Candidates, check: &mut dyn FnMut()) -> Result<bool> {
        let Some(nearest) = self.leaves.nearest(&self.segments, |_| false) else { return Ok(false) };
        let mut begun: Vec<(RankedLeaf, Range<u32>)> = self.nearest_cells();
        if begun.is_empty() {
            let segment = &self.segments[nearest.source as usize].0;
            begun.push((nearest, segment.leaf_vectors(nearest.leaf as usize)));
        }
        let mut visit = Visit::new(&self.segments, &self.seen, self.floor(), &self.filter, &mut self.mask);
        for (at, (leaf, vectors)) in begun.iter().enumerate() {
            let runs = std::slice::from_ref(vectors);
            visit.runs(*leaf, runs, &mut self.scan, candidates, &mut self.stats, check)?;
            if at == 0 {
                begun[1..].iter().for_each(|(leaf, vectors)| visit.send_for(leaf.source, leaf.leaf, vectors));
            }
            visit.settle(0, &mut self.scan, candidates, &mut self.stats)?;
        }
        let vectors: u64 = self.segments.iter().map(|(segment, _)| u64::from(segment.vectors())).sum();
        let average = (vectors as f64 / self.stats.leaves as f64 * self.selectivity) as usize;
        let enough = 2 * self.capacity / average.max(1);
        // Without tau, all leaves would be ranked.
        while candidates.tau().is_infinite() && begun.len() < enough && enough <= MOST_FIRST_LEAVES {
            let is_begun = |leaf: &RankedLeaf| begun.iter().any(|(other, _)| other.place() == leaf.place());
            let Some(leaf) = self.leaves.nearest(&self.segments, is_begun) else { break };
            let vectors = self.segments[leaf.source as usize].0.leaf_vectors(leaf.leaf as usize);
            let runs = std::slice::from_ref(&vectors);
            visit.runs(leaf, runs, &mut self.scan, candidates, &mut self.stats, check)?;
            visit.settle(0, &mut self.scan, candidates, &mut self.stats)?;
            begun.push((leaf, vectors));
        }
        begun.sort_unstable_by_key(|(leaf, vectors)| (leaf.place(), vectors.start));

        let tau = candidates.tau();
        let reach: Vec<f32> = self.segments.iter().map(|(segment, _)| self.scan.raw(segment, tau)).collect();
        self.leaves.rank_within(&self.segments, &reach);
        let within = |leaf: &&RankedLeaf| leaf.matches && leaf.bound <= reach[leaf.source as usize];
        let near: Vec<RankedLeaf> = self.leaves.ranked().iter().filter(within).copied().collect();
        let pages = near.iter().map(|leaf| {
            let segment = &self.segments[leaf.source as usize].0;
            segment.coarse_pages(segment.leaf_vectors(leaf.leaf as usize).len())
        });
        visit.have_helped(self.helpers.as_deref(), pages.sum());
        let best = best_first(&self.segments).max(enough);
        let (first, rest) = split_best(near, best, RankedLeaf::by_bound);
        let best = first.len();
        if concurrency(&self.segments) > 0 {
            for leaf in &first {
                let (segment, store) = &self.segments[leaf.source as usize];
                store.prefetch(segment.leaf_page_range(leaf.leaf as usize));
            }
            let mut route = Route::new(self.segments.len());
            route.push_leaves(&self.segments, &rest);
            route.announce(&self.segments);
        }
        let mut runs: Vec<Range<u32>> = Vec::new();
        let mut near = first.into_iter().chain(rest).enumerate().peekable();
        while let Some((at, leaf)) = near.next() {
            let segment = &self.segments[leaf.source as usize].0;
            let reach = self.scan.raw(segment, candidates.tau());
            if leaf.bound > reach {
                continue;
            }
            self.leaves.push_near_cells(segment, &leaf, reach, &mut runs);
            let done = begun.iter().filter(|(other, _)| other.place() == leaf.place());
            done.for_each(|(_, vectors)| runs::remove(&mut runs, vectors));
            if !runs.is_empty() {
                visit.expect(near.peek().map(|(_, leaf)| (leaf.source, leaf.leaf)));
                visit.runs(leaf, &runs, &mut self.scan, candidates, &mut self.stats, check)?;
                if at < best {
                    // It is visited for tau.
                    visit.settle(0, &mut self.scan, candidates, &mut self.stats)?;
                }
            }
            runs.clear();
        }
        visit.finish(&mut self.scan, candidates, &mut self.stats)
    }

    /// As many of the cells nearest to the query as fill the candidates with near ones, and their leaves: none if that would be most of all, or
    /// it is not known how many of their vectors meet the filter.
    fn nearest_cells(&self) -> Vec<(RankedLeaf, Range<u32>)> {
        let all: usize = self.segments.iter().map(|(segment, _)| segment.cells()).sum();
        let count = (ROOM * self.capacity / CELL).max(FIRST_CELLS);
        if !self.filter.is_empty() || count > all / 4 {
            return Vec::new();
        }
        let nearest = Cells::rank(&self.query, &self.segments, FIRST_AXES).nearest(count);
        let leaf_of = |cell: RankedCell| {
            let (leaf, vectors) = self.segments[cell.source as usize].0.cell(cell.cell);
            (RankedLeaf { bound: 0.0, source: cell.source, leaf, matches: true }, vectors)
        };
        nearest.into_iter().map(leaf_of).collect()
    }

    /// The nearest cells first, to make tau tight, then the others as they lie, the cells of a leaf together. Segments without cells
    /// are searched whole. Returns whether there were latecomers.
    fn visit_cells(
        &mut self,
        budget: Budget,
        candidates: &mut Candidates,
        check: &mut dyn FnMut(),
    ) -> Result<bool> {
        let (first, rest) = split_best(budget.cells, best_first(&self.segments), RankedCell::by_score);
        let best = first.len();

        let mut first_leaves = Vec::with_capacity(self.segments.len());
        let mut leaves = 0;
        for (segment, _) in &self.segments {
            first_leaves.push(leaves);
            leaves += segment.leaves();
        }
        let mut visit = Visit::new(&self.segments, &self.seen, self.floor(), &self.filter, &mut self.mask);
        let pages = rest.iter().map(|cell| {
            let segment = &self.segments[cell.source as usize].0;
            segment.coarse_pages(segment.cell(cell.cell).1.len())
        });
        visit.have_helped(self.helpers.as_deref(), pages.sum());
        let leaf_of = |cell: &RankedCell| self.segments[cell.source as usize].0.cell(cell.cell).0;
        let groups =
            first.chunks(1).chain(rest.chunk_by(|a, b| (a.source, leaf_of(a)) == (b.source, leaf_of(b))));
        let mut runs: Vec<Range<u32>> = Vec::new();
        let mut groups = groups.enumerate().peekable();
        let from_disk = || concurrency(&self.segments) > 0;
        while let Some((at, cells)) = groups.next() {
            if at == 1 && from_disk() {
                for cell in first.iter().skip(1) {
                    let (leaf, vectors) = self.segments[cell.source as usize].0.cell(cell.cell);
                    visit.send_for(cell.source, leaf, &vectors);
                }
            }
            if at == best && from_disk() {
                let mut route = Route::new(self.segments.len());
                for cell in &rest {
                    let segment = &self.segments[cell.source as usize].0;
                    let (leaf, vectors) = segment.cell(cell.cell);
                    let pages = segment.pages_of(leaf as usize, std::slice::from_ref(&vectors));
                    pages.for_each(|pages| route.push(cell.source, pages));
                }
                route.announce(&self.segments);
            }
            let segment = &self.segments[cells[0].source as usize].0;
            let leaf =
                self.leaves.ranked()[first_leaves[cells[0].source as usize] + leaf_of(&cells[0]) as usize];
            if !leaf.matches || leaf.bound > self.scan.raw(segment, candidates.tau()) {
                continue;
            }
            runs.clear();
            for cell in cells {
                let (_, vectors) = segment.cell(cell.cell);
                runs::push(&mut runs, vectors);
            }
            visit.expect(groups.peek().map(|(_, cells)| (cells[0].source, leaf_of(&cells[0]))));
            visit.runs(leaf, &runs, &mut self.scan, candidates, &mut self.stats, check)?;
            if at < best {
                visit.settle(0, &mut self.scan, candidates, &mut self.stats)?;
            }
        }
        let without_cells =
            self.segments.iter().zip(first_leaves).filter(|((segment, _), _)| !segment.has_cells());
        for ((segment, _), first) in without_cells {
            for &leaf in &self.leaves.ranked()[first..first + segment.leaves()] {
                if leaf.matches && leaf.bound <= self.scan.raw(segment, candidates.tau()) {
                    let vectors = segment.leaf_vectors(leaf.leaf as usize);
                    visit.runs(leaf, &[vectors], &mut self.scan, candidates, &mut self.stats, check)?;
                }
            }
        }
        visit.finish(&mut self.scan, candidates, &mut self.stats)
    }

    /// The key below which unseen rows are latecomers.
    fn floor(&self) -> f32 {
        if self.is_approximate() {
            self.watermark
        } else {
            f32::NEG_INFINITY
        }
    }

    fn mark_seen(&mut self) {
        if self.seen.is_empty() {
            let words = |vectors: usize| vec![0u64; vectors.div_ceil(64)];
            self.seen = self.segments.iter().map(|(segment, _)| words(segment.vectors() as usize)).collect();
            self.seen.push(words(self.delta.len()));
        }
        let delta = self.segments.len();
        for candidate in &self.pending {
            let source = if candidate.source == DELTA { delta } else { candidate.source as usize };
            self.seen[source][candidate.ordinal as usize / 64] |= 1 << (candidate.ordinal % 64);
        }
    }
}

/// How many reads it pays to have under way at once.
fn concurrency<S: PageRead>(segments: &[(Arc<Segment>, S)]) -> usize {
    segments.iter().map(|(_, store)| store.concurrency()).max().unwrap_or(0)
}

/// Leaves to be visited best first. From disk, a jump takes as long as some dozens of pages in sequence: there are fewer if leaves have many
/// pages.
fn best_first<S: PageRead>(segments: &[(Arc<Segment>, S)]) -> usize {
    if concurrency(segments) == 0 {
        return BEST_FIRST;
    }
    let sum = |of: fn(&Segment) -> usize| segments.iter().map(|(segment, _)| of(segment)).sum::<usize>();
    let jumps = BEST_FIRST * sum(Segment::leaves) / sum(|segment| segment.leaf_pages().len()).max(1);
    jumps.clamp(FEW_JUMPS, BEST_FIRST)
}

/// The best of all, in their order, and the others as they were.
fn split_best<T: Copy>(
    all: Vec<T>,
    count: usize,
    compare: impl Fn(&T, &T) -> std::cmp::Ordering + Copy,
) -> (Vec<T>, Vec<T>) {
    let (mut best, mut rest) = (all.clone(), all);
    if count < best.len() {
        let (_, &mut bar, _) = best.select_nth_unstable_by(count, compare);
        best.truncate(count);
        rest.retain(|other| compare(other, &bar).is_ge());
    } else {
        rest.clear();
    }
    best.sort_unstable_by(compare);
    (best, rest)
}

/// Visits leaves, holding on to the pages of the last one.
struct Visit<'a, S: PageRead> {
    segments: &'a [(Arc<Segment>, S)],
    seen: &'a [Vec<u64>],
    stream: Option<(u32, Stream<'a, S>)>,
    waiting: Queue,
    helpers: Option<Helpers<'a, S>>,
    visited: usize,
    /// Which leaf of which source is probably visited after the next.
    following: Option<(u32, u32)>,
    /// Keys below this come too late.
    floor: f32,
    latecomers: bool,
    filter: &'a Filter,
    mask: &'a mut Mask,
}

impl<'a, S: PageRead> Visit<'a, S> {
    fn new(
        segments: &'a [(Arc<Segment>, S)],
        seen: &'a [Vec<u64>],
        floor: f32,
        filter: &'a Filter,
        mask: &'a mut Mask,
    ) -> Self {
        Visit {
            segments,
            seen,
            stream: None,
            waiting: Queue::default(),
            helpers: None,
            visited: 0,
            following: None,
            floor,
            latecomers: false,
            filter,
            mask,
        }
    }

    /// Lets threads help with what follows, so many pages, if there are any and they want to.
    fn have_helped(&mut self, threads: Option<&'a HelpingThreads>, pages: usize) {
        self.helpers = threads.and_then(|threads| Helpers::of(threads, pages));
    }

    /// Says which leaf of which source is probably visited after the next, so that it is on its way by then.
    fn expect(&mut self, leaf: Option<(u32, u32)>) {
        self.following = leaf;
    }

    /// Sends for a run of the vectors of a leaf, with all that is wanted of them, if it has to be waited for.
    fn send_for(&self, source: u32, leaf: u32, vectors: &Range<u32>) {
        let (segment, store) = &self.segments[source as usize];
        if store.concurrency() > 0 {
            let pages = segment.pages_of(leaf as usize, std::slice::from_ref(vectors));
            pages.for_each(|pages| _ = store.prefetch(pages));
            for records in segment.fine().into_iter().chain(segment.whole()) {
                store.prefetch(records.pages_of(vectors));
            }
        }
    }

    /// Visits runs of the vectors of a leaf, or has them visited.
    fn runs(
        &mut self,
        leaf: RankedLeaf,
        runs: &[Range<u32>],
        scan: &mut LeafScan,
        candidates: &mut Candidates,
        stats: &mut ScanStats,
        check: &mut dyn FnMut(),
    ) -> Result<()> {
        if self.visited.is_multiple_of(CHECK_EVERY) {
            self.wait_for_helpers(candidates, stats)?;
            self.stream = None;
            check();
        }
        self.visited += 1;
        let (segment, store) = &self.segments[leaf.source as usize];
        let masks = match self.mask.find(self.filter, segment, store, leaf.leaf as usize)? {
            Met::None => return Ok(()),
            Met::All => None,
            Met::These(masks) => Some(masks.to_vec()),
        };
        stats.leaves_visited += 1;
        if self.helpers.is_none() {
            return self.scan(leaf, Wanted { runs, masks: masks.as_deref() }, scan, candidates, stats);
        }
        let part = (PART * CHUNKS_PER_PAGE / segment.layout().block_chunks() * LANES) as u32;
        runs::cut(runs, segment.leaf_vectors(leaf.leaf as usize).start, part, |runs| {
            self.take_from_helpers(candidates, stats)?;
            let wanted = Wanted { runs, masks: masks.as_deref() };
            if self.lend(leaf, wanted, scan, candidates.tau())? {
                return Ok(());
            }
            self.scan(leaf, wanted, scan, candidates, stats)
        })
    }

    fn scan(
        &mut self,
        leaf: RankedLeaf,
        wanted: Wanted<'_>,
        scan: &mut LeafScan,
        candidates: &mut Candidates,
        stats: &mut ScanStats,
    ) -> Result<()> {
        let (segment, store) = &self.segments[leaf.source as usize];
        let mut waiting = Waiting::new(leaf.source, leaf.leaf);
        let stream = stream_of(&mut self.stream, leaf.source, segment, store);
        stream.expect(self.following.filter(|(source, _)| *source == leaf.source).map(|(_, leaf)| leaf));
        let mut view = scan.open(segment, stream, leaf.source, leaf.leaf)?;
        let tau = candidates.tau();
        let offer = offer(self.seen, self.floor, &mut self.latecomers, leaf.source, candidates);
        let scanned = scan.scan(segment, stream, &mut view, wanted, &mut waiting, tau, offer)?;
        self.note(scanned, stats);
        self.waiting.push(waiting);
        self.settle(store.concurrency(), scan, candidates, stats)
    }

    /// Counts what a scan compared and left.
    fn note(&mut self, scanned: Scanned, stats: &mut ScanStats) {
        stats.add(scanned);
        self.helpers.iter_mut().for_each(|helpers| helpers.note(scanned));
    }

    /// Waits for records that are on their way until there are so many pages left, or fewer.
    fn settle(
        &mut self,
        pages: usize,
        scan: &mut LeafScan,
        candidates: &mut Candidates,
        stats: &mut ScanStats,
    ) -> Result<()> {
        while let Some(waiting) = self.waiting.pop_beyond(pages) {
            let (segment, store) = &self.segments[waiting.source as usize];
            let stream = stream_of(&mut self.stream, waiting.source, segment, store);
            let view = scan.open(segment, stream, waiting.source, waiting.leaf)?;
            stats.whole += self.compare(scan, &view, &waiting, candidates)?;
        }
        Ok(())
    }

    /// Compares vectors of the leaf that was viewed last. Returns how many were compared by whole codes.
    fn compare(
        &mut self,
        scan: &LeafScan,
        view: &View,
        waiting: &Waiting,
        candidates: &mut Candidates,
    ) -> Result<u64> {
        let (segment, store) = &self.segments[waiting.source as usize];
        let stream = stream_of(&mut self.stream, waiting.source, segment, store);
        let tau = candidates.tau();
        let offer = offer(self.seen, self.floor, &mut self.latecomers, waiting.source, candidates);
        scan.compare(stream, view, waiting, tau, offer)
    }

    /// Has another thread scan the wanted vectors of a leaf, if one has time. Not before there is a tau, nor where pages come from a disk.
    fn lend(&mut self, leaf: RankedLeaf, wanted: Wanted<'_>, scan: &LeafScan, tau: f32) -> Result<bool> {
        let (segment, store) = &self.segments[leaf.source as usize];
        match &mut self.helpers {
            Some(helpers) if tau < f32::INFINITY && store.concurrency() == 0 => {
                helpers.lend(segment, store, wanted, Waiting::new(leaf.source, leaf.leaf), scan, tau)
            }
            _ => Ok(false),
        }
    }

    /// Compares what other threads have left over so far.
    fn take_from_helpers(&mut self, candidates: &mut Candidates, stats: &mut ScanStats) -> Result<()> {
        while let Some(found) = self.helpers.as_mut().map_or(Ok(None), Helpers::found)? {
            self.take(found, candidates, stats)?;
        }
        Ok(())
    }

    /// The same of all that they were lent.
    fn wait_for_helpers(&mut self, candidates: &mut Candidates, stats: &mut ScanStats) -> Result<()> {
        while let Some(found) = self.helpers.as_mut().map_or(Ok(None), Helpers::wait)? {
            self.take(found, candidates, stats)?;
        }
        Ok(())
    }

    fn take(&mut self, found: Found, candidates: &mut Candidates, stats: &mut ScanStats) -> Result<()> {
        let Found { waiting, scanned, view, scan } = found;
        self.note(scanned, stats);
        stats.whole += self.compare(&scan, &view, &waiting, candidates)?;
        if let Some(helpers) = &mut self.helpers {
            helpers.give_back(scan);
        }
        Ok(())
    }

    /// Waits for all. Returns whether there were latecomers.
    fn finish(
        mut self,
        scan: &mut LeafScan,
        candidates: &mut Candidates,
        stats: &mut ScanStats,
    ) -> Result<bool> {
        self.wait_for_helpers(candidates, stats)?;
        self.settle(0, scan, candidates, stats)?;
        Ok(self.latecomers)
    }
}

/// A reader of a segment: the one of the leaf before, if that was of the same.
fn stream_of<'s, 'a, S: PageRead>(
    stream: &'s mut Option<(u32, Stream<'a, S>)>,
    source: u32,
    segment: &'a Segment,
    store: &'a S,
) -> &'s mut Stream<'a, S> {
    if stream.as_ref().is_none_or(|(of, _)| *of != source) {
        *stream = Some((source, Stream::new(segment, store)));
    }
    &mut stream.as_mut().expect("just made").1
}

/// What takes the bounds and ordinals of vectors of a segment and returns tau.
fn offer<'c>(
    seen: &'c [Vec<u64>],
    floor: f32,
    latecomers: &'c mut bool,
    source: u32,
    candidates: &'c mut Candidates,
) -> impl FnMut(Bounds, u32) -> f32 + 'c {
    move |bounds, ordinal| {
        if !is_seen(seen, source as usize, ordinal) {
            if bounds.key < floor {
                *latecomers = true;
            } else {
                candidates.push_between(Candidate::new(bounds.key, source, ordinal), bounds.upper);
            }
        }
        candidates.tau()
    }
}

/// Whether a vector was handed over or is pending, as far as that has been noted.
fn is_seen(seen: &[Vec<u64>], source: usize, ordinal: u32) -> bool {
    seen.get(source).is_some_and(|words| words[ordinal as usize / 64] >> (ordinal % 64) & 1 == 1)
}
