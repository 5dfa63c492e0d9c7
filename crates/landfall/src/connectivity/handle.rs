//! The handle to a state: reading it, watching it, and the switch for programs that decide by themselves.
//!
//! Owns the life of the task behind it: the last handle to go takes the task along. Decides nothing.

use super::state::{Cell, State};
use futures_core::Stream;
use landfall_core::Text;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

/// A request for a probe; answered when its outcome is in the state.
pub(super) type ProbeRequest = oneshot::Sender<()>;

/// Whether the service can be reached, kept up to date by whatever stands behind it.
///
/// Cheap to clone. What stands behind it (a polling, a stream of events) stops when the last clone, and the last
/// [`Changes`] made from one, is dropped.
#[derive(Clone, Debug)]
pub struct Connectivity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cell: watch::Receiver<Cell>,
    requests: Option<mpsc::Sender<ProbeRequest>>,
    task: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Connectivity {
    pub(super) fn new(
        cell: watch::Receiver<Cell>,
        requests: Option<mpsc::Sender<ProbeRequest>>,
        task: Option<AbortHandle>,
    ) -> Self {
        Self(Arc::new(Inner { cell, requests, task }))
    }

    /// A state that only the returned [`Switch`] changes.
    pub fn manual(online: bool) -> (Switch, Self) {
        let (sender, receiver) = watch::channel(Cell::new(online, "set by hand", true));
        (Switch(Arc::new(sender)), Self::new(receiver, None, None))
    }

    /// Whether the service is thought to be reachable.
    #[doc(alias = "onLine")]
    pub fn is_online(&self) -> bool {
        self.0.cell.borrow().state.online
    }

    /// Why it is thought so, in words.
    pub fn reason(&self) -> Text {
        self.0.cell.borrow().state.reason.clone()
    }

    /// All of it.
    pub fn state(&self) -> State {
        self.0.cell.borrow().state.clone()
    }

    /// Waits until the state rests on evidence instead of an assumption (the first probe of a polling), and gives it.
    /// Returns at once when an initial state was given, and when nothing will ever change the state.
    pub async fn settled(&self) -> State {
        let mut cell = self.0.cell.clone();
        match cell.wait_for(|cell| cell.settled).await {
            Ok(cell) => cell.state.clone(),
            Err(_closed) => self.state(),
        }
    }

    /// Asks now instead of at the next turn, and gives the state afterwards. One probe counts as one, so a polling that
    /// wants two failures may still say online. Without a polling behind it: the state as it is.
    pub async fn probe_now(&self) -> State {
        if let Some(requests) = &self.0.requests {
            let (sender, answer) = oneshot::channel();
            if requests.send(sender).await.is_ok() {
                // An error means that the polling has ended; the last state is then the answer.
                drop(answer.await);
            }
        }
        self.state()
    }

    /// The state now, then every change of it: up, down, or another reason. A slow reader gets the newest state and
    /// misses those between.
    pub fn changes(&self) -> Changes {
        let mut cell = self.0.cell.clone();
        cell.mark_changed();
        Changes { waiting: Some(Box::pin(next(cell))), handle: self.clone() }
    }
}

type Waiting = Pin<Box<dyn Future<Output = Option<(State, watch::Receiver<Cell>)>> + Send>>;

async fn next(mut cell: watch::Receiver<Cell>) -> Option<(State, watch::Receiver<Cell>)> {
    cell.changed().await.ok()?;
    let state = cell.borrow_and_update().state.clone();
    Some((state, cell))
}

/// The stream of states, made by [`Connectivity::changes`]. Ends when nothing will change the state any more.
///
/// It is a handle too: as long as it lives, the polling behind it goes on.
pub struct Changes {
    waiting: Option<Waiting>,
    handle: Connectivity,
}

impl Changes {
    /// The next state; `None` at the end. Safe to drop and to call again.
    pub async fn next(&mut self) -> Option<State> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Changes {
    type Item = State;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<State>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let outcome = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(outcome.map(|(state, cell)| {
            self.waiting = Some(Box::pin(next(cell)));
            state
        }))
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Turns a [`Connectivity::manual`] state on and off. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Switch(Arc<watch::Sender<Cell>>);

impl Switch {
    /// Sets the state; the reason reads "set by hand".
    pub fn set(&self, online: bool) {
        self.set_because(online, "set by hand");
    }

    /// Sets the state with a reason of your own.
    pub fn set_because(&self, online: bool, reason: impl Into<Text>) {
        let reason = reason.into();
        self.0.send_if_modified(|cell| cell.learn(online, reason));
    }
}
