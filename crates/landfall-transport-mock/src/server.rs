//! The server: state, the order in which a request is treated, and the handle that tests hold.

use crate::{
    MockServerBuilder,
    fault::{Answer, Fault},
    held::{self, Gate, Waiting, lock},
    json::{plain, put, records},
    model::{Model, NoSuchRow},
    options::{Options, kind_of, position},
};
use async_trait::async_trait;
use landfall_core::{
    Applied, Body, ChangeKind, Error, ErrorKind, Operation, Record, Reply, Request, Result, Text, Value,
};
use landfall_transport::Transport;
use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A request as it reached the transport, also one that failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// What was asked for.
    pub operation: Operation,
    /// What was sent, as [`Request::data`] gives it, with dates as text.
    pub data: Value,
    /// The idempotency key, if the request had one.
    pub key: Option<Text>,
}

/// A scripted server in memory. Clones are handles on the same server.
///
/// Made by [`builder`](Self::builder), or from the JSON of a scenario by [`from_value`](Self::from_value). A request
/// is treated in this order: it is logged and counted (each operation has its own counter); a server that is down or
/// not reachable fails; the first matching [`Fault`] answers; otherwise the operation is carried out.
#[derive(Clone, Debug)]
pub struct MockServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) faults: Vec<Fault>,
    pub(crate) down: bool,
    pub(crate) no_network: bool,
    pub(crate) holding: bool,
    counts: [u64; 5],
    log: Vec<Received>,
    held: VecDeque<Gate>,
    remembered: HashMap<Text, Remembered>,
}

/// The first result of a request with a key.
#[derive(Debug)]
struct Remembered {
    operation: Operation,
    data: Value,
    reply: Reply,
}

/// What `send` goes on with.
enum Sent {
    Ready(Result<Reply>),
    Later(Waiting),
}

impl MockServer {
    /// Starts describing a server. Without further words it has no rows, offers read, create, update and destroy, and
    /// always succeeds.
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder::default()
    }

    /// A server with these rows and no further settings.
    pub fn with_rows(rows: impl IntoIterator<Item = Record>) -> Self {
        Self::builder().rows(rows).build()
    }

    /// A server as a scenario describes it: an object with any of `id`, `rows`, `ops`, `submit`, `nextId`, `idPrefix`,
    /// `wrap`, `wrapWrites`, `arrayReplies`, `static`, `reply`, `override`, `counter`, `paging`, `sorting`, `grouping`,
    /// `errorsField`, `faults`, `down`, `async`.
    ///
    /// ```
    /// use landfall_core::Value;
    /// use landfall_transport_mock::MockServer;
    ///
    /// let server = MockServer::from_value(&Value::from_json(r#"{"rows":[{"id":1}],"down":true}"#)?)?;
    /// assert_eq!(server.rows().len(), 1);
    /// assert!(server.is_down());
    /// # Ok::<(), landfall_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is no object, has an unknown member, or a member has the wrong type.
    pub fn from_value(description: &Value) -> Result<Self> {
        MockServerBuilder::from_value(description).map(MockServerBuilder::build)
    }

    pub(crate) fn new(options: Options, state: State) -> Self {
        Self(Arc::new(Shared { options, state: Mutex::new(state) }))
    }

    // ---- looking inside

    /// The rows as the server has them now.
    pub fn rows(&self) -> Vec<Record> {
        lock(&self.0.state).model.rows.clone()
    }

    /// The row with this id; a number and its text are the same id.
    pub fn row(&self, id: impl Into<Value>) -> Option<Record> {
        let state = lock(&self.0.state);
        let place = state.model.find(&self.0.options, &id.into())?;
        state.model.rows.get(place).cloned()
    }

    /// The requests so far, in the order they reached the transport, also failed ones.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.0.state).log.clone()
    }

    /// The requests since the last call of this method; [`requests`](Self::requests) forgets them.
    pub fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.0.state).log)
    }

    /// How many requests of this operation came so far, including failed ones.
    pub fn count(&self, operation: Operation) -> u64 {
        lock(&self.0.state).counts.get(position(operation)).copied().unwrap_or(0)
    }

    // ---- changes behind the client's back

    /// Changes members of the row with this id, or adds it if there is none. Counters and overrides do not act.
    pub fn set_row(&self, id: impl Into<Value>, members: impl Into<Record>) {
        let options = &self.0.options;
        let (id, members) = (id.into(), members.into());
        let mut guard = lock(&self.0.state);
        let rows = &mut guard.model;
        let place = rows.find(options, &id).unwrap_or_else(|| {
            rows.rows.push(Record::from([(&options.id, id)]));
            rows.rows.len() - 1
        });
        if let Some(row) = rows.rows.get_mut(place) {
            for (name, value) in members.iter() {
                row.set(name, plain(value));
            }
        }
    }

    /// Removes the row with this id and gives it, if there was one.
    pub fn remove_row(&self, id: impl Into<Value>) -> Option<Record> {
        let mut state = lock(&self.0.state);
        let place = state.model.find(&self.0.options, &id.into())?;
        Some(state.model.rows.remove(place))
    }

    /// Makes every request fail with status 503 without being carried out, or ends that. Faults are not used up
    /// meanwhile.
    pub fn set_down(&self, down: bool) {
        lock(&self.0.state).down = down;
    }

    /// Whether every request fails with 503.
    pub fn is_down(&self) -> bool {
        lock(&self.0.state).down
    }

    /// Cuts the network, or mends it: every request fails as a refused connection
    /// ([`ErrorKind::Transport`], surely not applied). Faults are not used up meanwhile.
    pub fn set_no_network(&self, no_network: bool) {
        lock(&self.0.state).no_network = no_network;
    }

    /// Adds a fault behind the ones that are there.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.0.state).faults.push(fault);
    }

    /// Adds a fault given as in the member `faults` of a scenario's server: `op`, `nth` or `times`, and `fail`,
    /// `errors` or `reply`, also `apply`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the description does not make sense.
    pub fn add_fault_value(&self, description: &Value) -> Result<()> {
        self.add_fault(crate::builder::fault_from(description)?);
        Ok(())
    }

    // ---- held replies

    /// From now on replies wait until they are released, or no longer. Ending the hold releases all that wait.
    /// Requests are carried out when they arrive all the same.
    pub fn set_holding(&self, holding: bool) {
        lock(&self.0.state).holding = holding;
        if !holding {
            self.release_all();
        }
    }

    /// How many replies are held back that somebody still waits for.
    pub fn held(&self) -> usize {
        lock(&self.0.state).held.iter().filter(|gate| gate.is_awaited()).count()
    }

    /// Lets the oldest held reply go. `false` when there is none.
    pub fn release_next(&self) -> bool {
        self.release_at(0)
    }

    /// Lets one held reply go, counted from the oldest (0), so that answers overtake each other. `false` when there
    /// are not so many.
    pub fn release_at(&self, place: usize) -> bool {
        let gate = {
            let mut state = lock(&self.0.state);
            state.held.retain(Gate::is_awaited);
            state.held.remove(place)
        };
        gate.as_ref().map(Gate::open).is_some()
    }

    /// Lets all held replies go, oldest first. Gives how many.
    pub fn release_all(&self) -> usize {
        let gates = std::mem::take(&mut lock(&self.0.state).held);
        let awaited = gates.iter().filter(|gate| gate.is_awaited());
        awaited.map(Gate::open).count()
    }

    // ---- requests

    fn receive(&self, request: &Request) -> Sent {
        let options = &self.0.options;
        let data = plain(&request.data());
        let operation = request.operation;
        let mut guard = lock(&self.0.state);
        let state = &mut *guard;
        let (answer, latency) = if options.offers(operation) {
            state.log.push(Received { operation, data: data.clone(), key: request.key.clone() });
            state.answer(options, operation, data, request.key.as_ref())
        } else {
            let error = Error::new(ErrorKind::Unsupported, "the mock server does not offer this operation");
            (Err(error), options.latency)
        };
        let answer = answer.map_err(|error| {
            let error = error.during(operation.as_str());
            // A read has nothing to apply.
            if operation == Operation::Read { error.applied(Applied::No) } else { error }
        });
        if state.holding {
            let (gate, waiting) = held::hold(answer);
            state.held.push_back(gate);
            return Sent::Later(waiting);
        }
        drop(guard);
        if latency.is_zero() {
            return Sent::Ready(answer);
        }
        let (gate, waiting) = held::hold(answer);
        gate.open_after(latency);
        Sent::Later(waiting)
    }
}

impl State {
    fn answer(
        &mut self,
        options: &Options,
        operation: Operation,
        data: Value,
        key: Option<&Text>,
    ) -> (Result<Reply>, Duration) {
        let mut count = 0;
        if let Some(slot) = self.counts.get_mut(position(operation)) {
            *slot += 1;
            count = *slot;
        }
        if self.no_network {
            return (Err(refused()), Duration::ZERO);
        }
        if self.down {
            return (Err(status(503, "the server is down")), options.latency);
        }
        let Some(fault) = self.faults.iter_mut().find(|fault| fault.matches(operation, count)) else {
            return (self.carry_out(options, operation, data, key), options.latency);
        };
        fault.spend();
        let fault = fault.clone();
        let latency = fault.latency.unwrap_or(options.latency);
        let carried_out = fault.applies().then(|| self.carry_out(options, operation, data, key));
        if let (Answer::Normal, Some(result)) = (&fault.answer, carried_out) {
            return (result, latency);
        }
        (fault_answer(options, fault), latency)
    }

    fn carry_out(&mut self, options: &Options, operation: Operation, data: Value, key: Option<&Text>) -> Result<Reply> {
        let key = key.filter(|_| options.idempotency && operation != Operation::Read);
        if let Some(first) = key.and_then(|key| self.remembered.get(key)) {
            if first.operation == operation && first.data == data {
                return Ok(first.reply.clone());
            }
            return Err(status(422, "the idempotency key was used for another request"));
        }
        let (reply, remember) = match (kind_of(operation), data.as_object()) {
            (Some(kind), Some(body)) => (Reply::with_body(self.write(options, kind, body)?), true),
            (None, Some(body)) if operation == Operation::Submit => self.model.submit(options, body),
            (None, Some(params)) => (Reply::with_body(self.model.read(options, params)), false),
            (_, None) => return Err(status(400, "the request holds no object")),
        };
        if let Some(key) = key.filter(|_| remember) {
            self.remembered.insert(key.clone(), Remembered { operation, data, reply: reply.clone() });
        }
        Ok(reply)
    }

    fn write(&mut self, options: &Options, kind: ChangeKind, body: &Record) -> Result<Body> {
        let batch = body.get("models").is_some_and(|models| models.as_array().is_some());
        let rows = if batch { records(body.get("models")) } else { vec![body.clone()] };
        let missing = |NoSuchRow| status(404, "there is no row of this id");
        let rows = self.model.write(options, kind, &rows).map_err(missing)?;
        Ok(Model::written(options, kind, batch, rows))
    }
}

fn fault_answer(options: &Options, fault: Fault) -> Result<Reply> {
    let lost = |kind, words: &'static str| Err(Error::new(kind, words).applied(Applied::Maybe));
    match fault.answer {
        Answer::Fail(code) => {
            let mut error = status(code, "a fault of the mock server");
            if let Some(pause) = fault.retry_after {
                error = error.retry_after_of(pause);
            }
            if let Some(body) = fault.body {
                error = error.saying(body);
            }
            Err(error)
        }
        Answer::Errors(errors) => {
            let mut body = Record::new();
            put(&mut body, &options.errors_field, errors);
            Ok(Reply::with_body(body))
        }
        Answer::Reply(body) => Ok(Reply::with_body(body)),
        Answer::Lost => lost(ErrorKind::Transport, "the connection broke before the answer came"),
        Answer::TimedOut => lost(ErrorKind::TimedOut, "no answer came in time"),
        Answer::Refused => Err(refused()),
        Answer::Unreadable(text) => Ok(Reply { body: Body::json(text.as_str()), ..Reply::default() }),
        // A fault that asks for latency alone is answered by the operation itself and never gets here.
        Answer::Empty | Answer::Normal => Ok(Reply::empty()),
    }
}

/// The failure of an HTTP status. After 502 and 504 nobody knows whether the request was carried out.
pub(crate) fn status(code: u16, words: impl Into<Cow<'static, str>>) -> Error {
    let applied = if matches!(code, 502 | 504) { Applied::Maybe } else { Applied::No };
    Error::new(ErrorKind::Status(code), words).applied(applied)
}

fn refused() -> Error {
    Error::new(ErrorKind::Transport, "the connection was refused")
}

#[async_trait]
impl Transport for MockServer {
    async fn send(&self, request: Request) -> Result<Reply> {
        match self.receive(&request) {
            Sent::Ready(answer) => answer,
            Sent::Later(waiting) => waiting.await,
        }
    }

    fn offers(&self, operation: Operation) -> bool {
        self.0.options.offers(operation)
    }
}
