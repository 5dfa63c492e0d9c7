//! What travels between the engine and a transport: requests and replies, still without bytes.
//!
//! Owns the meaning of a request (which operation, which records, which key). Never knows URLs, verbs or encodings:
//! these belong to dialects.

use crate::{ChangeKind, Record, Text, Value};
use std::sync::Arc;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Read records.
    Read,
    /// Create one record, or several with batch.
    Create,
    /// Update one record, or several with batch.
    Update,
    /// Remove one record, or several with batch.
    Destroy,
    /// All pending changes in one request.
    Submit,
}

impl Operation {
    /// `read`, `create`, `update`, `destroy` or `submit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Destroy => "destroy",
            Self::Submit => "submit",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<ChangeKind> for Operation {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Create => Self::Create,
            ChangeKind::Update => Self::Update,
            ChangeKind::Destroy => Self::Destroy,
        }
    }
}

impl TryFrom<Operation> for ChangeKind {
    type Error = Operation;
    /// The kind of change that the operation makes; the operation itself when it makes none, or several.
    fn try_from(operation: Operation) -> Result<Self, Operation> {
        match operation {
            Operation::Create => Ok(Self::Create),
            Operation::Update => Ok(Self::Update),
            Operation::Destroy => Ok(Self::Destroy),
            other => Err(other),
        }
    }
}

/// One changed record on its way to the server.
#[derive(Clone, Debug)]
pub struct OutgoingRow {
    /// What happened to it.
    pub kind: ChangeKind,
    /// The whole record in the server's member names (fields written back under their `from`). No markers.
    pub record: Record,
    /// The value of the id field, if it has one.
    pub id: Option<Value>,
    /// The server's names of the members that the program changed; for partial updates.
    pub changed: Vec<Text>,
    /// The server's last known version, if there is one.
    pub base: Option<Record>,
}

/// A change whose outcome is unknown, or that is in conflict: what does the server have?
#[derive(Clone, Debug)]
pub struct LookUp {
    /// The change as it was sent.
    pub row: OutgoingRow,
    /// The server's name of the id field, if the model has one.
    pub id_field: Option<Text>,
    /// The server's name of the field that names a record before it has an id, where the data source was told of one.
    pub natural_key: Option<Text>,
    /// The idempotency key that it was sent with.
    pub key: Option<Text>,
}

impl LookUp {
    /// The id to look for: that of an update or a removal.
    pub fn id(&self) -> Option<&Value> {
        let usable = |id: &&Value| !id.is_null() && id.as_str() != Some("");
        self.row.id.as_ref().filter(|_| self.row.kind != ChangeKind::Create).filter(usable)
    }

    /// The name and value to look for where there is no id yet.
    pub fn name(&self) -> Option<(&Text, &Value)> {
        let field = self.natural_key.as_ref()?;
        let value = self.row.record.get(field).filter(|value| !value.is_null())?;
        Some((field, value))
    }
}

/// What a look-up found.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Found {
    /// This record, in the server's form.
    Record(Record),
    /// The server has no such record.
    Missing,
    /// It cannot be told.
    #[default]
    Unknown,
}

/// A request, independent of how it is spelled.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// Of a read: the parameters in Kendo's order (R7.67): `take`, `skip`, `page`, `pageSize`, `sort`, `filter`,
    /// `group`, `aggregate`, then the caller's own. Empty for writes.
    pub params: Record,
    /// Of a read: standard parameters that are switched on and have no value. Kendo's hold them as undefined, so functions
    /// see the names; they never travel.
    pub unset: Vec<Text>,
    /// Of a write: the records, in the order they are sent. Empty for reads.
    pub rows: Vec<OutgoingRow>,
    /// Whether the rows travel as a list (`models`), even if it is one.
    pub batch: bool,
    /// The idempotency key: the same for every try of the same body, stored before the first. Writes only.
    pub key: Option<Text>,
    /// The server's name of the id field, if the model has one.
    pub id_field: Option<Text>,
    /// Set when a whole custom `serialize` result replaces the rows of a batch (R3.21).
    pub models: Option<Value>,
}

impl Request {
    /// A read with these parameters.
    pub fn read(params: Record) -> Self {
        Self {
            operation: Operation::Read,
            params,
            unset: Vec::new(),
            rows: Vec::new(),
            batch: false,
            key: None,
            id_field: None,
            models: None,
        }
    }

    /// The data exactly as Kendo hands it to a transport (R5.10): the read's parameters, the record, `{"models": [...]}`
    /// or `{"created": [...], "updated": [...], "destroyed": [...]}`.
    pub fn data(&self) -> Value {
        let of =
            |kind| Value::array(self.rows.iter().filter(|row| row.kind == kind).map(|row| row.record.clone().into()));
        match self.operation {
            Operation::Read => self.params.clone().into(),
            Operation::Submit => Record::from([
                ("created", of(ChangeKind::Create)),
                ("updated", of(ChangeKind::Update)),
                ("destroyed", of(ChangeKind::Destroy)),
            ])
            .into(),
            _ if self.batch => {
                let models = self.models.clone();
                let models =
                    models.unwrap_or_else(|| Value::array(self.rows.iter().map(|row| row.record.clone().into())));
                Record::from([("models", models)]).into()
            }
            _ => self.rows.first().map_or_else(|| Record::new().into(), |row| row.record.clone().into()),
        }
    }
}

/// The body of an answer.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// A success without a body: for a write "accepted as sent" (R5.19).
    #[default]
    Empty,
    /// JSON text, not decoded yet; the engine decodes it straight into records.
    Json(Arc<[u8]>),
    /// A value decoded already.
    Value(Value),
}

impl Body {
    /// A body of JSON text.
    pub fn json(text: impl AsRef<[u8]>) -> Self {
        Self::Json(Arc::from(text.as_ref()))
    }

    /// Whether there is no body at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The decoded body; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when the text is not JSON.
    pub fn decode(&self) -> crate::Result<Option<Value>> {
        match self {
            Self::Empty => Ok(None),
            Self::Json(bytes) => crate::json::from_slice(bytes).map(Some),
            Self::Value(value) => Ok(Some(value.clone())),
        }
    }
}

impl Body {
    /// As [`decode`](Self::decode), with places of instants, and somebody who is told.
    pub(crate) fn decode_hinted(
        &self,
        hint: Option<&crate::json::Hint>,
        progress: Option<&crate::json::Progress>,
    ) -> crate::Result<Option<Value>> {
        match self {
            Self::Json(bytes) => crate::json::from_slice_hinted(bytes, hint, progress).map(Some),
            other => other.decode(),
        }
    }

    /// As [`decode`](Self::decode), without sharing what was decoded already.
    ///
    /// # Errors
    /// As there.
    pub fn into_value(self) -> crate::Result<Option<Value>> {
        match self {
            Self::Value(value) => Ok(Some(value)),
            other => other.decode(),
        }
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<Record> for Body {
    fn from(record: Record) -> Self {
        Self::Value(record.into())
    }
}

/// A successful answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The body, unwrapped by the dialect as far as the dialect knows the wrapping.
    pub body: Body,
    /// Of a submit: one answer per kind that held rows. Empty for everything else.
    pub parts: Vec<(ChangeKind, crate::Result<Body>)>,
    /// The total where the dialect reads it from outside the body (a header); otherwise the schema decides.
    pub total: Option<u64>,
    /// Further facts for logs and hooks, such as an entity tag, by lower-case name.
    pub headers: Vec<(Text, Text)>,
}

impl Reply {
    /// A success without a body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A success with this body.
    pub fn with_body(body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}
