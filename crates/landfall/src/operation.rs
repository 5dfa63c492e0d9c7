//! Promises: what a call that was started will give.

use landfall_core::{Error, ErrorKind, Result, Settled, SyncReport};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// Work that **has started already**. Await it to learn how it went; dropping it does not stop the work (G9).
pub struct Operation<T> {
    receiver: Option<oneshot::Receiver<Result<Settled>>>,
    ready: Option<Result<T>>,
    read: fn(Settled) -> T,
}

// Nothing in it is ever pinned.
impl<T> Unpin for Operation<T> {}

impl<T> Operation<T> {
    pub(crate) fn new(receiver: oneshot::Receiver<Result<Settled>>, read: fn(Settled) -> T) -> Self {
        Self { receiver: Some(receiver), ready: None, read }
    }

    pub(crate) fn failed(error: Error, read: fn(Settled) -> T) -> Self {
        Self { receiver: None, ready: Some(Err(error)), read }
    }

    fn gone() -> Error {
        Error::new(ErrorKind::Closed, "the data source or its runtime is gone")
    }

    /// Waits on this thread, without a runtime. Not for use inside an async context.
    ///
    /// # Errors
    /// Those of the operation.
    ///
    /// # Panics
    /// When called on a thread of an async runtime: there it would block the runtime. Use `.await` there.
    pub fn wait(mut self) -> Result<T> {
        if let Some(ready) = self.ready.take() {
            return ready;
        }
        match self.receiver.take() {
            Some(receiver) => receiver.blocking_recv().unwrap_or_else(|_| Err(Self::gone())).map(self.read),
            None => Err(Self::gone()),
        }
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<T>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let Some(ready) = self.ready.take() {
            return Poll::Ready(ready);
        }
        let Some(receiver) = &mut self.receiver else { return Poll::Ready(Err(Self::gone())) };
        Pin::new(receiver).poll(cx).map(|outcome| outcome.unwrap_or_else(|_| Err(Self::gone())).map(self.read))
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("started", &true).finish_non_exhaustive()
    }
}

/// How a read or a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Completed,
    /// A handler prevented it; nothing was done.
    Prevented,
}

#[expect(clippy::needless_pass_by_value, reason = "an operation hands its end over")]
pub(crate) fn outcome(settled: Settled) -> Outcome {
    match settled {
        Settled::Prevented => Outcome::Prevented,
        _ => Outcome::Completed,
    }
}

pub(crate) fn report(settled: Settled) -> SyncReport {
    match settled {
        Settled::Synced(report) => report,
        _ => SyncReport::default(),
    }
}

pub(crate) fn nothing(_: Settled) {}
