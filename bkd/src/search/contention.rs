//! Whether the processors have time for threads that help.
//!
//! A thread that helps never sleeps before its work is over. So if more time passes than it has had of a processor, others wanted that, too: then
//! it would hold up at least one of them, be it another query, and threads are left alone for a while.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::{Duration, Instant};

/// The processor is wanted by others if a thread is without it for more than this share of its time,
const LOST: f64 = 0.15;
/// twice in a row. Then for so many passes nobody is asked for help.
const REST: u32 = 64;

/// It is no loss that to wake up takes some time.
const WAKING: Duration = Duration::from_micros(200);

/// What threads have seen of the processors.
#[derive(Debug, Default)]
pub(super) struct Contention {
    /// Passes for which they are still left alone.
    rest: AtomicU32,
    /// Whether the last of them lost time.
    was_seen: AtomicBool,
}

impl Contention {
    /// Whether threads are left alone in a pass, which is counted.
    pub(super) fn leaves_alone(&self) -> bool {
        self.rest.fetch_update(Relaxed, Relaxed, |rest| rest.checked_sub(1)).is_ok()
    }

    /// Calls `work` on a thread that was called for it at `called`.
    pub(super) fn watch(&self, called: Instant, work: impl FnOnce()) {
        let (began, before) = (Instant::now(), processor_time());
        work();
        let took = began.elapsed();
        let had = processor_time().zip(before).map_or(took, |(now, before)| now.saturating_sub(before));
        let late = began.duration_since(called).saturating_sub(WAKING);
        self.note(late + took, had);
    }

    /// Notes that a thread had a processor for some of its time.
    fn note(&self, took: Duration, had: Duration) {
        let is_seen = had.as_secs_f64() < (1.0 - LOST) * took.as_secs_f64();
        if self.was_seen.swap(is_seen, Relaxed) && is_seen {
            self.rest.store(REST, Relaxed);
        }
    }
}

/// How long the thread had a processor, if the system says so.
#[cfg(target_os = "linux")]
fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to memory of our own.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    (!failed).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn threads_rest_when_time_was_lost_twice() {
        let contention = Contention::default();
        let lost = |contention: &Contention| contention.note(MILLISECOND, MILLISECOND / 2);
        lost(&contention);
        assert!(!contention.leaves_alone());
        contention.note(MILLISECOND, MILLISECOND);
        lost(&contention);
        assert!(!contention.leaves_alone());
        lost(&contention);
        assert!((0..REST).all(|_| contention.leaves_alone()));
        assert!(!contention.leaves_alone());
        // Again, after one more.
        lost(&contention);
        assert!(contention.leaves_alone());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_has_no_processor_loses_time() {
        let contention = Contention::default();
        for _ in 0..2 {
            assert!(!contention.leaves_alone());
            contention.watch(Instant::now(), || sleep(20 * MILLISECOND));
        }
        assert!(contention.leaves_alone());
    }
}
