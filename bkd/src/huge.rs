//! Large arrays on huge pages of memory.

/// Smaller arrays are not worth it.
const WORTHWHILE: usize = 4 << 20;
/// The size of a huge page, where there are such.
const HUGE_PAGE: usize = 2 << 20;

/// Asks the system to put a large array that is about to be filled on huge pages of memory, as far as it has room: a fault for every 4 kB takes
/// longer than to fill them. What is touched beyond the elements is the rest of a huge page at most.
pub fn use_huge_pages<T>(array: &mut Vec<T>) {
    let start = array.as_mut_ptr();
    let bytes = array.capacity() * size_of::<T>();
    let end = (start as usize + bytes) / HUGE_PAGE * HUGE_PAGE;
    let first = (start as usize).next_multiple_of(HUGE_PAGE);
    if bytes >= WORTHWHILE && first < end {
        advise(start.cast::<u8>().wrapping_add(first - start as usize), end - first);
    }
}

#[cfg(target_os = "linux")]
fn advise(start: *mut u8, bytes: usize) {
    // SAFETY: whole pages within an allocation of ours. The advice does not change what is in them; the system may ignore it.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_start: *mut u8, _bytes: usize) {}
