//! Sealing and merging: turning the delta chain, and small segments, into segments.
//!
//! Whoever seals holds the [`StructureLock`], so there is one at a time, and neither VACUUM nor another sealing changes row
//! addresses meanwhile. Inserts and scans go on. Three changes of the metapage, each atomic:
//!
//! 1. the delta chain is cut off: its last page is closed to appends, it becomes the `sealing` chain, and the next insert
//!    starts a new delta. An insert that had the old last page in mind finds it closed and reads the metapage again. The owner
//!    number of the coming segment is reserved (several, if it is to be more than the memory allows at once);
//! 2. (the segment is built and written; scans read the `sealing` chain as they read the delta)
//! 3. the segment is added, what it replaces is retired.
//!
//! An error or a crash between 1 and 3 leaves the `sealing` chain, which the next sealing finishes first, and pages of an owner that
//! nobody knows, which are recycled.
//!
//! # Merging
//! Segments are kept in the order of their age. When the newest [`MERGE_COUNT`] or more are each at most [`MERGE_FACTOR`] times
//! as large as what is about to be sealed, they are merged with it; if then the same holds for what comes before them in relation
//! to that sum, those too, and so on. So the number of segments grows with the logarithm of the number of rows, and each row is
//! rewritten once for every factor of eight. A merge is limited to what fits into memory at once, which is more the more
//! segments there are ([`batch_limit`]).
//!
//! # Waiting for snapshots
//! What was replaced cannot be freed while a snapshot may need it, the inserting transaction's own among them. The list of such
//! chains is limited. So the longer it is, the larger the delta may become before it is sealed ([`RETIRED_PER_DOUBLING`]): one
//! COPY of any size makes fewer and larger segments as it goes on.

use std::cell::RefCell;

use bkd::layout::meta::{Chain, Meta, Retired, SegmentEntry};
use bkd::layout::PAGE_SIZE;
use bkd::{export, BuildOptions};

use super::batch::{batch_limit, Batch};
use super::meta::{self, LockedMeta};
use super::segments::open;
use super::write::{write_segment, RecycleLogged};
use super::{chain, options, space};
use crate::pg::alloc::{is_before_all_snapshots, next_xid, LiveOwners};
use crate::pg::buffer::ExclusivePage;
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::structure_lock::StructureLock;
use crate::pg::threads::maintenance_threads;
use crate::pg::wal::WalRecord;

/// Segments that are merged at once, at least.
const MERGE_COUNT: usize = 8;
/// How much larger a segment may be than what is merged with it.
const MERGE_FACTOR: u64 = 8;
/// Replaced segments and chains that wait for snapshots, after which the delta may be twice as large.
const RETIRED_PER_DOUBLING: usize = 12;
/// Vectors from which on threads are worth their start.
const PARALLEL_VECTORS: usize = 50_000;

/// Seals the delta chain if it is longer than it should be and nobody else is at it. Called after an insert that had this copy
/// of the metapage.
pub fn seal_if_due(index: Index, copy: &Meta) {
    let waiting_is_over = || copy.retired.first().is_some_and(|oldest| is_before_all_snapshots(oldest.xid()));
    if is_delta_full(index, copy) || (is_delta_long(index, copy) && waiting_is_over()) {
        if let Some(lock) = StructureLock::try_acquire(index) {
            seal_what_is_due(&lock);
        }
    }
}

/// The same for those who hold the lock: VACUUM too.
pub fn seal_what_is_due(lock: &StructureLock) {
    space::free_retired(lock);
    let meta = meta::read(lock.index());
    if !meta.sealing.is_empty() || is_delta_full(lock.index(), &meta) {
        seal(lock, &meta);
    }
}

/// Whether the delta is longer than it should be.
fn is_delta_long(index: Index, meta: &Meta) -> bool {
    delta_bytes(meta) > options::delta_bytes(index)
}

/// Whether it is longer than it may be, considering what waits for snapshots.
fn is_delta_full(index: Index, meta: &Meta) -> bool {
    delta_bytes(meta) > options::delta_bytes(index) << (meta.retired.len() / RETIRED_PER_DOUBLING)
}

fn delta_bytes(meta: &Meta) -> u64 {
    u64::from(meta.delta.pages) * PAGE_SIZE as u64
}

/// Seals the delta chain (a `sealing` chain that was left over first), merging segments if that is due.
fn seal(lock: &StructureLock, meta: &Meta) {
    let chain = if meta.sealing.is_empty() { meta.delta } else { meta.sealing };
    if chain.is_empty() {
        return;
    }
    let merged = to_merge(meta, vectors_of(chain, meta.dims as usize));
    let done = rebuild(lock, Source::Delta, &merged);
    if !done && !merged.is_empty() {
        // Less is retired without merging.
        rebuild(lock, Source::Delta, &[]);
    }
}

/// Vectors of a delta chain, at most.
fn vectors_of(chain: Chain, dims: usize) -> u64 {
    let layout = bkd::layout::chain::DeltaLayout::new(dims);
    u64::from(chain.pages) * layout.per_page as u64 / layout.pages_per_item as u64
}

/// The segments to merge with `vectors` new vectors: the newest ones, or none.
fn to_merge(meta: &Meta, vectors: u64) -> Vec<SegmentEntry> {
    let limit = batch_limit(meta.dims as usize, meta.segments.len()) as u64;
    let start = merge_start(&meta.segments.iter().map(live_vectors).collect::<Vec<_>>(), vectors, limit);
    meta.segments[start..].to_vec()
}

fn live_vectors(segment: &SegmentEntry) -> u64 {
    u64::from(segment.vectors.saturating_sub(segment.dead))
}

/// Where the segments to be merged start, given the sizes of all, oldest first, and the most vectors that may be merged.
fn merge_start(sizes: &[u64], new: u64, limit: u64) -> usize {
    let (mut start, mut total) = (sizes.len(), new);
    loop {
        let largest = total.saturating_mul(MERGE_FACTOR);
        let mut sum = total;
        let similar = sizes[..start].iter().rev().take_while(|&&size| {
            sum = sum.saturating_add(size);
            size <= largest && sum <= limit
        });
        let count = similar.count();
        if count < MERGE_COUNT {
            return start;
        }
        start -= count;
        total += sizes[start..start + count].iter().sum::<u64>();
    }
}

/// What a rebuild takes besides segments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The `sealing` chain; the delta, if there is none.
    Delta,
    Nothing,
}

/// Builds a segment out of `source` and the segments `replaced`, several if that is more than the memory allows, and puts them in
/// the place of these. Returns false, and does nothing, if the metapage has no room for what would be retired: as long as
/// old snapshots exist, an index waits.
pub fn rebuild(lock: &StructureLock, source: Source, replaced: &[SegmentEntry]) -> bool {
    let index = lock.index();
    let Some((meta, owners)) = begin(index, source, replaced) else { return false };
    let segments = RefCell::new(NewSegments::new(index, &meta, owners));
    // Between pages, when none is held.
    let mut pause = || {
        check_for_interrupts();
        segments.borrow_mut().write_if_full();
    };
    if source == Source::Delta {
        let each = |tid, vector: &[f32]| segments.borrow_mut().batch.push(tid, vector, 0.0);
        chain::read_delta(index, meta.sealing, meta.dims as usize, each, &mut pause);
    }
    for entry in replaced {
        let opened = open(index, &meta, entry);
        let mut each = |vector: &[f32], slack, tid| segments.borrow_mut().batch.push(tid, vector, slack);
        export(&opened.segment, &opened.pages(index), &mut pause, &mut each).or_raise(index);
    }
    finish(index, source, replaced, segments.into_inner().finish());
    true
}

/// The segments that a rebuild makes.
struct NewSegments<'a> {
    index: Index,
    meta: &'a Meta,
    batch: Batch,
    /// Vectors of a segment.
    limit: usize,
    /// Owner numbers that were reserved and not yet used, the next one last.
    owners: Vec<u64>,
    written: Vec<SegmentEntry>,
}

impl<'a> NewSegments<'a> {
    fn new(index: Index, meta: &'a Meta, owners: Vec<u64>) -> Self {
        let dims = meta.dims as usize;
        let limit = batch_limit(dims, meta.segments.len());
        NewSegments { index, meta, batch: Batch::new(dims), limit, owners, written: Vec::new() }
    }

    fn write_if_full(&mut self) {
        // The last owner takes whatever there is.
        if self.batch.len() >= self.limit && self.owners.len() > 1 {
            self.write();
        }
    }

    fn write(&mut self) {
        let id = self.owners.pop().expect("an owner was reserved for every batch");
        let threads = if self.batch.len() < PARALLEL_VECTORS { 1 } else { maintenance_threads() };
        let mut writer = RecycleLogged { index: self.index, live: LiveOwners::of(self.meta) };
        let options = BuildOptions { leaf_size: options::leaf_size(self.index), axes: None };
        let input = self.batch.input(self.meta.metric);
        self.written.push(write_segment(self.index, &mut writer, id, &input, &options, threads, &mut |_| ()));
        self.batch.clear();
    }

    fn finish(mut self) -> Vec<SegmentEntry> {
        if !self.batch.is_empty() {
            self.write();
        }
        self.written
    }
}

/// Step 1. Returns the metapage as it is then, and owner numbers for the new segments.
fn begin(index: Index, source: Source, replaced: &[SegmentEntry]) -> Option<(Meta, Vec<u64>)> {
    let mut locked = LockedMeta::lock(index);
    let meta = &mut locked.meta;
    meta::drop_reservations(meta);
    let cut = source == Source::Delta && meta.sealing.is_empty();
    // The chain may have grown since the caller saw it; the lock on its last page keeps it as it is.
    let tail = (cut && !meta.delta.is_empty()).then(|| ExclusivePage::read(index, meta.delta.tail));
    let chain = match source {
        Source::Delta if cut => meta.delta,
        Source::Delta => meta.sealing,
        Source::Nothing => Chain::EMPTY,
    };
    let dims = meta.dims as usize;
    let vectors = vectors_of(chain, dims) + replaced.iter().map(live_vectors).sum::<u64>();
    let wanted = vectors.div_ceil(batch_limit(dims, meta.segments.len()) as u64).max(1);
    let retiring = replaced.len() + usize::from(source == Source::Delta);
    let room = (Meta::MAX_RETIRED - meta.retired.len())
        .saturating_sub(retiring)
        .min(Meta::MAX_SEGMENTS + replaced.len() - meta.segments.len());
    let owners = wanted.min(room as u64) as usize;
    if owners == 0 {
        return None;
    }
    let owners = (0..owners).map(|_| meta::reserve_owner(meta)).rev().collect();
    if cut {
        meta.sealing = std::mem::replace(&mut meta.delta, Chain::EMPTY);
    }
    let mut record = WalRecord::begin(index);
    locked.log(&mut record);
    if let Some(tail) = &tail {
        record.change(tail, |header, _| header.closed = true);
    }
    record.commit();
    Some((locked.meta, owners))
}

/// Step 3.
fn finish(index: Index, source: Source, replaced: &[SegmentEntry], written: Vec<SegmentEntry>) {
    let mut locked = LockedMeta::lock(index);
    let meta = &mut locked.meta;
    meta::drop_reservations(meta);
    let xid = next_xid();
    let is_replaced = |entry: &SegmentEntry| replaced.iter().any(|other| other.id == entry.id);
    // In the place of the newest that they replace, or at the end.
    let place =
        meta.segments.iter().position(|entry| replaced.last().is_some_and(|last| last.id == entry.id));
    let place = place.map_or(meta.segments.len(), |at| at + 1);
    meta.segments.splice(place..place, written);
    meta.segments.retain(|entry| !is_replaced(entry));
    meta.retired.extend(replaced.iter().map(|entry| Retired::Segment {
        id: entry.id,
        directory: entry.directory,
        directory_bytes: entry.directory_bytes,
        xid,
    }));
    if source == Source::Delta {
        let chain = std::mem::replace(&mut meta.sealing, Chain::EMPTY);
        if !chain.is_empty() {
            meta.retired.push(Retired::Chain { owner: chain.owner, head: chain.head, xid });
        }
    }
    locked.commit(index);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_grow_like_a_logarithm() {
        let mut sizes: Vec<u64> = Vec::new();
        let mut rewritten = 0;
        for _ in 0..4096 {
            let start = merge_start(&sizes, 1, u64::MAX);
            let merged: u64 = sizes.drain(start..).sum();
            rewritten += merged;
            sizes.push(merged + 1);
            assert!(sizes.len() <= 8 * 5, "{sizes:?}");
        }
        assert_eq!(sizes.iter().sum::<u64>(), 4096);
        assert!(rewritten < 4096 * 8, "{rewritten}");
    }

    #[test]
    fn merges_respect_the_limit_and_leave_large_segments_alone() {
        assert_eq!(merge_start(&[10; 8], 10, 90), 0);
        assert_eq!(merge_start(&[10; 8], 10, 89), 8);
        assert_eq!(merge_start(&[80, 10, 10, 10, 10, 10, 10, 10, 10], 10, 120), 1);
        assert_eq!(merge_start(&[10; 7], 10, u64::MAX), 7);
        assert_eq!(merge_start(&[81, 10, 10, 10, 10, 10, 10, 10, 10], 10, u64::MAX), 1);
        assert_eq!(merge_start(&[10, 10, 10, 10, 81, 10, 10, 10, 10], 10, u64::MAX), 9);
        assert_eq!(merge_start(&[], 10, u64::MAX), 0);
    }
}
