//! Sequences of operations on an engine over a store in memory, and the simulator's schedules from bytes.

use super::Bytes;
use crate::simulator::{Tape, of_tape};
use landfall_core::{
    Date, Engine, Environment, Error, ErrorKind, Field, Model, Operation, Options, Record, Reply, Request, Result,
    Schema, Settled, Step, Steps, StoredState, Ticket, Value,
};
use std::collections::BTreeMap;

/// The simulator's schedules, with bytes in place of chance.
pub(super) fn operations(bytes: &[u8]) {
    if let Err(problem) = of_tape(&Tape::from_bytes(bytes), false) {
        panic!("{problem}");
    }
}

/// A data source at its smallest: every storage call is done at once, every request answered at once.
pub(super) struct Client {
    engine: Engine,
    pub(super) store: StoredState,
    settled: BTreeMap<Ticket, Result<Settled>>,
    next: Ticket,
    batch: bool,
    ids: i64,
    /// How requests are answered.
    mood: u8,
}

impl Client {
    pub(super) fn new(store: StoredState, batch: bool) -> Self {
        let model = Model::new().id("id").field(Field::new("id").number()).field(Field::new("when").date());
        let mut options = Options::default();
        options.schema = Schema::new().with_model(model);
        options.strict_fields = false;
        options.offline_storage = true;
        options.batch = batch;
        options.natural_key = Some("key".into());
        let engine = Engine::new(options, Environment::fixed(Date::from_millis(0), 1));
        Self { engine, store, settled: BTreeMap::new(), next: 0, batch, ids: 1_000, mood: 0 }
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        self.next
    }

    fn perform(&mut self, steps: Steps) {
        let mut steps: Steps = steps;
        let mut budget = 20_000;
        while let Some(step) = steps.pop_front() {
            budget -= 1;
            assert!(budget > 0, "the engine never comes to rest");
            let mut more = match step {
                Step::EmitThen(_, then) | Step::Run(then) => self.engine.resume(then, false),
                Step::Load(then) => self.engine.loaded(then, Ok(self.store.clone())),
                Step::Commit(delta, then) => {
                    assert_eq!(self.engine.revision(), self.store.revision, "nobody else writes");
                    let revision = self.store.revision + 1;
                    self.store.apply(&delta, revision);
                    self.engine.set_revision(revision);
                    self.engine.committed(then, Ok(revision))
                }
                Step::Send(id, request) => {
                    let reply = self.answer(&request);
                    self.engine.answered(id, reply)
                }
                Step::Settle(ticket, outcome) => {
                    assert!(self.settled.insert(ticket, outcome).is_none(), "a ticket is settled once");
                    continue;
                }
                _ => continue,
            };
            more.extend(steps);
            steps = more;
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Reply> {
        match self.mood % 8 {
            1 => return Err(Error::from(ErrorKind::TimedOut).applied(landfall_core::Applied::Maybe)),
            2 => return Err(Error::from(ErrorKind::Status(400))),
            3 => return Err(Error::from(ErrorKind::Status(503))),
            4 => return Ok(Reply::empty()),
            5 => return Ok(Reply::with_body(Value::from("ok"))),
            _ => {}
        }
        if request.operation == Operation::Read {
            let row = |id: i64| Value::from(Record::from([("id", Value::from(id)), ("key", "k".into())]));
            return Ok(Reply::with_body(Value::array([row(1), row(2)])));
        }
        let mut rows = Vec::new();
        for row in &request.rows {
            let mut record = row.record.clone();
            assert!(!record.contains("__landfall"), "bookkeeping is never sent: {}", record.to_json());
            if request.operation == Operation::Create {
                self.ids += 1;
                record.set("id", self.ids);
            }
            rows.push(Value::from(record));
        }
        Ok(Reply::with_body(if request.batch { Value::from(rows) } else { rows.pop().unwrap_or_default() }))
    }

    fn outcome(&mut self, ticket: Ticket) -> Result<Settled> {
        self.settled.remove(&ticket).expect("every promise settles")
    }

    fn toggle(&mut self, online: bool) -> Result<Settled> {
        let ticket = self.ticket();
        let steps = self.engine.set_online(ticket, online);
        self.perform(steps);
        self.outcome(ticket)
    }

    pub(super) fn restore(&mut self) -> Result<()> {
        self.toggle(false)?;
        let ticket = self.ticket();
        let steps = self.engine.restore(ticket);
        self.perform(steps);
        self.outcome(ticket).map(drop)
    }

    /// What a program that is started now would see.
    pub(super) fn restored_again(&self) -> Self {
        let mut again = Self::new(self.store.clone(), self.batch);
        again.restore().expect("what was stored can be restored");
        again
    }

    /// Everything that can be seen, in no order.
    pub(super) fn shown(&self) -> Vec<String> {
        let mut out: Vec<String> = self.engine.data().iter().map(|item| item.record.to_json()).collect();
        out.extend(self.engine.pending_changes().iter().map(|one| {
            let waiting = one.waiting.as_ref().map(|(kind, record)| format!("{kind} {}", record.to_json()));
            format!("{} {} {waiting:?}", one.kind, one.record.to_json())
        }));
        out.extend(self.engine.destroyed().iter().map(|item| format!("gone {}", item.record.to_json())));
        out.sort();
        out
    }

    /// Edits, syncs, reads, restarts, as the bytes say; then everything is sent to a server that takes it.
    pub(super) fn play(&mut self, input: &mut Bytes<'_>) {
        for _ in 0..24 {
            let step = input.byte();
            if step == 0 && input.0.is_empty() {
                break;
            }
            let data = self.engine.data();
            let item = (!data.is_empty()).then(|| data[usize::from(step >> 4) % data.len()].uid);
            match step % 12 {
                0 | 1 => {
                    let key = format!("n{step}");
                    let record = Record::from([("key", Value::from(key)), ("a", step.into())]);
                    let (_, steps) = self.engine.add(record).unwrap();
                    self.perform(steps);
                }
                2 | 3 => {
                    if let Some(uid) = item {
                        let text = input.text();
                        let value = Value::from_json(&text).unwrap_or_else(|_| Value::from(text));
                        if let Ok(steps) =
                            self.engine.set(uid, ["a", "b", "when", "a.b[0]"][usize::from(step >> 6)], value)
                        {
                            self.perform(steps);
                        }
                    }
                }
                4 => {
                    if let Some(uid) = item {
                        let steps = self.engine.remove(uid).unwrap();
                        self.perform(steps);
                    }
                }
                5 | 6 => {
                    self.mood = step >> 4;
                    let ticket = self.ticket();
                    let steps = self.engine.sync(ticket);
                    self.perform(steps);
                    drop(self.outcome(ticket));
                }
                7 => {
                    self.mood = step >> 4;
                    let online = !self.engine.is_online();
                    drop(self.toggle(online));
                }
                8 => {
                    self.mood = step >> 4;
                    let ticket = self.ticket();
                    let steps = self.engine.read(ticket, &Record::new());
                    self.perform(steps);
                    drop(self.outcome(ticket));
                }
                9 => {
                    if let Ok(steps) = self.engine.cancel_changes() {
                        self.perform(steps);
                    }
                }
                10 => *self = self.restored_again(),
                _ => {
                    let value = Record::from([("id", Value::from(i64::from(step >> 4))), ("b", step.into())]);
                    if let Ok(steps) = self.engine.push_update(vec![value]) {
                        self.perform(steps);
                    }
                }
            }
        }
        let again = self.restored_again();
        drop(again.shown());
        self.mood = 0;
        if self.engine.is_online() {
            drop(self.toggle(false));
        }
        drop(self.toggle(true));
        let ticket = self.ticket();
        let steps = self.engine.sync(ticket);
        self.perform(steps);
        drop(self.outcome(ticket));
        assert!(self.engine.is_idle());
    }
}
