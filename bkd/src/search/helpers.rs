//! Other threads that scan leaves while the caller's does.
//!
//! Only the caller's thread reads pages, for that may be a call to Postgres. It lends those of a leaf to a thread of the pool, which
//! compares the coarse codes, and has the vectors that these cannot rule out back, to compare their fine codes itself: of thousands,
//! a few. Meanwhile it scans leaves of its own. So tau is a few leaves behind, and a few vectors more reach the fine plane than
//! otherwise. An exact answer does not depend on that, but for the order of rows at the same distance.
//!
//! A scan of a leaf takes some microseconds, and to wake a thread takes longer. So this is for passes that visit many pages.

use std::hint::spin_loop;
use std::ops::Range;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::NonNull;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::contention::Contention;
use super::leaf::{LeafScan, Scanned, Wanted};
use super::stream::Stream;
use super::tasks::Tasks;
use super::view::View;
use super::waiting::Waiting;
use crate::kernels::Survivors;
use crate::layout::{PageKind, Payload};
use crate::{Error, PageRead, Result, Segment};

/// Leaves that are lent for each thread: one that it scans, and what is there when it is done, until the caller has scanned one, too.
const LENT: usize = 3;

/// If more than one vector in so many is left by coarse codes, it takes longer to compare these than to scan all.
const MANY: u64 = 16;

/// Pages of a part of a leaf that is lent as a whole, if runs are [cut](super::runs::cut) before.
pub(super) const PART: usize = 64;

/// Pages of a part that is too small to be lent.
const SMALL: usize = 3;

/// How long a thread is waited for without sleep, which takes longer to wake from than most tasks.
const PATIENCE: Duration = Duration::from_micros(50);

/// Threads that may help searches.
#[derive(Debug)]
pub struct HelpingThreads {
    pool: ThreadPool,
    /// Pages of coarse codes that a pass must visit to be worth it.
    pages: usize,
    contention: Arc<Contention>,
}

impl HelpingThreads {
    /// The threads of a pool, for passes over so many pages of coarse codes or more. With 0 they help with everything, be it worth it or
    /// not, which is for tests.
    pub fn new(pool: ThreadPool, pages: usize) -> Self {
        HelpingThreads { pool, pages, contention: Arc::default() }
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Whether they are to help with a pass over so many pages.
    fn help(&self, pages: usize) -> bool {
        pages >= self.pages && (self.always() || !self.contention.leaves_alone())
    }

    fn always(&self) -> bool {
        self.pages == 0
    }
}

/// Threads at work on pages of `S`.
pub(super) struct Helpers<'a, S: PageRead + 'a> {
    threads: &'a HelpingThreads,
    /// What is being scanned: the number of the task, and its pages, which stay where they are until it is back.
    lent: Vec<(u64, usize, S::Lent<'a>)>,
    /// How many pages these are.
    pages: usize,
    tasks: Arc<Tasks<Task>>,
    /// Number of the next task.
    next: u64,
    results: (Sender<Finished>, Receiver<Finished>),
    /// Whether [many](MANY) vectors were left lately.
    many_left: bool,
    /// Scratch space that no task uses.
    idle: Vec<LeafScan>,
}

/// What a thread found.
pub(super) struct Found {
    /// Vectors of a leaf that coarse codes could not rule out.
    pub waiting: Waiting,
    pub scanned: Scanned,
    /// By these they can be compared.
    pub view: View,
    pub scan: LeafScan,
}

struct Finished {
    task: u64,
    found: thread::Result<Result<Found>>,
}

impl<'a, S: PageRead> Helpers<'a, S> {
    /// For a pass over so many pages, if they are to help with that.
    pub(super) fn of(threads: &'a HelpingThreads, pages: usize) -> Option<Self> {
        threads.help(pages).then(|| Helpers {
            threads,
            lent: Vec::new(),
            pages: 0,
            tasks: Arc::new(Tasks::new(threads.contention.clone())),
            next: 0,
            results: channel(),
            many_left: true,
            idle: Vec::new(),
        })
    }

    /// Notes what a scan has left. As long as that is much, nothing is lent: each vector that is compared makes tau smaller, and a scan that
    /// does not know of it leaves several times as many.
    pub(super) fn note(&mut self, scanned: Scanned) {
        self.many_left = scanned.fine > scanned.coarse / MANY;
    }

    /// Has another thread scan the wanted vectors of a leaf, if one is about to be free and no more pages are lent than the store allows.
    /// Returns whether that is so. There must be a tau.
    pub(super) fn lend(
        &mut self,
        segment: &'a Arc<Segment>,
        store: &'a S,
        wanted: Wanted<'_>,
        waiting: Waiting,
        scan: &LeafScan,
        tau: f32,
    ) -> Result<bool> {
        let waits = self.many_left && !self.threads.always();
        if waits || self.lent.len() >= LENT * self.threads.count() {
            return Ok(false);
        }
        let leaf = waiting.leaf as usize;
        let mut pages = LentPages::of(segment, leaf);
        let needed: Vec<u32> = segment.pages_of(leaf, wanted.runs).flatten().collect();
        let is_small = needed.len() <= SMALL && !self.threads.always();
        if is_small || self.pages + needed.len() > store.lendable() {
            return Ok(false);
        }
        let mut at = needed.iter();
        let put = &mut |page: &Payload| pages.put(*at.next().expect("one for each"), page);
        let Some(lent) = store.lend(PageKind::Leaf, &needed, put)? else { return Ok(false) };
        let task = Task {
            number: self.next,
            results: self.results.0.clone(),
            segment: segment.clone(),
            pages,
            runs: wanted.runs.to_vec(),
            masks: wanted.masks.map(<[Survivors]>::to_vec),
            waiting,
            tau,
            scan: self.idle.pop().unwrap_or_else(|| scan.another()),
        };
        self.pages += needed.len();
        self.lent.push((self.next, needed.len(), lent));
        self.next += 1;
        self.tasks.add(task, &self.threads.pool, Task::report);
        Ok(true)
    }

    /// What a thread has found since, if one is done.
    pub(super) fn found(&mut self) -> Result<Option<Found>> {
        if self.lent.is_empty() {
            return Ok(None);
        }
        let Ok(finished) = self.results.1.try_recv() else { return Ok(None) };
        self.take_back(finished).map(Some)
    }

    /// The same of those that remain: what no thread has begun with is done here, the others are waited for. `None` if nothing is lent.
    pub(super) fn wait(&mut self) -> Result<Option<Found>> {
        if self.lent.is_empty() {
            return Ok(None);
        }
        if let Some(task) = self.tasks.take_back() {
            let _pages = self.returned(task.number);
            return task.run().map(Some);
        }
        let finished = self.finished();
        self.take_back(finished).map(Some)
    }

    /// Waits for a thread. As long as it probably takes, without going to sleep.
    fn finished(&self) -> Finished {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Ok(finished) = self.results.1.try_recv() {
                return finished;
            }
            spin_loop();
        }
        self.results.1.recv().expect("we hold a sender ourselves")
    }

    /// Scratch space that is not needed any more.
    pub(super) fn give_back(&mut self, scan: LeafScan) {
        self.idle.push(scan);
    }

    fn take_back(&mut self, finished: Finished) -> Result<Found> {
        drop(self.returned(finished.task));
        finished.found.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The pages of a task that no thread has any more, to be let go of.
    fn returned(&mut self, task: u64) -> S::Lent<'a> {
        let at = self.lent.iter().position(|(lent, ..)| *lent == task).expect("each task ends once");
        let (_, count, pages) = self.lent.swap_remove(at);
        self.pages -= count;
        pages
    }
}

impl<S: PageRead> Drop for Helpers<'_, S> {
    /// Waits until nobody reads a page any more. Only then they are let go of.
    fn drop(&mut self) {
        while let Some(task) = self.tasks.take_back() {
            self.returned(task.number);
        }
        self.tasks.end();
        while !self.lent.is_empty() {
            let finished = self.finished();
            self.returned(finished.task);
        }
    }
}

/// A scan of some vectors of a leaf.
struct Task {
    number: u64,
    /// Who wants to know.
    results: Sender<Finished>,
    segment: Arc<Segment>,
    pages: LentPages,
    runs: Vec<Range<u32>>,
    masks: Option<Vec<Survivors>>,
    waiting: Waiting,
    tau: f32,
    scan: LeafScan,
}

impl Task {
    /// Runs it on a thread that helps.
    fn report(self) {
        let (number, results) = (self.number, self.results.clone());
        let found = catch_unwind(AssertUnwindSafe(|| self.run()));
        // There is nobody to tell but the one who waits for it.
        let _ = results.send(Finished { task: number, found });
    }

    fn run(self) -> Result<Found> {
        let Task { segment, pages, runs, masks, mut waiting, tau, mut scan, .. } = self;
        let mut stream = Stream::new(&segment, &pages);
        let mut view = scan.open(&segment, &mut stream, waiting.source, waiting.leaf)?;
        let wanted = Wanted { runs: &runs, masks: masks.as_deref() };
        let none = |_, _| unreachable!("all records are waited for");
        let scanned = scan.scan(&segment, &mut stream, &mut view, wanted, &mut waiting, tau, none)?;
        Ok(Found { waiting, scanned, view, scan })
    }
}

/// Coarse pages of a leaf that were lent. Records have to be waited for.
struct LentPages {
    /// The leaf's first page.
    first: u32,
    pages: Vec<Option<NonNull<Payload>>>,
}

// SAFETY: whoever lends pages holds them until the task that has this ends (`Helpers`), and nobody changes a page meanwhile.
unsafe impl Send for LentPages {}

impl LentPages {
    /// Those of a leaf, none of which was lent yet.
    fn of(segment: &Segment, leaf: usize) -> Self {
        let range = segment.leaf_page_range(leaf);
        LentPages { first: range.start, pages: vec![None; range.len()] }
    }

    fn put(&mut self, sequence: u32, page: &Payload) {
        self.pages[(sequence - self.first) as usize] = Some(NonNull::from(page));
    }
}

impl PageRead for LentPages {
    type Page<'a> = &'a Payload;
    type Lent<'a> = ();

    fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        let at = sequence.checked_sub(self.first).map(|at| at as usize);
        match at.and_then(|at| *self.pages.get(at)?) {
            // SAFETY: as for `Send`.
            Some(page) if kind == PageKind::Leaf => Ok(unsafe { page.as_ref() }),
            _ => Err(Error::corrupt(format!("{kind:?} page {sequence} was not lent"))),
        }
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn address(&self, page: u32) -> Option<*const u8> {
        let at = page.checked_sub(self.first)? as usize;
        self.pages.get(at)?.map(|page| page.as_ptr().cast_const().cast())
    }

    fn prefetch(&self, _pages: Range<u32>) -> bool {
        true
    }
}
