//! Two programs or more on one store, at once: each edits, removes, reads, accepts, sends and restarts; commits of one meet
//! those of the others. In half of the schedules one at a time is online, in the others both are. Commits fail, answers are lost or
//! late, the clock is set.
//!
//! What is checked: an edit that was acknowledged is not undone by another program, unless that one edited the same place
//! later; a restart of either keeps it; no create is made twice; once the faults stop both show what the service has, and
//! nothing is pending but what is told as a conflict.

use super::{
    client::{Call, Client, DISCARDS, Extra, is_conflict},
    dice::Dice,
    model::Shown,
    seen::{self, key_of},
    server::Server,
    world::Tally,
    writes::{Covered, Place, Writes},
};
use landfall_core::{
    Applied, Decision, Error, ErrorKind, Operation, Record, Request, StoredRow, StoredState, Ticket, Value,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a schedule")]
pub(super) struct Programs {
    dice: Dice,
    talk: bool,
    clients: Vec<Client>,
    store: StoredState,
    server: Server,
    writes: Writes,
    /// Syncs under way, by program, whether it was offline, and the writes that they cover.
    covers: Vec<(usize, Ticket, bool, Covered)>,
    late: Vec<Request>,
    tally: Tally,
    rows: u32,
    lives: u64,
    batch: bool,
    /// Both may be online at once.
    both: bool,
    cancels: bool,
    discards: bool,
    extra: Extra,
    calm: bool,
}

fn told(request: &Request) -> String {
    let rows: Vec<String> = request.rows.iter().map(|row| row.record.to_json()).collect();
    format!("{} {rows:?}", request.operation)
}

/// The members of a record, in whatever order.
fn sorted(record: &Record) -> String {
    let members: BTreeMap<&str, String> = record.iter().map(|(name, value)| (name, value.to_json())).collect();
    format!("{members:?}")
}

/// Spreads the first number drawn.
const CANCELS: u64 = 0xC89D_5E95_AFC4_4825;

impl Programs {
    pub(super) fn new(mut dice: Dice, talk: bool, programs: u64) -> Self {
        let first = dice.next();
        let batch = first % 100 < 20;
        // In one schedule of eight they take back what they can; in none of those that found a bug before.
        let cancels = first.wrapping_mul(CANCELS) >> 61 == 0;
        // In another they discard.
        let discards = first.wrapping_mul(DISCARDS) >> 61 == 0;
        let both = dice.chance(50);
        let extra = Extra { background: dice.chance(30), keyless: !both && dice.chance(15), ..Extra::default() };
        let mut server = Server::default();
        server.keyless = extra.keyless;
        server.shared = true;
        for at in 0..=dice.below(3) {
            server.plant(&format!("old{at}"));
        }
        let client = |at: u64| Client::new(dice.next() ^ (at << 50), batch, 6, Some(&extra));
        let clients = (0..programs).map(client).collect();
        Self {
            dice,
            talk,
            clients,
            store: StoredState::default(),
            server,
            writes: Writes::new(programs),
            covers: Vec::new(),
            late: Vec::new(),
            tally: Tally::default(),
            rows: 0,
            lives: programs,
            batch,
            both,
            cancels,
            discards,
            extra,
            calm: true,
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.talk {
            eprintln!("{:4} {}", self.tally.steps, what());
        }
    }

    pub(super) fn run(mut self) -> Result<Tally, String> {
        for who in 0..self.clients.len() {
            self.begin(who)?;
            self.read(who);
            self.quiet(who)?;
            self.go(who, false);
            self.quiet(who)?;
        }
        self.calm = false;
        let length = match self.dice.steps() {
            Some(steps) => steps,
            None => 10 + self.dice.below(70),
        };
        for _ in 0..length {
            self.dice.next_part();
            self.tally.steps += 1;
            self.step()?;
            self.check()?;
        }
        self.dice.next_part();
        self.finish()?;
        let rows: Vec<String> = self.store.rows.iter().map(|row| format!("{}{:?}", row.record, row.change)).collect();
        for byte in rows.concat().bytes() {
            self.tally.trace = (self.tally.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3).rotate_left(7);
        }
        Ok(self.tally)
    }

    fn begin(&mut self, who: usize) -> Result<(), String> {
        let client = &mut self.clients[who];
        let ticket = client.ticket();
        let steps = client.engine.restore(ticket);
        client.perform(steps);
        while !self.clients[who].calls.is_empty() {
            self.storage(who, false);
        }
        self.check()
    }

    fn step(&mut self) -> Result<(), String> {
        let who = self.dice.below(self.clients.len());
        if self.cancels && self.dice.chance(6) {
            self.cancel(who);
            return Ok(());
        }
        if self.discards && self.dice.chance(6) {
            self.discard(who);
            return Ok(());
        }
        match self.dice.below(100) {
            0..=25 => self.edit(who),
            26..=29 => self.remove(who),
            30..=42 => self.sync(who),
            43..=49 => self.toggle(who),
            50..=55 => self.read(who),
            56..=75 => {
                let fails = self.dice.chance(5);
                self.storage(who, fails);
            }
            76..=93 => self.network(who),
            94 => self.elsewhere(),
            95 | 96 => self.clock(who),
            97 => self.arrives(),
            _ => self.restart(who)?,
        }
        Ok(())
    }

    // ---- the programs

    fn edit(&mut self, who: usize) {
        let data = self.clients[who].engine.data();
        let choice = if data.is_empty() { 0 } else { self.dice.below(10) };
        let value = Value::from(self.tally.steps);
        let client = &mut self.clients[who];
        if choice < 2 {
            self.rows += 1;
            let key = format!("n{}", self.rows);
            let record = Record::from([("key", Value::from(key.as_str())), ("a", value.clone()), ("b", value.clone())]);
            let (_, steps) = client.engine.add(record).unwrap();
            client.perform(steps);
            self.say(|| format!("{who} add {key}"));
            self.writes.add(who, self.tally.steps, &key, &value);
        } else {
            let item = &data[self.dice.below(data.len())];
            let key = key_of(&item.record);
            let field = if self.dice.chance(50) { "a" } else { "b" };
            let client = &mut self.clients[who];
            let steps = client.engine.set(item.uid, field, value.clone()).unwrap();
            client.perform(steps);
            self.say(|| format!("{who} set {key}.{field} = {}", value.to_json()));
            self.writes.set(who, self.tally.steps, &key, field, &value);
        }
    }

    fn remove(&mut self, who: usize) {
        let data = self.clients[who].engine.data();
        if data.is_empty() {
            return;
        }
        let item = &data[self.dice.below(data.len())];
        let key = key_of(&item.record);
        let client = &mut self.clients[who];
        let steps = client.engine.remove(item.uid).unwrap();
        client.perform(steps);
        self.say(|| format!("{who} remove {key}"));
        let id = item.record.get("id").and_then(Value::as_i64);
        self.writes.remove(who, self.tally.steps, &key, id);
    }

    fn sync(&mut self, who: usize) {
        let ticket = self.clients[who].ticket();
        self.cover(who, ticket);
        let client = &mut self.clients[who];
        let steps = client.engine.sync(ticket);
        client.perform(steps);
        self.say(|| format!("{who} sync {ticket}"));
    }

    /// Takes back what can be taken back, of one record or of all. Not where a look-up found another version than the one that
    /// was sent: what was sent may be part of it.
    fn cancel(&mut self, who: usize) {
        let engine = &mut self.clients[who].engine;
        if self.extra.keyless && engine.pending_changes().iter().any(is_conflict) {
            return;
        }
        let data = engine.data();
        let one = (!data.is_empty() && self.dice.chance(50)).then(|| &data[self.dice.below(data.len())]);
        self.say(|| format!("{who} cancels {}", one.map_or("all".to_owned(), |item| key_of(&item.record))));
        let before = self.before(who);
        let client = &mut self.clients[who];
        let steps = match one {
            Some(item) => client.engine.cancel_changes_of(item.uid).unwrap(),
            None => client.engine.cancel_changes().unwrap(),
        };
        client.perform(steps);
        self.writes.take_back(who, &before, &seen::shown(&self.clients[who].engine), false);
    }

    /// Gives up one pending change.
    fn discard(&mut self, who: usize) {
        let pending = self.clients[who].discardable();
        if pending.is_empty() {
            return;
        }
        let chosen = &pending[self.dice.below(pending.len())];
        self.say(|| format!("{who} discards {}", key_of(&chosen.record)));
        let before = self.before(who);
        let client = &mut self.clients[who];
        let ticket = client.ticket();
        let steps = client.engine.decide(ticket, chosen.uid, Decision::Discard);
        client.perform(steps);
        self.writes.take_back(who, &before, &seen::shown(&self.clients[who].engine), true);
    }

    /// What a program shows, and its accepted changes below.
    fn before(&self, who: usize) -> (Shown, Shown) {
        let engine = &self.clients[who].engine;
        let below = engine.pending_changes().into_iter();
        let below = below.map(|one| one.waiting.map_or(one.record, |(_, record)| record));
        (seen::shown(engine), below.map(|record| (key_of(&record), record)).collect())
    }

    fn cover(&mut self, who: usize, ticket: Ticket) {
        let engine = &self.clients[who].engine;
        let covered = self.writes.visible(who, &seen::shown(engine), &seen::out_of_sight(engine));
        self.covers.push((who, ticket, !engine.is_online(), covered));
    }

    fn toggle(&mut self, who: usize) {
        let on = !self.clients[who].engine.is_online();
        let busy = |client: &Client| client.engine.is_online() || !client.flights.is_empty();
        let others = self.clients.iter().enumerate().filter(|(at, _)| *at != who);
        if on && !self.both && others.into_iter().any(|(_, other)| busy(other)) {
            return;
        }
        self.go(who, on);
    }

    fn go(&mut self, who: usize, on: bool) {
        let ticket = self.clients[who].ticket();
        if on {
            self.cover(who, ticket);
        }
        let client = &mut self.clients[who];
        let steps = client.engine.set_online(ticket, on);
        client.perform(steps);
        self.say(|| format!("{who} online {on} {ticket}"));
    }

    fn read(&mut self, who: usize) {
        self.tally.reads += 1;
        let client = &mut self.clients[who];
        // Drafts are dropped by a read: what is not acknowledged yet may be gone.
        let ticket = client.ticket();
        let steps = client.engine.read(ticket, &Record::new());
        client.perform(steps);
        self.say(|| format!("{who} read {ticket}"));
    }

    fn restart(&mut self, who: usize) -> Result<(), String> {
        self.tally.crashes += 1;
        self.say(|| format!("{who} restarts"));
        for flight in std::mem::take(&mut self.clients[who].flights) {
            let written = flight.asks.is_none() && flight.request.operation != Operation::Read;
            if flight.reply.is_none() && written && self.dice.chance(50) {
                self.arrives_late(flight.request);
            }
        }
        self.tally.requests += self.clients[who].sent;
        // The option may have changed between two runs of the program.
        if self.dice.chance(10) {
            self.batch = !self.batch;
        }
        self.lives += 1;
        let most = 1 + self.dice.below(6);
        let random = self.dice.next() ^ (self.lives << 40);
        self.clients[who] = Client::new(random, self.batch, most, Some(&self.extra));
        self.covers.retain(|(by, ..)| *by != who);
        self.writes.restart(who);
        self.go(who, false);
        self.begin(who)?;
        self.restored(who)
    }

    /// What is there after a restart is allowed by what was acknowledged.
    fn restored(&self, who: usize) -> Result<(), String> {
        let shown = seen::restored(&self.clients[who].engine)?;
        self.writes.allow(&shown).map_err(|problem| format!("step {}: I1: {who}: {problem}", self.tally.steps))
    }

    // ---- storage, network, time

    fn storage(&mut self, who: usize, fails: bool) {
        let Some(call) = self.clients[who].calls.front() else { return };
        let load = matches!(call, Call::Load(_));
        let met = !load && self.clients[who].engine.revision() != self.store.revision;
        self.tally.met += u64::from(met);
        self.tally.full += u64::from(fails && !load);
        let full = ErrorKind::QuotaExceeded { used: 1, limit: 1, needed: 1 };
        self.clients[who].store(&mut self.store, fails.then(|| Error::from(full)));
        let row = |row: &StoredRow| format!("{} {:?} {} {:?}", row.id, row.state, row.record, row.change);
        self.say(|| {
            if load {
                return format!("{who} loads");
            }
            let rows: Vec<String> = self.store.rows.iter().map(row).collect();
            format!("{who} commits, fails {fails}, met {met}:\n{rows:#?}")
        });
    }

    fn network(&mut self, who: usize) {
        if self.clients[who].flights.is_empty() {
            return self.storage(who, false);
        }
        let faults = !self.calm;
        let at = self.dice.below(self.clients[who].flights.len());
        if let Some(ask) = self.clients[who].flights[at].asks.clone() {
            let lost = faults && self.dice.chance(10);
            let found = if lost { Err(Error::from(ErrorKind::TimedOut)) } else { Ok(self.server.find(&ask)) };
            self.say(|| format!("{who} looks up {}: {found:?}", key_of(&ask.row.record)));
            return self.clients[who].found(at, found);
        }
        let request = self.clients[who].flights[at].request.clone();
        let is_read = request.operation == Operation::Read;
        let maybe = if is_read { Applied::No } else { Applied::Maybe };
        let fate = if faults { self.dice.below(40) } else { 39 };
        if let Some(reply) = self.clients[who].flights[at].reply.take() {
            let lost = fate < 3;
            self.tally.doubts += u64::from(lost);
            self.say(|| format!("{who} answer, lost {lost}, {}", told(&request)));
            let reply = if lost { Err(Error::from(ErrorKind::TimedOut).applied(maybe)) } else { reply };
            return self.clients[who].answer(at, reply);
        }
        match fate {
            0 => {
                self.tally.refused += 1;
                self.say(|| format!("{who} refused {}", told(&request)));
                self.clients[who].answer(at, Err(Error::from(ErrorKind::Transport)));
            }
            1 => {
                self.tally.refused += 1;
                let status = [500, 503, 429, 401, 409][self.dice.below(5)];
                self.say(|| format!("{who} {status} {}", told(&request)));
                let error = Error::from(ErrorKind::Status(status)).retry_after_of(Duration::from_secs(1));
                self.clients[who].answer(at, Err(error));
            }
            2 => {
                self.tally.doubts += 1;
                self.say(|| format!("{who} lost or late {}", told(&request)));
                if !is_read && self.dice.chance(60) {
                    self.arrives_late(request);
                }
                self.clients[who].answer(at, Err(Error::from(ErrorKind::TimedOut).applied(maybe)));
            }
            _ => {
                let reply = self.server.take(&request);
                self.say(|| format!("{who} arrived {}", told(&request)));
                self.clients[who].flights[at].reply = Some(reply);
            }
        }
    }

    fn arrives_late(&mut self, request: Request) {
        if self.server.keyless {
            drop(self.server.take(&request));
        } else {
            self.late.push(request);
        }
    }

    /// A request arrives whose answer nobody waits for any more.
    fn arrives(&mut self) {
        if self.late.is_empty() {
            return;
        }
        self.tally.late += 1;
        let at = self.dice.below(self.late.len());
        let request = self.late.remove(at);
        self.say(|| format!("late {}", told(&request)));
        drop(self.server.take(&request));
    }

    /// Somebody else changes a field that no program here touches.
    fn elsewhere(&mut self) {
        let ids: Vec<i64> = self.server.rows.keys().copied().collect();
        if let Some(id) = (!ids.is_empty()).then(|| ids[self.dice.below(ids.len())]) {
            self.say(|| format!("elsewhere {id}"));
            self.server.rows.get_mut(&id).unwrap().set("srv", self.tally.steps);
        }
    }

    /// Time passes, or the clock is set; what is due goes by itself.
    fn clock(&mut self, who: usize) {
        let clocks = Arc::clone(&self.extra.clocks);
        if self.dice.chance(60) {
            let millis = 1_u64 << self.dice.below(22);
            self.say(|| format!("{millis} ms pass"));
            clocks.1.fetch_add(millis, Ordering::Relaxed);
            clocks.0.fetch_add(i64::try_from(millis).unwrap(), Ordering::Relaxed);
        } else {
            let jump = [-10_000_000_000, -1, 3_600_000, 250_000_000_000_000][self.dice.below(4)];
            self.say(|| format!("the clock is set by {jump} ms"));
            clocks.0.fetch_add(jump, Ordering::Relaxed);
        }
        let client = &mut self.clients[who];
        if client.engine.next_retry() == Some(Duration::ZERO) {
            let steps = client.engine.retry_due();
            client.perform(steps);
            if client.engine.next_retry() == Some(Duration::ZERO) {
                client.problem.get_or_insert("I22: due again at once".to_owned());
            }
            self.say(|| format!("{who} sends what is due"));
        }
    }

    // ---- what must be true

    fn check(&mut self) -> Result<(), String> {
        if let Some(problem) = self.server.problem.take() {
            return Err(format!("step {}: {problem}", self.tally.steps));
        }
        for who in 0..self.clients.len() {
            if let Some(problem) = self.clients[who].problem.take() {
                return Err(format!("step {}: {who}: {problem}", self.tally.steps));
            }
            let settled = std::mem::take(&mut self.clients[who].settled);
            for (ticket, outcome) in settled {
                let Some(at) = self.covers.iter().position(|(by, of, ..)| *by == who && *of == ticket) else {
                    continue;
                };
                let (_, _, offline, covered) = self.covers.remove(at);
                let kept = offline && !self.clients[who].engine.is_online();
                if outcome.is_ok() {
                    self.tally.acked += 1;
                    let server = &self.server;
                    let is_lost = |place: &Place, id: Option<i64>| {
                        let known = id.filter(|id| *id != 0);
                        known.is_some_and(|id| !server.rows.contains_key(&id)) && server.has(&place.0)
                    };
                    self.writes.acknowledge(covered, self.tally.steps, kept, is_lost);
                }
            }
        }
        Ok(())
    }

    fn quiet(&mut self, who: usize) -> Result<(), String> {
        for _ in 0..5_000 {
            let client = &mut self.clients[who];
            if !client.calls.is_empty() {
                self.storage(who, false);
            } else if !client.flights.is_empty() {
                self.network(who);
            } else {
                self.check()?;
                return match self.clients[who].open.iter().next() {
                    Some(ticket) => Err(format!("{who}: ticket {ticket} never settles")),
                    None => Ok(()),
                };
            }
            self.check()?;
        }
        Err(format!("{who} never comes to rest"))
    }

    /// Gives up what is in conflict because the record is gone.
    fn give_up(&mut self, who: usize) -> Result<(), String> {
        for pending in self.clients[who].engine.pending_changes() {
            if is_conflict(&pending) {
                self.say(|| format!("{who} gives up {}", pending.record.to_json()));
                let key = key_of(&pending.record);
                // The removal of the other program stands.
                self.writes.forget(&key);
                let client = &mut self.clients[who];
                let ticket = client.ticket();
                let steps = client.engine.decide(ticket, pending.uid, Decision::Discard);
                client.perform(steps);
                self.quiet(who)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        self.say(|| "faults stop".to_owned());
        self.calm = true;
        for who in 0..self.clients.len() {
            self.quiet(who)?;
            self.go(who, false);
        }
        for who in 0..self.clients.len() {
            self.quiet(who)?;
        }
        while !self.late.is_empty() {
            self.arrives();
        }
        // Every pause is over.
        self.extra.clocks.1.fetch_add(3_600_000, Ordering::Relaxed);
        for _ in 0..=self.clients.len() {
            for who in 0..self.clients.len() {
                self.tally.steps += 1;
                self.go(who, true);
                self.quiet(who)?;
                self.sync(who);
                self.quiet(who)?;
                self.read(who);
                self.quiet(who)?;
                self.give_up(who)?;
                self.go(who, false);
                self.quiet(who)?;
            }
        }
        for who in 0..self.clients.len() {
            self.tally.requests += self.clients[who].sent;
            let pending = self.clients[who].engine.pending_changes();
            if !pending.is_empty() {
                return Err(format!("I13: {who}: still pending: {pending:?}"));
            }
            let data = self.clients[who].engine.data();
            let mut ours: Vec<String> = data.iter().map(|item| sorted(&item.record)).collect();
            let mut theirs: Vec<String> = self.server.rows.values().map(sorted).collect();
            ours.sort();
            theirs.sort();
            if ours != theirs {
                return Err(format!("I13: {who}: shows {ours:?}, the service has {theirs:?}"));
            }
        }
        let mut rows: BTreeMap<String, Record> = BTreeMap::new();
        for row in self.server.rows.values() {
            if rows.insert(key_of(row), row.clone()).is_some() {
                return Err(format!("I9: {} is on the server twice", key_of(row)));
            }
        }
        self.writes.allow(&rows)
    }
}
