//! All rows within a distance, in no order.

use std::ops::Range;
use std::sync::Arc;

use super::leaf::{Bounds, LeafScan, Wanted};
use super::leaves::Leaves;
use super::mask::{may_match, Mask, Met};
use super::rank::RankedLeaf;
use super::route::Route;
use super::stream::Stream;
use super::waiting::Waiting;
use super::{ScanStats, CHECK_EVERY};
use crate::layout::{tids, PageKind};
use crate::{Filter, PageRead, Query, Result, Segment, Tid};

/// The rows of segments for which the SQL operator may return a given value or less, leaf by leaf.
///
/// Rows that are clearly beyond are left out; of the others only their vectors can tell.
pub struct Within<S> {
    query: Query,
    filter: Filter,
    segments: Vec<(Arc<Segment>, S)>,
    /// Vectors with keys below this are within.
    end: f32,
    /// Filled by the first call.
    leaves: Leaves,
    /// Those that are left to visit, the next one last.
    left: Vec<RankedLeaf>,
    /// Scratch space: vectors of a leaf.
    runs: Vec<Range<u32>>,
    pending: Vec<Tid>,
    scan: LeafScan,
    mask: Mask,
    stats: ScanStats,
}

impl<S: PageRead> Within<S> {
    /// Starts a search for rows that meet a filter, at `value` or less; nothing is read before the first [`Within::next`]. The vectors of
    /// the delta, which the caller compares itself, are only counted.
    ///
    /// # Panics
    /// If a segment's dimensions or metric are not the query's.
    pub fn new(
        query: Query,
        filter: Filter,
        segments: Vec<(Arc<Segment>, S)>,
        delta: u64,
        value: f64,
    ) -> Self {
        let stats = ScanStats { delta, ..ScanStats::of(&query, &segments) };
        let end = query.end_of(value);
        Within {
            scan: LeafScan::new(&query, segments.iter().map(|(segment, _)| &**segment)),
            query,
            filter,
            mask: Mask::default(),
            segments,
            end,
            leaves: Leaves::default(),
            left: Vec::new(),
            runs: Vec::new(),
            pending: Vec::new(),
            stats,
        }
    }

    /// The next row. `check` is called now and then, with no page held.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a page is not what it should be.
    pub fn next(&mut self, check: &mut dyn FnMut()) -> Result<Option<Tid>> {
        if self.stats.passes == 0 {
            self.stats.passes = 1;
            self.rank();
        }
        loop {
            if let Some(tid) = self.pending.pop() {
                self.stats.rows += 1;
                return Ok(Some(tid));
            }
            let Some(leaf) = self.left.pop() else { return Ok(None) };
            if self.stats.leaves_visited.is_multiple_of(CHECK_EVERY as u64) {
                check();
            }
            self.visit(leaf)?;
        }
    }

    /// What the search did so far.
    pub fn stats(&self) -> ScanStats {
        self.stats
    }

    fn rank(&mut self) {
        let reach: Vec<f32> =
            self.segments.iter().map(|(segment, _)| self.scan.raw(segment, self.end)).collect();
        self.leaves = Leaves::grouped(&self.query, &self.segments);
        self.leaves.rank_within(&self.segments, &reach);
        let may_matter = |leaf: &&RankedLeaf| {
            let segment = &self.segments[leaf.source as usize].0;
            leaf.bound <= reach[leaf.source as usize] && may_match(&self.filter, segment, leaf.leaf as usize)
        };
        self.left = self.leaves.ranked().iter().filter(may_matter).rev().copied().collect();
        let mut route = Route::new(self.segments.len());
        route.push_leaves(&self.segments, self.left.iter().rev());
        route.announce(&self.segments);
    }

    fn visit(&mut self, leaf: RankedLeaf) -> Result<()> {
        let (segment, store) = &self.segments[leaf.source as usize];
        self.runs.clear();
        let reach = self.scan.raw(segment, self.end);
        self.leaves.push_near_cells(segment, &leaf, reach, &mut self.runs);
        if self.runs.is_empty() {
            return Ok(());
        }
        let masks = match self.mask.find(&self.filter, segment, store, leaf.leaf as usize)? {
            Met::None => return Ok(()),
            Met::All => None,
            Met::These(masks) => Some(masks),
        };
        let mut found = Vec::new();
        let mut stream = Stream::new(segment, store);
        let mut offer = |bounds: Bounds, ordinal| {
            if bounds.key < self.end {
                found.push(ordinal);
            }
            self.end
        };
        let mut waiting = Waiting::new(leaf.source, leaf.leaf);
        let mut view = self.scan.open(segment, &mut stream, leaf.source, leaf.leaf)?;
        let scanned = self.scan.scan(
            segment,
            &mut stream,
            &mut view,
            Wanted { runs: &self.runs, masks },
            &mut waiting,
            self.end,
            &mut offer,
        )?;
        if !waiting.is_empty() {
            self.stats.whole += self.scan.compare(&mut stream, &view, &waiting, self.end, &mut offer)?;
            found.sort_unstable();
        }
        self.stats.add(scanned);
        self.stats.leaves_visited += 1;
        drop(stream);
        push_rows(segment, store, &found, &mut self.pending)
    }
}

/// Adds the rows at these ascending positions of a segment, but for those that are dead.
pub(crate) fn push_rows<S: PageRead>(
    segment: &Segment,
    store: &S,
    ordinals: &[u32],
    rows: &mut Vec<Tid>,
) -> Result<()> {
    let mut page = None;
    for &ordinal in ordinals {
        let (sequence, slot) = segment.tid_position(ordinal);
        if page.as_ref().is_none_or(|(held, _)| *held != sequence) {
            drop(page.take());
            page = Some((sequence, store.page(PageKind::Tids, sequence)?));
        }
        let tid = tids::get(&page.as_ref().expect("just read").1, slot);
        if !tid.is_dead() {
            rows.push(tid);
        }
    }
    Ok(())
}
