//! All rows within a distance, in no order: what [`crate::Within`] is for trees.

use std::sync::Arc;

use super::query::PackedQuery;
use super::search::{is_set, CHECK_EVERY};
use crate::layout::PageKind;
use crate::search::{may_match, push_rows, Mask, Met, Route};
use crate::{Filter, PageRead, Result, ScanStats, Segment, Tid};

/// The rows of segments for which the SQL operator may return a given value or less, leaf by leaf.
pub struct PackedWithin<S> {
    query: PackedQuery,
    filter: Filter,
    mask: Mask,
    segments: Vec<(Arc<Segment>, S)>,
    /// Values with larger keys are beyond.
    limit: f32,
    /// Leaves that are left to visit, with the positions of their segments, the next one last; filled by the first call.
    leaves: Vec<(usize, usize)>,
    pending: Vec<Tid>,
    stats: ScanStats,
}

impl<S: PageRead> PackedWithin<S> {
    /// Starts a search for rows that meet a filter, at `value` or less; nothing is read before the first [`PackedWithin::next`]. The
    /// rows of the delta, which the caller compares itself, are only counted.
    ///
    /// # Panics
    /// If a segment's values are of another form than the query.
    pub fn new(
        query: PackedQuery,
        filter: Filter,
        segments: Vec<(Arc<Segment>, S)>,
        delta: u64,
        value: f64,
    ) -> Self {
        assert!(segments.iter().all(|(segment, _)| segment.packed() == Some(query.layout())));
        let stats = ScanStats {
            segments: segments.len() as u64,
            leaves: segments.iter().map(|(segment, _)| segment.leaves() as u64).sum(),
            delta,
            ..ScanStats::default()
        };
        PackedWithin {
            query,
            filter,
            mask: Mask::default(),
            segments,
            limit: PackedQuery::largest_key(value),
            leaves: Vec::new(),
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
            let Some((source, leaf)) = self.leaves.pop() else { return Ok(None) };
            if self.stats.leaves_visited.is_multiple_of(CHECK_EVERY) {
                check();
            }
            self.visit(source, leaf)?;
        }
    }

    /// What the search did so far.
    pub fn stats(&self) -> ScanStats {
        self.stats
    }

    /// Notes the leaves that may have such rows.
    fn rank(&mut self) {
        for (source, (segment, _)) in self.segments.iter().enumerate().rev() {
            let table = &segment.directory().leaves;
            let may_have = |&leaf: &usize| {
                self.query.bound(table.low[leaf], table.high[leaf]) <= self.limit
                    && may_match(&self.filter, segment, leaf)
            };
            let leaves = (0..segment.leaves()).rev().filter(may_have);
            self.leaves.extend(leaves.map(|leaf| (source, leaf)));
        }
        let mut route = Route::new(self.segments.len());
        for &(source, leaf) in self.leaves.iter().rev() {
            route.push(source as u32, leaf as u32..leaf as u32 + 1);
        }
        route.announce(&self.segments);
    }

    fn visit(&mut self, source: usize, leaf: usize) -> Result<()> {
        let (segment, store) = &self.segments[source];
        let masks = match self.mask.find(&self.filter, segment, store, leaf)? {
            Met::None => return Ok(()),
            Met::All => None,
            Met::These(masks) => Some(masks),
        };
        let vectors = segment.leaf_vectors(leaf);
        self.stats.leaves_visited += 1;
        self.stats.coarse += vectors.len() as u64;
        let mut found = Vec::new();
        let page = store.page(PageKind::Leaf, leaf as u32)?;
        let each = |at: usize, _| {
            found.push(vectors.start + at as u32);
            self.limit
        };
        self.query.keys(&page, vectors.len(), self.limit, |at| is_set(masks, at), each)?;
        drop(page);
        push_rows(segment, store, &found, &mut self.pending)
    }
}
