//! Where a pass is going to read, so that pages are on their way from the disk before they are needed.

use std::ops::Range;
use std::sync::Arc;

use super::rank::RankedLeaf;
use crate::{PageRead, Segment};

/// Pages between two others that are better read than left out.
const SMALL_GAP: u32 = 2;

/// Pages of the coarse streams of all segments, of each in ascending order.
pub(crate) struct Route(Vec<Vec<Range<u32>>>);

impl Route {
    /// Through so many segments, and no pages yet.
    pub(crate) fn new(segments: usize) -> Self {
        Route(vec![Vec::new(); segments])
    }

    /// Adds pages of a segment that come after all others of it, or together with the last.
    pub(crate) fn push(&mut self, source: u32, pages: Range<u32>) {
        let route = &mut self.0[source as usize];
        match route.last_mut() {
            Some(last) if pages.start <= last.end + SMALL_GAP => last.end = last.end.max(pages.end),
            _ => route.push(pages),
        }
    }

    /// Adds whole leaves, as they lie.
    pub(super) fn push_leaves<'l, S>(
        &mut self,
        segments: &[(Arc<Segment>, S)],
        leaves: impl IntoIterator<Item = &'l RankedLeaf>,
    ) {
        for leaf in leaves {
            let segment = &segments[leaf.source as usize].0;
            self.push(leaf.source, segment.leaf_page_range(leaf.leaf as usize));
        }
    }

    /// Tells those who read.
    pub(crate) fn announce<S: PageRead>(self, segments: &[(Arc<Segment>, S)]) {
        for ((_, store), pages) in segments.iter().zip(self.0) {
            store.expect(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        let mut route = Route::new(2);
        for (source, pages) in
            [(0, 3..5), (0, 4..6), (0, 8..9), (0, 12..13), (1, 2..3), (1, 1..2), (1, 9..10)]
        {
            route.push(source, pages);
        }
        assert_eq!(route.0, [vec![3..9, 12..13], vec![2..3, 9..10]]);
    }
}
