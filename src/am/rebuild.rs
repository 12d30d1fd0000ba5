//! Writing segments while the index is in use: what sealing and merging have in common.
//!
//! Owner numbers for the segments to come are reserved in the metapage first, so that nobody takes their pages for unused. The
//! segments are written from what is [pushed](Rebuild::push), one whenever the memory is full, and then put into the metapage by
//! the caller, in one change with what they replace. An error or a crash before that leaves pages that nothing leads to, and that
//! VACUUM finds.

use std::ops::Range;

use bkd::layout::meta::{Meta, SegmentEntry, Work};
use bkd::{Body, BuildOptions, Tid};

use super::batch::{batch_limit, Batch};
use super::options;
use super::space::PageSource;
use super::write::{write_segment, RecycleLogged};
use crate::pg::index::Index;

/// Segments that are being written.
pub struct Rebuild {
    index: Index,
    /// The metapage when the work began.
    meta: Meta,
    work: Work,
    batch: Batch,
    /// Owner numbers that were reserved and not yet used.
    owners: Range<u64>,
    written: Vec<SegmentEntry>,
}

impl Rebuild {
    /// Reserves owners in a metapage that the caller is about to log: for segments of so many vectors, at most, that will take the place
    /// of `replaced` segments and make `retiring` entries for what waits for its readers. `None` if the metapage has no room.
    pub fn reserve(
        meta: &mut Meta,
        work: Work,
        vectors: u64,
        replaced: usize,
        retiring: usize,
    ) -> Option<()> {
        let wanted = vectors.div_ceil(batch_limit(meta)).max(1);
        let owners = wanted.min(meta.room_for_segments(work, replaced) as u64) as u32;
        let fits = owners > 0 && meta.room_to_retire(work) >= retiring;
        fits.then(|| {
            meta.reserve(work, owners, retiring as u32);
        })
    }

    /// Starts to write what was reserved: so many vectors, at most.
    pub fn start(index: Index, meta: Meta, work: Work, vectors: u64) -> Self {
        let owners = meta.reserved[work as usize].owners();
        let mut batch = Batch::new(meta.space, meta.dims as usize, meta.columns as usize);
        batch.expect(vectors.min(batch_limit(&meta)) as usize);
        Rebuild { index, meta, work, batch, owners, written: Vec::new() }
    }

    /// Adds a value that may be up to `slack` away from the row's.
    pub fn push(&mut self, tid: Tid, keys: &[u64], body: Body<'_>, slack: f32) {
        self.batch.push(tid, keys, body, slack);
    }

    /// Writes a segment if the memory is full. To be called between pages, when none is held.
    pub fn write_if_full(&mut self) {
        // The last owner takes whatever there is.
        if self.batch.is_full(self.meta.segments.len()) && self.owners.end - self.owners.start > 1 {
            self.write();
        }
    }

    /// Writes what is left; returns all segments.
    pub fn finish(mut self) -> Vec<SegmentEntry> {
        if !self.batch.is_empty() {
            self.write();
        }
        self.written
    }

    fn write(&mut self) {
        let id = self.owners.next().expect("an owner was reserved for every batch");
        let mut writer = RecycleLogged { index: self.index, pages: PageSource::new(self.index, &self.meta) };
        let options = BuildOptions {
            leaf_size: options::leaf_size(self.index),
            // What is sealed waits for others of its size.
            short_lived: self.work == Work::Seal,
            ..BuildOptions::default()
        };
        self.written.push(write_segment(self.index, &mut writer, id, &self.batch, &options, &mut |_| ()));
        self.batch.clear();
    }
}
