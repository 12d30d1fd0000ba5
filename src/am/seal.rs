//! Sealing: turning the delta chain into a segment.
//!
//! Whoever seals holds the [`SealLock`], so there is one at a time. Inserts and scans go on. Three steps, of which the first and the last
//! are each an atomic change of the metapage:
//!
//! 1. the delta chain is cut off: its last page is closed to appends, it becomes the `sealing` chain, and the next insert
//!    starts a new delta. An insert that had the old last page in mind finds it closed and reads the metapage again;
//! 2. the segment is built and written; scans read the `sealing` chain as they read the delta;
//! 3. the segment is added, the `sealing` chain is retired.
//!
//! An error or a crash between 1 and 3 leaves the `sealing` chain, which the next sealing finishes first.
//!
//! VACUUM may be on its way through the index meanwhile: it reads the delta first, under the seal lock, so that only row addresses
//! that it has seen, or that are newer than what it removes, move into new segments behind its back ([`super::vacuum`]).
//!
//! # Waiting for snapshots
//! What was replaced cannot be freed while a snapshot may need it. The list of what waits is limited. So the longer it is, the larger
//! the delta may become before it is sealed ([`RETIRED_PER_DOUBLING`]): while an old snapshot is held, there are fewer and larger
//! segments.

use std::cell::RefCell;

use bkd::layout::meta::{Chain, Head, Meta, Work};
use bkd::layout::PAGE_SIZE;
use bkd::Body;

use super::meta::{self, LockedMeta};
use super::rebuild::Rebuild;
use super::{chain, merge, options, space};
use crate::pg::buffer::ExclusivePage;
use crate::pg::horizon::next_xid;
use crate::pg::index::Index;
use crate::pg::interrupts::delay_point;
use crate::pg::structure_lock::{MergeLock, SealLock};
use crate::pg::wal::WalRecord;

/// Replaced segments and chains that wait for snapshots, after which the delta may be twice as large.
const RETIRED_PER_DOUBLING: usize = 12;

/// Seals the delta chain if it is longer than it should be and nobody else is at it; then merges segments if that is due. Called after
/// an insert that knew this of the metapage.
pub fn seal_if_due(index: Index, head: &Head) {
    if !is_delta_long(index, head.delta) {
        return;
    }
    let is_full = is_delta_full(index, head.delta, head.retired as usize);
    if !is_full && !meta::read(index).retired.first().is_some_and(|oldest| space::nobody_reads(index, oldest))
    {
        return;
    }
    let Some(lock) = SealLock::try_acquire(index) else { return };
    space::free_retired(&lock);
    let meta = meta::read(index);
    if !meta.sealing.is_empty() || is_delta_full(index, meta.delta, meta.retired.len()) {
        seal(&lock);
        // Mostly nobody reads the chain any more, and what follows has its pages to write to.
        space::free_retired(&lock);
    }
    drop(lock);
    if let Some(lock) = MergeLock::try_acquire(index) {
        merge::merge_after_insert(&lock);
    }
}

/// Whether the delta is longer than it should be.
fn is_delta_long(index: Index, delta: Chain) -> bool {
    bytes(delta) > options::delta_bytes(index)
}

/// Whether it is longer than it may be, considering how many entries wait for snapshots.
fn is_delta_full(index: Index, delta: Chain, retired: usize) -> bool {
    bytes(delta) > options::delta_bytes(index) << (retired / RETIRED_PER_DOUBLING)
}

fn bytes(chain: Chain) -> u64 {
    u64::from(chain.pages) * PAGE_SIZE as u64
}

/// Seals the delta chain, whatever its length, after what an earlier sealing left over. Returns false, and does nothing, if the
/// metapage has no room for what would be retired: as long as old snapshots exist, an index waits.
pub fn seal_all(lock: &SealLock) -> bool {
    let index = lock.index();
    let left_over = !meta::read(index).sealing.is_empty();
    (!left_over || seal(lock)) && (meta::read(index).delta.is_empty() || seal(lock))
}

/// Seals the `sealing` chain that was left over, else the delta.
fn seal(lock: &SealLock) -> bool {
    let index = lock.index();
    let Some(meta) = begin(index) else { return false };
    let (chain, layout) = (meta.sealing, meta::delta_layout(&meta));
    let vectors = layout.items(chain.pages);
    let segments = RefCell::new(Rebuild::start(index, meta, Work::Seal, vectors));
    let each = |tid, keys: &[u64], body: Body<'_>| segments.borrow_mut().push(tid, keys, body, 0.0);
    // Between pages, when none is held.
    let mut pause = || {
        delay_point();
        segments.borrow_mut().write_if_full();
    };
    chain::read_delta(index, chain, layout, each, &mut pause);
    let written = segments.into_inner().finish();

    let mut locked = LockedMeta::lock(index);
    locked.meta.release(Work::Seal);
    locked.meta.segments.extend(written);
    locked.meta.sealing = Chain::EMPTY;
    locked.meta.retired.push(chain.retire(next_xid()));
    locked.commit(index);
    true
}

/// Step 1. Returns the metapage as it is then.
fn begin(index: Index) -> Option<Meta> {
    let mut locked = LockedMeta::lock(index);
    let meta = &mut locked.meta;
    let cut = meta.sealing.is_empty();
    let chain = if cut { meta.delta } else { meta.sealing };
    if chain.is_empty() {
        return None;
    }
    let vectors = meta::delta_layout(meta).items(chain.pages);
    Rebuild::reserve(meta, Work::Seal, vectors, 0, 1)?;
    // The chain may have grown since anybody looked; the lock on its last page keeps it as it is.
    let tail = cut.then(|| ExclusivePage::read(index, chain.tail));
    if cut {
        meta.sealing = std::mem::replace(&mut meta.delta, Chain::EMPTY);
    }
    let mut record = WalRecord::begin(index);
    locked.log(&mut record);
    if let Some(tail) = &tail {
        record.change(tail, |header, _| header.closed = true);
    }
    record.commit();
    Some(locked.meta)
}
