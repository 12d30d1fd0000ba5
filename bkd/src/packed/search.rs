//! Searching packed values: rows in ascending order of keys, without knowing how many will be wanted.
//!
//! As in trees ([`crate::Search`]), a pass keeps the candidates with the smallest keys. A value's key is always the same, so what a pass did
//! not keep is what comes behind its last candidate, in the order of keys, segments and positions: the next pass, with more room,
//! begins there.

use std::ops::Range;
use std::sync::Arc;

use super::query::PackedQuery;
use crate::kernels::Survivors;
use crate::layout::leaf::LANES;
use crate::layout::{tids, PageKind};
use crate::search::{
    may_match, Candidate, Candidates, Mask, Met, DELTA, FIRST_CAPACITY, GROWTH, MAX_CAPACITY,
};
use crate::{Filter, Hit, PageRead, Result, ScanStats, Segment, Tid};

/// Leaves between two calls of `check`.
pub(super) const CHECK_EVERY: u64 = 64;

/// An ordered search through segments of packed values and a set of delta entries.
pub struct PackedSearch<S> {
    query: PackedQuery,
    /// What rows of the segments must meet. Those of the delta do.
    filter: Filter,
    mask: Mask,
    /// The largest first: it makes the others' leaves easy to rule out.
    segments: Vec<(Arc<Segment>, S)>,
    /// Keys and addresses of the delta's rows.
    delta: Vec<(f32, Tid)>,
    /// Candidates of the current pass, the smallest last.
    pending: Vec<Candidate>,
    /// The last candidate of the passes before.
    last: Option<Candidate>,
    /// Keys from here on are of no interest; infinite, if all are.
    end: f32,
    capacity: usize,
    exhausted: bool,
    stats: ScanStats,
}

impl<S: PageRead> PackedSearch<S> {
    /// Starts a search for rows that meet a filter; those of the delta do, and have keys from [`PackedQuery::key`]. Nothing is read
    /// before the first [`PackedSearch::next`].
    ///
    /// # Panics
    /// If a segment's values are of another form than the query.
    pub fn new(
        query: PackedQuery,
        filter: Filter,
        mut segments: Vec<(Arc<Segment>, S)>,
        delta: Vec<(f32, Tid)>,
    ) -> Self {
        assert!(segments.iter().all(|(segment, _)| segment.packed() == Some(query.layout())));
        segments.sort_by_key(|(segment, _)| std::cmp::Reverse(segment.vectors()));
        let stats = ScanStats {
            segments: segments.len() as u64,
            leaves: segments.iter().map(|(segment, _)| segment.leaves() as u64).sum(),
            delta: delta.len() as u64,
            ..ScanStats::default()
        };
        PackedSearch {
            query,
            filter,
            mask: Mask::default(),
            segments,
            delta,
            pending: Vec::new(),
            last: None,
            end: f32::INFINITY,
            capacity: FIRST_CAPACITY,
            exhausted: false,
            stats,
        }
    }

    /// How many rows the caller is likely to want: a hint for the size of the first pass.
    pub fn expect(&mut self, rows: usize) {
        self.capacity = rows.saturating_add(rows / 4).clamp(FIRST_CAPACITY, MAX_CAPACITY);
    }

    /// Leaves out rows for which the SQL operator certainly returns more than `value`.
    pub fn stop_after(&mut self, value: f64) {
        self.end = PackedQuery::largest_key(value).next_up();
    }

    /// The next row in ascending order of keys. `check` is called now and then, with no page held.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a page is not what it should be.
    pub fn next(&mut self, check: &mut dyn FnMut()) -> Result<Option<Hit>> {
        loop {
            while let Some(candidate) = self.pending.pop() {
                let tid = self.tid(candidate)?;
                if !tid.is_dead() {
                    self.stats.rows += 1;
                    return Ok(Some(Hit { bound: candidate.key().into(), tid }));
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
        let mut candidates = Candidates::new(self.capacity, self.end);
        for (ordinal, &(key, _)) in (0..).zip(&self.delta) {
            offer(&mut candidates, self.last, Candidate::new(key, DELTA, ordinal));
        }
        for source in 0..self.segments.len() {
            self.visit_segment(source, &mut candidates, check)?;
        }
        self.exhausted = !candidates.is_full();
        self.pending = candidates.into_descending();
        self.last = self.pending.first().copied().or(self.last);
        self.capacity = (self.capacity * GROWTH).min(MAX_CAPACITY);
        Ok(())
    }

    /// Visits the leaves of a segment outwards from the query's size, as far as they may have candidates.
    fn visit_segment(
        &mut self,
        source: usize,
        candidates: &mut Candidates,
        check: &mut dyn FnMut(),
    ) -> Result<()> {
        let segment = self.segments[source].0.clone();
        let table = &segment.directory().leaves;
        let bound = |leaf: usize| self.query.bound(table.low[leaf], table.high[leaf]);
        let bounds: Vec<f32> = (0..segment.leaves()).map(bound).collect();
        let by_bound = |&a: &usize, &b: &usize| bounds[a].total_cmp(&bounds[b]);
        let Some(nearest) = (0..bounds.len()).min_by(by_bound) else { return Ok(()) };
        // Those below come backwards, which nobody reads ahead.
        let not_below = nearest as u32..segment.leaf_pages().end;
        self.segments[source].1.expect(vec![not_below]);
        // Of each leaf and those behind it. Without rounding, that is the leaf's own.
        let mut from_here = bounds.clone();
        for leaf in 1..nearest {
            from_here[leaf] = from_here[leaf].min(from_here[leaf - 1]);
        }
        for leaf in (nearest + 1..bounds.len().saturating_sub(1)).rev() {
            from_here[leaf] = from_here[leaf].min(from_here[leaf + 1]);
        }
        // What is left on both sides.
        let (mut below, mut above) = (0..nearest, nearest..bounds.len());
        let mut next = |tau: f32| {
            let from_below = below.end.checked_sub(1).filter(|_| !below.is_empty());
            let from_above = Some(above.start).filter(|_| !above.is_empty());
            let leaf = match (from_below, from_above) {
                (Some(low), Some(high)) if from_here[low] < from_here[high] => low,
                (_, Some(high)) => high,
                (Some(low), None) => low,
                (None, None) => return None,
            };
            if leaf < nearest {
                below.end = leaf;
            } else {
                above.start = leaf + 1;
            }
            // As far as a candidate can be that counts for its position alone.
            if from_here[leaf] > tau {
                return None;
            }
            Some((leaf, bounds[leaf]))
        };
        while let Some((leaf, bound)) = next(candidates.tau()) {
            if may_match(&self.filter, &segment, leaf) {
                self.visit_leaf(&segment, source, leaf, bound, candidates, check)?;
            }
        }
        Ok(())
    }

    fn visit_leaf(
        &mut self,
        segment: &Segment,
        source: usize,
        leaf: usize,
        bound: f32,
        candidates: &mut Candidates,
        check: &mut dyn FnMut(),
    ) -> Result<()> {
        if self.stats.leaves_visited.is_multiple_of(CHECK_EVERY) {
            check();
        }
        let store = &self.segments[source].1;
        let masks = match self.mask.find(&self.filter, segment, store, leaf)? {
            Met::None => return Ok(()),
            Met::All => None,
            Met::These(masks) => Some(masks),
        };
        let Range { start, end } = segment.leaf_vectors(leaf);
        self.stats.leaves_visited += 1;
        self.stats.coarse += u64::from(end - start);
        let (last, tau) = (self.last, candidates.tau());
        let each = |at: usize, key: f32| {
            // Both are certain; and no value of the leaf may come before what ruled the leaf out.
            let candidate = Candidate::new(key.max(bound), source as u32, start + at as u32);
            offer(candidates, last, candidate);
            candidates.tau()
        };
        let page = store.page(PageKind::Leaf, leaf as u32)?;
        self.query.keys(&page, (end - start) as usize, tau, |at| is_set(masks, at), each)
    }
}

/// Adds a candidate unless it came before.
#[inline]
fn offer(candidates: &mut Candidates, last: Option<Candidate>, candidate: Candidate) {
    if last.is_none_or(|last| candidate > last) {
        candidates.push(candidate);
    }
}

pub(super) fn is_set(masks: Option<&[Survivors]>, at: usize) -> bool {
    masks.is_none_or(|masks| masks[at / LANES] >> (at % LANES) & 1 == 1)
}
