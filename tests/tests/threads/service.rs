//! The service of the rounds: it keeps what it gets and answers with it, after pauses of its own, and writes down when it got
//! what.

use crate::{Clock, Dice};
use async_trait::async_trait;
use landfall::{
    Error, ErrorKind, Record, Result, Value,
    transport::{Operation, Reply, Request, Transport},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) begin: u64,
    pub(crate) thread: ThreadId,
    pub(crate) operation: Operation,
    pub(crate) record: Record,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    rows: BTreeMap<i64, Record>,
    next: i64,
    answered: HashMap<String, (Operation, String, Reply)>,
    busy: HashSet<String>,
    got: Vec<Got>,
    wrong: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Service {
    pub(crate) fn new(clock: &Clock, dice: Dice, rows: impl IntoIterator<Item = Record>) -> Self {
        let rows: BTreeMap<i64, Record> =
            rows.into_iter().map(|row| (row.get("id").and_then(Value::as_i64).unwrap(), row)).collect();
        let state = State {
            dice,
            rows,
            next: 1000,
            answered: HashMap::new(),
            busy: HashSet::new(),
            got: Vec::new(),
            wrong: Vec::new(),
        };
        Self { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn rows(&self) -> Vec<Record> {
        self.state.lock().unwrap().rows.values().cloned().collect()
    }

    /// Somebody else sets a member: gives it at once, to be pushed.
    pub(crate) fn set(&self, id: i64, member: &str, value: i64) {
        self.state.lock().unwrap().rows.get_mut(&id).unwrap().set(member, value);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }

    /// What must not be: two requests of one record at a time, a key used twice, a record that is not there.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.state.lock().unwrap().wrong.clone()
    }

    async fn pause(&self) {
        let micros = {
            let dice = &mut self.state.lock().unwrap().dice;
            if dice.below(3) == 0 { dice.below(1500) } else { 0 }
        };
        match micros {
            0 => tokio::task::yield_now().await,
            some => tokio::time::sleep(Duration::from_micros(some)).await,
        }
    }
}

/// What names a record, also one without an id.
fn name_of(record: &Record) -> String {
    ["tag", "id"].iter().find_map(|name| record.get(name).map(Value::to_json)).unwrap()
}

impl State {
    fn carry_out(&mut self, request: &Request) -> Result<Reply> {
        if request.operation == Operation::Read {
            return Ok(Reply::with_body(Value::array(self.rows.values().cloned().map(Value::from))));
        }
        let sent = &request.rows[0].record;
        let key = request.key.as_ref().unwrap().to_string();
        if let Some((operation, body, reply)) = self.answered.get(&key) {
            if (*operation, body.as_str()) != (request.operation, sent.to_json().as_str()) {
                self.wrong.push(format!("{key} was used for {body} and {}", sent.to_json()));
            }
            return Ok(reply.clone());
        }
        let known = sent.get("id").and_then(Value::as_i64).filter(|id| self.rows.contains_key(id));
        let id = match (request.operation, known) {
            (Operation::Create, None) => {
                self.next += 1;
                self.next
            }
            (Operation::Update | Operation::Destroy, Some(id)) => id,
            _ => {
                self.wrong.push(format!("{} of {}", request.operation, sent.to_json()));
                return Err(Error::from(ErrorKind::Status(404)));
            }
        };
        let before = self.rows.get(&id).and_then(|row| row.get("revision")).and_then(Value::as_i64).unwrap_or(0);
        let mut row = sent.clone();
        row.set("id", id);
        row.set("revision", before + 1);
        let reply = Reply::with_body(Value::from(row.clone()));
        if request.operation == Operation::Destroy {
            self.rows.remove(&id);
        } else {
            self.rows.insert(id, row);
        }
        self.answered.insert(key, (request.operation, sent.to_json(), reply.clone()));
        Ok(reply)
    }
}

#[async_trait]
impl Transport for Service {
    async fn send(&self, request: Request) -> Result<Reply> {
        let begin = self.clock.tick();
        let name = request.rows.first().map(|row| name_of(&row.record));
        {
            let state = &mut *self.state.lock().unwrap();
            let record = request.rows.first().map(|row| row.record.clone()).unwrap_or_default();
            state.got.push(Got { begin, thread: thread::current().id(), operation: request.operation, record });
            if let Some(name) = &name
                && !state.busy.insert(name.clone())
            {
                state.wrong.push(format!("two requests of {name} at a time"));
            }
        }
        self.pause().await;
        let reply = self.state.lock().unwrap().carry_out(&request);
        self.pause().await;
        if let Some(name) = &name {
            self.state.lock().unwrap().busy.remove(name);
        }
        reply
    }

    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }
}
