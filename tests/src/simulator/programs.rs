//! Two programs or more on one store, at once: each edits, removes, reads, accepts, sends and restarts; commits of one meet
//! those of the others. In half of the schedules one at a time is online, in the others both are. Commits fail, answers are lost or
//! late, the clock is set.
//!
//! What is checked: an edit that was acknowledged is not undone by another program, unless that one edited the same place
//! later; a restart of either keeps it; no create is made twice; once the faults stop both show what the service has, and
//! nothing is pending but what is told as a conflict.

use super::{
    client::{Call, Client, Extra},
    dice::Dice,
    seen::{self, key_of},
    server::Server,
    world::Tally,
};
use landfall_core::{
    Applied, Decision, Error, ErrorKind, Operation, Record, Request, StoredRow, StoredState, Ticket, Value, Verdict,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// One write of a program to a place: a field of a record, or whether the record exists.
#[derive(Clone, Debug)]
struct Write {
    by: usize,
    value: Value,
    made: u64,
    /// When it was acknowledged.
    acked: Option<u64>,
    /// The program restarted before it was acknowledged.
    dead: bool,
    /// A write to a field says that the record exists: that field.
    with: Option<(&'static str, Value)>,
    /// Of a removal: the id by which its program knew the record.
    id: Option<i64>,
}

/// The place of a record's being there.
const EXISTS: &str = "exists";

type Place = (String, &'static str);

/// Writes, by their places and numbers there.
type Covered = Vec<(Place, usize)>;

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a schedule")]
pub(super) struct Programs {
    dice: Dice,
    talk: bool,
    clients: Vec<Client>,
    store: StoredState,
    server: Server,
    writes: BTreeMap<Place, Vec<Write>>,
    /// Syncs under way, by program, with the writes that they cover.
    covers: Vec<(usize, Ticket, Covered)>,
    late: Vec<Request>,
    tally: Tally,
    rows: u32,
    lives: u64,
    batch: bool,
    /// Both may be online at once.
    both: bool,
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

impl Programs {
    pub(super) fn new(mut dice: Dice, talk: bool, programs: u64) -> Self {
        let batch = dice.chance(20);
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
            writes: BTreeMap::new(),
            covers: Vec::new(),
            late: Vec::new(),
            tally: Tally::default(),
            rows: 0,
            lives: programs,
            batch,
            both,
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
            self.note(who, (key.clone(), "b"), value.clone(), None);
            self.wrote(who, key, "a", value);
        } else {
            let item = &data[self.dice.below(data.len())];
            let key = key_of(&item.record);
            let field = if self.dice.chance(50) { "a" } else { "b" };
            let client = &mut self.clients[who];
            let steps = client.engine.set(item.uid, field, value.clone()).unwrap();
            client.perform(steps);
            self.say(|| format!("{who} set {key}.{field} = {}", value.to_json()));
            self.wrote(who, key, field, value);
        }
    }

    fn wrote(&mut self, who: usize, key: String, field: &'static str, value: Value) {
        self.note(who, (key.clone(), field), value.clone(), None);
        self.note(who, (key, EXISTS), true.into(), Some((field, value)));
    }

    fn note(&mut self, by: usize, place: Place, value: Value, with: Option<(&'static str, Value)>) {
        let made = self.tally.steps;
        self.writes.entry(place).or_default().push(Write { by, value, made, acked: None, dead: false, with, id: None });
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
        let place = (key, EXISTS);
        self.note(who, place.clone(), false.into(), None);
        if let Some(write) = self.writes.get_mut(&place).and_then(|writes| writes.last_mut()) {
            write.id = item.record.get("id").and_then(Value::as_i64);
        }
    }

    fn sync(&mut self, who: usize) {
        let ticket = self.clients[who].ticket();
        self.cover(who, ticket);
        let client = &mut self.clients[who];
        let steps = client.engine.sync(ticket);
        client.perform(steps);
        self.say(|| format!("{who} sync {ticket}"));
    }

    /// A sync covers what its program shows of what it wrote; a read dropped the rest.
    fn cover(&mut self, who: usize, ticket: Ticket) {
        let engine = &self.clients[who].engine;
        // What is out of sight is not removed.
        let (shown, hidden) = (seen::shown(engine), seen::out_of_sight(engine));
        let mut covered = Vec::new();
        for (place, writes) in &self.writes {
            let record = shown.get(&place.0);
            for (index, write) in writes.iter().enumerate().filter(|(_, write)| write.by == who && !write.dead) {
                let holds = |field: &str, value: &Value| record.is_some_and(|record| record.get(field) == Some(value));
                let is_shown = match &write.with {
                    Some((field, value)) => holds(field, value),
                    None if place.1 == EXISTS => record.is_none() && !hidden.contains_key(&place.0),
                    None => holds(place.1, &write.value),
                };
                if is_shown {
                    covered.push((place.clone(), index));
                }
            }
        }
        self.covers.push((who, ticket, covered));
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
        let unsure = |write: &&mut Write| write.by == who && write.acked.is_none();
        self.writes.values_mut().flatten().filter(unsure).for_each(|write| write.dead = true);
        self.go(who, false);
        self.begin(who)?;
        self.restored(who)
    }

    /// What is there after a restart is allowed by what was acknowledged.
    fn restored(&self, who: usize) -> Result<(), String> {
        let shown = seen::restored(&self.clients[who].engine)?;
        self.allowed(&shown).map_err(|problem| format!("step {}: I1: {who}: {problem}", self.tally.steps))
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
                let Some(at) = self.covers.iter().position(|(by, of, _)| *by == who && *of == ticket) else { continue };
                let (_, _, covered) = self.covers.remove(at);
                if outcome.is_ok() {
                    self.tally.acked += 1;
                    for (place, index) in covered {
                        if self.is_of_another(&place, index) {
                            continue;
                        }
                        self.writes.get_mut(&place).unwrap()[index].acked.get_or_insert(self.tally.steps);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a removal is of the record that was, and others made it anew meanwhile. A third program that met none of their
    /// commits knows the record by the service's id alone, and the record with that id is gone. Of two programs one has
    /// always met the other by then.
    fn is_of_another(&self, place: &Place, index: usize) -> bool {
        let id = self.writes.get(place).and_then(|writes| writes[index].id).filter(|id| *id != 0);
        let third = self.clients.len() > 2;
        third && id.is_some_and(|id| !self.server.rows.contains_key(&id)) && self.server.has(&place.0)
    }

    /// Whether a place may have a value: not one that somebody wrote before the last acknowledged write was made, knowing
    /// or not; and not the one it began with.
    fn may_be(writes: &[Write], found: &Value) -> bool {
        let Some(last) = writes.iter().filter(|write| write.acked.is_some()).max_by_key(|write| write.made) else {
            return true;
        };
        writes.iter().any(|write| {
            let over = write.acked.is_some_and(|acked| acked < last.made);
            let own = write.by == last.by && write.made < last.made;
            write.value == *found && !over && !own
        })
    }

    /// Whether a record was removed after the last acknowledged write to one of its fields: what comes back then comes as
    /// the program shows it that brings it back. That may be a third one, which never saw that write; then it counts when the
    /// removal was stored, which is not known but for its acknowledgement.
    fn was_removed_since(&self, key: &str, writes: &[Write]) -> bool {
        let third = self.clients.len() > 2;
        let stored = |write: &Write| if third { write.acked.unwrap_or(u64::MAX) } else { write.made };
        let last = writes.iter().filter(|write| write.acked.is_some()).map(|write| write.made).max();
        let whole = self.writes.get(&(key.to_owned(), EXISTS)).into_iter().flatten();
        whole.filter(|write| write.value == Value::from(false)).any(|write| Some(stored(write)) >= last)
    }

    fn allowed(&self, records: &BTreeMap<String, Record>) -> Result<(), String> {
        for ((key, field), writes) in &self.writes {
            let record = records.get(key);
            let found = match record {
                _ if *field == EXISTS => Value::from(record.is_some()),
                Some(record) => record.get(field).cloned().unwrap_or_default(),
                None => continue,
            };
            let anew = *field != EXISTS && self.was_removed_since(key, writes);
            if !anew && !Self::may_be(writes, &found) {
                return Err(format!("{key}.{field} is {}, written {writes:?}", found.to_json()));
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
            if pending.failure.as_ref().is_some_and(|failure| failure.verdict == Verdict::Conflict) {
                self.say(|| format!("{who} gives up {}", pending.record.to_json()));
                let key = key_of(&pending.record);
                // The removal of the other program stands.
                self.writes.retain(|(of, _), _| *of != key);
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
        self.allowed(&rows)
    }
}
