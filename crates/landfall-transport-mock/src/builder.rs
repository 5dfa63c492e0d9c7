//! Describing a server: setters, and the JSON of scenarios. Owns defaults and checks; runs nothing.

use crate::{Fault, MockServer, ReplyStyle, Wrap, json::plain_record, model::Model, options::Options, server::State};
use landfall_core::{ChangeKind, Error, ErrorKind, Operation, Record, Result, Text, Value};
use std::time::Duration;

/// Describes a [`MockServer`].
///
/// ```
/// use landfall_core::{ChangeKind, Operation, Record};
/// use landfall_transport_mock::{Fault, MockServer, ReplyStyle, Wrap};
///
/// let server = MockServer::builder()
///     .id("ProductID")
///     .rows([Record::from([("ProductID", 1)])])
///     .wrap(Wrap::data("Data").total("Total"))
///     .reply(ChangeKind::Create, ReplyStyle::Id)
///     .fault(Fault::on(Operation::Update).fail(409))
///     .build();
/// assert!(server.row(1).is_some());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct MockServerBuilder {
    options: Options,
    rows: Vec<Record>,
    next_id: Option<i64>,
    faults: Vec<Fault>,
    down: bool,
    no_network: bool,
    holding: bool,
}

const ALL: [Operation; 5] =
    [Operation::Read, Operation::Create, Operation::Update, Operation::Destroy, Operation::Submit];

impl MockServerBuilder {
    /// The name of the id member of rows. Default: `id`.
    pub fn id(mut self, name: impl Into<Text>) -> Self {
        self.options.id = name.into();
        self
    }

    /// The rows to start with. Default: none.
    pub fn rows(mut self, rows: impl IntoIterator<Item = Record>) -> Self {
        self.rows = rows.into_iter().map(plain_record).collect();
        self
    }

    /// Adds a row to start with.
    pub fn row(mut self, row: Record) -> Self {
        self.rows.push(plain_record(row));
        self
    }

    /// The number of the next id to give. Default: 1 more than the largest whole number among the ids of the rows.
    /// Given ids are never used again.
    pub fn next_id(mut self, number: i64) -> Self {
        self.next_id = Some(number);
        self
    }

    /// Makes given ids texts: this prefix and the number. Default: ids are numbers.
    pub fn id_prefix(mut self, prefix: impl Into<Text>) -> Self {
        self.options.id_prefix = Some(prefix.into());
        self
    }

    /// Which operations the transport offers. Default: read, create, update, destroy.
    pub fn offers(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        let offered: Vec<Operation> = operations.into_iter().collect();
        for operation in ALL {
            self.options.offer(operation, offered.contains(&operation));
        }
        self
    }

    /// Whether the transport offers submit as well. Default: no.
    pub fn submit(mut self, submit: bool) -> Self {
        self.options.offer(Operation::Submit, submit);
        self
    }

    /// Wraps replies in an object. Default: replies are bare rows.
    pub fn wrap(mut self, wrap: Wrap) -> Self {
        self.options.wrap = Some(wrap);
        self
    }

    /// Whether wrapping holds for replies to writes too. Default: yes.
    pub fn wrap_writes(mut self, wrap_writes: bool) -> Self {
        self.options.wrap_writes = wrap_writes;
        self
    }

    /// Whether a write of a single row is answered by a list of one. Default: no.
    pub fn array_replies(mut self, array_replies: bool) -> Self {
        self.options.array_replies = array_replies;
        self
    }

    /// Members that every wrapped reply to a read holds as well.
    pub fn reply_members(mut self, members: Record) -> Self {
        self.options.members = plain_record(members);
        self
    }

    /// How writes of this kind are answered. Default: [`ReplyStyle::Echo`].
    pub fn reply(mut self, kind: ChangeKind, style: ReplyStyle) -> Self {
        *self.options.style_mut(kind) = style;
        self
    }

    /// Members that the server itself puts into every created row.
    pub fn override_create(mut self, members: Record) -> Self {
        self.options.override_create = plain_record(members);
        self
    }

    /// Members that the server itself puts into every updated row.
    pub fn override_update(mut self, members: Record) -> Self {
        self.options.override_update = plain_record(members);
        self
    }

    /// The name of a member that counts the creates and updates of its row, from 1.
    pub fn counter(mut self, name: impl Into<Text>) -> Self {
        self.options.counter = Some(name.into());
        self
    }

    /// Whether reads with `take` give only rows `skip .. skip + take`. Default: no.
    pub fn paging(mut self, paging: bool) -> Self {
        self.options.paging = paging;
        self
    }

    /// Whether reads with `sort` give sorted rows (numbers by value, texts by code unit, null first). Default: no.
    pub fn sorting(mut self, sorting: bool) -> Self {
        self.options.sorting = sorting;
        self
    }

    /// Whether reads with `group` give groups. Default: no.
    pub fn grouping(mut self, grouping: bool) -> Self {
        self.options.grouping = grouping;
        self
    }

    /// The member (or dotted path) that holds the errors of [`Fault::errors`]. Default: `errors`.
    pub fn errors_field(mut self, name: impl Into<Text>) -> Self {
        self.options.errors_field = name.into();
        self
    }

    /// Adds a fault; the first that matches a request answers it.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Whether the server starts down: every request fails with 503. Default: no.
    pub fn down(mut self, down: bool) -> Self {
        self.down = down;
        self
    }

    /// Whether the server starts without a network: every connection is refused. Default: no.
    pub fn no_network(mut self, no_network: bool) -> Self {
        self.no_network = no_network;
        self
    }

    /// Whether replies wait until the test releases them. Default: no.
    pub fn holding(mut self, holding: bool) -> Self {
        self.holding = holding;
        self
    }

    /// How long every answer takes. Default: no time at all. A thread of its own waits for each delayed answer.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.latency = latency;
        self
    }

    /// Whether the server honours idempotency keys: a write with a known key and the same body gets the first result
    /// again and is not carried out; with another body it fails with 422. Only successes are remembered. Default: no.
    pub fn idempotency(mut self, idempotency: bool) -> Self {
        self.options.idempotency = idempotency;
        self
    }

    /// Starts the server.
    pub fn build(self) -> MockServer {
        let ids = self.rows.iter().filter_map(|row| row.get(&self.options.id).and_then(Value::as_i64));
        let next_id = self.next_id.unwrap_or_else(|| ids.max().unwrap_or(0).saturating_add(1));
        let mut state = State::default();
        state.model = Model { rows: self.rows, next_id };
        state.faults = self.faults;
        state.down = self.down;
        state.no_network = self.no_network;
        state.holding = self.holding;
        MockServer::new(self.options, state)
    }

    /// Reads a scenario's description; see [`MockServer::from_value`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it does not make sense.
    pub fn from_value(description: &Value) -> Result<Self> {
        let mut builder = Self::default();
        for (name, value) in object("server", description)?.iter() {
            builder = builder.member(name, value)?;
        }
        Ok(builder)
    }

    fn member(mut self, name: &str, value: &Value) -> Result<Self> {
        match name {
            "id" => self.options.id = text(name, value)?,
            "rows" => {
                let rows = list(name, value)?.iter().map(|row| object("rows", row).cloned());
                self = self.rows(rows.collect::<Result<Vec<_>>>()?);
            }
            "ops" => {
                let submit = self.options.offers(Operation::Submit);
                let names = list(name, value)?.iter().map(operation).collect::<Result<Vec<_>>>()?;
                self = self.offers(names);
                if submit {
                    self = self.submit(true);
                }
            }
            "submit" => self = self.submit(truth(name, value)?),
            "nextId" => self.next_id = Some(whole(name, value)?),
            "idPrefix" => self.options.id_prefix = Some(text(name, value)?),
            "wrap" => self.options.wrap = Some(wrap_from(value)?),
            "wrapWrites" => self.options.wrap_writes = truth(name, value)?,
            "arrayReplies" => self.options.array_replies = truth(name, value)?,
            "static" => self.options.members = object(name, value)?.clone(),
            "reply" => {
                for (op, style) in object(name, value)?.iter() {
                    let kind = ChangeKind::from_marker(op).ok_or_else(|| wrong("reply", &Value::from(op)))?;
                    *self.options.style_mut(kind) = style_from(style)?;
                }
            }
            "override" => {
                for (op, members) in object(name, value)?.iter() {
                    let members = object(name, members)?.clone();
                    match op {
                        "create" => self.options.override_create = members,
                        "update" => self.options.override_update = members,
                        _ => return Err(wrong("override", &Value::from(op))),
                    }
                }
            }
            "counter" => self.options.counter = Some(text(name, value)?),
            "paging" => self.options.paging = truth(name, value)?,
            "sorting" => self.options.sorting = truth(name, value)?,
            "grouping" => self.options.grouping = truth(name, value)?,
            "errorsField" => self.options.errors_field = text(name, value)?,
            "faults" => self.faults = list(name, value)?.iter().map(fault_from).collect::<Result<Vec<_>>>()?,
            "down" => self.down = truth(name, value)?,
            "async" => self.holding = truth(name, value)?,
            _ => {
                return Err(
                    Error::new(ErrorKind::Config, "unknown member of a server description").with("member", name)
                );
            }
        }
        Ok(self)
    }
}

/// Reads a fault as scenarios write it. Members that belong to the step around it are left alone.
pub(crate) fn fault_from(description: &Value) -> Result<Fault> {
    let given = object("fault", description)?;
    let mut fault = match given.get("op") {
        Some(op) if op.as_str() == Some("*") => Fault::any(),
        Some(op) => Fault::on(operation(op)?),
        None => return Err(Error::new(ErrorKind::Config, "a fault needs an op")),
    };
    let mut answers = 0;
    for (name, value) in given.iter() {
        match name {
            "nth" => fault = fault.nth(count(name, value)?),
            "times" => fault = fault.times(count(name, value)?),
            "apply" => fault = fault.apply(truth(name, value)?),
            "fail" => {
                let code = u16::try_from(whole(name, value)?).ok().ok_or_else(|| wrong(name, value))?;
                fault = fault.fail(code);
                answers += 1;
            }
            "errors" => {
                fault = fault.errors(value.clone());
                answers += 1;
            }
            "reply" => {
                fault = fault.reply(value.clone());
                answers += 1;
            }
            _ => {}
        }
    }
    if answers == 1 {
        Ok(fault)
    } else {
        Err(Error::new(ErrorKind::Config, "a fault needs exactly one of fail, errors and reply"))
    }
}

fn wrap_from(value: &Value) -> Result<Wrap> {
    let given = object("wrap", value)?;
    let path = |name| given.get(name).map(|path| text(name, path)).transpose();
    let data = path("data")?.unwrap_or_else(|| Text::from("data"));
    Ok(Wrap { data, total: path("total")?, groups: path("groups")? })
}

fn style_from(value: &Value) -> Result<ReplyStyle> {
    match value.as_str() {
        Some("echo") => Ok(ReplyStyle::Echo),
        Some("id") => Ok(ReplyStyle::Id),
        Some("empty") => Ok(ReplyStyle::Empty),
        _ => Err(wrong("reply", value)),
    }
}

fn operation(value: &Value) -> Result<Operation> {
    let name = value.as_str();
    ALL.into_iter().find(|operation| Some(operation.as_str()) == name).ok_or_else(|| wrong("operation", value))
}

fn wrong(name: &str, value: &Value) -> Error {
    Error::new(ErrorKind::Config, "a server description does not make sense")
        .with("member", name)
        .with("got", value.to_json().chars().take(60).collect::<String>())
}

fn object<'v>(name: &str, value: &'v Value) -> Result<&'v Record> {
    value.as_object().ok_or_else(|| wrong(name, value))
}

fn list<'v>(name: &str, value: &'v Value) -> Result<&'v [Value]> {
    value.as_array().ok_or_else(|| wrong(name, value))
}

fn text(name: &str, value: &Value) -> Result<Text> {
    value.as_str().map(Text::from).ok_or_else(|| wrong(name, value))
}

fn truth(name: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(name, value))
}

fn whole(name: &str, value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| wrong(name, value))
}

fn count(name: &str, value: &Value) -> Result<u64> {
    u64::try_from(whole(name, value)?).ok().ok_or_else(|| wrong(name, value))
}
