//! Events: what happened, to whom, in Kendo's words and order (reference sections 5 and 9).

use super::{
    report::{ChangeOutcome, SyncProgress},
    table::Uid,
};
use crate::{Error, Operation, Record, Text, Value};
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A request, or a local query, is about to start. A handler may prevent reads.
    RequestStart,
    /// A request was started.
    Progress,
    /// A read replaces the data, or a filter was set.
    Reset,
    /// A sort order was set.
    Sort,
    /// A request, or a local query, ended.
    RequestEnd,
    /// The data or the view changed.
    Change,
    /// All changes of a sync were acknowledged.
    Sync,
    /// A request failed, or its answer held errors.
    Error,
    /// Changes pushed by the server were taken in.
    Push,
    /// One change of a sync was acknowledged, or failed, and that is stored. Fires per change, before the sync ends;
    /// Kendo has nothing like it.
    Outcome,
}

/// What a change event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A field of an item changed.
    ItemChange,
    /// Items were added.
    Add,
    /// Items were removed.
    Remove,
    /// A sync ended.
    Sync,
}

impl Action {
    /// Kendo's word: `itemchange`, `add`, `remove` or `sync`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ItemChange => "itemchange",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Sync => "sync",
        }
    }
}

/// An item as an event carries it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The identity.
    pub uid: Uid,
    /// The values at the moment of the event.
    pub record: Record,
}

/// Something happened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Of request and push events: the operation. Absent on the request end after a failure, as in Kendo.
    pub operation: Option<Operation>,
    /// Of a request end: the raw answer.
    pub response: Option<Value>,
    /// Of changes: what was done.
    pub action: Option<Action>,
    /// Of an item change: the field.
    pub field: Option<Text>,
    /// Of additions and removals: the position.
    pub index: Option<usize>,
    /// The items that the event is about, or that the view shows now. Absent when it carries none.
    pub items: Option<Vec<Item>>,
    /// Of a sync's change: the items that were acknowledged.
    pub changed: Option<Vec<Item>>,
    /// Of errors: what went wrong.
    pub error: Option<Error>,
    /// Of outcomes: the change and how it fared.
    pub outcome: Option<Box<ChangeOutcome>>,
    /// Of outcomes: how far the sync has got with this change.
    pub progress: Option<SyncProgress>,
    /// Pairs the start and the end of one request (Q61).
    pub request: Option<u64>,
    prevented: AtomicBool,
}

impl Event {
    pub(crate) fn new(kind: EventKind) -> Self {
        Self {
            kind,
            operation: None,
            response: None,
            action: None,
            field: None,
            index: None,
            items: None,
            changed: None,
            error: None,
            outcome: None,
            progress: None,
            request: None,
            prevented: AtomicBool::new(false),
        }
    }

    /// An error event for a failure outside the engine, such as a panicking handler.
    pub fn from_error(error: Error) -> Self {
        let mut event = Self::new(EventKind::Error);
        event.error = Some(error);
        event
    }

    pub(crate) fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Prevents what was about to start. Honoured for the request start of reads and local queries (Q32).
    #[doc(alias = "preventDefault")]
    pub fn prevent_default(&self) {
        self.prevented.store(true, Ordering::Release);
    }

    /// Whether a handler prevented it.
    #[doc(alias = "isDefaultPrevented")]
    pub fn is_default_prevented(&self) -> bool {
        self.prevented.load(Ordering::Acquire)
    }
}
