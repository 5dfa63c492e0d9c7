//! The client: an engine, and everything that the driver holds for it.

use landfall_core::{
    Delta, Engine, Environment, Error, Field, Found, LookUp, Model, Operation, Options, Pending, Reply, Request,
    Result, Schema, Settled, Standing, Step, Steps, StoredState, Then, Ticket, Verdict,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) enum Call {
    Load(Then),
    Commit(Delta, Then),
}

/// A request under way.
pub(crate) struct Flight {
    pub(crate) id: u64,
    pub(crate) request: Request,
    /// What the server said, when it has it.
    pub(crate) reply: Option<Result<Reply>>,
    /// It is a look-up.
    pub(crate) asks: Option<Box<LookUp>>,
}

/// What a schedule has beyond the plain ones: a clock that moves, retries in the background, a server without a memory of
/// keys whose rows are looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// The time of day, and the time that passed, in milliseconds.
    pub(crate) clocks: Arc<(AtomicI64, AtomicU64)>,
    pub(crate) background: bool,
    pub(crate) keyless: bool,
}

/// Spreads the first number that a schedule draws: in one of eight pending changes are discarded, in none of those that found
/// a bug before.
pub(crate) const DISCARDS: u64 = 0x2F45_5E7B_8B12_5D45;

pub(crate) fn is_conflict(one: &Pending) -> bool {
    one.failure.as_ref().is_some_and(|failure| failure.verdict == Verdict::Conflict)
}

pub(crate) struct Client {
    pub(crate) engine: Engine,
    pub(crate) steps: Steps,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) open: BTreeSet<Ticket>,
    pub(crate) settled: BTreeMap<Ticket, Result<Settled>>,
    pub(crate) next: Ticket,
    pub(crate) problem: Option<String>,
    pub(crate) sent: u64,
    most: usize,
}

impl Client {
    pub(crate) fn new(seed: u64, batch: bool, most: usize, extra: Option<&Extra>) -> Self {
        let model = Model::new().id("id").field(Field::new("id").number());
        let mut options = Options::default();
        options.schema = Schema::new().with_model(model);
        options.offline_storage = true;
        options.batch = batch;
        options.natural_key = Some("key".into());
        options.max_in_flight = most;
        let now = landfall_core::Date::from_millis(0);
        let mut env = Environment::fixed(now, seed);
        if let Some(extra) = extra {
            options.pauses.background = extra.background;
            options.doubts.honours_keys = !extra.keyless;
            options.doubts.looks_up = extra.keyless;
            let (day, passed) = (Arc::clone(&extra.clocks), Arc::clone(&extra.clocks));
            env = env
                .with_now(move || landfall_core::Date::from_millis(day.0.load(Ordering::Relaxed)))
                .with_elapsed(move || Duration::from_millis(passed.1.load(Ordering::Relaxed)));
        }
        Self {
            engine: Engine::new(options, env),
            steps: Steps::new(),
            calls: VecDeque::new(),
            flights: Vec::new(),
            open: BTreeSet::new(),
            settled: BTreeMap::new(),
            next: 0,
            problem: None,
            sent: 0,
            most,
        }
    }

    /// The pending changes of which it is known what becomes of them when they are discarded now: they are to be seen, no
    /// request of theirs may have arrived, and nothing is being stored that the decision would wait for.
    pub(crate) fn discardable(&self) -> Vec<Pending> {
        if !self.calls.is_empty() {
            return Vec::new();
        }
        let (data, removed) = (self.engine.data(), self.engine.destroyed());
        let is_seen = |one: &Pending| data.iter().chain(&removed).any(|item| item.uid == one.uid);
        let may = |one: &Pending| is_seen(one) && one.standing != Standing::InDoubt && !is_conflict(one);
        self.engine.pending_changes().into_iter().filter(may).collect()
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next += 1;
        self.open.insert(self.next);
        self.next
    }

    /// Performs steps as the driver does, until only storage and network are waited for.
    pub(crate) fn perform(&mut self, steps: Steps) {
        self.steps.extend(steps);
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::EmitThen(_, then) | Step::Run(then) => {
                    let mut more = self.engine.resume(then, false);
                    more.extend(std::mem::take(&mut self.steps));
                    self.steps = more;
                }
                Step::Load(then) => self.calls.push_back(Call::Load(then)),
                Step::Commit(delta, then) => self.calls.push_back(Call::Commit(delta, then)),
                Step::Send(id, request) => {
                    if !self.engine.is_online() {
                        self.problem.get_or_insert(format!("I23: {} sent while offline", request.operation));
                    }
                    self.flights.push(Flight { id, request, reply: None, asks: None });
                    self.sent += 1;
                    let writes =
                        self.flights.iter().filter(|flight| flight.request.operation != Operation::Read).count();
                    if writes > self.most {
                        self.problem.get_or_insert("more requests at once than allowed".to_owned());
                    }
                }
                Step::LookUp(id, ask) => {
                    let request = Request::read(landfall_core::Record::new());
                    self.flights.push(Flight { id, request, reply: None, asks: Some(ask) });
                    self.sent += 1;
                }
                Step::Settle(ticket, outcome) => {
                    if !self.open.remove(&ticket) {
                        self.problem.get_or_insert(format!("ticket {ticket} settled twice"));
                    }
                    self.settled.insert(ticket, outcome);
                }
                _ => {}
            }
        }
    }

    /// Does the next storage call; `fails`: the commit is refused and nothing changes.
    pub(crate) fn store(&mut self, store: &mut StoredState, fails: Option<Error>) {
        let steps = match self.calls.pop_front() {
            None => return,
            Some(Call::Load(then)) => self.engine.loaded(then, Ok(store.clone())),
            Some(Call::Commit(delta, then)) => {
                let result = if let Some(error) = fails {
                    Err(error)
                } else {
                    {
                        let mut delta = self.engine.up_to_date(delta);
                        if self.engine.revision() != store.revision {
                            delta = self.engine.stale(Ok(store.clone())).unwrap();
                        }
                        let revision = store.revision + 1;
                        store.apply(&delta, revision);
                        self.engine.set_revision(revision);
                        Ok(revision)
                    }
                };
                self.engine.committed(then, result)
            }
        };
        self.perform(steps);
    }

    pub(crate) fn found(&mut self, at: usize, found: Result<Found>) {
        let flight = self.flights.remove(at);
        let steps = self.engine.looked_up(flight.id, found);
        self.perform(steps);
    }

    pub(crate) fn answer(&mut self, at: usize, reply: Result<Reply>) {
        let flight = self.flights.remove(at);
        let steps = self.engine.answered(flight.id, reply);
        self.perform(steps);
    }
}
