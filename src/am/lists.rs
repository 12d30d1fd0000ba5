//! Rewriting a list of row addresses when most of it is dead.
//!
//! The live addresses are copied into new pages, which take the place of the old ones in one change of the metapage; scans and
//! inserts go on, as when a delta is sealed. What an insert appends meanwhile is on the last pages: those are copied at the end, with
//! the metapage and the last page locked.

use bkd::layout::chain::list_items;
use bkd::layout::meta::{Chain, Work};
use bkd::layout::{payload, tids, PageHeader, PageKind, NO_BLOCK};
use bkd::Tid;

use super::chain::{read_header, Part, Walk};
use super::meta::{self, LockedMeta};
use super::space::PageSource;
use crate::pg::buffer::ExclusivePage;
use crate::pg::horizon::next_xid;
use crate::pg::index::Index;
use crate::pg::report::OrRaise;
use crate::pg::structure_lock::MergeLock;
use crate::pg::wal::WalRecord;

/// Rewrites a list if more than half of it is dead, unless it is only a page.
pub fn compact(lock: &MergeLock, part: Part) {
    let index = lock.index();
    let chain = part.chain(&meta::read(index));
    if chain.pages < 2 {
        return;
    }
    // All pages but the last, to which inserts append.
    let settled = Chain { pages: chain.pages - 1, ..chain };
    let (mut live, mut dead) = (Vec::new(), 0);
    let mut tail = chain.head;
    Walk::new(index, PageKind::TidList).pages(settled, |_, header, page| {
        list_items(header, page, |_, tid| match tid.is_dead() {
            true => dead += 1,
            false => live.push(tid),
        });
        tail = header.next;
    });
    if dead <= live.len() {
        return;
    }
    let Some(mut list) = NewList::begin(index, part) else { return };
    let whole = live.len() - live.len() % tids::PER_PAGE;
    live[..whole].chunks(tids::PER_PAGE).for_each(|tids| list.push_page(tids));
    replace(index, part, list, live.split_off(whole), settled.pages, tail);
}

/// Adds `rest` and what lies on the old list's pages from `block` on, and puts the new list in the place of the old one.
fn replace(index: Index, part: Part, mut list: NewList, mut rest: Vec<Tid>, settled: u32, block: u32) {
    let mut locked = LockedMeta::lock(index);
    let old = part.chain(&locked.meta);
    let (mut block, mut sequence) = (block, settled);
    let tail = loop {
        let page = ExclusivePage::read(index, block);
        let header = read_header(&page, block, PageKind::TidList, old.owner, sequence).or_raise(index);
        list_items(&header, payload(&page), |_, tid| {
            if !tid.is_dead() {
                rest.push(tid);
            }
        });
        if header.next == NO_BLOCK {
            break page;
        }
        (block, sequence) = (header.next, sequence + 1);
    };
    rest.chunks(tids::PER_PAGE).for_each(|tids| list.push_page(tids));

    locked.meta.release(Work::Merge);
    *part.chain_mut(&mut locked.meta) = list.chain;
    locked.meta.retired.push(old.retire(next_xid()));
    let mut record = WalRecord::begin(index);
    locked.log(&mut record);
    record.change(&tail, |header, _| header.closed = true);
    record.commit();
}

/// A list that the metapage does not know yet.
struct NewList {
    index: Index,
    part: Part,
    owner: u64,
    pages: PageSource,
    chain: Chain,
}

impl NewList {
    /// Reserves an owner. `None` if the metapage has no room for what will be retired.
    fn begin(index: Index, part: Part) -> Option<Self> {
        let mut locked = LockedMeta::lock(index);
        if locked.meta.room_to_retire(Work::Merge) == 0 {
            return None;
        }
        let owner = locked.meta.reserve(Work::Merge, 1, 1).first;
        // The metapage stays locked while the list is put in its place, and what was freed meanwhile does not matter for so little.
        let pages = PageSource::with_meta_locked(index, &locked.meta);
        locked.commit(index);
        Some(NewList { index, part, owner, pages, chain: Chain::EMPTY })
    }

    fn push_page(&mut self, tids: &[Tid]) {
        let page = self.pages.page();
        let mut record = WalRecord::begin(self.index);
        record.create(&page, PageHeader::new(self.part.kind(), self.owner, self.chain.pages), |payload| {
            tids.iter().enumerate().for_each(|(slot, &tid)| tids::set(payload, slot, tid));
            tids.len() * Tid::SIZE
        });
        let previous = (!self.chain.is_empty()).then(|| ExclusivePage::read(self.index, self.chain.tail));
        if let Some(previous) = &previous {
            record.change(previous, |header, _| header.next = page.block());
        }
        record.commit();
        self.chain = Chain {
            owner: self.owner,
            head: if self.chain.is_empty() { page.block() } else { self.chain.head },
            tail: page.block(),
            pages: self.chain.pages + 1,
        };
    }
}
