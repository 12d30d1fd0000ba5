//! Having the processor fetch memory before it is read.
//!
//! Its own prefetching follows a stream from page to page as long as pages lie one behind the other, faster than any instruction could.
//! It does not know where to go when a stream ends. To fetch the first lines of what comes then is not much better: a core waits for at
//! most some twenty lines at once, whoever asked for them. But lines may be on their way to the second-level cache while it computes,
//! if they are asked for at the pace at which others are used up: so the kernels do that, line for line.

use crate::layout::CHUNK;

/// Memory that is going to be read next. Nothing is read by this: it may be gone meanwhile.
#[derive(Clone, Copy)]
pub struct Ahead {
    next: *const u8,
    lines: usize,
}

impl Ahead {
    /// Nothing.
    pub const NONE: Ahead = Ahead { next: std::ptr::null(), lines: 0 };

    /// So many lines of 64 bytes from an address on.
    pub fn new(next: *const u8, lines: usize) -> Self {
        Ahead { next, lines }
    }

    /// All lines that so many bytes from an address on touch.
    pub fn of(address: *const u8, bytes: usize) -> Self {
        let first = address.wrapping_sub(address as usize % CHUNK);
        Ahead::new(first, (address as usize % CHUNK + bytes).div_ceil(CHUNK))
    }

    /// Asks for all of them.
    pub fn fetch_all(mut self) {
        self.fetch(self.lines);
    }

    /// Asks for as many lines as were just used, as long as there are some.
    #[inline(always)]
    pub(super) fn fetch(&mut self, lines: usize) {
        for _ in 0..lines.min(self.lines) {
            prefetch(self.next);
            self.next = self.next.wrapping_add(CHUNK);
            self.lines -= 1;
        }
    }
}

/// Has a line fetched to the second-level cache.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
        // SAFETY: to fetch a line reads nothing, and does nothing if there is no such memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
    // Elsewhere there is no such function in stable Rust.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
