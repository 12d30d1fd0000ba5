//! Chains of pages: the delta, and the lists of rows without a place in distance order.
//!
//! Items are appended to the last page. Mostly that takes a share lock on the metapage for a moment and an exclusive
//! lock on the last page; only a full page, or a first item, locks the metapage exclusively. Lock order: metapage, then
//! last page.

use std::cell::RefCell;
use std::rc::Rc;

use bkd::layout::chain::{DeltaLayout, DeltaReader};
use bkd::layout::meta::{Chain, Head, Meta};
use bkd::layout::{payload, PageHeader, PageKind, Payload, NO_BLOCK, PAYLOAD};
use bkd::{Body, Error, Placement, Result, Tid};
use pgrx::pg_sys;

use super::meta::{delta_layout, LockedMeta};
use super::space::PageSource;
use super::value::check_dims;
use crate::pg::buffer::{ExclusivePage, Page, RecentBuffer, SharedPage, Strategy};
use crate::pg::index::{FileEnd, FileId, Index};
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::pg::wal::{self, WalRecord};

/// A chain to which rows are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Delta,
    Unbounded,
    Nan,
    Null,
}

impl Part {
    /// Where a vector belongs.
    pub fn of(placement: Placement) -> Self {
        match placement {
            Placement::Ranked => Part::Delta,
            Placement::Unbounded => Part::Unbounded,
            Placement::Nan => Part::Nan,
        }
    }

    /// Kind of its pages.
    pub fn kind(self) -> PageKind {
        match self {
            Part::Delta => PageKind::Delta,
            Part::Unbounded | Part::Nan | Part::Null => PageKind::TidList,
        }
    }

    pub fn chain(self, meta: &Meta) -> Chain {
        match self {
            Part::Delta => meta.delta,
            Part::Unbounded => meta.unbounded,
            Part::Nan => meta.nan,
            Part::Null => meta.null,
        }
    }

    /// The same in what an insert knows.
    fn known(self, head: &Head) -> Chain {
        match self {
            Part::Delta => head.delta,
            Part::Unbounded => head.unbounded,
            Part::Nan => head.nan,
            Part::Null => head.null,
        }
    }

    pub fn chain_mut(self, meta: &mut Meta) -> &mut Chain {
        match self {
            Part::Delta => &mut meta.delta,
            Part::Unbounded => &mut meta.unbounded,
            Part::Nan => &mut meta.nan,
            Part::Null => &mut meta.null,
        }
    }
}

/// Appends an item. `dims` are those of the row's vector, 0 if it is NULL; `head` is what the metapage said recently.
pub fn append(index: Index, head: &Head, part: Part, dims: u32, item: &[u8]) {
    let dims_known = head.dims != 0 || dims == 0;
    if !(dims_known && append_to_tail(index, part, part.known(head), item)) {
        append_to_locked(index, part, dims, item);
    }
}

/// Appends to the last page if that is still the last page and has room.
fn append_to_tail(index: Index, part: Part, chain: Chain, item: &[u8]) -> bool {
    if chain.is_empty() || item.len() > PAYLOAD {
        return false;
    }
    let mut tail = LAST_TAIL.with(|recent| ExclusivePage::read_recent(index, chain.tail, recent));
    let header = tail.header_alone().map_err(|error| error.at_block(chain.tail)).or_raise(index);
    let Some(header) = header else { return false };
    let is_tail = header.kind == part.kind()
        && header.owner == chain.owner
        && !header.closed
        && header.next == NO_BLOCK;
    if !is_tail || header.used as usize + item.len() > PAYLOAD {
        return false;
    }
    wal::append(index, &mut tail, header, item);
    true
}

thread_local! {
    /// The buffer of the page to which this backend appended last.
    static LAST_TAIL: RecentBuffer = const { RecentBuffer::new(0) };
}

/// Appends with the metapage locked: to a last page that somebody else made meanwhile, else to a new one.
fn append_to_locked(index: Index, part: Part, dims: u32, item: &[u8]) {
    let mut locked = LockedMeta::lock(index);
    check_dims(index, locked.meta.space, locked.meta.dims, dims);
    let set_dims = locked.meta.dims == 0 && dims != 0;
    let chain = part.chain(&locked.meta);
    if !set_dims && append_to_tail(index, part, chain, item) {
        return;
    }
    if set_dims {
        locked.meta.dims = dims;
    }
    let mut source = PageSource::with_meta_locked(index, &locked.meta);
    let owner = if chain.is_empty() { locked.meta.take_owner() } else { chain.owner };
    let old_tail = (!chain.is_empty()).then(|| ExclusivePage::read(index, chain.tail));
    // A vector begins where there is room and continues on new pages; a packed value does not.
    let room = old_tail.as_ref().map_or(0, |tail| {
        let header = read_full_tail(tail, chain, part.kind(), item.len()).or_raise(index);
        PAYLOAD - header.used as usize
    });
    let continues = part == Part::Delta && delta_layout(&locked.meta).continues();
    let begun = if continues { room } else { 0 };
    let (begun, rest) = item.split_at(begun);
    let parts: Vec<&[u8]> = rest.chunks(PAYLOAD).collect();
    let pages: Vec<ExclusivePage> = parts.iter().map(|_| source.page()).collect();
    let (first, last) = (pages[0].block(), pages[pages.len() - 1].block());
    let header = |position: usize| PageHeader {
        next: pages.get(position + 1).map_or(NO_BLOCK, ExclusivePage::block),
        ..PageHeader::new(part.kind(), owner, chain.pages + position as u32)
    };
    let fill = |position: usize, payload: &mut Payload| {
        payload[..parts[position].len()].copy_from_slice(parts[position]);
        parts[position].len()
    };
    // What continues an item comes before what leads to it. A crash in between leaves pages to which nothing points.
    for position in (1..pages.len()).rev() {
        let mut record = WalRecord::begin(index);
        record.create(&pages[position], header(position), |payload| fill(position, payload));
        record.commit();
    }
    let extended = part.chain_mut(&mut locked.meta);
    *extended = Chain {
        owner,
        head: if chain.is_empty() { first } else { chain.head },
        tail: last,
        pages: chain.pages + pages.len() as u32,
    };
    let mut record = WalRecord::begin(index);
    record.create(&pages[0], header(0), |payload| fill(0, payload));
    locked.log(&mut record);
    if let Some(old_tail) = &old_tail {
        record.change(old_tail, |header, payload| {
            let start = header.used as usize;
            payload[start..start + begun.len()].copy_from_slice(begun);
            header.used += begun.len() as u32;
            header.next = first;
        });
    }
    record.commit();
}

/// The header of the page that the metapage, which is locked, names as the last of a chain, and that has no room for an item of
/// so many bytes.
fn read_full_tail(page: &Page, chain: Chain, kind: PageKind, item: usize) -> Result<PageHeader> {
    let header = read_header(page, chain.tail, kind, chain.owner, chain.pages.saturating_sub(1))?;
    if header.closed || header.next != NO_BLOCK || header.used as usize + item <= PAYLOAD {
        return Err(Error::corrupt(format!("block {}: page is not the last of its chain", chain.tail)));
    }
    Ok(header)
}

/// Where this backend found the pages of a chain when it last read them.
///
/// Every scan reads the whole delta. As with the pages of segments ([`super::segments`]), it looks for them where they were, and
/// computes the checksums of those only that are new to it or were read from disk again.
type RecentPages = Rc<RefCell<Vec<pg_sys::Buffer>>>;

/// Chains whose pages are remembered.
const RECENT_CHAINS: usize = 32;

thread_local! {
    /// By file and owner, last used last.
    static RECENT: RefCell<Vec<(FileId, u64, RecentPages)>> = const { RefCell::new(Vec::new()) };
}

fn recent_pages(index: Index, chain: Chain) -> RecentPages {
    RECENT.with_borrow_mut(|chains| {
        let is_it =
            |(file, owner, _): &(FileId, u64, RecentPages)| (*file, *owner) == (index.file(), chain.owner);
        let found = match chains.iter().position(is_it) {
            Some(at) => chains.remove(at),
            None => (index.file(), chain.owner, RecentPages::default()),
        };
        let pages = found.2.clone();
        chains.push(found);
        if chains.len() > RECENT_CHAINS {
            chains.remove(0);
        }
        pages.borrow_mut().resize(chain.pages as usize, 0);
        pages
    })
}

/// A walk along a chain.
pub struct Walk {
    index: Index,
    kind: PageKind,
    strategy: Strategy,
    end: FileEnd,
    recent: Option<RecentPages>,
}

impl Walk {
    pub fn new(index: Index, kind: PageKind) -> Self {
        Self::with(index, kind, Strategy::NORMAL)
    }

    /// A walk within a ring of buffers.
    pub fn with(index: Index, kind: PageKind, strategy: Strategy) -> Self {
        Walk { index, kind, strategy, end: FileEnd::of(index), recent: None }
    }

    /// A walk along a chain that this backend is going to read again.
    fn again(index: Index, kind: PageKind, chain: Chain) -> Self {
        Walk { recent: Some(recent_pages(index, chain)), ..Self::new(index, kind) }
    }

    /// Visits the pages of a chain in order, each under its share lock.
    pub fn pages(&self, chain: Chain, visit: impl FnMut(u32, &PageHeader, &Payload)) {
        self.pages_with_pauses(chain, visit, &mut check_for_interrupts);
    }

    /// The same, with something to be done between pages, when none is held.
    fn pages_with_pauses(
        &self,
        chain: Chain,
        mut visit: impl FnMut(u32, &PageHeader, &Payload),
        pause: &mut dyn FnMut(),
    ) {
        let mut block = chain.head;
        for sequence in 0..chain.pages {
            block = self.page(block, chain.owner, sequence, &mut visit);
            pause();
        }
    }

    /// Visits one page and returns the block of the next.
    pub fn page(
        &self,
        block: u32,
        owner: u64,
        sequence: u32,
        visit: &mut impl FnMut(u32, &PageHeader, &Payload),
    ) -> u32 {
        let (page, header) = self.read(block, owner, sequence).or_raise(self.index);
        visit(block, &header, payload(&page));
        header.next
    }

    /// Reads one page.
    ///
    /// # Errors
    /// If the page is not the one that it should be.
    pub fn read(&self, block: u32, owner: u64, sequence: u32) -> Result<(SharedPage, PageHeader)> {
        self.end.check(block)?;
        if let Some(recent) = &self.recent {
            return self.read_again(&mut recent.borrow_mut()[sequence as usize], block, owner, sequence);
        }
        let page = SharedPage::read_with(self.index, block, self.strategy);
        let header = read_header(&page, block, self.kind, owner, sequence)?;
        Ok((page, header))
    }

    fn read_again(
        &self,
        recent: &mut pg_sys::Buffer,
        block: u32,
        owner: u64,
        sequence: u32,
    ) -> Result<(SharedPage, PageHeader)> {
        let found = RecentBuffer::new(*recent);
        let (page, was_read) = SharedPage::read_recent(self.index, block, &found);
        if !was_read && found.get() == *recent && PageHeader::matches(&page, self.kind, owner, sequence) {
            let header = PageHeader::read_trusted(&page).map_err(|error| error.at_block(block))?;
            return Ok((page, header));
        }
        let header = read_header(&page, block, self.kind, owner, sequence)?;
        *recent = found.get();
        Ok((page, header))
    }
}

/// The header of a page that should have this kind, owner and position; errors name the block.
pub fn read_header(page: &Page, block: u32, kind: PageKind, owner: u64, sequence: u32) -> Result<PageHeader> {
    PageHeader::read(page)
        .and_then(|header| header.expect(kind, owner, sequence).map(|()| header))
        .map_err(|error| error.at_block(block))
}

/// Reads a delta chain for the last time: calls `each` with the row address, the attributes and the value of every item that is not dead, and
/// `pause` between pages, when none is held.
pub fn read_delta(
    index: Index,
    chain: Chain,
    layout: DeltaLayout,
    each: impl FnMut(Tid, &[u64], Body<'_>),
    pause: &mut dyn FnMut(),
) {
    visit_delta(&Walk::new(index, PageKind::Delta), chain, layout, each, pause);
}

/// The same for a scan, after which others will follow.
pub fn scan_delta(index: Index, chain: Chain, layout: DeltaLayout, each: impl FnMut(Tid, &[u64], Body<'_>)) {
    let walk = Walk::again(index, PageKind::Delta, chain);
    visit_delta(&walk, chain, layout, each, &mut check_for_interrupts);
}

fn visit_delta(
    walk: &Walk,
    chain: Chain,
    layout: DeltaLayout,
    mut each: impl FnMut(Tid, &[u64], Body<'_>),
    pause: &mut dyn FnMut(),
) {
    let mut reader = DeltaReader::new(layout);
    let visit = |block, header: &PageHeader, payload: &Payload| {
        let read = reader.page(header, payload, &mut each);
        read.map_err(|error| error.at_block(block)).or_raise(walk.index);
    };
    walk.pages_with_pauses(chain, visit, pause);
}
