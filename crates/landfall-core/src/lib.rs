//! The engine of [landfall](https://docs.rs/landfall): records, schema, queries, change tracking and sync.
//!
//! For backend authors, and for programs that drive the engine themselves. Opens no file and no socket, spawns
//! nothing, reads no clock and no randomness: what it needs of these is handed in.
#![forbid(unsafe_code)]

mod date;
mod depth;
mod engine;
mod error;
mod json;
pub mod late;
mod number;
mod path;
mod query;
mod record;
mod request;
mod schema;
mod stored;
mod text;
mod value;

pub use date::Date;
pub use engine::{
    Action, ChangeInfo, ChangeOutcome, Decision, Decoder, Doubt, Doubts, Engine, Environment, Event, EventKind,
    Failure, Item, Offers, Options, Pauses, Pending, Policy, Preview, QueryOptions, Settled, Shown, ShownGroup,
    Standing, Step, Steps, SyncProgress, SyncReport, Theirs, Then, Ticket, Try, Uid, Verdict, judge, settles,
};
pub use error::{Applied, Error, ErrorKind, Result};
pub use number::Number;
pub use path::Path;
pub use query::{
    Aggregate, AggregateFunction, Direction, Filter, Group, GroupOrder, Operator, Processed, Query, RecordOrder, Rows,
    Sort, View, ViewGroup, aggregates, process,
};
pub use record::Record;
pub use request::{Body, Found, LookUp, Operation, OutgoingRow, Reply, Request};
pub use schema::{
    Accessor, Field, FieldType, Model, Pattern, ReadAnswer, Rule, Schema, ServerGroup, ServerItems, Violation,
    WriteAnswer, Zone,
};
pub use stored::{ChangeKind, Delta, Revision, RowId, StoredRow, StoredState};
pub use text::Text;
pub use value::Value;
