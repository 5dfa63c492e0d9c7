//! Answers that come later: after a delay, or when the test lets them go. Owns the waiting; decides no answer.

use landfall_core::{Reply, Result};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Locks, whatever a panicking holder left behind: every change under our locks is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Slot {
    answer: Option<Result<Reply>>,
    open: bool,
    waker: Option<Waker>,
}

/// The end that lets an answer go.
#[derive(Debug)]
pub(crate) struct Gate(Arc<Mutex<Slot>>);

/// The end that waits for it.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Mutex<Slot>>);

/// An answer that waits for its gate to open.
pub(crate) fn hold(answer: Result<Reply>) -> (Gate, Waiting) {
    let slot = Arc::new(Mutex::new(Slot { answer: Some(answer), open: false, waker: None }));
    (Gate(Arc::clone(&slot)), Waiting(slot))
}

impl Gate {
    /// Lets the answer go.
    pub(crate) fn open(&self) {
        let waker = {
            let mut slot = lock(&self.0);
            slot.open = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether somebody still waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Lets the answer go after a while, at once if no thread can be had for that.
    pub(crate) fn open_after(self, delay: Duration) {
        let shared = Self(Arc::clone(&self.0));
        let timer = std::thread::Builder::new().name("landfall-mock-delay".to_owned()).spawn(move || {
            std::thread::sleep(delay);
            shared.open();
        });
        if timer.is_err() {
            self.open();
        }
    }
}

impl Future for Waiting {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.0);
        if let Some(answer) = slot.open.then(|| slot.answer.take()).flatten() {
            return Poll::Ready(answer);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
