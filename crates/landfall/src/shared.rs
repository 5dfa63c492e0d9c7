//! What all handles of one data source and its driver share: the engine behind its lock, handlers, promises.
//!
//! Performs the engine's steps outside every lock. Never awaits: what waits is handed to the driver.

use crate::{
    calls::Calls,
    events::Handlers,
    local::LocalTransport,
    lock::{Inside, Lock, Locked},
    retry::Retries,
};
use landfall_core::{
    Engine, Error, ErrorKind, Event, Found, LookUp, Preview, Result, Settled, Step, Steps, StoredState, Then, Ticket,
};
use landfall_storage::Storage;
use landfall_transport::Transport;
use std::{
    collections::HashMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// Work for the driver.
#[derive(Debug)]
pub(crate) enum Work {
    /// Perform these steps.
    Steps(Steps),
    /// Say when nothing is under way any more.
    Idle(oneshot::Sender<Result<Settled>>),
    /// Give the stored state in Kendo's form, after everything that is queued.
    Export(oneshot::Sender<Result<landfall_core::Value>>),
}

type Finding = Pin<Box<dyn Future<Output = Result<Found>> + Send>>;

/// A look-up of the program's own.
#[derive(Clone)]
pub(crate) struct LookUpFn(pub(crate) Arc<dyn Fn(LookUp) -> Finding + Send + Sync>);

impl std::fmt::Debug for LookUpFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookUpFn(..)")
    }
}

/// What is to be told of a stored state before all of it is read.
pub(crate) struct FirstLook(pub(crate) Box<dyn FnOnce(Preview) + Send>);

impl std::fmt::Debug for FirstLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstLook(..)")
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    engine: Lock<Engine>,
    /// Somebody listens to events: they carry items.
    watched: AtomicBool,
    pub(crate) handlers: Handlers,
    /// Work for the storage.
    pub(crate) calls: Calls,
    promises: Mutex<HashMap<Ticket, oneshot::Sender<Result<Settled>>>>,
    tickets: AtomicU64,
    pub(crate) transport: Arc<dyn Transport>,
    /// The transport, where the rows were given inline.
    pub(crate) inline: Option<Arc<LocalTransport>>,
    pub(crate) storage: Option<(Arc<dyn Storage>, String)>,
    pub(crate) offline_on_failure: AtomicBool,
    pub(crate) retries: Retries,
    pub(crate) look_up: Option<LookUpFn>,
    first_look: Mutex<Option<FirstLook>>,
}

impl Shared {
    pub(crate) fn new(
        engine: Engine,
        (transport, inline): (Arc<dyn Transport>, Option<Arc<LocalTransport>>),
        storage: Option<(Arc<dyn Storage>, String)>,
        offline_on_failure: bool,
        retries: Retries,
        look_up: Option<LookUpFn>,
    ) -> Self {
        let engine = Lock::new(engine);
        Self {
            handlers: Handlers::new(Arc::clone(engine.inside())),
            engine,
            watched: AtomicBool::new(false),
            calls: Calls::default(),
            promises: Mutex::new(HashMap::new()),
            tickets: AtomicU64::new(1),
            transport,
            inline,
            storage,
            offline_on_failure: AtomicBool::new(offline_on_failure),
            retries,
            look_up,
            first_look: Mutex::new(None),
        }
    }

    /// Which threads are inside of functions of the program's.
    pub(crate) fn inside(&self) -> &Arc<Inside> {
        self.engine.inside()
    }

    /// The engine, for a call of the program's.
    ///
    /// # Errors
    /// `Callback`, naming the call, from a function that the engine is running on this thread.
    pub(crate) fn enter(&self, call: &'static str) -> Result<Locked<'_, Engine>> {
        let mut engine = self.engine.lock().map_err(|error| error.during(call))?;
        if self.watched.load(Ordering::Relaxed) {
            engine.watch(true);
        }
        Ok(engine)
    }

    /// As [`enter`](Self::enter), for a call that cannot tell of an error: it panics, as a `RefCell` does.
    #[track_caller]
    #[expect(clippy::panic, reason = "documented where it is called; the other way is to hang")]
    pub(crate) fn look(&self, call: &'static str) -> Locked<'_, Engine> {
        self.enter(call).unwrap_or_else(|error| panic!("{call}(): {}", error.message()))
    }

    /// The engine, for the data source's own work, which no function of the program's runs around.
    pub(crate) fn engine(&self) -> Locked<'_, Engine> {
        self.look("going on")
    }

    /// Has the engine make steps. What it commits is queued before any other thread can make a later commit.
    pub(crate) fn make<R>(
        &self,
        mut engine: Locked<'_, Engine>,
        call: impl FnOnce(&mut Engine) -> (R, Steps),
    ) -> (R, Steps) {
        let (given, mut steps) = call(&mut engine);
        self.calls.take_over(&mut steps);
        (given, steps)
    }

    /// As [`make`](Self::make), for the data source's own work.
    pub(crate) fn steps(&self, call: impl FnOnce(&mut Engine) -> Steps) -> Steps {
        self.make(self.engine(), |engine| ((), call(engine))).1
    }

    /// The engine, if nobody is using it.
    pub(crate) fn if_free(&self) -> Option<Locked<'_, Engine>> {
        self.engine.if_free()
    }

    /// From the next step on, events carry items.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn first_look(&self) -> MutexGuard<'_, Option<FirstLook>> {
        self.first_look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what can be shown of a stored state at once to whoever asked for it. What is wrong with it is told by reading all
    /// of it.
    pub(crate) fn show_first(&self, state: &StoredState) {
        let Some(FirstLook(show)) = self.first_look().take() else { return };
        let preview = self.engine().preview(state);
        if let Ok(preview) = preview
            && catch_unwind(AssertUnwindSafe(|| show(preview))).is_err()
        {
            let error = Error::new(ErrorKind::Callback, "what was to show the first rows panicked").during("restore");
            self.handlers.fire(Event::from_error(error));
        }
    }

    fn promises(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Result<Settled>>>> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new promise: the ticket for the engine and the receiver for the caller.
    pub(crate) fn promise(&self) -> (Ticket, oneshot::Receiver<Result<Settled>>) {
        let (sender, receiver) = oneshot::channel();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.promises().insert(ticket, sender);
        (ticket, receiver)
    }

    pub(crate) fn settle(&self, ticket: Ticket, outcome: Result<Settled>) {
        // Not while the promises are locked: whoever waits may be woken on this thread, and call the data source.
        let sender = self.promises().remove(&ticket);
        if let Some(sender) = sender {
            // Nobody waits any more when the receiver is gone: the work is done all the same.
            drop(sender.send(outcome));
        }
    }

    /// Every promise that is open fails: the data source is gone.
    pub(crate) fn abandon(&self) {
        let open = std::mem::take(&mut *self.promises());
        for sender in open.into_values() {
            drop(sender.send(Err(Error::new(ErrorKind::Closed, "the data source was dropped"))));
        }
    }

    pub(crate) fn resume(&self, then: Then, prevented: bool) -> Steps {
        self.steps(|engine| engine.resume(then, prevented))
    }

    /// Performs steps on this thread as far as they need no wait; the rest goes to the driver.
    pub(crate) fn perform(&self, mut steps: Steps, driver: &mpsc::UnboundedSender<Work>) {
        // What cannot be handed over is lost on nobody: see below.
        let send = |steps: Steps| drop(driver.send(Work::Steps(steps)));
        while let Some(step) = steps.pop_front() {
            match self.perform_one(step) {
                Done::Nothing => {}
                Done::More(mut more) => {
                    more.extend(steps);
                    steps = more;
                }
                Done::Wait(step) => {
                    steps.push_front(step);
                    send(std::mem::take(&mut steps));
                }
            }
        }
        if driver.is_closed() {
            // The driver went with its runtime: the promises say so, those too that wait for something that never ends.
            self.abandon();
        }
    }

    /// Performs one step that needs no wait.
    pub(crate) fn perform_one(&self, step: Step) -> Done {
        match step {
            Step::Emit(event) => {
                self.handlers.fire(event);
                Done::Nothing
            }
            Step::EmitThen(event, then) => {
                let prevented = self.handlers.fire(event);
                Done::More(self.resume(then, prevented))
            }
            Step::Run(then) => Done::More(self.resume(then, false)),
            Step::Settle(ticket, outcome) => {
                self.settle(ticket, outcome);
                Done::Nothing
            }
            other => Done::Wait(other),
        }
    }
}

/// What performing a step gave.
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub(crate) enum Done {
    Nothing,
    More(Steps),
    Wait(Step),
}
