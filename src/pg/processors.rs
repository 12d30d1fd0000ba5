//! On which processors threads run.
//!
//! Who wakes a thread is mostly about to be busy, and the thread should run elsewhere. But after a pause Linux may put it on the processor
//! of the one who woke it, though another sleeps, and with two processors takes some 30 ms to see that.

use std::sync::{Arc, Mutex, PoisonError};

/// Threads that are kept off the processor which they are woken from.
#[derive(Debug, Default)]
pub struct KeptOff {
    /// Their numbers in the system, as they have told them.
    threads: Arc<Mutex<Vec<i32>>>,
    /// The processor that so many of them were kept off last.
    last: Option<(i32, usize)>,
}

impl KeptOff {
    /// What a thread calls as it begins to be one of these.
    pub fn on_start(&self) -> impl Fn() + Send + Sync + 'static {
        let threads = self.threads.clone();
        move || {
            if let Some(thread) = system::this_thread() {
                threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            }
        }
    }

    /// Keeps them off the processor that the calling thread runs on, if there are others that it may run on.
    pub fn update(&mut self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = system::this_processor() else { return };
        let now = Some((own, threads.len()));
        if self.last != now {
            self.last = now;
            system::keep_off(own, &threads);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::mem::{size_of, zeroed};

    pub fn this_thread() -> Option<i32> {
        // SAFETY: always succeeds.
        Some(unsafe { libc::gettid() })
    }

    pub fn this_processor() -> Option<i32> {
        // SAFETY: no arguments.
        let processor = unsafe { libc::sched_getcpu() };
        (0..libc::CPU_SETSIZE).contains(&processor).then_some(processor)
    }

    /// Lets threads of this process run where the calling one may, but for one processor. If the system refuses, they stay where they are.
    pub fn keep_off(processor: i32, threads: &[i32]) {
        // SAFETY: sets of bits in memory of our own, with their size; the processor is below the size of a set. A thread that has ended is
        // an error that says so.
        unsafe {
            let mut allowed: libc::cpu_set_t = zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) != 0 {
                return;
            }
            libc::CPU_CLR(processor as usize, &mut allowed);
            if libc::CPU_COUNT(&allowed) > 0 {
                for &thread in threads {
                    libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &allowed);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn this_thread() -> Option<i32> {
        None
    }

    pub fn this_processor() -> Option<i32> {
        None
    }

    pub fn keep_off(_processor: i32, _threads: &[i32]) {}
}
