//! Every public call of a data source, and what it says where it is made by a function that the data source runs while it is
//! locked. Such functions are in `inside`.

use crate::help::{record, value};
use landfall::{
    Aggregate, DataSource, Error, EventKind, Filter, Group, Operation, QueryOptions, Sort, Uid,
    connectivity::Connectivity,
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// What becomes of a call where the data source is locked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Says {
    /// It fails with `Callback`.
    Refused,
    /// It has no way to fail, and panics.
    Panics,
    /// It needs no lock.
    Works,
}

pub(crate) type Call = fn(&DataSource, Uid) -> Result<(), Error>;

/// The first poll of a future; what is not ready by then has started.
fn started<T>(work: impl Future<Output = Result<T, Error>>) -> Result<(), Error> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(told) => told.map(drop),
        Poll::Pending => Ok(()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the calls that can fail")]
fn gone<T>(_: T) -> Result<(), Error> {
    Ok(())
}

fn turned<T>((page, operation): (Option<usize>, Operation<T>)) -> Result<(), Error> {
    started(operation).inspect_err(|_| assert_eq!(page, None))
}

/// Every public call.
#[rustfmt::skip]
pub(crate) fn calls() -> Vec<(&'static str, Says, Call)> {
    use Says::{Panics, Refused, Works};
    vec![
        ("at", Panics, |s, _| gone(s.at(0))),
        ("get", Panics, |s, _| gone(s.get(1))),
        ("item", Panics, |s, uid| gone(s.item(uid))),
        ("index_of", Panics, |s, uid| gone(s.index_of(uid))),
        ("len", Panics, |s, _| gone(s.len())),
        ("is_empty", Panics, |s, _| gone(s.is_empty())),
        ("data", Panics, |s, _| gone(s.data())),
        ("data_groups", Panics, |s, _| gone(s.data_groups())),
        ("view", Panics, |s, _| gone(s.view())),
        ("view_positions", Panics, |s, _| gone(s.view_positions())),
        ("rows", Panics, |s, _| gone(s.rows())),
        ("total", Panics, |s, _| gone(s.total())),
        ("total_pages", Panics, |s, _| gone(s.total_pages())),
        ("aggregates", Panics, |s, _| gone(s.aggregates())),
        ("query_state", Panics, |s, _| gone(s.query_state())),
        ("is_editable", Panics, |s, _| gone(s.is_editable("name"))),
        ("is_new", Panics, |s, _| gone(s.is_new(&record("{}")))),
        ("has_changes", Panics, |s, _| gone(s.has_changes())),
        ("changes", Panics, |s, _| gone(s.changes())),
        ("created", Panics, |s, _| gone(s.created())),
        ("updated", Panics, |s, _| gone(s.updated())),
        ("destroyed", Panics, |s, _| gone(s.destroyed())),
        ("pending", Panics, |s, _| gone(s.pending())),
        ("inbox", Panics, |s, _| gone(s.inbox())),
        ("export_inbox", Panics, |s, _| gone(s.export_inbox())),
        ("is_online", Panics, |s, _| gone(s.is_online())),
        ("read_progress", Panics, |s, _| gone(s.read_progress())),
        ("cancel_read", Panics, |s, _| gone(s.cancel_read())),
        ("sync_progress", Panics, |s, _| gone(s.sync_progress())),
        ("cancel_sync", Panics, |s, _| gone(s.cancel_sync())),
        ("set", Refused, |s, uid| s.set(uid, "name", "inside")),
        ("set_undeclared", Refused, |s, uid| s.set_undeclared(uid, "more", 1)),
        ("edit", Refused, |s, uid| s.edit(uid, |row| drop(row.set("name", "inside")))),
        ("edit_array", Refused, |s, uid| s.edit_array(uid, "list", Vec::clear)),
        ("add", Refused, |s, _| s.add(record(r#"{"name":"inside"}"#)).map(drop)),
        ("insert", Refused, |s, _| s.insert(0, record(r#"{"name":"inside"}"#)).map(drop)),
        ("remove", Refused, |s, uid| s.remove(uid)),
        ("cancel_changes", Refused, |s, _| s.cancel_changes()),
        ("cancel_changes_of", Refused, |s, uid| s.cancel_changes_of(uid)),
        ("push_create", Refused, |s, _| s.push_create([record(r#"{"id":9}"#)])),
        ("push_insert", Refused, |s, _| s.push_insert(0, [record(r#"{"id":9}"#)])),
        ("push_update", Refused, |s, _| s.push_update([record(r#"{"id":3,"name":"inside"}"#)])),
        ("push_destroy", Refused, |s, _| s.push_destroy([record(r#"{"id":3}"#)])),
        ("wrap", Refused, |s, _| s.wrap(record("{}")).map(drop)),
        ("set_data", Refused, |s, _| s.set_data([record(r#"{"id":9}"#)]).and_then(started)),
        ("read", Refused, |s, _| started(s.read())),
        ("read_with", Refused, |s, _| started(s.read_with(record(r#"{"more":1}"#)))),
        ("fetch", Refused, |s, _| started(s.fetch())),
        ("query", Refused, |s, _| started(s.query(QueryOptions::default()))),
        ("filter", Refused, |s, _| started(s.filter(Filter::neq("name", "z")))),
        ("sort", Refused, |s, _| started(s.sort([Sort::asc("name")]))),
        ("group", Refused, |s, _| started(s.group([Group::asc("name")]))),
        ("aggregate", Refused, |s, _| started(s.aggregate([Aggregate::count("name")]))),
        ("page", Refused, |s, _| started(s.page(1))),
        ("page_size", Refused, |s, _| started(s.page_size(2))),
        ("next_page", Refused, |s, _| turned(s.next_page())),
        ("next_page_with", Refused, |s, _| turned(s.next_page_with(QueryOptions::default()))),
        ("previous_page", Refused, |s, _| turned(s.previous_page())),
        ("previous_page_with", Refused, |s, _| turned(s.previous_page_with(QueryOptions::default()))),
        ("sync", Refused, |s, _| started(s.sync())),
        ("online", Refused, |s, _| started(s.online(true))),
        ("offline", Refused, |s, _| started(s.online(false))),
        ("resume", Refused, |s, _| started(s.resume())),
        ("idle", Refused, |s, _| started(s.idle())),
        ("restore", Refused, |s, _| started(s.restore())),
        ("restore_with", Refused, |s, _| started(s.restore_with(|_| ()))),
        ("retry", Refused, |s, uid| started(s.retry(uid))),
        ("edit_and_retry", Refused, |s, uid| started(s.edit_and_retry(uid, |row| drop(row.set("name", "A"))))),
        ("discard", Refused, |s, uid| started(s.discard(uid))),
        ("keep_mine", Refused, |s, uid| started(s.keep_mine(uid))),
        ("take_theirs", Refused, |s, uid| started(s.take_theirs(uid))),
        ("confirm", Refused, |s, uid| started(s.confirm(uid, None))),
        ("offline_data", Refused, |s, _| started(s.offline_data())),
        ("set_offline_data", Refused, |s, _| started(s.set_offline_data(&value("[]")))),
        ("replace_offline_data", Refused, |s, _| started(s.replace_offline_data(&value("[]")))),
        ("storage_usage", Works, |s, _| started(s.storage_usage())),
        ("has_offline_storage", Works, |s, _| gone(s.has_offline_storage())),
        ("debug", Works, |s, _| gone(format!("{s:?}"))),
        ("handle", Works, |s, _| gone((s.clone(), s.downgrade().upgrade()))),
        ("on_off", Works, |s, _| { assert!(s.off(s.on(EventKind::Change, |_| ()))); Ok(()) }),
        ("once", Works, |s, _| gone(s.once(EventKind::Sync, |_| ()))),
        ("events", Works, |s, _| gone(s.events())),
        ("follow", Works, |s, _| gone(s.follow(Connectivity::manual(false).1))),
    ]
}
