//! Which of several tables of functions, one for each instruction set, is in use.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The name of an instruction set and its table.
pub type Available<T> = (&'static str, &'static T);

/// A choice that holds for the process.
pub struct Dispatch<T: 'static> {
    /// The table in use; null until it is asked for.
    chosen: AtomicPtr<T>,
    /// The tables that this CPU can run, best last.
    available: fn() -> Vec<Available<T>>,
}

impl<T: Sync> Dispatch<T> {
    pub const fn new(available: fn() -> Vec<Available<T>>) -> Dispatch<T> {
        Dispatch { chosen: AtomicPtr::new(ptr::null_mut()), available }
    }

    /// The table in use: the best one, unless another was chosen.
    #[inline]
    pub fn get(&self) -> &'static T {
        let chosen = self.chosen.load(Ordering::Relaxed);
        // SAFETY: what is not null came from a static, which was there before the program started.
        unsafe { chosen.as_ref() }.unwrap_or_else(|| self.choose_best())
    }

    #[cold]
    fn choose_best(&self) -> &'static T {
        let (_, best) = *(self.available)().last().expect("portable kernels are everywhere");
        self.set(best);
        best
    }

    /// The instruction sets that this CPU can run, best last.
    pub fn names(&self) -> Vec<&'static str> {
        (self.available)().into_iter().map(|(name, _)| name).collect()
    }

    /// Uses the table of this instruction set from now on. Returns false, and changes nothing, if there is none.
    pub fn choose(&self, name: &str) -> bool {
        let found = (self.available)().into_iter().find(|&(candidate, _)| candidate == name);
        found.inspect(|&(_, table)| self.set(table)).is_some()
    }

    fn set(&self, table: &'static T) {
        self.chosen.store(ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
    }
}
