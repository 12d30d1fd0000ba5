//! Merging: few segments out of many, and none that are mostly dead.
//!
//! Every scan looks into every segment, so there should be few. A merge moves codes and needs no row: the decoded vectors are coded again,
//! and the old residual is added to the new one as slack.
//!
//! # Policy
//! Segments belong to *tiers* by their number of live vectors, each tier [`MERGE_FACTOR`] times as large as the one before. When a tier
//! has [`MERGE_FACTOR`] segments or more, these and all that are smaller are merged, smallest first. So the number of segments grows with the
//! logarithm of the number of rows, and each row is rewritten once for every factor of eight. Three things limit how much is merged at
//! once:
//! - memory ([`batch_limit`]): more could not become one segment;
//! - the file ([`GROWTH`]): old and new segments are both there for a while, and a file never becomes smaller. What is written must fit into
//!   pages that are free already, plus a fifth of the index;
//! - for an insert, time ([`INSERT_BYTES`]): larger merges are left to VACUUM, unless there are very many segments.
//!
//! VACUUM merges whatever is due. An insert leaves that to it as long as there are few segments ([`FEW_SEGMENTS`]): twenty in the place of one
//! make a query slower by a tenth in 64 dimensions, and a merge takes longer than the inserts whose rows it moves. In few dimensions segments
//! cost more, but there a delta holds more rows, and there are fewer segments.
//!
//! Whoever merges holds the [`MergeLock`]; scans, inserts and sealing go on.

use std::cell::RefCell;

use bkd::layout::meta::{Meta, SegmentEntry, Work};
use bkd::{export, Body};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::access::{self, Who};
use super::batch::{batch_limit, value_bytes};
use super::meta::{self, LockedMeta};
use super::rebuild::Rebuild;
use super::segments::open;
use super::{seal, space};
use crate::pg::horizon::next_xid;
use crate::pg::index::{Index, Lock};
use crate::pg::interrupts::delay_point;
use crate::pg::report::OrRaise;
use crate::pg::structure_lock::{MergeLock, SealLock};
use crate::pg::threads::ReleaseFreedMemory;

/// Size of a tier in relation to the one before, and segments of a tier that are merged.
const MERGE_FACTOR: u64 = 8;
/// A merge may let the file grow by one part in so many of the index.
const GROWTH: u64 = 5;
/// It may let it grow by so many pages in any case: 4 MB are not worth saving.
const GROWTH_PAGES: u64 = 512;
/// Bytes of values that a merge within an insert may rewrite: some tenths of a second.
const INSERT_BYTES: u64 = 64 << 20;
/// Segments up to which an insert does not merge.
const FEW_SEGMENTS: usize = 32;
/// Segments from which on an insert merges whatever is due.
const MANY_SEGMENTS: usize = Meta::MAX_SEGMENTS / 2;
/// A segment is rewritten when more than one in so many of its vectors is dead.
const DEAD_FRACTION: u64 = 2;

/// Merges what is due and can be done in a moment, if there are too many segments to wait for VACUUM.
pub fn merge_after_insert(lock: &MergeLock) {
    if meta::read(lock.index()).segments.len() <= FEW_SEGMENTS {
        return;
    }
    merge_due(lock, |meta| {
        let quick = INSERT_BYTES / value_bytes(meta) as u64;
        if meta.segments.len() < MANY_SEGMENTS {
            quick
        } else {
            u64::MAX
        }
    });
}

/// Merges all that is due, and rewrites segments that are mostly dead.
pub fn merge_in_vacuum(lock: &MergeLock) {
    let mostly_dead: Vec<SegmentEntry> = meta::read(lock.index())
        .segments
        .into_iter()
        .filter(|entry| u64::from(entry.dead) * DEAD_FRACTION > u64::from(entry.vectors))
        .collect();
    if !mostly_dead.is_empty() && merge(lock, &mostly_dead) {
        free_if_quick(lock.index());
    }
    merge_due(lock, |_| u64::MAX);
}

/// Merges as much as memory allows, whatever the policy says of it. Segments of more than half of what memory allows, with less than half dead,
/// stay as they are.
fn merge_all(lock: &MergeLock) {
    let meta = meta::read(lock.index());
    let limit = batch_limit(&meta);
    let total: u64 = meta.segments.iter().map(|entry| u64::from(entry.live())).sum();
    let stays = |entry: &SegmentEntry| {
        total > limit
            && u64::from(entry.live()) > limit / 2
            && u64::from(entry.dead) * DEAD_FRACTION <= u64::from(entry.vectors)
    };
    let merged: Vec<SegmentEntry> = meta.segments.into_iter().filter(|entry| !stays(entry)).collect();
    if (merged.len() > 1 || merged.iter().any(|entry| entry.dead > 0)) && merge(lock, &merged) {
        free_if_quick(lock.index());
    }
}

fn merge_due(lock: &MergeLock, most: impl Fn(&Meta) -> u64) {
    let index = lock.index();
    loop {
        let meta = meta::read(index);
        let limits = Limits { vectors: batch_limit(&meta).min(most(&meta)), pages: growth(index, &meta) };
        let due = due(&meta.segments, &limits);
        if due.is_empty() || !merge(lock, &due) {
            return;
        }
        free_if_quick(index);
    }
}

/// Pages that a merge may write.
fn growth(index: Index, meta: &Meta) -> u64 {
    let pages: u64 = meta.segments.iter().map(|entry| u64::from(entry.pages)).sum();
    space::free_pages(index, meta) + (pages / GROWTH).max(GROWTH_PAGES)
}

/// Frees what was replaced, unless somebody is sealing, who does it.
fn free_if_quick(index: Index) {
    if let Some(lock) = SealLock::try_acquire(index) {
        space::free_retired(&lock);
    }
}

/// How much may be merged at once.
struct Limits {
    vectors: u64,
    pages: u64,
}

/// The segments to be merged next by the policy; none, if nothing is due.
fn due(segments: &[SegmentEntry], limits: &Limits) -> Vec<SegmentEntry> {
    let mut by_size = segments.to_vec();
    by_size.sort_by_key(SegmentEntry::live);
    let mut members = 0;
    let mut last = None;
    let (mut vectors, mut pages) = (0u64, 0u64);
    for (at, entry) in by_size.iter().enumerate() {
        vectors += u64::from(entry.live());
        // Dead vectors are not written again.
        pages += u64::from(entry.pages) * u64::from(entry.live()) / u64::from(entry.vectors.max(1));
        if vectors > limits.vectors || pages > limits.pages {
            break;
        }
        let same_tier = at > 0 && tier(&by_size[at - 1]) == tier(entry);
        members = if same_tier { members + 1 } else { 1 };
        if members >= MERGE_FACTOR {
            last = Some(at);
        }
    }
    by_size.truncate(last.map_or(0, |last| last + 1));
    by_size
}

fn tier(entry: &SegmentEntry) -> u32 {
    u64::from(entry.live()).max(1).ilog(MERGE_FACTOR)
}

/// Replaces segments by what is alive of them. Returns false, and does nothing, if the metapage has no room for what would be
/// retired: as long as old snapshots exist, an index waits.
fn merge(lock: &MergeLock, replaced: &[SegmentEntry]) -> bool {
    let index = lock.index();
    let vectors = replaced.iter().map(|entry| u64::from(entry.live())).sum();
    let Some(meta) = begin(index, vectors, replaced.len()) else { return false };
    // Merges are rare; the C library would keep what one needed, in the hope of the next.
    let _after = ReleaseFreedMemory;
    let segments = RefCell::new(Rebuild::start(index, meta.clone(), Work::Merge, vectors));
    // Between leaves, when no page is held.
    let mut pause = || {
        delay_point();
        segments.borrow_mut().write_if_full();
    };
    for entry in replaced.iter().filter(|entry| entry.live() > 0) {
        let opened = open(index, &meta, entry);
        let mut each = |body: Body<'_>, slack, keys: &[u64], tid| {
            segments.borrow_mut().push(tid, keys, body, slack);
        };
        export(&opened.segment, &opened.pages(index), &mut pause, &mut each).or_raise(index);
    }
    let written = segments.into_inner().finish();

    let mut locked = LockedMeta::lock(index);
    let meta = &mut locked.meta;
    meta.release(Work::Merge);
    let xid = next_xid();
    meta.retired.extend(replaced.iter().map(|entry| entry.retire(xid)));
    meta.segments.retain(|entry| replaced.iter().all(|other| other.id != entry.id));
    meta.segments.extend(written);
    locked.commit(index);
    true
}

fn begin(index: Index, vectors: u64, replaced: usize) -> Option<Meta> {
    let mut locked = LockedMeta::lock(index);
    Rebuild::reserve(&mut locked.meta, Work::Merge, vectors, replaced, replaced)?;
    let meta = locked.meta.clone();
    locked.commit(index);
    Some(meta)
}

/// Seals the delta and merges as many segments as memory allows; returns how many there are then.
#[pg_extern(sql = false)]
fn kdtree_merge(index: pg_sys::Oid) -> i32 {
    let open = access::open("kdtree_merge", index, Lock::Write, Who::Owner);
    let index = open.index();
    let merge_lock = MergeLock::acquire(index);
    let seal_lock = SealLock::acquire(index);
    seal::seal_all(&seal_lock);
    drop(seal_lock);
    merge_all(&merge_lock);
    drop(merge_lock);
    let segments = meta::read(index).segments.len() as i32;
    drop(open);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: u64, vectors: u32) -> SegmentEntry {
        SegmentEntry { id, directory: 1, directory_bytes: 1, vectors, dead: 0, pages: vectors }
    }

    fn sizes(segments: &[SegmentEntry]) -> Vec<u32> {
        segments.iter().map(SegmentEntry::live).collect()
    }

    /// A table that grows by `step` vectors at a time: at most how many segments there are, how often vectors are rewritten,
    /// and how large the file becomes.
    fn grow(steps: u32, step: u32, limit: impl Fn(u64) -> Limits) -> (usize, f64, f64) {
        let (mut segments, mut most, mut rewritten, mut file) = (Vec::new(), 0, 0u64, 0u64);
        for id in 1..=steps {
            segments.push(segment(u64::from(id), step));
            let total = u64::from(id) * u64::from(step);
            file = file.max(total);
            loop {
                let limits = limit(total);
                let limits = Limits { pages: limits.pages + file - total, ..limits };
                let merged = due(&segments, &limits);
                if merged.is_empty() {
                    break;
                }
                let vectors: u32 = merged.iter().map(SegmentEntry::live).sum();
                rewritten += u64::from(vectors);
                file = file.max(total + u64::from(vectors));
                segments.retain(|entry| !merged.contains(entry));
                segments.push(segment(u64::from(id) << 32 | u64::from(vectors), vectors));
            }
            most = most.max(segments.len());
            let kept: u64 = segments.iter().map(|entry| u64::from(entry.live())).sum();
            assert_eq!(kept, total);
        }
        let total = f64::from(steps) * f64::from(step);
        (most, rewritten as f64 / total, file as f64 / total)
    }

    #[test]
    fn without_limits_segments_grow_like_a_logarithm() {
        let (most, rewritten, _) = grow(4096, 100, |_| Limits { vectors: u64::MAX, pages: u64::MAX });
        assert!(most <= 5 * 7 + 8, "{most}");
        assert!(rewritten < 5.0, "{rewritten}");
    }

    #[test]
    fn the_file_stays_small() {
        for steps in [64, 500, 4096] {
            let (most, rewritten, file) =
                grow(steps, 100, |total| Limits { vectors: u64::MAX, pages: total / GROWTH });
            assert!(most <= 64, "{most}");
            assert!(rewritten < 5.0, "{rewritten}");
            assert!(file <= 1.21, "{file}");
        }
    }

    #[test]
    fn small_segments_come_along_and_large_ones_stay() {
        let unlimited = Limits { vectors: u64::MAX, pages: u64::MAX };
        let mut segments: Vec<_> = (0..8).map(|id| segment(id, 100)).collect();
        segments.extend([segment(20, 5), segment(21, 900), segment(22, 40_000)]);
        assert_eq!(sizes(&due(&segments, &unlimited)), [5, 100, 100, 100, 100, 100, 100, 100, 100]);
        assert!(due(&segments[1..], &unlimited).is_empty());
        // Limits leave the largest ones out, and too few are not worth the work.
        segments.extend((30..34).map(|id| segment(id, 100)));
        assert_eq!(due(&segments, &Limits { vectors: 910, pages: u64::MAX }).len(), 10);
        assert_eq!(due(&segments, &Limits { vectors: u64::MAX, pages: 910 }).len(), 10);
        assert!(due(&segments, &Limits { vectors: 700, pages: u64::MAX }).is_empty());
        // What is dead is not written.
        segments.iter_mut().for_each(|entry| entry.dead = entry.vectors / 2);
        assert_eq!(due(&segments, &Limits { vectors: u64::MAX, pages: 652 }).len(), 13);
    }
}
