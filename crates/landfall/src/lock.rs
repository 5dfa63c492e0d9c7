//! The lock around the engine, and which threads are inside of functions of the program's.
//!
//! Owns one rule: nothing waits for itself. A thread that holds the lock and calls the data source again, from a filter, say,
//! is told so instead of waiting; so is one that would wait for an operation inside of a handler. Never knows what is locked.

use landfall_core::{Error, ErrorKind, Result, late::Scope};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The number of the thread that runs; no two threads of a process have the same, none has 0.
fn here() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static HERE: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    HERE.with(|number| *number)
}

/// Which threads may be inside of functions of the program's.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// The thread that holds the lock; 0 when none does. Only a thread itself ever writes its number, so what it reads of
    /// itself is true however the others are seen.
    holder: AtomicU64,
    /// The threads that run handlers of events, once for each event.
    handling: Mutex<Vec<u64>>,
}

impl Inside {
    /// Whether this thread holds the lock: it runs a function that the data source has called in the middle of something.
    pub(crate) fn holds(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == here()
    }

    fn handling(&self) -> MutexGuard<'_, Vec<u64>> {
        self.handling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the guard goes, this thread runs handlers.
    pub(crate) fn handle(&self) -> Handling<'_> {
        self.handling().push(here());
        Handling(self)
    }

    /// An error where this thread is inside of a function that the data source has called.
    pub(crate) fn check_call(&self) -> Result<()> {
        if self.holds() { Err(Error::new(ErrorKind::Callback, CALLED)) } else { Ok(()) }
    }

    /// An error where this thread would wait for itself.
    pub(crate) fn check_wait(&self) -> Result<()> {
        self.check_call()?;
        let here = here();
        if self.handling().contains(&here) {
            let words = "a handler of the data source's events cannot wait for it; what was started goes on";
            return Err(Error::new(ErrorKind::Callback, words).during("wait"));
        }
        Ok(())
    }
}

const CALLED: &str = "the data source was called from a function that it was running, such as a filter or a parser; \
    call it from a handler, a task or another thread";

/// This thread runs handlers.
pub(crate) struct Handling<'a>(&'a Inside);

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        let here = here();
        let mut handling = self.0.handling();
        if let Some(last) = handling.iter().rposition(|thread| *thread == here) {
            handling.remove(last);
        }
    }
}

/// A value that one thread at a time may use.
pub(crate) struct Lock<T> {
    value: Mutex<T>,
    inside: Arc<Inside>,
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), inside: Arc::default() }
    }

    pub(crate) fn inside(&self) -> &Arc<Inside> {
        &self.inside
    }

    /// Waits until no other thread uses the value. A panic while one did is no reason to refuse: functions of the program's
    /// are called where nothing is half done.
    ///
    /// # Errors
    /// `Callback` where this thread uses it already.
    pub(crate) fn lock(&self) -> Result<Locked<'_, T>> {
        self.inside.check_call()?;
        Ok(self.held(self.value.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The value, if nobody uses it.
    pub(crate) fn if_free(&self) -> Option<Locked<'_, T>> {
        match self.value.try_lock() {
            Ok(value) => Some(self.held(value)),
            Err(std::sync::TryLockError::Poisoned(value)) => Some(self.held(value.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    fn held<'a>(&'a self, value: MutexGuard<'a, T>) -> Locked<'a, T> {
        self.inside.holder.store(here(), Ordering::Relaxed);
        Locked { value, inside: &self.inside, _late: Scope::enter() }
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("inside", &self.inside).finish_non_exhaustive()
    }
}

/// The value, while this thread alone uses it.
pub(crate) struct Locked<'a, T> {
    // Fields go in this order: what was dropped late goes when nothing is locked any more.
    value: MutexGuard<'a, T>,
    inside: &'a Inside,
    _late: Scope,
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // Before the mutex is given back: fields go after this.
        self.inside.holder.store(0, Ordering::Relaxed);
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_it_is_told_and_others_wait() {
        let lock = Lock::new(0);
        let mut held = lock.lock().unwrap();
        *held += 1;
        assert_eq!(lock.lock().err().map(|error| error.kind().clone()), Some(ErrorKind::Callback));
        assert!(lock.inside().holds() && lock.if_free().is_none());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert!(!lock.inside().holds());
                *lock.lock().unwrap() += 1;
            });
            drop(held);
            other.join().unwrap();
        });
        assert_eq!(*lock.lock().unwrap(), 2);
        assert!(!lock.inside().holds());
    }

    #[test]
    fn a_panic_gives_it_back() {
        let lock = Lock::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = lock.lock().unwrap();
            std::panic::resume_unwind(Box::new("meant"));
        }));
        assert!(panicked.is_err() && !lock.inside().holds());
        assert_eq!(*lock.lock().unwrap(), 1);
        assert_eq!(*lock.if_free().unwrap(), 1);
    }

    #[test]
    fn nothing_waits_in_a_handler_of_this_thread() {
        let inside = Inside::default();
        inside.check_wait().unwrap();
        let outer = inside.handle();
        drop(inside.handle());
        assert_eq!(inside.check_wait().unwrap_err().kind(), &ErrorKind::Callback);
        std::thread::scope(|scope| scope.spawn(|| inside.check_wait().unwrap()).join().unwrap());
        drop(outer);
        inside.check_wait().unwrap();
    }
}
