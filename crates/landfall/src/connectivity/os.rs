//! The operating system's network events. Owns the watcher; says what the system believes, which is a hint only.

use futures_core::Stream;
use landfall_core::{Error, ErrorKind, Result};
use netwatcher::{Interface, Update, WatchHandle};
use std::{
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::watch;

type Waiting = Pin<Box<dyn Future<Output = Option<(bool, watch::Receiver<bool>)>> + Send>>;

/// A stream of what the operating system believes: up while a network interface other than loopback has an address that
/// reaches further than its own link. An item now, then one at every change of interfaces and addresses, also when up stays
/// up (another Wi-Fi).
///
/// Use it as [hints of a polling](super::Polling::hints_of_os). Alone, through
/// [`Connectivity::from_events`](super::Connectivity::from_events), it knows cables and radios, not whether the service
/// answers. Linux, macOS, the BSDs, Windows, Android.
pub struct OsEvents {
    waiting: Option<Waiting>,
    /// Watching ends with it.
    _watcher: WatchHandle,
}

impl OsEvents {
    /// Starts watching, on a thread of its own that ends with this value.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the system does not let us watch.
    pub fn new() -> Result<Self> {
        let (sender, mut receiver) = watch::channel(false);
        let watcher = netwatcher::watch_interfaces_with_callback(move |update: Update| {
            sender.send_replace(update.interfaces.values().any(reaches_out));
        })
        .map_err(|cause| {
            Error::new(
                ErrorKind::Unsupported,
                "the operating system gives no network events; use a polling without them",
            )
            .during("connectivity")
            .caused_by(cause)
        })?;
        receiver.mark_changed();
        Ok(Self { waiting: Some(Box::pin(next(receiver))), _watcher: watcher })
    }
}

fn reaches_out(interface: &Interface) -> bool {
    interface.ips.iter().any(|record| match record.ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    })
}

async fn next(mut receiver: watch::Receiver<bool>) -> Option<(bool, watch::Receiver<bool>)> {
    receiver.changed().await.ok()?;
    let up = *receiver.borrow_and_update();
    Some((up, receiver))
}

impl Stream for OsEvents {
    type Item = bool;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<bool>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let outcome = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(outcome.map(|(up, receiver)| {
            self.waiting = Some(Box::pin(next(receiver)));
            up
        }))
    }
}

impl fmt::Debug for OsEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsEvents").finish_non_exhaustive()
    }
}
