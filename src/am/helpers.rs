//! Threads that help scans of large indexes.
//!
//! A scan of millions of vectors takes milliseconds, and most of that is to compare coarse codes. Postgres' parallel workers are no way to
//! share it: each is a new process, which would take longer to start and to find the pages than the scan does. So threads of this backend
//! compare codes on pages that are pinned for them. How many there may be says the setting for parallel queries
//! (`max_parallel_workers_per_gather`); whether they are woken, the number of pages that a pass is about to visit.

use std::sync::Arc;

use bkd::{Query, Search, Segment, Tid};

use super::segments::SegmentPages;
use crate::pg::threads;

/// Pages of codes from which on it pays to wake threads: what is read in half a millisecond, about.
const WORTHWHILE: usize = 1024;

/// A search in segments and a delta, as [`Search::new`] begins it, which threads will help if the segments are large enough.
pub fn search(
    query: Query,
    segments: Vec<(Arc<Segment>, SegmentPages)>,
    delta: Vec<(f32, Tid)>,
) -> Search<SegmentPages> {
    let pages: usize = segments.iter().map(|(segment, _)| segment.leaf_pages().len()).sum();
    let mut search = Search::new(query, segments, delta);
    if pages >= WORTHWHILE {
        if let Some(threads) = threads::scan_threads(WORTHWHILE) {
            search.set_helpers(threads);
        }
    }
    search
}
