//! Sealing and merging: turning the delta chain, and small segments, into segments.
//!
//! Whoever seals holds the [`StructureLock`], so there is one at a time, and neither VACUUM nor another sealing changes row
//! addresses meanwhile. Inserts and scans go on. Three changes of the metapage, each atomic:
//!
//! 1. the delta chain is cut off: its last page is closed to appends, it becomes the `sealing` chain, and the next insert
//!    starts a new delta. An insert that had the old last page in mind finds it closed and reads the metapage again. The owner
//!    number of the coming segment is reserved;
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
//! rewritten once for every factor of eight. A merge is limited to what fits into maintenance_work_mem, unless the number of segments
//! comes near to what the metapage can hold ([`CROWDED`]).

use bkd::layout::meta::{Chain, Meta, Retired, SegmentEntry};
use bkd::layout::PAGE_SIZE;
use bkd::{export, BuildOptions};

use super::batch::{bytes_per_vector, Batch};
use super::meta::{self, LockedMeta};
use super::segments::open;
use super::write::{write_segment, RecycleLogged};
use super::{chain, options, space};
use crate::pg::alloc::{next_xid, LiveOwners};
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
/// Segments from which on merges ignore the memory limit.
const CROWDED: usize = Meta::MAX_SEGMENTS * 3 / 4;
/// Vectors from which on threads are worth their start.
const PARALLEL_VECTORS: usize = 50_000;

/// Seals the delta chain if it is longer than it should be and nobody else is at it. Called after an insert that saw a chain
/// of `pages` pages.
pub fn seal_if_due(index: Index, pages: u32) {
    if u64::from(pages) * PAGE_SIZE as u64 <= options::delta_bytes(index) {
        return;
    }
    let Some(lock) = StructureLock::try_acquire(index) else { return };
    let meta = meta::read(index);
    if meta.sealing.is_empty()
        && u64::from(meta.delta.pages) * PAGE_SIZE as u64 <= options::delta_bytes(index)
    {
        return;
    }
    seal(&lock);
}

/// Seals the delta chain (a `sealing` chain that was left over first), merging segments if that is due.
fn seal(lock: &StructureLock) {
    let index = lock.index();
    space::free_retired(lock);
    let meta = meta::read(index);
    let chain = if meta.sealing.is_empty() { meta.delta } else { meta.sealing };
    if chain.is_empty() {
        return;
    }
    let merged = to_merge(&meta, vectors_of(chain, meta.dims as usize));
    rebuild(lock, Some(chain), &merged);
}

/// Vectors of a delta chain, at most.
fn vectors_of(chain: Chain, dims: usize) -> u64 {
    let layout = bkd::layout::chain::DeltaLayout::new(dims);
    u64::from(chain.pages) * layout.per_page as u64 / layout.pages_per_item as u64
}

/// The segments to merge with `vectors` new vectors: the newest ones, or none.
fn to_merge(meta: &Meta, vectors: u64) -> Vec<SegmentEntry> {
    let limit = if meta.segments.len() >= CROWDED {
        u64::MAX
    } else {
        (options::maintenance_bytes() / bytes_per_vector(meta.dims as usize)) as u64
    };
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

/// Builds one segment out of a chain (the delta or the `sealing` chain) and segments, and puts it in their place. Does nothing if
/// the metapage has no room for what would be retired: as long as old snapshots exist, an index waits.
pub fn rebuild(lock: &StructureLock, chain: Option<Chain>, replaced: &[SegmentEntry]) {
    let index = lock.index();
    let Some((meta, id)) = begin(index, chain, replaced) else { return };
    let mut batch = Batch::new(meta.dims as usize);
    if chain.is_some() {
        chain::read_delta(index, meta.sealing, meta.dims as usize, |tid, vector| {
            batch.push(tid, vector, 0.0)
        });
    }
    for entry in replaced {
        let opened = open(index, &meta, entry);
        export(
            &opened.segment,
            &opened.pages(index),
            &mut check_for_interrupts,
            &mut |vector, slack, tid| batch.push(tid, vector, slack),
        )
        .or_raise(index);
    }
    let segment = (!batch.is_empty()).then(|| {
        let threads = if batch.len() < PARALLEL_VECTORS { 1 } else { maintenance_threads() };
        let mut writer = RecycleLogged { index, live: LiveOwners::of(&meta) };
        let options = BuildOptions { leaf_size: options::leaf_size(index), axes: None };
        write_segment(index, &mut writer, id, &batch.input(meta.metric), &options, threads, &mut |_| ())
    });
    finish(index, chain.is_some(), replaced, segment);
}

/// Step 1. Returns the metapage as it is then, and the owner number for the new segment.
fn begin(index: Index, chain: Option<Chain>, replaced: &[SegmentEntry]) -> Option<(Meta, u64)> {
    let mut locked = LockedMeta::lock(index);
    meta::drop_reservations(&mut locked.meta);
    // What will be retired, and the reservation.
    let retiring = replaced.len() + usize::from(chain.is_some()) + 1;
    let segments = locked.meta.segments.len() + 1 - replaced.len();
    if !locked.meta.can_retire(retiring) || segments > Meta::MAX_SEGMENTS {
        return None;
    }
    let id = meta::reserve_owner(&mut locked.meta);
    let cut = chain.is_some() && locked.meta.sealing.is_empty();
    // The chain may have grown since the caller saw it; the lock on its last page keeps it as it is.
    let tail =
        (cut && !locked.meta.delta.is_empty()).then(|| ExclusivePage::read(index, locked.meta.delta.tail));
    if cut {
        locked.meta.sealing = std::mem::replace(&mut locked.meta.delta, Chain::EMPTY);
    }
    let mut record = WalRecord::begin(index);
    locked.log(&mut record);
    if let Some(tail) = &tail {
        record.change(tail, |header, _| header.closed = true);
    }
    record.commit();
    Some((locked.meta, id))
}

/// Step 3.
fn finish(index: Index, sealed: bool, replaced: &[SegmentEntry], segment: Option<SegmentEntry>) {
    let mut locked = LockedMeta::lock(index);
    let meta = &mut locked.meta;
    meta::drop_reservations(meta);
    let xid = next_xid();
    let is_replaced = |entry: &SegmentEntry| replaced.iter().any(|other| other.id == entry.id);
    // In the place of the newest that it replaces, or at the end.
    let place =
        meta.segments.iter().position(|entry| replaced.last().is_some_and(|last| last.id == entry.id));
    let place = place.map_or(meta.segments.len(), |at| at + 1);
    if let Some(segment) = segment {
        meta.segments.insert(place, segment);
    }
    meta.segments.retain(|entry| !is_replaced(entry));
    meta.retired.extend(replaced.iter().map(|entry| Retired::Segment {
        id: entry.id,
        directory: entry.directory,
        directory_bytes: entry.directory_bytes,
        xid,
    }));
    if sealed {
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
