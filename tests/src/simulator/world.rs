//! One schedule: who does what when.

use super::{
    client::{Call, Client, DISCARDS, Extra, is_conflict},
    dice::Dice,
    model::{Cover, EXISTS, Model, Shown},
    seen::{self, key_of},
    server::Server,
};
use landfall_core::{Applied, Decision, Error, ErrorKind, Operation, Record, Reply, Request, StoredState, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// What one schedule, or many, did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Steps taken.
    pub steps: u64,
    /// Crashes.
    pub crashes: u64,
    /// Requests sent.
    pub requests: u64,
    /// Answers lost.
    pub doubts: u64,
    /// Requests refused.
    pub refused: u64,
    /// Requests that arrived late.
    pub late: u64,
    /// Promises kept.
    pub acked: u64,
    /// Reads.
    pub reads: u64,
    /// Commits refused.
    pub full: u64,
    /// Commits that met another program's.
    pub met: u64,
    /// A fingerprint of all that happened.
    pub trace: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.requests += other.requests;
        self.doubts += other.doubts;
        self.refused += other.refused;
        self.late += other.late;
        self.acked += other.acked;
        self.reads += other.reads;
        self.full += other.full;
        self.met += other.met;
        self.trace ^= other.trace;
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a schedule")]
pub(crate) struct World {
    dice: Dice,
    talk: bool,
    client: Client,
    store: StoredState,
    server: Server,
    model: Model,
    /// Syncs under way, with how much of each history they cover.
    covers: Vec<(u64, Cover)>,
    late: Vec<Request>,
    tally: Tally,
    counter: i64,
    rows: u32,
    batch: bool,
    cancels: bool,
    discards: bool,
    /// Reads under way.
    reads: BTreeSet<u64>,
    extra: Option<Extra>,
    lives: u64,
}

/// Spreads the first number drawn.
const EXTRA: u64 = 0x521B_18A9_1AB1_C42F;
/// The same.
const CANCELS: u64 = 0x09F9_D6DD_3FF7_CE03;

impl World {
    pub(crate) fn new(mut dice: Dice, talk: bool) -> Self {
        let first = dice.next();
        let batch = first % 100 < 30;
        // One schedule in eight has more; none of those that found a bug before there was more.
        let mut extra = (first.wrapping_mul(EXTRA) >> 61 == 0).then(Extra::default);
        if let Some(extra) = &mut extra {
            extra.background = dice.chance(50);
            extra.keyless = dice.chance(40);
        }
        // In one of eight, also none of those, the program takes back what it can.
        let cancels = first.wrapping_mul(CANCELS) >> 61 == 0;
        let discards = first.wrapping_mul(DISCARDS) >> 61 == 0;
        let most = if dice.chance(50) { 6 } else { 1 + dice.below(3) };
        let mut server = Server::default();
        server.keyless = extra.as_ref().is_some_and(|extra| extra.keyless);
        let mut model = Model::default();
        for at in 0..dice.below(4) {
            let key = format!("old{at}");
            server.plant(&key);
            model.plant(&key);
        }
        Self {
            client: Client::new(dice.next(), batch, most, extra.as_ref()),
            extra,
            dice,
            talk,
            store: StoredState::default(),
            server,
            model,
            covers: Vec::new(),
            late: Vec::new(),
            tally: Tally::default(),
            counter: 0,
            rows: 0,
            batch,
            cancels,
            discards,
            reads: BTreeSet::new(),
            lives: 1,
        }
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.talk {
            eprintln!("{:4} {}", self.tally.steps, what());
        }
    }

    fn note(&mut self, what: u64) {
        self.tally.trace = (self.tally.trace ^ what).wrapping_mul(0x0100_0000_01B3).rotate_left(7);
    }

    /// Runs the schedule to its end.
    pub(crate) fn run(mut self) -> Result<Tally, String> {
        let model = std::mem::take(&mut self.model);
        self.begin();
        self.quiet()?;
        // The first look at the service.
        self.read();
        self.quiet()?;
        self.model = model;
        self.check()?;
        let length = match self.dice.steps() {
            Some(steps) => steps,
            None => 20 + self.dice.below(100),
        };
        for _ in 0..length {
            self.dice.next_part();
            self.step();
            self.check()?;
        }
        self.dice.next_part();
        self.finish()?;
        self.tally.requests += self.client.sent;
        let rows: Vec<String> = self.store.rows.iter().map(|row| format!("{}{:?}", row.record, row.change)).collect();
        let store = rows.concat();
        for byte in store.bytes() {
            self.note(u64::from(byte));
        }
        Ok(self.tally)
    }

    fn begin(&mut self) {
        let ticket = self.client.ticket();
        let steps = self.client.engine.restore(ticket);
        self.client.perform(steps);
    }

    fn step(&mut self) {
        self.tally.steps += 1;
        let choice = self.dice.below(100);
        self.note(u64::try_from(choice).unwrap());
        if self.extra.is_some() && self.dice.chance(15) {
            return self.more();
        }
        if self.cancels && self.dice.chance(8) {
            return self.cancel();
        }
        if self.discards && self.dice.chance(8) {
            return self.discard();
        }
        match choice {
            0..=21 => self.edit(),
            22..=35 => self.sync(),
            36..=39 => self.toggle(),
            40..=43 => self.read(),
            44..=63 => self.storage(),
            64..=89 => self.network(),
            90..=92 => self.late(),
            93..=95 => self.elsewhere(),
            96..=97 => self.poison(),
            _ => self.crash(),
        }
    }

    // ---- the program

    fn edit(&mut self) {
        let data = self.client.engine.data();
        let choice = if data.is_empty() { 0 } else { self.dice.below(10) };
        self.counter += 1;
        let value = Value::from(self.counter);
        match choice {
            0..=2 => {
                self.rows += 1;
                let key = format!("n{}", self.rows);
                let record =
                    Record::from([("key", Value::from(key.as_str())), ("a", value.clone()), ("b", value.clone())]);
                let (_, steps) = self.client.engine.add(record).unwrap();
                self.client.perform(steps);
                self.say(|| format!("add {key}"));
                self.model.add(&key, &value, self.counter);
            }
            3..=8 => {
                let item = &data[self.dice.below(data.len())];
                let key = key_of(&item.record);
                let field = if self.dice.chance(50) { "a" } else { "b" };
                let steps = self.client.engine.set(item.uid, field, value.clone()).unwrap();
                self.client.perform(steps);
                self.say(|| format!("set {key}.{field} = {}", value.to_json()));
                self.model.write(&key, field, value, self.counter);
            }
            _ => {
                let item = &data[self.dice.below(data.len())];
                let key = key_of(&item.record);
                let steps = self.client.engine.remove(item.uid).unwrap();
                self.client.perform(steps);
                self.say(|| format!("remove {key}"));
                self.model.write(&key, EXISTS, false.into(), self.counter);
            }
        }
    }

    fn cover(&mut self, ticket: u64) {
        self.covers.push((ticket, self.model.cover()));
    }

    fn sync(&mut self) {
        let ticket = self.client.ticket();
        self.say(|| format!("sync {ticket}"));
        self.cover(ticket);
        let steps = self.client.engine.sync(ticket);
        self.client.perform(steps);
    }

    fn toggle(&mut self) {
        let on = !self.client.engine.is_online();
        let ticket = self.client.ticket();
        self.say(|| format!("online {on} {ticket}"));
        if on {
            self.cover(ticket);
        }
        let steps = self.client.engine.set_online(ticket, on);
        self.client.perform(steps);
    }

    fn read(&mut self) {
        self.tally.reads += 1;
        let ticket = self.client.ticket();
        self.reads.insert(ticket);
        self.say(|| format!("read {ticket}"));
        let steps = self.client.engine.read(ticket, &Record::new());
        self.client.perform(steps);
    }

    /// Takes back what can be taken back, of one record or of all. Not where a look-up found another version than the one that
    /// was sent: what was sent may be part of it.
    fn cancel(&mut self) {
        let pending = self.client.engine.pending_changes();
        if self.server.keyless && pending.iter().any(is_conflict) {
            return;
        }
        let (data, before) = (self.client.engine.data(), seen::shown(&self.client.engine));
        let one = (!data.is_empty() && self.dice.chance(50)).then(|| data[self.dice.below(data.len())].clone());
        self.say(|| format!("cancel {}", one.as_ref().map_or("all".to_owned(), |item| key_of(&item.record))));
        let steps = match one {
            Some(item) => self.client.engine.cancel_changes_of(item.uid).unwrap(),
            None => self.client.engine.cancel_changes().unwrap(),
        };
        self.client.perform(steps);
        self.taken_back(&before);
    }

    /// Gives up one pending change.
    fn discard(&mut self) {
        let pending = self.client.discardable();
        if pending.is_empty() {
            return;
        }
        let chosen = &pending[self.dice.below(pending.len())];
        self.say(|| format!("discard {}", key_of(&chosen.record)));
        let before = seen::shown(&self.client.engine);
        let ticket = self.client.ticket();
        let steps = self.client.engine.decide(ticket, chosen.uid, Decision::Discard);
        self.client.perform(steps);
        self.taken_back(&before);
    }

    fn taken_back(&mut self, before: &Shown) {
        self.counter += 1;
        let after = seen::shown(&self.client.engine);
        if let Err(problem) = self.model.take_back(before, &after, self.counter) {
            self.client.problem.get_or_insert(problem);
        }
    }

    // ---- the storage

    fn storage(&mut self) {
        let fails = self.dice.chance(4);
        if fails {
            self.tally.full += 1;
        }
        let full = ErrorKind::QuotaExceeded { used: 1, limit: 1, needed: 1 };
        let what = self.client.calls.front().map_or_else(String::new, |call| match call {
            Call::Load(_) => "load".to_owned(),
            Call::Commit(delta, _) => format!(
                "commit{} {:?} without {:?}",
                if delta.clear { " of all" } else { "" },
                delta.put.iter().map(|row| format!("{} {:?} {}", row.id, row.state, row.record)).collect::<Vec<_>>(),
                delta.delete
            ),
        });
        self.say(|| format!("storage, fails {fails}: {what}"));
        self.client.store(&mut self.store, fails.then(|| Error::from(full)));
    }

    fn crash(&mut self) {
        self.tally.crashes += 1;
        self.tally.requests += self.client.sent;
        self.say(|| "crash".to_owned());
        // What is on its way may still arrive.
        for flight in std::mem::take(&mut self.client.flights) {
            if flight.reply.is_none() && flight.request.operation != Operation::Read && self.dice.chance(50) {
                self.arrives_late(flight.request);
            }
        }
        let most = 1 + self.dice.below(6);
        // The option may have changed between two runs of the program.
        if self.dice.chance(10) {
            self.batch = !self.batch;
        }
        // No two runs of a program have the same random numbers, also where a tape says so.
        self.lives += 1;
        let random = self.dice.next() ^ (self.lives << 40);
        self.client = Client::new(random, self.batch, most, self.extra.as_ref());
        self.covers.clear();
        self.reads.clear();
        if self.dice.chance(60) {
            let ticket = self.client.ticket();
            let steps = self.client.engine.set_online(ticket, false);
            self.client.perform(steps);
        }
        self.begin();
        // The restored state is looked at before anything else happens.
        while !self.client.calls.is_empty() {
            self.client.store(&mut self.store, None);
        }
        if let Err(problem) = self.restored() {
            self.server.problem.get_or_insert(problem);
        }
    }

    /// What was restored must hold everything that was acknowledged; it becomes what is certain.
    fn restored(&mut self) -> Result<(), String> {
        self.model.restarts(&seen::restored(&self.client.engine)?)
    }

    // ---- the network

    fn network(&mut self) {
        if self.client.flights.is_empty() {
            return self.storage();
        }
        let at = self.dice.below(self.client.flights.len());
        if let Some(ask) = self.client.flights[at].asks.clone() {
            let found = match self.dice.below(8) {
                0 => Err(Error::from(ErrorKind::TimedOut)),
                1 => Err(Error::from(ErrorKind::Status(401))),
                _ => Ok(self.server.find(&ask)),
            };
            self.say(|| format!("look-up of {}: {found:?}", key_of(&ask.row.record)));
            return self.client.found(at, found);
        }
        let request = self.client.flights[at].request.clone();
        let is_read = request.operation == Operation::Read;
        let maybe = if is_read { Applied::No } else { Applied::Maybe };
        let name = format!(
            "{} {:?}",
            request.operation,
            request.rows.iter().map(|row| key_of(&row.record)).collect::<Vec<_>>()
        );
        if let Some(reply) = self.client.flights[at].reply.take() {
            // It was answered; the answer arrives, or does not.
            let reply = match self.dice.below(12) {
                0 => Err(Error::from(ErrorKind::TimedOut).applied(maybe)),
                1 => Err(Error::from(ErrorKind::Transport).applied(maybe)),
                2 => Err(Error::from(ErrorKind::Status(502)).applied(maybe)),
                3 => Err(Error::from(ErrorKind::Undecodable).applied(maybe)),
                4 if request.operation == Operation::Update => {
                    Ok(Reply::with_body(Record::from([("id", 999_999), ("a", 1)])))
                }
                _ => reply,
            };
            if reply.is_err() {
                self.tally.doubts += 1;
            }
            let said = format!(
                "{:?}",
                reply
                    .as_ref()
                    .map(|r| r.body.decode().ok().flatten().map(|v| v.to_json()))
                    .map_err(|e| e.kind().clone())
            );
            self.say(|| format!("answer to {name}: {said}"));
            return self.client.answer(at, reply);
        }
        match self.dice.below(20) {
            0 => {
                self.tally.refused += 1;
                self.say(|| format!("refused: {name}"));
                self.client.answer(at, Err(Error::from(ErrorKind::Transport)));
            }
            1 | 2 => {
                self.tally.doubts += 1;
                self.say(|| format!("lost or late: {name}"));
                if !is_read && self.dice.chance(60) {
                    self.arrives_late(request);
                }
                self.client.answer(at, Err(Error::from(ErrorKind::TimedOut).applied(maybe)));
            }
            3 | 4 => {
                self.tally.refused += 1;
                let status = [500, 503, 429, 401, 408, 409][self.dice.below(6)];
                let mut error = Error::from(ErrorKind::Status(status));
                if self.extra.is_some() && matches!(status, 429 | 503) && self.dice.chance(70) {
                    error = error.retry_after_of(Duration::from_secs(1 << self.dice.below(15)));
                }
                self.say(|| format!("{status}, pause {:?}: {name}", error.retry_after()));
                self.client.answer(at, Err(error));
            }
            _ => {
                let reply = self.server.take(&request);
                self.say(|| format!("arrived: {name}"));
                self.client.flights[at].reply = Some(reply);
            }
        }
    }

    /// A request whose answer nobody waits for any more; at a server that remembers no keys it arrives at once, as one
    /// that may still arrive after it was looked up could not be told from one that never will.
    fn arrives_late(&mut self, request: Request) {
        if self.server.keyless {
            drop(self.server.take(&request));
        } else {
            self.late.push(request);
        }
    }

    /// Time passes, what is due goes by itself, somebody decides.
    fn more(&mut self) {
        let Some(extra) = &self.extra else { return };
        let clocks = Arc::clone(&extra.clocks);
        match self.dice.below(10) {
            0..=4 => {
                let millis = 1_u64 << self.dice.below(22);
                self.say(|| format!("{millis} ms pass"));
                clocks.1.fetch_add(millis, Ordering::Relaxed);
                clocks.0.fetch_add(i64::try_from(millis).unwrap(), Ordering::Relaxed);
                if self.client.engine.next_retry() == Some(Duration::ZERO) {
                    self.say(|| "something is due".to_owned());
                    let steps = self.client.engine.retry_due();
                    self.client.perform(steps);
                    if self.client.engine.next_retry() == Some(Duration::ZERO) {
                        self.client.problem.get_or_insert("I22: due again at once".to_owned());
                    }
                }
            }
            5 => {
                let jump = [-10_000_000_000, -1, 3_600_000, 250_000_000_000_000][self.dice.below(4)];
                self.say(|| format!("the clock is set by {jump} ms"));
                clocks.0.fetch_add(jump, Ordering::Relaxed);
            }
            6 => {
                let ticket = self.client.ticket();
                self.say(|| format!("resume {ticket}"));
                let steps = self.client.engine.resume_held(ticket);
                self.client.perform(steps);
            }
            _ => {
                let pending = self.client.engine.pending_changes();
                if pending.is_empty() {
                    return;
                }
                let chosen = pending[self.dice.below(pending.len())].clone();
                let ticket = self.client.ticket();
                self.say(|| format!("retry {} {ticket}", key_of(&chosen.record)));
                let steps = self.client.engine.decide(ticket, chosen.uid, Decision::Retry);
                self.client.perform(steps);
            }
        }
    }

    fn late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        self.tally.late += 1;
        let at = self.dice.below(self.late.len());
        let request = self.late.remove(at);
        self.say(|| {
            format!(
                "late: {} {:?}",
                request.operation,
                request.rows.iter().map(|row| key_of(&row.record)).collect::<Vec<_>>()
            )
        });
        // Nobody hears the answer. A server that refused one copy of a request refuses every other.
        if !request.key.as_ref().is_some_and(|key| self.server.refused.contains(key.as_str())) {
            drop(self.server.take(&request));
        }
    }

    /// Somebody else changes a field that the program never touches.
    fn elsewhere(&mut self) {
        let ids: Vec<i64> = self.server.rows.keys().copied().collect();
        if let Some(id) = (!ids.is_empty()).then(|| ids[self.dice.below(ids.len())]) {
            self.counter += 1;
            self.server.rows.get_mut(&id).unwrap().set("srv", self.counter);
        }
    }

    fn poison(&mut self) {
        if self.dice.chance(30) {
            self.server.poison.clear();
        } else if self.rows > 0 {
            let key = format!("n{}", 1 + self.dice.below(usize::try_from(self.rows).unwrap()));
            self.say(|| format!("poison {key}"));
            self.server.poison.insert(key);
        }
    }

    // ---- what must be true

    fn check(&mut self) -> Result<(), String> {
        if let Some(problem) = self.server.problem.take().or(self.client.problem.take()) {
            return Err(format!("step {}: {problem}", self.tally.steps));
        }
        let settled = std::mem::take(&mut self.client.settled);
        for (ticket, outcome) in settled {
            let cover = self.covers.iter().position(|(of, _)| *of == ticket).map(|at| self.covers.remove(at).1);
            if outcome.is_ok() {
                self.tally.acked += 1;
                self.model.acknowledge(cover.unwrap_or_default());
            }
        }
        let (shown, gone) = (seen::shown(&self.client.engine), seen::removed(&self.client.engine));
        let seen = self.model.sees(&shown, &gone, !self.reads.is_empty());
        self.reads.retain(|ticket| self.client.open.contains(ticket));
        seen.map_err(|problem| format!("step {}: {problem}", self.tally.steps))
    }

    /// Lets everything that is under way end well.
    fn quiet(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            if !self.client.calls.is_empty() {
                self.client.store(&mut self.store, None);
            } else if !self.client.flights.is_empty() {
                let at = self.dice.below(self.client.flights.len());
                if let Some(ask) = self.client.flights[at].asks.clone() {
                    let found = self.server.find(&ask);
                    self.client.found(at, Ok(found));
                    self.check()?;
                    continue;
                }
                let reply = self.client.flights[at].reply.take();
                let request = self.client.flights[at].request.clone();
                let reply = reply.unwrap_or_else(|| self.server.take(&request));
                self.client.answer(at, reply);
            } else {
                self.check()?;
                if let Some(ticket) = self.client.open.iter().next() {
                    return Err(format!("ticket {ticket} never settles"));
                }
                if !self.client.engine.is_idle() {
                    return Err("nothing is under way, and the engine is not idle".to_owned());
                }
                return Ok(());
            }
            self.check()?;
        }
        Err("it never comes to rest".to_owned())
    }

    /// Faults stop: after at most three syncs everything is on the server, once.
    fn finish(&mut self) -> Result<(), String> {
        self.say(|| "faults stop".to_owned());
        self.server.poison.clear();
        self.quiet()?;
        if !self.client.engine.is_online() {
            self.toggle();
        }
        if let Some(extra) = &self.extra {
            // Every pause is over.
            extra.clocks.1.fetch_add(3_600_000, Ordering::Relaxed);
        }
        let before = self.client.sent;
        for _ in 0..3 {
            self.quiet()?;
            self.sync();
        }
        self.quiet()?;
        let pending = self.client.engine.pending_changes();
        if !pending.is_empty() {
            return Err(format!("I13: still pending: {pending:?}"));
        }
        let most = 8 * u64::from(self.rows + 4);
        if self.client.sent - before > most {
            return Err(format!("I14: {} requests for {} rows", self.client.sent - before, self.rows));
        }
        while !self.late.is_empty() {
            self.late();
        }
        self.check()?;
        self.read();
        self.quiet()?;
        let mut there: BTreeMap<String, Record> = BTreeMap::new();
        for row in self.server.rows.values() {
            if there.insert(key_of(row), row.clone()).is_some() {
                return Err(format!("I9: {} is on the server twice", key_of(row)));
            }
        }
        let ours = seen::shown(&self.client.engine);
        if self.client.engine.has_changes() {
            return Err("I13: it has changes although everything is synced".to_owned());
        }
        for (key, record) in &there {
            if ours.get(key) != Some(record) {
                return Err(format!(
                    "I13: {key}: the server has {}, we have {:?}",
                    record.to_json(),
                    ours.get(key).map(Record::to_json)
                ));
            }
        }
        if ours.len() != there.len() {
            return Err(format!("I13: {} rows here, {} there", ours.len(), there.len()));
        }
        self.model.reached(&there)
    }
}
