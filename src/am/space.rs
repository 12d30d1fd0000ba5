//! Which pages belong to what: pages for new contents, and giving back those that nobody needs.

use std::collections::HashSet;

use bkd::layout::meta::{Chain, Meta, Retired, META_OWNER};
use bkd::layout::{PageHeader, NO_BLOCK};
use bkd::{Extent, Result};

use super::meta::{self, LockedMeta};
use super::open_scans;
use super::segments::read_directory;
use crate::pg::buffer::{ExclusivePage, SharedPage};
use crate::pg::free_space::{free_blocks, take_block};
use crate::pg::horizon::{is_before_all_snapshots, is_before_snapshots_of_others};
use crate::pg::index::{FileEnd, Index};
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::structure_lock::{MergeLock, SealLock};

/// The owners whose pages must not be recycled.
///
/// The free space map may offer a page that is in use, so the owner that a page names decides.
pub struct LiveOwners {
    owners: HashSet<u64>,
    /// Owners from here on did not exist when this was made: alive, for all that is known.
    unknown_from: u64,
}

impl LiveOwners {
    pub fn of(meta: &Meta) -> Self {
        let chains = meta.chains();
        let chains = chains.iter().filter(|chain| !chain.is_empty()).map(|chain| chain.owner);
        let owners = [META_OWNER]
            .into_iter()
            .chain(chains)
            .chain(meta.segments.iter().map(|segment| segment.id))
            .chain(meta.retired.iter().map(Retired::owner))
            .chain(meta.reserved.iter().flat_map(|reserved| reserved.owners()))
            .collect();
        LiveOwners { owners, unknown_from: meta.next_owner }
    }

    fn contains(&self, owner: u64) -> bool {
        owner >= self.unknown_from || self.owners.contains(&owner)
    }
}

/// Where pages for new contents come from: the free space map first, else the end of the file.
pub struct PageSource {
    index: Index,
    live: LiveOwners,
    /// Whether to look for news of `live` when it speaks against a page: not while the metapage is locked.
    may_read_meta: bool,
}

/// Offers of the free space map that are looked at before the file is extended instead. What is refused is forgotten by the map
/// until the next VACUUM.
const MAX_OFFERS: usize = 32;

impl PageSource {
    /// For long work, while which others may replace things and free their pages.
    pub fn new(index: Index, meta: &Meta) -> Self {
        PageSource { index, live: LiveOwners::of(meta), may_read_meta: true }
    }

    /// For who holds the lock on the metapage.
    pub fn with_meta_locked(index: Index, meta: &Meta) -> Self {
        PageSource { index, live: LiveOwners::of(meta), may_read_meta: false }
    }

    /// A page to be made anew.
    pub fn page(&mut self) -> ExclusivePage {
        self.recycled().unwrap_or_else(|| ExclusivePage::extend(self.index))
    }

    fn recycled(&mut self) -> Option<ExclusivePage> {
        for _ in 0..MAX_OFFERS {
            let block = take_block(self.index)?;
            // After a crash the map may know of pages that the file has lost again.
            if block >= self.index.blocks() {
                continue;
            }
            if let Some(page) = self.unused(block) {
                return Some(page);
            }
            // It may have been freed after we looked.
            if self.may_read_meta {
                let live = LiveOwners::of(&meta::read(self.index));
                self.live = live;
                if let Some(page) = self.unused(block) {
                    return Some(page);
                }
            }
        }
        None
    }

    /// The page, if nobody needs it.
    fn unused(&self, block: u32) -> Option<ExclusivePage> {
        // Somebody else at the page: it is in use, or another backend was offered it too.
        let page = ExclusivePage::try_read(self.index, block)?;
        match page.header_alone() {
            Ok(None) => Some(page),
            Ok(Some(header)) if !self.live.contains(header.owner) => Some(page),
            _ => None,
        }
    }
}

/// Drops what was replaced and what no scan can be reading any more; its pages can be used again.
pub fn free_retired(lock: &SealLock) {
    let index = lock.index();
    let (gone, _): (Vec<_>, Vec<_>) =
        meta::read(index).retired.into_iter().partition(|retired| nobody_reads(index, retired));
    if gone.is_empty() {
        return;
    }
    // As long as they are on the list nobody recycles the pages that lead to the others.
    let mut blocks = Vec::new();
    for retired in &gone {
        retired_blocks(index, retired, &mut |block| blocks.push(block));
    }
    let mut locked = LockedMeta::lock(index);
    locked.meta.retired.retain(|retired| !gone.contains(retired));
    locked.commit(index);
    free_blocks(index, blocks);
}

/// Whether no scan can be reading something that was replaced.
pub fn nobody_reads(index: Index, retired: &Retired) -> bool {
    if open_scans::any(index) {
        is_before_all_snapshots(retired.xid())
    } else {
        is_before_snapshots_of_others(retired.xid())
    }
}

/// Pages of the file that hold nothing which is in use or waits for its readers, about: what can be written without making the
/// file larger.
pub fn free_pages(index: Index, meta: &Meta) -> u64 {
    let chains = meta.chains();
    let used = 1
        + chains.iter().map(|chain| u64::from(chain.pages)).sum::<u64>()
        + meta.segments.iter().map(|segment| u64::from(segment.pages)).sum::<u64>()
        + meta.retired.iter().map(|retired| u64::from(retired.pages())).sum::<u64>();
    u64::from(index.blocks()).saturating_sub(used)
}

/// Offers every page for recycling that cannot be reached from the metapage; returns their number. Under both locks nothing is
/// being built.
///
/// Pages that an insert takes into use meanwhile may be offered too: whoever is offered a page looks at its owner.
pub fn free_unreachable(_merge: &MergeLock, seal: &SealLock) -> u32 {
    let index = seal.index();
    give_up_reservations(index);
    // Blocks first: what is appended to the file later is in use.
    let mut reachable = vec![false; index.blocks() as usize];
    let meta = meta::read(index);
    let mut mark = |block: u32| {
        if let Some(reachable) = reachable.get_mut(block as usize) {
            *reachable = true;
        }
    };
    mark(meta::BLOCK);
    for segment in &meta.segments {
        walk_segment(index, segment.id, segment.directory, segment.directory_bytes, &mut mark)
            .or_raise(index);
    }
    for Chain { owner, head, pages, .. } in meta.chains() {
        walk_chain(index, owner, head, pages, &mut mark).or_raise(index);
    }
    for retired in &meta.retired {
        retired_blocks(index, retired, &mut mark);
    }
    let unreachable: Vec<u32> =
        (0..).zip(&reachable).filter(|(_, &reached)| !reached).map(|(block, _)| block).collect();
    free_blocks(index, unreachable.iter().copied());
    unreachable.len() as u32
}

/// What is reserved was left behind by an error or a crash.
fn give_up_reservations(index: Index) {
    if meta::read(index).reserved.iter().any(|reserved| reserved.count > 0) {
        let mut locked = LockedMeta::lock(index);
        locked.meta.reserved = Default::default();
        locked.commit(index);
    }
}

fn retired_blocks(index: Index, retired: &Retired, visit: &mut impl FnMut(u32)) {
    walk_retired(index, retired, visit).or_raise(index);
}

/// Calls `visit` with the blocks of something that was replaced.
pub fn walk_retired(index: Index, retired: &Retired, visit: &mut impl FnMut(u32)) -> Result<()> {
    match *retired {
        Retired::Segment { id, directory, directory_bytes, .. } => {
            walk_segment(index, id, directory, directory_bytes, visit)
        }
        Retired::Chain { owner, head, pages, .. } => walk_chain(index, owner, head, pages, visit),
    }
}

fn walk_segment(index: Index, id: u64, first: u32, bytes: u32, visit: &mut impl FnMut(u32)) -> Result<()> {
    let directory = read_directory(index, id, first, bytes, &mut *visit)?;
    for Extent { start, blocks } in directory.extents {
        (start..start + blocks).for_each(&mut *visit);
    }
    Ok(())
}

fn walk_chain(index: Index, owner: u64, head: u32, pages: u32, visit: &mut impl FnMut(u32)) -> Result<()> {
    let end = FileEnd::of(index);
    let mut block = head;
    // Every page's position is checked, so a chain that bites its tail is an error and not an endless loop.
    for sequence in 0..pages {
        if block == NO_BLOCK {
            break;
        }
        end.check(block)?;
        let page = SharedPage::read(index, block);
        // Only where it leads to matters.
        let header = PageHeader::read_alone(&page).map_err(|error| error.at_block(block))?;
        header.expect(header.kind, owner, sequence).map_err(|error| error.at_block(block))?;
        visit(block);
        block = header.next;
        drop(page);
        check_for_interrupts();
    }
    Ok(())
}
