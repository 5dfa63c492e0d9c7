//! Functions of the program's that are dropped when nothing is locked any more.
//!
//! Owns the putting off. What a filter or an order holds is the program's: it may call the data source as it goes, which must
//! not happen while that is locked, in the middle of whatever replaced the filter. Never decides when something is locked: who
//! holds a lock says so by a [`Scope`].

use std::{
    any::Any,
    cell::{Cell, RefCell},
    marker::PhantomData,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, functions that go on this thread wait for its end. To be dropped after the lock is given back.
#[derive(Debug)]
pub struct Scope {
    of_this_thread: PhantomData<*const ()>,
}

impl Scope {
    /// From now on.
    #[must_use]
    pub fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self { of_this_thread: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        // One by one: each may lock something and drop more.
        while DEPTH.get() == 0 {
            let next = WAITING.try_with(|waiting| waiting.borrow_mut().pop());
            let Ok(Some(next)) = next else { return };
            // One that panics must not keep the others.
            drop(catch_unwind(AssertUnwindSafe(|| drop(next))));
        }
    }
}

/// A function that is dropped late.
pub(crate) struct Late<F: 'static>(Option<F>);

impl<F: 'static> Late<F> {
    pub(crate) fn new(function: F) -> Self {
        Self(Some(function))
    }
}

impl<F: 'static> Deref for Late<F> {
    type Target = F;
    #[expect(clippy::expect_used, reason = "only drop() takes it out")]
    fn deref(&self) -> &F {
        self.0.as_ref().expect("present until dropped")
    }
}

impl<F: 'static> Drop for Late<F> {
    fn drop(&mut self) {
        let Some(function) = self.0.take() else { return };
        if DEPTH.get() == 0 {
            return;
        }
        let function: Box<dyn Any> = Box::new(function);
        // At the end of a thread there is no list any more: then it goes at once.
        let _at_once = WAITING.try_with(move |waiting| waiting.borrow_mut().push(function)).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    #[test]
    fn functions_go_when_the_last_scope_ends() {
        let alive = Arc::new(AtomicU32::new(0));
        let made = || {
            let alive = Arc::clone(&alive);
            Late::new(move || alive.load(Ordering::Relaxed))
        };
        let held = || Arc::strong_count(&alive) - 1;
        drop(made());
        assert_eq!(held(), 0);
        let outer = Scope::enter();
        let inner = Scope::enter();
        let function = made();
        assert_eq!((*function)(), 0);
        drop((function, made()));
        drop(inner);
        assert_eq!(held(), 2);
        drop(outer);
        assert_eq!(held(), 0);
    }
}
