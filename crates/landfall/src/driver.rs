//! The driver: the one place that awaits. Owns the use of storage and transport of one data source.
//!
//! One task. Requests run side by side, storage calls one after another; answers that arrive while a commit runs are
//! committed together. Dropping a caller's future changes nothing here (G9); when the last handle is gone, commits that
//! are queued are finished and the task ends.

use crate::{
    calls::StoreCall,
    retry,
    shared::{Done, Shared, Work},
    watch::Watch,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use landfall_core::{
    Applied, Delta, Engine, Error, ErrorKind, Found, LookUp, Reply, Request, Result, Settled, Step, Steps, StoredState,
    Then, Value,
};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

type Flight = Pin<Box<dyn Future<Output = (u64, Landed)> + Send>>;

/// What came back.
enum Landed {
    Reply(Result<Reply>),
    Found(Result<Found>),
}

enum Stored {
    Loaded(Then, Result<StoredState>),
    Committed(Vec<(Then, Result<u64>)>),
    Exported(oneshot::Sender<Result<Value>>, Result<Value>),
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Work>,
    steps: Steps,
    answers: VecDeque<(u64, Landed)>,
    flights: FuturesUnordered<Flight>,
    running: Option<Pin<Box<dyn Future<Output = Stored> + Send>>>,
    watch: Watch,
    idle: Vec<oneshot::Sender<Result<Settled>>>,
    /// Whether anything is ever sent by itself.
    background: bool,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, inbox: mpsc::UnboundedReceiver<Work>, runtime: &Handle) -> Self {
        let background = shared.engine().options().pauses.background;
        Self {
            background,
            shared,
            inbox,
            steps: Steps::new(),
            answers: VecDeque::new(),
            flights: FuturesUnordered::new(),
            running: None,
            watch: Watch::new(runtime),
            idle: Vec::new(),
        }
    }

    /// The task. It does not go on while its thread is inside of a function of the program's with the engine locked, which can
    /// only be where such a function runs the runtime itself: the function has to return first.
    pub(crate) fn run(self) -> impl Future<Output = ()> + Send {
        let inside = Arc::clone(self.shared.inside());
        let mut drive = Box::pin(self.drive());
        poll_fn(move |context| {
            if inside.holds() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            drive.as_mut().poll(context)
        })
    }

    async fn drive(mut self) {
        loop {
            self.perform_all().await;
            self.start_store_call();
            if self.is_idle() {
                for waiter in self.idle.drain(..) {
                    drop(waiter.send(Ok(Settled::Done)));
                }
            }
            let wait = self.next_retry();
            tokio::select! {
                biased;
                stored = poll_running(&mut self.running) => {
                    self.stored(stored);
                    // A storage may be done at once, and ask for more each time: other tasks have their turn.
                    tokio::task::consume_budget().await;
                }
                Some((id, reply)) = self.flights.next(), if !self.flights.is_empty() => self.answered(id, reply),
                work = self.inbox.recv() => match work {
                    Some(Work::Steps(steps)) => self.steps.extend(steps),
                    Some(Work::Idle(waiter)) => self.idle.push(waiter),
                    Some(Work::Export(waiter)) => self.shared.calls.push(StoreCall::Export(waiter)),
                    None => break,
                },
                () = self.shared.calls.came() => {}
                () = tokio::task::yield_now(), if self.running.is_some() && self.watch.goes_on() => {}
                () = pause(wait) => {
                    let steps = self.shared.steps(Engine::retry_due);
                    self.steps.extend(steps);
                }
            }
        }
        self.finish().await;
    }

    /// The last handle is gone: what was handed over for storing is stored, nothing is sent any more.
    async fn finish(mut self) {
        self.flights.clear();
        self.answers.clear();
        while self.running.is_some() || !self.shared.calls.is_empty() {
            self.start_store_call();
            let stored = poll_running(&mut self.running).await;
            self.stored(stored);
            // What follows is dropped, but for commits: those are queued already.
            self.steps.clear();
        }
    }

    /// How long until something goes by itself; nothing does while anything is under way.
    fn next_retry(&self) -> Option<Duration> {
        if !self.background || !self.is_idle() {
            return None;
        }
        // Whole milliseconds, as timers count: one that fires early would find nothing due.
        let wait = self.shared.engine().next_retry()?;
        Some(wait.saturating_add(Duration::from_millis(1)))
    }

    fn is_idle(&self) -> bool {
        self.steps.is_empty()
            && self.answers.is_empty()
            && self.flights.is_empty()
            && self.shared.calls.is_empty()
            && self.running.is_none()
            && self.inbox.is_empty()
    }

    /// Performs steps until none is left; answers are taken when no step is.
    async fn perform_all(&mut self) {
        loop {
            while let Some(step) = self.steps.pop_front() {
                match self.shared.perform_one(step) {
                    Done::More(more) => self.prepend(more),
                    Done::Wait(Step::Send(id, request)) => self.send(id, request).await,
                    Done::Wait(Step::LookUp(id, ask)) => self.look_up(id, *ask),
                    Done::Wait(Step::Load(then)) => self.shared.calls.push(StoreCall::Load(then)),
                    Done::Wait(Step::Commit(delta, then)) => self.shared.calls.push(StoreCall::Commit(delta, then)),
                    Done::Nothing | Done::Wait(_) => {}
                }
            }
            let Some((id, reply)) = self.answers.pop_front() else { return };
            self.take_answer(id, reply);
        }
    }

    fn prepend(&mut self, mut more: Steps) {
        more.extend(std::mem::take(&mut self.steps));
        self.steps = more;
    }

    // ---- transport

    /// The engine asked for a request while it was online; by now it may be offline, by another thread or by a handler of the
    /// request's start. Then nothing is sent.
    fn went_offline(&self) -> Option<Error> {
        let error = || Error::new(ErrorKind::Offline, "went offline before it was sent").applied(Applied::No);
        (!self.shared.engine().is_online()).then(error)
    }

    /// Starts a request and polls it once: a failure that is ready is fed back before the next step.
    async fn send(&mut self, id: u64, request: Request) {
        if let Some(error) = self.went_offline() {
            let steps = self.fed(id, Landed::Reply(Err(error)));
            return self.prepend(steps);
        }
        let transport = Arc::clone(&self.shared.transport);
        let shared = Arc::clone(&self.shared);
        let mut flight: Flight = Box::pin(async move {
            let once = |request| transport.send(request);
            let sent = retry::send(&shared, request, once);
            let reply = AssertUnwindSafe(sent).catch_unwind().await.unwrap_or_else(|_panic| {
                Err(Error::new(ErrorKind::Callback, "the transport panicked").applied(Applied::Maybe))
            });
            // Decoded while the engine is not locked.
            let decoder = shared.engine().decoder(id);
            (id, Landed::Reply(reply.and_then(|reply| decoder.decode(reply))))
        });
        match futures_util::poll!(&mut flight) {
            Poll::Ready((id, failed @ Landed::Reply(Err(_)))) => {
                let steps = self.fed(id, failed);
                self.prepend(steps);
            }
            Poll::Ready((id, landed)) => self.answers.push_back((id, landed)),
            Poll::Pending => self.flights.push(flight),
        }
    }

    /// Finds out what the service has: the program's own way, else the transport's.
    fn look_up(&mut self, id: u64, ask: LookUp) {
        if let Some(error) = self.went_offline() {
            return self.answers.push_back((id, Landed::Found(Err(error))));
        }
        let shared = Arc::clone(&self.shared);
        self.flights.push(Box::pin(async move {
            let asking = async {
                match &shared.look_up {
                    Some(own) => (own.0)(ask).await,
                    None => shared.transport.look_up(ask).await,
                }
            };
            let found = AssertUnwindSafe(asking).catch_unwind().await;
            let panicked = |_| Err(Error::new(ErrorKind::Callback, "the look-up panicked"));
            (id, Landed::Found(found.unwrap_or_else(panicked)))
        }));
    }

    fn answered(&mut self, id: u64, landed: Landed) {
        self.answers.push_back((id, landed));
        // Whatever is ready by now is taken and committed together.
        while let Some(Some((id, landed))) = self.flights.next().now_or_never() {
            self.answers.push_back((id, landed));
        }
    }

    fn take_answer(&mut self, id: u64, landed: Landed) {
        let steps = self.fed(id, landed);
        self.steps.extend(steps);
    }

    fn fed(&self, id: u64, landed: Landed) -> Steps {
        let error = match &landed {
            Landed::Reply(reply) => reply.as_ref().err(),
            Landed::Found(found) => found.as_ref().err(),
        };
        let no_network = error.is_some_and(Error::is_no_network);
        self.shared.steps(|engine| {
            let mut steps = match landed {
                Landed::Reply(reply) => engine.answered(id, reply),
                Landed::Found(found) => engine.looked_up(id, found),
            };
            if no_network && self.shared.offline_on_failure.load(Ordering::Relaxed) && engine.is_online() {
                steps.extend(engine.set_online(0, false));
            }
            steps
        })
    }

    // ---- storage

    fn start_store_call(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some((storage, key)) = self.shared.storage.clone() else {
            self.shared.calls.clear();
            return;
        };
        let Some(call) = self.shared.calls.pop() else { return };
        let shared = Arc::clone(&self.shared);
        self.watch.begin();
        self.running = Some(match call {
            StoreCall::Load(then) => Box::pin(async move { Stored::Loaded(then, guarded(storage.load(&key)).await) }),
            StoreCall::Export(waiter) => Box::pin(async move {
                let state = guarded(storage.load(&key)).await;
                Stored::Exported(waiter, state.and_then(|state| state.to_kendo(false)))
            }),
            StoreCall::Commit(delta, then) => {
                let overrules = then.overrules();
                let mut group = vec![(delta, then)];
                while let Some(companion) = (!overrules).then(|| self.shared.calls.pop_companion()).flatten() {
                    group.push(companion);
                }
                Box::pin(async move { Stored::Committed(commit_group(&shared, &*storage, &key, group).await) })
            }
        });
    }

    fn stored(&mut self, stored: Stored) {
        self.running = None;
        self.watch.end();
        match stored {
            Stored::Loaded(then, state) => {
                if let Ok(state) = &state {
                    self.shared.show_first(state);
                }
                let steps = self.shared.steps(|engine| engine.loaded(then, state));
                self.steps.extend(steps);
            }
            Stored::Committed(results) => {
                for (then, result) in results {
                    let steps = self.shared.steps(|engine| engine.committed(then, result));
                    self.steps.extend(steps);
                }
            }
            Stored::Exported(waiter, state) => drop(waiter.send(state)),
        }
    }
}

/// However the task ends, nobody waits for it in vain: also when its runtime goes, or when it panics.
impl Drop for Driver {
    fn drop(&mut self) {
        // First, so that a promise made meanwhile finds that nothing can be handed over any more.
        self.inbox.close();
        self.shared.abandon();
    }
}

/// Commits a group as one delta; when that fails, one by one, so that a change fails for its own reasons only.
async fn commit_group(
    shared: &Shared,
    storage: &dyn landfall_storage::Storage,
    key: &str,
    group: Vec<(Delta, Then)>,
) -> Vec<(Then, Result<u64>)> {
    if group.len() > 1 {
        let merged = Delta::merged(group.iter().map(|(delta, _)| delta));
        match commit_one(shared, storage, key, merged, false).await {
            Ok(revision) => return group.into_iter().map(|(_, then)| (then, Ok(revision))).collect(),
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Locked) => {
                return group.into_iter().map(|(_, then)| (then, Err(error.clone()))).collect();
            }
            Err(_) => {}
        }
    }
    let mut out = Vec::with_capacity(group.len());
    for (delta, then) in group {
        let overrules = then.overrules();
        out.push((then, commit_one(shared, storage, key, delta, overrules).await));
    }
    out
}

/// How often a commit that meets somebody else's is made again.
const TRIES: usize = 8;

async fn commit_one(
    shared: &Shared,
    storage: &dyn landfall_storage::Storage,
    key: &str,
    delta: Delta,
    overrules: bool,
) -> Result<u64> {
    let mut delta = if overrules { delta } else { shared.engine().up_to_date(delta) };
    let mut last = None;
    for _ in 0..TRIES {
        let expected = shared.engine().revision();
        // Only what overrules is made again as it is.
        let made = if overrules { delta.clone() } else { std::mem::take(&mut delta) };
        match guarded(storage.commit(key, expected, made)).await {
            Ok(revision) => {
                shared.engine().set_revision(revision);
                return Ok(revision);
            }
            Err(error) if overrules && matches!(error.kind(), ErrorKind::Stale { .. }) => {
                if let ErrorKind::Stale { current } = error.kind() {
                    shared.engine().set_revision(*current);
                }
                last = Some(error);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Stale { .. }) => {
                // Somebody else stored meanwhile: theirs goes underneath, ours on top (G10).
                let state = guarded(storage.load(key)).await;
                delta = shared.engine().stale(state)?;
                last = Some(error);
            }
            Err(error) => return Err(error.during("commit")),
        }
    }
    Err(last
        .unwrap_or_else(|| Error::new(ErrorKind::Stale { current: 0 }, "others commit without pause"))
        .during("commit"))
}

/// A storage that panics must not take the driver with it (I18).
pub(crate) async fn guarded<T>(call: impl Future<Output = Result<T>> + Send) -> Result<T> {
    AssertUnwindSafe(call)
        .catch_unwind()
        .await
        .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Callback, "the storage panicked")))
}

/// Nothing before a time has passed, if there is one: only who has something to repeat needs a runtime with timers.
async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn poll_running(running: &mut Option<Pin<Box<dyn Future<Output = Stored> + Send>>>) -> Stored {
    match running {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
