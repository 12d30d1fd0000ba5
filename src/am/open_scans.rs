//! Which indexes this backend is reading at the moment.
//!
//! A writer asks the other backends' snapshots whether anybody may still read what it replaced
//! ([`crate::pg::horizon::is_before_snapshots_of_others`]); its own backend's scans, a cursor for instance, it finds here.

use std::cell::RefCell;

use crate::pg::index::{FileId, Index};

thread_local! {
    static OPEN: RefCell<Vec<FileId>> = const { RefCell::new(Vec::new()) };
}

/// Lives as long as something reads an index by a copy of its metapage.
#[must_use]
pub struct OpenScan(FileId);

impl OpenScan {
    /// To be made before the metapage is read.
    pub fn of(index: Index) -> Self {
        OPEN.with_borrow_mut(|open| open.push(index.file()));
        OpenScan(index.file())
    }
}

impl Drop for OpenScan {
    // Also while an error unwinds: nothing of Postgres is touched.
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| {
            if let Some(at) = open.iter().rposition(|file| *file == self.0) {
                open.swap_remove(at);
            }
        });
    }
}

/// Whether this backend is reading an index.
pub fn any(index: Index) -> bool {
    OPEN.with_borrow(|open| open.contains(&index.file()))
}
