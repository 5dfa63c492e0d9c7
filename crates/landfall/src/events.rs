//! Handlers and streams of events. Handlers run on the thread that caused their event, outside every lock.

use crate::lock::Inside;
use futures_core::Stream;
use landfall_core::{Error, ErrorKind, Event, EventKind};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc;

type Handler = Arc<dyn Fn(&Event) + Send + Sync>;

#[derive(Clone)]
struct Bound {
    id: u64,
    kind: EventKind,
    handler: Handler,
    spent: Option<Arc<AtomicBool>>,
}

/// All handlers of one data source.
pub(crate) struct Handlers {
    inside: Arc<Inside>,
    bound: RwLock<Vec<Bound>>,
    streams: RwLock<Vec<mpsc::UnboundedSender<Arc<Event>>>>,
    next: AtomicU64,
}

/// Names a handler, to unbind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

impl Handlers {
    pub(crate) fn new(inside: Arc<Inside>) -> Self {
        Self { inside, bound: RwLock::default(), streams: RwLock::default(), next: AtomicU64::new(0) }
    }

    pub(crate) fn bind(&self, kind: EventKind, handler: Handler, once: bool) -> HandlerId {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let spent = once.then(|| Arc::new(AtomicBool::new(false)));
        self.bound.write().unwrap_or_else(PoisonError::into_inner).push(Bound { id, kind, handler, spent });
        HandlerId(id)
    }

    pub(crate) fn unbind(&self, id: HandlerId) -> bool {
        self.take_out(|one| one.id == id.0)
    }

    /// Takes handlers out of the list. They are dropped when it is free again: what they hold may call the data source when
    /// it goes.
    fn take_out(&self, which: impl Fn(&Bound) -> bool) -> bool {
        let gone: Vec<Bound> = {
            let mut bound = self.bound.write().unwrap_or_else(PoisonError::into_inner);
            bound.extract_if(.., |one| which(one)).collect()
        };
        !gone.is_empty()
    }

    pub(crate) fn stream(&self) -> EventStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.streams.write().unwrap_or_else(PoisonError::into_inner).push(sender);
        EventStream(receiver)
    }

    /// Calls the handlers in the order they were bound, on a snapshot of the list (R0.17); then the streams get the
    /// event. Gives whether a handler prevented it. A panicking handler is reported as an error event, and the others
    /// are called all the same (I18).
    pub(crate) fn fire(&self, event: Event) -> bool {
        let bound: Vec<Bound> = {
            let list = self.bound.read().unwrap_or_else(PoisonError::into_inner);
            list.iter().filter(|one| one.kind == event.kind).cloned().collect()
        };
        let mut once = false;
        let mut panicked = false;
        let handling = (!bound.is_empty()).then(|| self.inside.handle());
        for one in &bound {
            if let Some(spent) = &one.spent {
                if spent.swap(true, Ordering::AcqRel) {
                    continue;
                }
                once = true;
            }
            panicked |= catch_unwind(AssertUnwindSafe(|| (one.handler)(&event))).is_err();
        }
        drop(handling);
        if once {
            self.take_out(|one| one.spent.as_ref().is_some_and(|spent| spent.load(Ordering::Acquire)));
        }
        let prevented = event.is_default_prevented();
        let kind = event.kind;
        self.publish(event);
        if panicked && kind != EventKind::Error {
            let error = Error::new(ErrorKind::Callback, "an event handler panicked").with("event", format!("{kind:?}"));
            self.fire(Event::from_error(error));
        }
        prevented
    }

    fn publish(&self, event: Event) {
        // Not while the list is locked: whoever waits for an event may be woken on this thread.
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner).clone();
        if streams.is_empty() {
            return;
        }
        let event = Arc::new(event);
        let gone = streams.iter().filter(|stream| stream.send(Arc::clone(&event)).is_err()).count();
        if gone > 0 {
            self.streams.write().unwrap_or_else(PoisonError::into_inner).retain(|stream| !stream.is_closed());
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.bound.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Handlers").field("bound", &bound).finish_non_exhaustive()
    }
}

/// All events of a data source from the moment it was asked for, in order. Ends with the data source.
///
/// Events wait without limit until they are taken: drop a stream that is not read.
#[derive(Debug)]
pub struct EventStream(mpsc::UnboundedReceiver<Arc<Event>>);

impl EventStream {
    /// The next event; `None` when the data source is gone.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        self.0.recv().await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        self.0.try_recv().ok()
    }
}

impl Stream for EventStream {
    type Item = Arc<Event>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
