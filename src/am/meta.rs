//! The metapage: reading it, and changing it under its lock.
//!
//! # Why a scan needs no lock but this one
//! A scan copies the metapage under a share lock and reads everything that it names without any further lock than the share lock
//! on each page, and most pages of codes without that ([`super::segments`]). That is safe because
//! - pages of sealed segments never change, except for row addresses that VACUUM overwrites with [`bkd::Tid::DEAD`];
//! - chains only grow at their end; what is appended after the copy was made belongs to rows that the scan's snapshot
//!   does not see;
//! - what a segment or chain is replaced by lies in other pages. The old pages stay as they are until the transaction id that was
//!   next at that moment precedes all snapshots, so until no scan that may have copied the old metapage runs
//!   ([`crate::pg::horizon`], [`super::open_scans`]);
//! - a row address that VACUUM removes, in pages that the scan reads or (after a replacement) no longer in those, belonged
//!   to a row that is dead to all snapshots. If the heap gives the address to a new row, the snapshot does not see that one.
//!
//! The last point holds for MVCC snapshots only; scans with others are refused. Should one of the others ever fail, the
//! owner number in every page turns what would be a wrong answer into an error. On standbys, where pages may be recycled under a scan, all of
//! them are locked for that.

use std::cell::Cell;

use bkd::layout::chain::DeltaLayout;
use bkd::layout::meta::{Head, Meta, META_BLOCK, META_OWNER};
use bkd::layout::{payload, PageHeader, PageKind};
use pgrx::pg_sys;

use super::attributes;
use super::chain::read_header;
use super::vector_type::VectorType;
use crate::pg::buffer::{ExclusivePage, Page, RecentBuffer, SharedPage};
use crate::pg::index::{FileId, Index};
use crate::pg::report::OrRaise;
use crate::pg::wal::WalRecord;

/// The metapage's block.
pub const BLOCK: u32 = META_BLOCK;

/// A copy of the metapage as it is now.
pub fn read(index: Index) -> Meta {
    let meta = parse(&SharedPage::read(index, BLOCK));
    meta.and_then(|meta| check_columns(index, meta.columns).map(|()| meta)).or_raise(index)
}

/// The type of an index's values.
pub fn vector_type(index: Index) -> VectorType {
    let head = read_head(index);
    VectorType::of_metapage(head.space, head.input).map_err(|error| error.at_block(BLOCK)).or_raise(index)
}

/// The layout of the delta of an index.
pub fn delta_layout(meta: &Meta) -> DeltaLayout {
    DeltaLayout::new(meta.space, meta.dims as usize, meta.columns as usize)
}

/// Checks that the metapage names as many attributes as the catalog.
///
/// # Errors
/// [`bkd::Error::Corrupt`] if it does not.
pub fn check_columns(index: Index, columns: u32) -> bkd::Result<()> {
    let expected = attributes::columns(index);
    if columns as usize == expected {
        return Ok(());
    }
    Err(bkd::Error::corrupt(format!("metapage says that there are {columns} attributes, not {expected}")))
}

/// What an insert wants to know of the metapage as it is now.
///
/// Read for every row, so it is looked for where it was; its checksum was looked at when it was found there.
pub fn read_head(index: Index) -> Head {
    let recent = RECENT.with(|recent| recent.get());
    let before = if recent.0 == Some(index.file()) { recent.1 } else { 0 };
    let found = RecentBuffer::new(before);
    let (page, was_read) = SharedPage::read_recent(index, BLOCK, &found);
    if was_read || found.get() != before || !PageHeader::matches(&page, PageKind::Meta, META_OWNER, 0) {
        read_header(&page, BLOCK, PageKind::Meta, META_OWNER, 0).or_raise(index);
        RECENT.with(|recent| recent.set((Some(index.file()), found.get())));
    }
    Meta::read_head(payload(&page)).map_err(|error| error.at_block(BLOCK)).or_raise(index)
}

thread_local! {
    /// The buffer in which the metapage of the index was into which this backend inserted last.
    static RECENT: Cell<(Option<FileId>, pg_sys::Buffer)> = const { Cell::new((None, 0)) };
}

/// The header of the metapage.
pub fn header() -> PageHeader {
    PageHeader::new(PageKind::Meta, META_OWNER, 0)
}

/// Reads and validates the metapage.
pub fn parse(page: &Page) -> bkd::Result<Meta> {
    read_header(page, BLOCK, PageKind::Meta, META_OWNER, 0)?;
    let meta = Meta::read(payload(page));
    let known = meta.and_then(|meta| VectorType::of_metapage(meta.space, meta.input).map(|_| meta));
    known.map_err(|error| error.at_block(BLOCK))
}

/// The metapage, locked for a change.
#[must_use]
pub struct LockedMeta {
    page: ExclusivePage,
    /// What it will say once [`LockedMeta::log`] is part of a committed record.
    pub meta: Meta,
}

impl LockedMeta {
    pub fn lock(index: Index) -> Self {
        let page = ExclusivePage::read(index, BLOCK);
        let meta = parse(&page).or_raise(index);
        LockedMeta { page, meta }
    }

    /// Adds the changed metapage to a record.
    pub fn log<'a>(&'a self, record: &mut WalRecord<'a>) {
        record.change(&self.page, |header, payload| header.used = self.meta.write(payload) as u32);
    }

    /// Logs the changed metapage alone and unlocks it.
    pub fn commit(self, index: Index) {
        let mut record = WalRecord::begin(index);
        self.log(&mut record);
        record.commit();
    }
}
