//! Tasks of a few microseconds for the threads of a pool.
//!
//! To wake a thread takes as long as some of them: a call of the system, an interrupt of another processor, and on a virtual machine one of the
//! host. So a thread that finds no task stays awake for a moment, for the next is probably on its way.

use std::collections::VecDeque;
use std::hint::spin_loop;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::contention::Contention;

/// How long a thread looks for the next task before it goes to sleep.
const AWAKE: Duration = Duration::from_micros(50);

/// A queue of tasks. First come, first served.
pub(super) struct Tasks<T> {
    state: Mutex<State<T>>,
    /// Whether to look at the state may be worth it: there are tasks, or there will be no more of them.
    news: AtomicBool,
    contention: Arc<Contention>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Threads that are awake for this.
    awake: usize,
    over: bool,
}

impl<T: Send + 'static> Tasks<T> {
    /// None yet. What the threads see of others that want a processor is noted.
    pub(super) fn new(contention: Arc<Contention>) -> Self {
        let state = State { queue: VecDeque::new(), awake: 0, over: false };
        Tasks { state: Mutex::new(state), news: AtomicBool::new(false), contention }
    }

    /// Adds a task. One of the pool's threads will call `run` with it, unless it is taken back before. `run` must not panic.
    pub(super) fn add(self: &Arc<Self>, task: T, pool: &ThreadPool, run: fn(T)) {
        let mut state = self.state();
        state.queue.push_back(task);
        self.news.store(true, Release);
        if state.awake < pool.current_num_threads() {
            state.awake += 1;
            drop(state);
            let (tasks, called) = (self.clone(), Instant::now());
            pool.spawn(move || {
                tasks.contention.watch(called, || {
                    while let Some(task) = tasks.next() {
                        run(task);
                    }
                });
            });
        }
    }

    /// The task that was added last, if no thread has begun with it.
    pub(super) fn take_back(&self) -> Option<T> {
        self.take(VecDeque::pop_back)
    }

    /// Sends the threads to sleep. No task is left.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.news.store(true, Release);
    }

    /// The next task for a thread; `None` if it is to sleep.
    fn next(&self) -> Option<T> {
        let began = Instant::now();
        loop {
            let late = began.elapsed() > AWAKE;
            if late || self.news.load(Acquire) {
                if let Some(task) = self.take(VecDeque::pop_front) {
                    return Some(task);
                }
                let mut state = self.state();
                // One may have been added, in the belief that this thread sees to it.
                if (late || state.over) && state.queue.is_empty() {
                    state.awake -= 1;
                    return None;
                }
            }
            spin_loop();
        }
    }

    fn take(&self, which: fn(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        let task = which(&mut state.queue);
        self.news.store(state.over || !state.queue.is_empty(), Release);
        task
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics that holds it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, Sender};
    use std::thread::sleep;

    use rayon::ThreadPoolBuilder;

    use super::*;

    fn pool(threads: usize) -> ThreadPool {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn report((number, to): (u32, Sender<u32>)) {
        to.send(number).unwrap();
    }

    #[test]
    fn each_task_is_done_once() {
        let (threads, tasks) = (pool(2), Arc::new(Tasks::new(Arc::default())));
        let (sender, receiver) = channel();
        let mut done: Vec<u32> = Vec::new();
        for number in 0..5_000 {
            tasks.add((number, sender.clone()), &threads, report);
            if number % 7 == 0 {
                done.extend(tasks.take_back().map(|(number, _)| number));
            }
            if number % 1_000 == 0 {
                // Asleep, until the next.
                sleep(3 * AWAKE);
            }
        }
        while let Some((number, _)) = tasks.take_back() {
            done.push(number);
        }
        tasks.end();
        drop(sender);
        done.extend(receiver);
        done.sort_unstable();
        assert_eq!(done, (0..5_000).collect::<Vec<u32>>());
    }

    #[test]
    fn threads_go_to_sleep() {
        let (threads, tasks) = (pool(1), Arc::new(Tasks::new(Arc::default())));
        let (sender, receiver) = channel();
        tasks.add((1, sender.clone()), &threads, report);
        assert_eq!(receiver.recv(), Ok(1));
        // A thread that is awake for tasks does nothing else.
        let (another, reached) = channel();
        threads.spawn(move || another.send(()).unwrap());
        reached.recv().unwrap();
        assert_eq!(tasks.state().awake, 0);
        tasks.add((2, sender), &threads, report);
        assert_eq!(receiver.recv(), Ok(2));
        tasks.end();
        let (another, reached) = channel();
        threads.spawn(move || another.send(()).unwrap());
        reached.recv().unwrap();
        assert_eq!(tasks.state().awake, 0);
    }
}
