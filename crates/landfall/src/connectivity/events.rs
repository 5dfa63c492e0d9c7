//! Event-driven connectivity: any stream of up and down. Owns the task that reads the stream.

use super::{Connectivity, state::Cell};
use futures_core::Stream;
use landfall_core::{Error, ErrorKind, Result, Text};
use std::{future::poll_fn, pin::Pin};
use tokio::{runtime::Handle, sync::watch};

impl Connectivity {
    /// The state is what the stream said last; its first item, waited for, is the initial state.
    ///
    /// The counterpart of the events `online` and `offline` of a browser.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] outside a tokio runtime, and when the stream ends without an item.
    pub async fn from_events(events: impl Stream<Item = bool> + Send + 'static) -> Result<Self> {
        let mut events = Box::pin(events);
        match next(&mut events).await {
            Some(online) => start(online, reason(online), events),
            None => Err(Error::new(
                ErrorKind::Config,
                "the stream of events ended before its first item; give an initial state",
            )
            .during("connectivity")),
        }
    }

    /// The state is `online` until the stream says something else. After the end of the stream it stays as it was.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] outside a tokio runtime.
    pub fn from_events_starting(online: bool, events: impl Stream<Item = bool> + Send + 'static) -> Result<Self> {
        start(online, "the initial state", Box::pin(events))
    }
}

fn start(
    online: bool,
    why: &str,
    mut events: Pin<Box<impl Stream<Item = bool> + Send + 'static>>,
) -> Result<Connectivity> {
    let runtime = runtime()?;
    let (sender, receiver) = watch::channel(Cell::new(online, why, true));
    let task = runtime.spawn(async move {
        while let Some(online) = next(&mut events).await {
            sender.send_if_modified(|cell| cell.learn(online, Text::from(reason(online))));
        }
    });
    Ok(Connectivity::new(receiver, None, Some(task.abort_handle())))
}

fn reason(online: bool) -> &'static str {
    if online { "an event said up" } else { "an event said down" }
}

pub(super) async fn next<S: Stream + ?Sized>(stream: &mut Pin<Box<S>>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}

/// The runtime of the caller, to spawn on.
pub(super) fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|cause| {
        Error::new(ErrorKind::Config, "start it inside a tokio runtime").during("connectivity").caused_by(cause)
    })
}
