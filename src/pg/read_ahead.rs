//! Having the system read a part of a relation's file into its page cache while something else is done.
//!
//! Postgres asks for a block at a time (`PrefetchBuffer`), which for a megabyte takes longer than to read it. So the file is opened here: by its
//! path, as Postgres does, for a moment, so that nothing remains open after an error.

use std::ops::Range;

use super::index::Index;

/// Lets the system read blocks of the main fork. Only a hint: if it cannot be given, nothing happens.
#[cfg(target_os = "linux")]
pub fn read_ahead(index: Index, blocks: Range<u32>) {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use bkd::layout::PAGE_SIZE;
    use pgrx::pg_sys;

    use super::versions;

    /// Of larger requests Linux leaves out what goes beyond the read-ahead of the device.
    const AT_ONCE: u32 = (256 << 10) / PAGE_SIZE as u32;
    const BLOCKS_OF_FILE: u32 = pg_sys::RELSEG_SIZE;

    let Some(path) = versions::path(index.file_locator()) else { return };
    let mut first = blocks.start;
    while first < blocks.end {
        let number = first / BLOCKS_OF_FILE;
        let end = blocks.end.min((number + 1).saturating_mul(BLOCKS_OF_FILE));
        let opened = if number == 0 { File::open(&path) } else { File::open(format!("{path}.{number}")) };
        let Ok(file) = opened else { return };
        for start in (first..end).step_by(AT_ONCE as usize) {
            let count = (end - start).min(AT_ONCE) as usize * PAGE_SIZE;
            let offset = (start - number * BLOCKS_OF_FILE) as usize * PAGE_SIZE;
            // SAFETY: the descriptor is open; the call looks at no memory of ours.
            unsafe {
                libc::posix_fadvise(file.as_raw_fd(), offset as _, count as _, libc::POSIX_FADV_WILLNEED);
            }
        }
        first = end;
    }
}

/// Lets the system read blocks of the main fork, where that is known how.
#[cfg(not(target_os = "linux"))]
pub fn read_ahead(_index: Index, _blocks: Range<u32>) {}
