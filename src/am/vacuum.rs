//! VACUUM: marking removed rows, rewriting what holds too many of them, and freeing pages.
//!
//! Removing goes through the index as it was at the beginning. That is enough, for what comes into the index later belongs to rows that are
//! not being removed; but no address may move, from a page that is yet to be read to one that was read already or did not exist: the
//! index would point to whatever row gets that address next. So the [`MergeLock`] is held from begin to end, and while the delta is read,
//! which comes first and is short, the [`SealLock`] too. After that sealing goes on: it moves only what was looked at, or is newer.

use bkd::layout::chain::{delta_items, list_items};
use bkd::layout::meta::{Chain, Meta};
use bkd::layout::{tids, PageKind, Payload};
use bkd::Tid;
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys};

use super::chain::{Part, Walk};
use super::meta::{self, LockedMeta};
use super::segments::open;
use super::{lists, merge, seal, space};
use crate::pg::buffer::{ExclusivePage, SharedPage, Strategy};
use crate::pg::index::Index;
use crate::pg::interrupts::delay_point;
use crate::pg::structure_lock::{MergeLock, SealLock};
use crate::pg::wal::WalRecord;

/// A delta of fewer pages is left as it is, unless much of it is dead: a segment would not be smaller.
const SEAL_PAGES: u32 = 32;

/// `ambulkdelete`: asks for every row address of the index whether the row was removed.
///
/// # Safety
/// Called by Postgres with an open index, and a callback with its state.
#[pg_guard]
pub unsafe extern "C-unwind" fn bulk_delete(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    callback_state: *mut std::ffi::c_void,
) -> *mut pg_sys::IndexBulkDeleteResult {
    let callback = callback.expect("VACUUM passes a callback");
    // SAFETY: as the caller promises; the closure of the boundary calls C and holds nothing.
    let (index, strategy) = unsafe { (Index::from_raw((*info).index), Strategy::from_raw((*info).strategy)) };
    let mut is_removed = |tid: Tid| {
        let mut pointer = pg_sys::ItemPointerData::default();
        itemptr::item_pointer_set_all(&mut pointer, tid.block, tid.offset);
        // SAFETY: the callback and its state belong together; `pointer` outlives the call.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&mut pointer, callback_state)) }
    };
    let lock = MergeLock::acquire(index);
    let counts = Removal { index, strategy, is_removed: &mut is_removed }.run();
    drop(lock);

    // SAFETY: null, or what an earlier call returned.
    unsafe {
        let stats = allocated(stats);
        (*stats).estimated_count = false;
        (*stats).num_pages = index.blocks();
        (*stats).num_index_tuples = counts.live as f64;
        (*stats).tuples_removed += counts.removed as f64;
        stats
    }
}

/// `amvacuumcleanup`: seals, merges what is due, rewrites what is mostly dead, frees pages.
///
/// # Safety
/// Called by Postgres with an open index.
#[pg_guard]
pub unsafe extern "C-unwind" fn cleanup(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: as the caller promises.
    let (index, analyze_only) = unsafe { (Index::from_raw((*info).index), (*info).analyze_only) };
    if analyze_only {
        return stats;
    }
    let merge_lock = MergeLock::acquire(index);
    let seal_lock = SealLock::acquire(index);
    seal_if_worth_it(&seal_lock);
    space::free_retired(&seal_lock);
    drop(seal_lock);
    merge::merge_in_vacuum(&merge_lock);
    for part in [Part::Unbounded, Part::Nan, Part::Null] {
        lists::compact(&merge_lock, part);
    }
    let seal_lock = SealLock::acquire(index);
    forget_dims(index);
    space::free_retired(&seal_lock);
    let free = space::free_unreachable(&merge_lock, &seal_lock);
    drop(seal_lock);
    drop(merge_lock);

    // SAFETY: null, or what `bulk_delete` returned.
    unsafe {
        if stats.is_null() {
            // Nothing was removed, so nobody counted.
            let stats = allocated(stats);
            (*stats).estimated_count = true;
            (*stats).num_index_tuples = (*info).num_heap_tuples;
            fill_pages(stats, index, free)
        } else {
            fill_pages(stats, index, free)
        }
    }
}

/// # Safety
/// `stats` is a valid result.
unsafe fn fill_pages(
    stats: *mut pg_sys::IndexBulkDeleteResult,
    index: Index,
    free: u32,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: as the caller promises.
    unsafe {
        (*stats).num_pages = index.blocks();
        (*stats).pages_deleted = free;
        (*stats).pages_free = free;
    }
    stats
}

/// The result struct, allocated if there is none yet.
///
/// # Safety
/// `stats` is null or valid.
unsafe fn allocated(stats: *mut pg_sys::IndexBulkDeleteResult) -> *mut pg_sys::IndexBulkDeleteResult {
    if stats.is_null() {
        // SAFETY: palloc0 returns zeroed memory of that size, and zeros are a valid result.
        unsafe { pg_sys::palloc0(size_of::<pg_sys::IndexBulkDeleteResult>()).cast() }
    } else {
        stats
    }
}

/// Seals the delta if a segment is smaller, and what an interrupted sealing left over.
fn seal_if_worth_it(lock: &SealLock) {
    let index = lock.index();
    let meta = meta::read(index);
    let is_worth_it = || {
        let layout = meta::delta_layout(&meta);
        let (mut items, mut dead) = (0u64, 0u64);
        Walk::new(index, PageKind::Delta).pages(meta.delta, |_, header, page| {
            delta_items(&layout, header, page, |_, tid| {
                items += 1;
                dead += u64::from(tid.is_dead());
            });
        });
        2 * dead > items
    };
    if !meta.sealing.is_empty() || meta.delta.pages >= SEAL_PAGES || is_worth_it() {
        seal::seal_all(lock);
    }
}

/// An index without vectors, on a column of any dimensions, takes those of the next row.
fn forget_dims(index: Index) {
    let is_empty = |meta: &Meta| {
        meta.segments.is_empty()
            && [meta.delta, meta.sealing, meta.unbounded, meta.nan].iter().all(Chain::is_empty)
    };
    let meta = meta::read(index);
    if meta.dims != 0 && index.column_typmod() <= 0 && is_empty(&meta) {
        let mut locked = LockedMeta::lock(index);
        if is_empty(&locked.meta) {
            locked.meta.dims = 0;
            locked.commit(index);
        }
    }
}

#[derive(Default)]
struct Counts {
    live: u64,
    removed: u64,
}

/// One pass over all row addresses.
struct Removal<'a> {
    index: Index,
    strategy: Strategy,
    is_removed: &'a mut dyn FnMut(Tid) -> bool,
}

impl Removal<'_> {
    fn run(mut self) -> Counts {
        let mut counts = Counts::default();
        let lock = SealLock::acquire(self.index);
        let meta = meta::read(self.index);
        self.deltas(&meta, &mut counts);
        drop(lock);
        let mut dead = Vec::new();
        for entry in &meta.segments {
            let segment = open(self.index, &meta, entry).segment;
            let before = counts.live;
            for sequence in segment.tid_pages() {
                let on_page = segment.tids_on(sequence);
                self.page(
                    segment.block(sequence),
                    &mut counts,
                    |page, each| (0..on_page).for_each(|slot| each(slot, tids::get(page, slot))),
                    |page, slot| tids::set(page, slot, Tid::DEAD),
                );
            }
            dead.push((entry.id, entry.vectors - (counts.live - before) as u32));
        }
        for chain in [meta.unbounded, meta.nan, meta.null] {
            self.list(chain, &mut counts);
        }
        self.store_dead(&dead);
        counts
    }

    fn deltas(&mut self, meta: &Meta, counts: &mut Counts) {
        let layout = meta::delta_layout(meta);
        for chain in [meta.sealing, meta.delta] {
            for (block, header) in self.chain_pages(chain, PageKind::Delta) {
                self.page(
                    block,
                    counts,
                    |page, each| delta_items(&layout, &header, page, each),
                    |page, at| layout.kill(&mut page[at..]),
                );
            }
        }
    }

    fn list(&mut self, chain: Chain, counts: &mut Counts) {
        for (block, header) in self.chain_pages(chain, PageKind::TidList) {
            self.page(
                block,
                counts,
                |page, each| list_items(&header, page, each),
                |page, slot| tids::set(page, slot, Tid::DEAD),
            );
        }
    }

    /// The pages of a chain with their headers as they are now: rows that are appended later are none that were removed.
    fn chain_pages(&self, chain: Chain, kind: PageKind) -> Vec<(u32, bkd::layout::PageHeader)> {
        let mut pages = Vec::new();
        let walk = Walk::with(self.index, kind, self.strategy);
        walk.pages(chain, |block, header, _| pages.push((block, *header)));
        pages
    }

    /// Removes what is to be removed from one page. `items` enumerates positions and addresses, `kill` overwrites one.
    fn page(
        &mut self,
        block: u32,
        counts: &mut Counts,
        items: impl FnOnce(&Payload, &mut dyn FnMut(usize, Tid)),
        mut kill: impl FnMut(&mut Payload, usize),
    ) {
        let mut found = Vec::new();
        {
            let page = SharedPage::read_with(self.index, block, self.strategy);
            items(bkd::layout::payload(&page), &mut |at, tid| found.push((at, tid)));
        }
        delay_point();
        found.retain(|(_, tid)| !tid.is_dead());
        let total = found.len() as u64;
        found.retain(|&(_, tid)| (self.is_removed)(tid));
        counts.live += total - found.len() as u64;
        counts.removed += found.len() as u64;
        if found.is_empty() {
            return;
        }
        let page = ExclusivePage::read_with(self.index, block, self.strategy);
        let mut record = WalRecord::begin(self.index);
        record.change(&page, |_, payload| found.iter().for_each(|&(at, _)| kill(payload, at)));
        record.commit();
    }

    /// Notes in the metapage how many vectors of each segment are dead.
    fn store_dead(&self, dead: &[(u64, u32)]) {
        let mut locked = LockedMeta::lock(self.index);
        let before = locked.meta.clone();
        for entry in &mut locked.meta.segments {
            if let Some(&(_, dead)) = dead.iter().find(|(id, _)| *id == entry.id) {
                entry.dead = dead;
            }
        }
        if locked.meta != before {
            locked.commit(self.index);
        }
    }
}
