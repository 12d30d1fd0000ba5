//! Work on threads beside the backend's own; and, where it is not worth threads, the same work on this one.
//!
//! Postgres knows nothing of threads. Three rules keep it safe: worker threads see plain memory only and never call
//! Postgres; every signal is blocked on them, so that handlers run on the main thread; their work is done before the
//! call that asked for it returns. Those of a build end then, too. Those that help scans sleep until the next one, for a scan of
//! a few milliseconds is too short to start them.

use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ScopedJoinHandle, ThreadId};
use std::time::Duration;

use bkd::layout::{PageKind, Payload};
use bkd::{HelpingThreads, PageSink};
use pgrx::{pg_sys, PgSqlErrorCode};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::interrupts::check_for_interrupts;
use super::processors::KeptOff;
use crate::types::error::raise;

/// How long the main thread sleeps at most before it looks whether the query was cancelled.
const POLL: Duration = Duration::from_millis(10);

/// Messages that may wait for the main thread.
const BACKLOG: usize = 4;

/// Bytes from which on a block is large.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BLOCK: i32 = 1 << 20;

/// Threads that help the scans of this backend.
static SCAN_THREADS: Mutex<Option<(Arc<HelpingThreads>, KeptOff)>> = Mutex::new(None);

/// Threads for scans of so many pages or more beside the backend's own, as many as a parallel query may have workers; `None` if there are to be none, or they cannot
/// be started. A parallel worker has none: the query has its share already.
pub fn scan_threads(pages: usize) -> Option<Arc<HelpingThreads>> {
    // SAFETY: settings, and what this process is.
    let (per_gather, in_all, worker) = unsafe {
        (pg_sys::max_parallel_workers_per_gather, pg_sys::max_parallel_workers, pg_sys::ParallelWorkerNumber)
    };
    let threads = (per_gather.min(in_all).max(0) as usize).min(cores() - 1);
    if threads == 0 || worker >= 0 {
        return None;
    }
    let mut known = SCAN_THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if known.as_ref().is_none_or(|(known, _)| known.count() != threads) {
        // Those that there are, if any, end.
        *known = with_signals_blocked(|| {
            let name = |number| format!("kdtree scan {number}");
            let kept_off = KeptOff::default();
            let on_start = kept_off.on_start();
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(name)
                .start_handler(move |_| on_start())
                .build();
            pool.ok().map(|pool| (Arc::new(HelpingThreads::new(pool, pages)), kept_off))
        });
    }
    let (threads, kept_off) = known.as_mut()?;
    kept_off.update();
    Some(threads.clone())
}

/// How many threads the system lets run at once. Asked for once: for the answer, files are read.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get()))
}

/// How many threads a maintenance command may use.
pub fn maintenance_threads() -> usize {
    most_maintenance_threads().min(cores())
}

/// The same on a machine of many cores. Costs nothing to ask.
pub fn most_maintenance_threads() -> usize {
    // SAFETY: a setting of this backend, read on its main thread.
    let helpers = unsafe { pg_sys::max_parallel_maintenance_workers }.max(0) as usize;
    helpers + 1
}

/// Runs `work` in a pool of `threads` threads, while the calling thread receives what it sends.
///
/// If `receive` (or an interrupt) raises an error, `cancel` is called so that `work` ends soon, and the error goes on when it
/// has. Sending fails from then on.
pub fn run<M: Send, T: Send>(
    threads: usize,
    cancel: impl Fn(),
    work: impl FnOnce(SyncSender<M>) -> T + Send,
    mut receive: impl FnMut(M),
) -> T {
    release_large_blocks();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BACKLOG);
        // Dropped before the scope waits for the thread, with the receiver or after it: both end the work.
        let guard = CallOnUnwind(&cancel);
        let worker = spawn_without_signals(scope, move || in_pool(threads, || work(sender)));
        serve(receiver, &mut receive);
        drop(guard);
        match worker.join() {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => raise_start(&error),
            Err(panic) => raise(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!("a thread of an index build failed: {}", panic_message(&*panic)),
            ),
        }
    })
}

/// Runs `work` on this thread, which takes for itself what `work` offers to other threads. `sink` may call Postgres.
///
/// Starting threads and waiting for them took a third of the time of an insert, over the small segments that inserts make.
pub fn run_here<T>(sink: impl PageSink, work: impl FnOnce(&mut (dyn PageSink + Send)) -> T) -> T {
    static POOL: OnceLock<Result<ThreadPool, rayon::ThreadPoolBuildError>> = OnceLock::new();
    // From then on this thread, the backend's only one that gets here, is a pool of its own.
    if let Err(error) =
        POOL.get_or_init(|| ThreadPoolBuilder::new().num_threads(1).use_current_thread().build())
    {
        raise_start(error)
    }
    work(&mut OnThisThread { sink, thread: thread::current().id() })
}

/// A sink that must stay on the thread which made it.
struct OnThisThread<S> {
    sink: S,
    thread: ThreadId,
}

// SAFETY: the sink is used on its own thread only. ([`run_here`] drops it there too: it only lends it to others.)
unsafe impl<S> Send for OnThisThread<S> {}

impl<S: PageSink> PageSink for OnThisThread<S> {
    fn append(&mut self, kind: PageKind, payload: &Payload, used: usize) -> bkd::Result<()> {
        assert_eq!(thread::current().id(), self.thread);
        self.sink.append(kind, payload, used)
    }
}

/// Receives until all senders are gone.
fn serve<M>(receiver: Receiver<M>, receive: &mut impl FnMut(M)) {
    loop {
        match receiver.recv_timeout(POLL) {
            Ok(message) => receive(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        check_for_interrupts();
    }
}

/// Runs `work` in a pool of its own, whose threads have nothing left to do on return.
fn in_pool<T: Send>(
    threads: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, rayon::ThreadPoolBuildError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_scoped(|thread| thread.run(), |pool| pool.install(work))
}

/// Makes sure that large blocks go back to the system when they are freed. Every thread allocates in a place of its own, and the
/// C library soon keeps there blocks of up to 32 MB, which the next threads may not find.
fn release_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a limit, which nobody else sets.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK);
    }
}

/// Gives freed memory back to the system when it is dropped, after an error too.
pub struct ReleaseFreedMemory;

impl Drop for ReleaseFreedMemory {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: touches free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Starts a thread with all signals blocked. So are those that it starts.
fn spawn_without_signals<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let start = || thread::Builder::new().name("kdtree build".into()).spawn_scoped(scope, work);
    match with_signals_blocked(start) {
        Ok(handle) => handle,
        Err(error) => raise_start(&error),
    }
}

/// Calls `start`, which starts threads: they inherit the mask. It must not call Postgres.
fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: plain libc calls on initialised signal sets; the mask is restored before anything else happens.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let started = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        started
    }
}

fn raise_start(error: &dyn std::error::Error) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        format!("could not start threads for an index build: {error}"),
    )
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown panic")
}

struct CallOnUnwind<'a, F: Fn()>(&'a F);

impl<F: Fn()> Drop for CallOnUnwind<'_, F> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)();
        }
    }
}
