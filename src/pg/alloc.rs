//! Pages for new contents: recycled ones that the free space map offers, else at the end of the file.

use std::collections::HashSet;

use bkd::layout::meta::{Meta, Retired, META_OWNER};
use pgrx::pg_sys;

use super::buffer::ExclusivePage;
use super::index::Index;
use super::interrupts::check_for_interrupts;

/// The owners whose pages must not be recycled.
///
/// The free space map is not crash-safe and may offer a page that is in use, so the owner that a page names decides.
pub struct LiveOwners {
    owners: HashSet<u64>,
    /// Owners from here on did not exist when this was made: alive, for all that is known.
    unknown_from: u64,
}

impl LiveOwners {
    pub fn of(meta: &Meta) -> Self {
        let chains = [meta.delta, meta.sealing, meta.unbounded, meta.nan, meta.null];
        let owners = [META_OWNER]
            .into_iter()
            .chain(chains.iter().filter(|chain| !chain.is_empty()).map(|chain| chain.owner))
            .chain(meta.segments.iter().map(|segment| segment.id))
            .chain(meta.retired.iter().map(|retired| match *retired {
                Retired::Segment { id, .. } => id,
                Retired::Chain { owner, .. } => owner,
            }))
            .collect();
        LiveOwners { owners, unknown_from: meta.next_owner }
    }

    fn contains(&self, owner: u64) -> bool {
        owner >= self.unknown_from || self.owners.contains(&owner)
    }
}

/// A page to be made anew.
pub fn new_page(index: Index, live: &LiveOwners) -> ExclusivePage {
    recycled_page(index, live).unwrap_or_else(|| ExclusivePage::extend(index))
}

/// Offers of the free space map that are looked at before the file is extended instead. What is refused is forgotten by the map
/// until the next VACUUM.
const MAX_OFFERS: usize = 32;

fn recycled_page(index: Index, live: &LiveOwners) -> Option<ExclusivePage> {
    for _ in 0..MAX_OFFERS {
        // SAFETY: the relation is open.
        let block = unsafe { pg_sys::GetFreeIndexPage(index.raw()) };
        if block == pg_sys::InvalidBlockNumber {
            return None;
        }
        // After a crash the map may know of pages that the file has lost again.
        if block >= index.blocks() {
            continue;
        }
        // Somebody else at the page: it is in use, or another backend was offered it too.
        let Some(page) = ExclusivePage::try_read(index, block) else { continue };
        match page.header() {
            Ok(None) => return Some(page),
            Ok(Some(header)) if !live.contains(header.owner) => return Some(page),
            _ => {}
        }
    }
    None
}

/// Offers pages for recycling.
pub fn free_pages(index: Index, blocks: impl IntoIterator<Item = u32>) {
    let mut any = false;
    for block in blocks {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RecordFreeIndexPage(index.raw(), block) };
        any = true;
        check_for_interrupts();
    }
    if any {
        // SAFETY: the relation is open.
        unsafe { pg_sys::IndexFreeSpaceMapVacuum(index.raw()) };
    }
}

/// The next transaction id: what is replaced now is free when no snapshot is older.
pub fn next_xid() -> u64 {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::ReadNextFullTransactionId() }.value
}

/// Whether every snapshot that exists is younger than this transaction id.
pub fn is_before_all_snapshots(xid: u64) -> bool {
    // SAFETY: without a relation Postgres answers for all databases, which is the cautious answer.
    unsafe {
        pg_sys::GlobalVisCheckRemovableFullXid(std::ptr::null_mut(), pg_sys::FullTransactionId { value: xid })
    }
}
