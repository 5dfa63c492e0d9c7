//! How the server answers: plain settings. Owns their defaults; handles no request.

use landfall_core::{ChangeKind, Operation, Record, Text, Value};
use std::time::Duration;

/// What a successful write is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyStyle {
    /// The row as the server now has it; for destroy the removed row.
    #[default]
    Echo,
    /// Only the row's id member.
    Id,
    /// A success without a body.
    Empty,
}

/// Where a wrapped reply holds its parts: member names or dotted paths.
///
/// ```
/// # use landfall_transport_mock::Wrap;
/// let wrap = Wrap::data("Data").total("Total");
/// # let _ = wrap;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrap {
    pub(crate) data: Text,
    pub(crate) total: Option<Text>,
    pub(crate) groups: Option<Text>,
}

impl Wrap {
    /// Rows stand at this path.
    pub fn data(path: impl Into<Text>) -> Self {
        Self { data: path.into(), total: None, groups: None }
    }

    /// The number of all rows stands at this path. Default: it is not told.
    #[must_use]
    pub fn total(mut self, path: impl Into<Text>) -> Self {
        self.total = Some(path.into());
        self
    }

    /// Groups stand at this path. Default: groups are answered as a bare array.
    #[must_use]
    pub fn groups(mut self, path: impl Into<Text>) -> Self {
        self.groups = Some(path.into());
        self
    }
}

/// Everything that does not change while the server runs.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct Options {
    pub(crate) id: Text,
    pub(crate) id_prefix: Option<Text>,
    /// Which operations are offered, in the order of [`position`].
    pub(crate) offered: [bool; 5],
    pub(crate) wrap: Option<Wrap>,
    pub(crate) wrap_writes: bool,
    pub(crate) array_replies: bool,
    pub(crate) members: Record,
    pub(crate) styles: [ReplyStyle; 3],
    pub(crate) override_create: Record,
    pub(crate) override_update: Record,
    pub(crate) counter: Option<Text>,
    pub(crate) paging: bool,
    pub(crate) sorting: bool,
    pub(crate) grouping: bool,
    pub(crate) errors_field: Text,
    pub(crate) latency: Duration,
    pub(crate) idempotency: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            id: Text::from("id"),
            id_prefix: None,
            offered: [true, true, true, true, false],
            wrap: None,
            wrap_writes: true,
            array_replies: false,
            members: Record::new(),
            styles: [ReplyStyle::Echo; 3],
            override_create: Record::new(),
            override_update: Record::new(),
            counter: None,
            paging: false,
            sorting: false,
            grouping: false,
            errors_field: Text::from("errors"),
            latency: Duration::ZERO,
            idempotency: false,
        }
    }
}

impl Options {
    pub(crate) fn style(&self, kind: ChangeKind) -> ReplyStyle {
        let [create, update, destroy] = self.styles;
        match kind {
            ChangeKind::Create => create,
            ChangeKind::Update => update,
            ChangeKind::Destroy => destroy,
        }
    }

    pub(crate) fn style_mut(&mut self, kind: ChangeKind) -> &mut ReplyStyle {
        let [create, update, destroy] = &mut self.styles;
        match kind {
            ChangeKind::Create => create,
            ChangeKind::Update => update,
            ChangeKind::Destroy => destroy,
        }
    }

    pub(crate) fn offers(&self, operation: Operation) -> bool {
        self.offered.get(position(operation)).copied().unwrap_or(false)
    }

    pub(crate) fn offer(&mut self, operation: Operation, offered: bool) {
        if let Some(slot) = self.offered.get_mut(position(operation)) {
            *slot = offered;
        }
    }

    /// The id that a number stands for.
    pub(crate) fn id_value(&self, number: i64) -> Value {
        match &self.id_prefix {
            Some(prefix) => Value::from(format!("{prefix}{number}")),
            None => Value::from(number),
        }
    }
}

/// The place of an operation in lists with one entry per operation.
pub(crate) const fn position(operation: Operation) -> usize {
    match operation {
        Operation::Read => 0,
        Operation::Create => 1,
        Operation::Update => 2,
        Operation::Destroy => 3,
        Operation::Submit => 4,
    }
}

/// The change that an operation carries; `None` for reads and submits.
pub(crate) const fn kind_of(operation: Operation) -> Option<ChangeKind> {
    match operation {
        Operation::Create => Some(ChangeKind::Create),
        Operation::Update => Some(ChangeKind::Update),
        Operation::Destroy => Some(ChangeKind::Destroy),
        Operation::Read | Operation::Submit => None,
    }
}
