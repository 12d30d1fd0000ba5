//! Does a segment say what its builder meant? Everything that bounds rest on is looked at, from the pages alone
//! ([`check_segment`]) and against the rows ([`RowCheck`]).
//!
//! Pages have checksums, so this is the second line: it also finds what was wrong before the page was written. It must never
//! accuse an honest segment, so comparisons allow for all rounding; and it reports pages that cannot be read and goes on.
//!
//! A segment does not hold its vectors. What can be known is that a vector lies within its residual of what its codes
//! decode to; so claims about the vector (boxes, norms, distances from the axes' center) are compared with that ball.

pub(crate) mod attributes;
mod geometry;
mod leaf;
mod pages;
mod row;

use leaf::LeafCheck;
pub(crate) use pages::check_tids;
use pages::PlaneCheck;
pub use row::RowCheck;

use crate::{packed, PageRead, Segment};

/// Something that is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The page of the segment where it shows; `None` if that is the directory.
    pub sequence: Option<u32>,
    /// What is wrong.
    pub problem: String,
}

/// A segment with more problems than this is given up. A damaged directory may claim any number of pages.
const MAX_FINDINGS: usize = 1000;

/// Reads every page of a segment and calls `report` for whatever is not as [`crate::build()`] writes it; never if all is.
///
/// `check` is called now and then, with no page held.
pub fn check_segment<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    report: &mut dyn FnMut(Finding),
) {
    let mut report = Report { to: report, left: MAX_FINDINGS };
    // The report is full: nothing else to be done about it.
    let _ = check_all(segment, store, check, &mut report);
}

fn check_all<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    report: &mut Report<'_>,
) -> Result<(), Full> {
    store.expect(vec![segment.leaf_pages()]);
    if let Some(layout) = segment.packed() {
        return packed::check::check(segment, layout, store, check, report);
    }
    geometry::check_axes(segment, report)?;
    let mut coarse = PlaneCheck::of_leaves(segment);
    let mut records: Vec<_> = PlaneCheck::of_records(segment).collect();
    let mut leaves = LeafCheck::new(segment);
    for leaf in 0..segment.leaves() {
        check();
        // Each page is read on its own before it is decoded, so that every page that cannot be read is named, once.
        let vectors = segment.leaf_vectors(leaf);
        let mut readable = coarse.read_until(segment.leaf_page_range(leaf), store, check, report)?;
        for (plane, place) in &mut records {
            readable &= plane.read_until(place.pages_of(&vectors), store, check, report)?;
        }
        if readable {
            leaves.check(segment, store, leaf, report)?;
        } else {
            leaves.skip();
        }
    }
    leaves.finish(segment, report)?;
    check_tids(segment, store, check, report)?;
    attributes::check(segment, store, check, report)
}

/// Where findings go, as long as there are not too many.
pub(crate) struct Report<'a> {
    to: &'a mut dyn FnMut(Finding),
    left: usize,
}

/// There were too many findings.
pub(crate) struct Full;

impl Report<'_> {
    pub(crate) fn add(&mut self, sequence: Option<u32>, problem: impl Into<String>) -> Result<(), Full> {
        if self.left == 0 {
            (self.to)(Finding { sequence: None, problem: "segment has more problems than these".into() });
            return Err(Full);
        }
        self.left -= 1;
        (self.to)(Finding { sequence, problem: problem.into() });
        Ok(())
    }
}
