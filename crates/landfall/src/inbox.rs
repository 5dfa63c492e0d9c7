//! The inbox: changes that wait for somebody's decision, and the decisions.
//!
//! Owns the calls; what they do is the engine's.

use crate::{
    data_source::DataSource,
    operation::{self, Operation},
};
use landfall_core::{Decision, Error, ErrorKind, Pending, Record, SyncReport, Uid, Value};

/// # The inbox
///
/// What the service refused for good, and what is in conflict, is not sent again by itself; it stays pending, blocks only
/// its own item, and waits here. Each change tells what was sent, what happened ([`Pending::explain`]) and, of a conflict,
/// what the service has ([`Failure::theirs`](crate::Failure::theirs)). After a restart the inbox is known once something was
/// [restored](DataSource::restore) or read.
///
/// ```
/// # use landfall::{DataSource, Model, Record, storage::MemoryStorage, transport::{Fault, MockServer, Operation}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> landfall::Result<()> {
/// # let server = MockServer::builder().row(Record::from_json(r#"{"id":1,"name":"Chai"}"#)?)
/// #     .fault(Fault::on(Operation::Update).fail(422)).build();
/// # let products: DataSource = DataSource::builder().transport(server).model(Model::new().id("id"))
/// #     .storage(MemoryStorage::new(), "products").build()?;
/// # products.fetch().await?;
/// # products.set(products.at(0).unwrap(), "name", "")?;
/// # products.sync().await?;
/// for change in products.inbox() {
///     println!("{}", change.explain());
///     products.edit_and_retry(change.uid, |record| drop(record.set("name", "Chang"))).await?;
/// }
/// # assert!(products.inbox().is_empty() && !products.has_changes());
/// # Ok(()) }
/// ```
impl<T> DataSource<T> {
    /// The changes that wait for a decision: refused for good, in conflict, and in doubt where
    /// [`when_in_doubt`](crate::Builder::when_in_doubt) says to ask.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn inbox(&self) -> Vec<Pending> {
        self.look("inbox").inbox()
    }

    /// The inbox as JSON, to be kept or sent to somebody who can help: a list of what [`Pending::to_value`] gives.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn export_inbox(&self) -> Value {
        let inbox = self.look("export_inbox").inbox();
        Value::array(inbox.iter().map(Pending::to_value))
    }

    /// Sends this change again, with what was edited since. Other changes and drafts are left alone. Of a change in doubt:
    /// repeats it although it may have been applied.
    ///
    /// The operation fails with `NotFound` when nothing of the item is pending, `Invalid` while it is being sent, and the
    /// storage's errors; how the try went is in the report.
    pub fn retry(&self, uid: impl Into<Uid>) -> Operation<SyncReport> {
        self.decide("retry", uid, Decision::Retry, operation::report)
    }

    /// Edits what is pending and sends it. Works for changes whose rows are not shown, too.
    ///
    /// The operation fails as [`retry`](Self::retry), and with `Invalid` for a removal and for a change in doubt.
    pub fn edit_and_retry(&self, uid: impl Into<Uid>, edit: impl FnOnce(&mut Record)) -> Operation<SyncReport> {
        let uid = uid.into();
        let record = self.shared().enter("edit_and_retry").and_then(|engine| {
            let pending = || engine.pending_changes().into_iter().find(|pending| pending.uid == uid);
            let record = engine.item(uid).map(|item| item.record).or_else(|| pending().map(|pending| pending.record));
            let none = || Error::new(ErrorKind::NotFound, "there is no pending change of this item").during("inbox");
            record.ok_or_else(none)
        });
        let mut record = match record {
            Ok(record) => record,
            Err(error) => return Operation::failed(error, operation::report),
        };
        edit(&mut record);
        self.decide("edit_and_retry", uid, Decision::Amend(record), operation::report)
    }

    /// Gives the change up: the item goes back to what the service last said, with its drafts; an added item vanishes, a
    /// removed one comes back. Stored when the operation ends.
    ///
    /// The operation fails with `NotFound` when nothing of the item is pending, `Invalid` while it is being sent or when it
    /// is in doubt and was sent together with others, and the storage's errors.
    pub fn discard(&self, uid: impl Into<Uid>) -> Operation<()> {
        self.decide("discard", uid, Decision::Discard, operation::nothing)
    }

    /// Of a conflict: puts the fields that were changed here on top of the service's version and sends that. A record that
    /// is gone there is made anew.
    ///
    /// The operation fails as [`retry`](Self::retry), and with `Invalid` when there is no conflict.
    pub fn keep_mine(&self, uid: impl Into<Uid>) -> Operation<SyncReport> {
        self.decide("keep_mine", uid, Decision::KeepMine, operation::report)
    }

    /// Of a conflict: gives the change up and takes the service's version. A record that is gone there goes.
    ///
    /// The operation fails as [`discard`](Self::discard), and with `Invalid` when there is no conflict or nobody has said
    /// what the service has.
    pub fn take_theirs(&self, uid: impl Into<Uid>) -> Operation<()> {
        self.decide("take_theirs", uid, Decision::TakeTheirs, operation::nothing)
    }

    /// Of a change in doubt: the service has it. `record` is what it has, where that is known; needed for an added item,
    /// which gets its id from it.
    ///
    /// The operation fails with `NotFound`, `Invalid` when the change is not in doubt, `Rejected` without an id, and the
    /// storage's errors.
    pub fn confirm(&self, uid: impl Into<Uid>, record: Option<Record>) -> Operation<()> {
        self.decide("confirm", uid, Decision::Confirm(record), operation::nothing)
    }

    fn decide<R>(
        &self,
        name: &'static str,
        uid: impl Into<Uid>,
        decision: Decision,
        read: fn(landfall_core::Settled) -> R,
    ) -> Operation<R> {
        let uid = uid.into();
        self.start(name, read, |engine, ticket| engine.decide(ticket, uid, decision))
    }
}
