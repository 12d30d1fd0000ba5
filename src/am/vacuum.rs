//! VACUUM: marking removed rows, rewriting what holds too many of them, and freeing pages.
//!
//! Both callbacks hold the [`StructureLock`] from begin to end. Otherwise a sealing could move the address of a removed row behind VACUUM's
//! back, from a page that it has yet to read to one that it has read already, and the index would point to
//! whatever row gets that address next.

use bkd::layout::chain::DeltaLayout;
use bkd::layout::meta::{Chain, Meta};
use bkd::layout::{tids, PageKind, Payload};
use bkd::Tid;
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys};

use super::chain::{delta_items, list_items, Part, Walk};
use super::meta::{self, LockedMeta};
use super::seal::Source;
use super::segments::open;
use super::{lists, seal, space};
use crate::pg::buffer::{ExclusivePage, SharedPage, Strategy};
use crate::pg::index::Index;
use crate::pg::structure_lock::StructureLock;
use crate::pg::wal::WalRecord;

/// A segment is rewritten when more than one in so many of its vectors is dead.
const REWRITE_FRACTION: u64 = 2;

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
    let lock = StructureLock::acquire(index);
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

/// `amvacuumcleanup`: finishes what was interrupted, rewrites segments with many dead vectors, frees pages.
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
    let lock = StructureLock::acquire(index);
    seal::seal_what_is_due(&lock);
    rewrite_segments(&lock);
    for part in [Part::Unbounded, Part::Nan, Part::Null] {
        lists::compact(&lock, part);
    }
    space::free_retired(&lock);
    let free = space::free_unreachable(&lock);
    drop(lock);

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

/// Sleeps if VACUUM is to be gentle, and checks for interrupts. With no page locked.
fn delay_point() {
    // SAFETY: called on the main thread, in VACUUM.
    unsafe { pg_sys::vacuum_delay_point() }
}

fn rewrite_segments(lock: &StructureLock) {
    for entry in meta::read(lock.index()).segments {
        if u64::from(entry.dead) * REWRITE_FRACTION > u64::from(entry.vectors) {
            seal::rebuild(lock, Source::Nothing, &[entry]);
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
        let meta = meta::read(self.index);
        let mut counts = Counts::default();
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
        self.deltas(&meta, &mut counts);
        for chain in [meta.unbounded, meta.nan, meta.null] {
            self.list(chain, &mut counts);
        }
        self.store_dead(&dead);
        counts
    }

    fn deltas(&mut self, meta: &Meta, counts: &mut Counts) {
        let layout = DeltaLayout::new(meta.dims as usize);
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
