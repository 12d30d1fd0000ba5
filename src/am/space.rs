//! Which pages belong to what, and giving back those that nobody needs.

use bkd::layout::meta::Retired;
use bkd::layout::{PageHeader, NO_BLOCK};
use bkd::Extent;

use super::meta::{self, LockedMeta};
use super::segments::read_directory;
use crate::pg::alloc::{free_pages, is_before_all_snapshots};
use crate::pg::buffer::SharedPage;
use crate::pg::index::{FileEnd, Index};
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::structure_lock::StructureLock;

/// Drops what was replaced and what no scan can be reading any more; its pages can be used again.
pub fn free_retired(lock: &StructureLock) {
    let index = lock.index();
    let removable =
        |retired: &Retired| !meta::is_reservation(retired) && is_before_all_snapshots(retired.xid());
    let (gone, _): (Vec<_>, Vec<_>) = meta::read(index).retired.into_iter().partition(removable);
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
    free_pages(index, blocks);
}

/// Offers every page for recycling that cannot be reached from the metapage; returns their number.
///
/// Pages that an insert takes into use meanwhile may be offered too: whoever is offered a page looks at its owner.
pub fn free_unreachable(lock: &StructureLock) -> u32 {
    let index = lock.index();
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
        segment_blocks(index, segment.id, segment.directory, segment.directory_bytes, &mut mark);
    }
    for chain in [meta.delta, meta.sealing, meta.unbounded, meta.nan, meta.null] {
        chain_blocks(index, chain.owner, chain.head, chain.pages, &mut mark);
    }
    for retired in &meta.retired {
        retired_blocks(index, retired, &mut mark);
    }
    let unreachable: Vec<u32> =
        (0..).zip(&reachable).filter(|(_, &reached)| !reached).map(|(block, _)| block).collect();
    free_pages(index, unreachable.iter().copied());
    unreachable.len() as u32
}

/// Nobody builds anything now; what is reserved was left behind by an error or a crash.
fn give_up_reservations(index: Index) {
    let mut locked = LockedMeta::lock(index);
    let before = locked.meta.retired.len();
    meta::drop_reservations(&mut locked.meta);
    if locked.meta.retired.len() < before {
        locked.commit(index);
    }
}

fn retired_blocks(index: Index, retired: &Retired, visit: &mut impl FnMut(u32)) {
    match *retired {
        Retired::Segment { id, directory, directory_bytes, .. } => {
            segment_blocks(index, id, directory, directory_bytes, visit)
        }
        // A retired chain has an end: it was closed before it was replaced.
        Retired::Chain { owner, head, .. } => chain_blocks(index, owner, head, u32::MAX, visit),
    }
}

fn segment_blocks(index: Index, id: u64, first: u32, bytes: u32, visit: &mut impl FnMut(u32)) {
    let directory = read_directory(index, id, first, bytes, &mut *visit).or_raise(index);
    for Extent { start, blocks } in directory.extents {
        (start..start + blocks).for_each(&mut *visit);
    }
}

fn chain_blocks(index: Index, owner: u64, head: u32, pages: u32, visit: &mut impl FnMut(u32)) {
    let end = FileEnd::of(index);
    let mut block = head;
    // Every page's position is checked, so a chain that bites its tail is an error and not an endless loop.
    for sequence in 0..pages {
        if block == NO_BLOCK {
            break;
        }
        end.check(block).or_raise(index);
        let page = SharedPage::read(index, block);
        let header = PageHeader::read(&page)
            .and_then(|header| header.expect(header.kind, owner, sequence).map(|()| header))
            .or_raise(index);
        visit(block);
        block = header.next;
        drop(page);
        check_for_interrupts();
    }
}
