//! Promises: what a call that was started will give.
//!
//! Owns the waiting of threads, and when a thread may not.

use crate::lock::Inside;
use landfall_core::{Error, ErrorKind, Result, Settled, SyncReport};
use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    runtime::Handle,
    sync::oneshot::{self, error::TryRecvError},
};

/// Work that **has started already**. Await it to learn how it went; dropping it does not stop the work (G9).
pub struct Operation<T> {
    promise: Promise,
    read: fn(Settled) -> T,
}

enum Promise {
    /// It is under way, or has ended.
    Started(oneshot::Receiver<Result<Settled>>, Arc<Inside>),
    /// It did not start.
    Failed(Error),
    /// How it went has been told.
    Told,
}

impl<T> Operation<T> {
    pub(crate) fn new(
        receiver: oneshot::Receiver<Result<Settled>>,
        read: fn(Settled) -> T,
        inside: &Arc<Inside>,
    ) -> Self {
        Self { promise: Promise::Started(receiver, Arc::clone(inside)), read }
    }

    pub(crate) fn failed(error: Error, read: fn(Settled) -> T) -> Self {
        Self { promise: Promise::Failed(error), read }
    }

    /// Waits on this thread, without a runtime. What has ended is told anywhere.
    ///
    /// # Errors
    /// Those of the operation. Where this thread must not wait, while the work goes on: `Callback` in a handler of the data
    /// source's events and in a function that it runs, because what is waited for may wait for them; `Unsupported` on a thread
    /// of an async runtime, where it would block the runtime (use `.await` there).
    pub fn wait(self) -> Result<T> {
        match self.promise {
            Promise::Started(receiver, inside) => wait(receiver, &inside).map(self.read),
            Promise::Failed(error) => Err(error),
            Promise::Told => Err(gone()),
        }
    }
}

/// Nobody is left who could tell.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the data source or its runtime is gone")
}

/// Waits on this thread for what the data source's task will tell.
///
/// # Errors
/// As [`Operation::wait`].
pub(crate) fn wait<R>(mut receiver: oneshot::Receiver<Result<R>>, inside: &Inside) -> Result<R> {
    match receiver.try_recv() {
        Ok(told) => return told,
        Err(TryRecvError::Closed) => return Err(gone()),
        Err(TryRecvError::Empty) => {}
    }
    inside.check_wait()?;
    let told = if Handle::try_current().is_ok() {
        // Threads of a runtime that are made for waiting are fine. Only tokio knows them, and it panics on the others.
        catch_unwind(AssertUnwindSafe(|| receiver.blocking_recv())).map_err(|_panic| {
            let words = "waiting here would block the async runtime of this thread; use .await";
            Error::new(ErrorKind::Unsupported, words).during("wait")
        })?
    } else {
        receiver.blocking_recv()
    };
    told.unwrap_or_else(|_| Err(gone()))
}

impl<T> Future for Operation<T> {
    type Output = Result<T>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let told = match &mut self.promise {
            Promise::Started(receiver, _) => match Pin::new(receiver).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(told) => told.unwrap_or_else(|_| Err(gone())),
            },
            Promise::Failed(error) => Err(error.clone()),
            Promise::Told => Err(gone()),
        };
        self.promise = Promise::Told;
        Poll::Ready(told.map(self.read))
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
