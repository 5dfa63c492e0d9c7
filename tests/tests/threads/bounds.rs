//! What may go from one thread to another, and be used by several at once: told by the compiler.

use landfall::{
    Aggregate, ChangeInfo, ChangeOutcome, DataSource, Date, Entry, Error, Event, EventStream, Failure, Filter, Group,
    HandlerId, Item, Model, Operation, Outcome, Pending, Policy, Preview, QueryOptions, Record, Schema, Shown, Sort,
    SyncReport, Uid, Value, WeakDataSource, Zone, blocking,
    connectivity::Connectivity,
    storage::{FileStorage, MemoryStorage, SqliteStorage, Storage},
    transport::{FnTransport, HttpTransport, MockServer, Reply, Request, Transport},
};
use std::{cell::Cell, sync::Arc};

fn both<T: Send + Sync>() {}
fn moves<T: Send>() {}
fn lasts<T: Send + Sync + 'static>() {}

/// A row that is neither shared nor compared; that a data source hands out copies of it does not bind the data source.
type OneThread = Cell<u8>;

#[test]
fn i20_what_threads_share_and_send() {
    lasts::<DataSource>();
    lasts::<DataSource<OneThread>>();
    lasts::<WeakDataSource<OneThread>>();
    lasts::<Entry<OneThread>>();
    lasts::<blocking::DataSource>();
    lasts::<blocking::DataSource<OneThread>>();
    lasts::<EventStream>();
    lasts::<Arc<Event>>();
    lasts::<Error>();
    moves::<Operation<SyncReport>>();
    moves::<Operation<Outcome>>();
    moves::<Operation<()>>();
    moves::<landfall::Builder<OneThread>>();
    both::<(Record, Value, Date, Uid, Item, HandlerId, Outcome)>();
    both::<(SyncReport, ChangeOutcome, ChangeInfo, Pending, Failure, Preview, Shown)>();
    both::<(QueryOptions, Filter, Sort, Group, Aggregate, Schema, Model, Zone, Policy, Connectivity)>();
    lasts::<(Request, Reply)>();
    lasts::<(MemoryStorage, FileStorage, SqliteStorage, Arc<dyn Storage>)>();
    lasts::<(MockServer, FnTransport, HttpTransport, Arc<dyn Transport>)>();
}
