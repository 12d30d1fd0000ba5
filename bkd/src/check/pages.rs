//! Pages as such: whether they can be read, that what is not used of them is zero, and row addresses.

use std::ops::Range;

use super::{Full, Report};
use crate::layout::{tids, PageKind, Payload, CHUNK, PAGE_SIZE, PAYLOAD};
use crate::segment::RecordPlane;
use crate::{PageRead, Segment, Tid};

/// Reads the pages of one plane in order, each once.
pub(super) struct PlaneCheck<'a> {
    kind: PageKind,
    next: u32,
    /// The last page that could not be read.
    unreadable: Option<u32>,
    /// Bytes in use on a page.
    used: Box<dyn Fn(u32) -> usize + 'a>,
}

impl<'a> PlaneCheck<'a> {
    pub(super) fn of_leaves(segment: &'a Segment) -> Self {
        let bytes = segment.leaf_chunk(segment.leaves()) * CHUNK as u64;
        let used = move |page: u32| (bytes - u64::from(page) * PAYLOAD as u64).min(PAYLOAD as u64) as usize;
        Self::new(PageKind::Leaf, segment.leaf_pages(), used)
    }

    /// Of fine records and of whole codes, as far as there are any.
    pub(super) fn of_records(segment: &'a Segment) -> impl Iterator<Item = (Self, RecordPlane)> {
        let fine = segment.fine().map(|place| (PageKind::Fine, segment.fine_pages(), place));
        let whole = segment.whole().map(|place| (PageKind::Whole, segment.whole_pages(), place));
        fine.into_iter().chain(whole).map(move |(kind, pages, place)| {
            let (layout, first) = (place.layout, pages.start);
            let used = move |page: u32| {
                let before = (page - first) as usize * layout.per_page;
                (segment.vectors() as usize - before).min(layout.per_page) * layout.record
            };
            (Self::new(kind, pages, used), place)
        })
    }

    fn of_tids(segment: &'a Segment) -> Self {
        let used = |page| segment.tids_on(page) * Tid::SIZE;
        Self::new(PageKind::Tids, segment.tid_pages(), used)
    }

    fn new(kind: PageKind, pages: Range<u32>, used: impl Fn(u32) -> usize + 'a) -> Self {
        PlaneCheck { kind, next: pages.start, unreadable: None, used: Box::new(used) }
    }

    /// Reads the next page, if it can be read.
    fn read<'s, S: PageRead>(
        &mut self,
        store: &'s S,
        report: &mut Report<'_>,
    ) -> Result<Option<S::Page<'s>>, Full> {
        let sequence = self.next;
        self.next += 1;
        match store.page(self.kind, sequence) {
            Ok(page) => {
                if page[(self.used)(sequence)..].iter().any(|&byte| byte != 0) {
                    report.add(Some(sequence), "what the page does not use is not zero")?;
                }
                Ok(Some(page))
            }
            Err(error) => {
                self.unreadable = Some(sequence);
                report.add(Some(sequence), error.to_string())?;
                Ok(None)
            }
        }
    }

    /// Reads up to the last of these pages, the first of which may have been read before. Says whether all of them can be read.
    pub(super) fn read_until<S: PageRead>(
        &mut self,
        pages: Range<u32>,
        store: &S,
        check: &mut dyn FnMut(),
        report: &mut Report<'_>,
    ) -> Result<bool, Full> {
        while self.next < pages.end {
            check();
            self.read(store, report)?;
        }
        Ok(self.unreadable.is_none_or(|page| page < pages.start))
    }
}

/// Row addresses are those of rows, or of none.
pub(crate) fn check_tids<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    report: &mut Report<'_>,
) -> Result<(), Full> {
    let mut plane = PlaneCheck::of_tids(segment);
    for sequence in segment.tid_pages() {
        check();
        let page = plane.read(store, report)?;
        let Some((tid, count)) = page.and_then(|page| first_impossible(&page, segment.tids_on(sequence)))
        else {
            continue;
        };
        let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let (block, offset) = (tid.block, tid.offset);
        report.add(Some(sequence), format!("row address ({block},{offset}){others} cannot be one"))?;
    }
    Ok(())
}

/// Line pointers in a heap page, at most, with room for what other table access methods do.
const MAX_OFFSET: u16 = (PAGE_SIZE / 4) as u16;

fn first_impossible(page: &Payload, count: usize) -> Option<(Tid, usize)> {
    let possible = |tid: &Tid| match tid.is_dead() {
        true => *tid == Tid::DEAD,
        false => tid.block != u32::MAX && tid.offset <= MAX_OFFSET,
    };
    let mut impossible = (0..count).map(|slot| tids::get(page, slot)).filter(|tid| !possible(tid));
    impossible.next().map(|first| (first, 1 + impossible.count()))
}
