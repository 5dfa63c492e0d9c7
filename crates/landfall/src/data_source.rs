//! The data source: one object to read, query, edit, go offline, come back and sync.

use crate::{
    builder::Builder,
    connectivity::{Connectivity, follow},
    entry::{Row, from_record, to_record},
    events::{EventStream, HandlerId},
    operation::{self, Operation, Outcome},
    shared::{Shared, Work},
};
use landfall_core::{
    Aggregate, Engine, Error, ErrorKind, Event, EventKind, Filter, Group, Path, QueryOptions, Record, Result, Settled,
    Sort, Steps, SyncProgress, SyncReport, Ticket, Uid, Value,
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    sync::{Arc, Weak},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    driver: mpsc::UnboundedSender<Work>,
    /// The task that follows a connectivity: it ends with the data source, and so does what it holds.
    follower: Option<AbortHandle>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

/// A data source that keeps working without a network. Cheap to clone; all clones are the same data source.
///
/// `DataSource` hands out and takes [`Record`]s; `DataSource<T>` your own type.
///
/// Reads of data and edits are immediate and never wait for I/O. Calls that need the service or the storage start at once
/// and give an [`Operation`]: await it to learn how it went, or drop it and the work goes on.
///
/// ```
/// use landfall::{DataSource, Model, Record, storage::MemoryStorage, transport::MockServer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> landfall::Result<()> {
/// let server = MockServer::builder().row(Record::from_json(r#"{"id":1,"name":"Chai"}"#)?).build();
/// let products: DataSource = DataSource::builder()
///     .transport(server.clone())
///     .model(Model::new().id("id"))
///     .storage(MemoryStorage::new(), "products-offline")
///     .build()?;
///
/// products.fetch().await?;
/// products.online(false).await?;
/// let first = products.at(0).unwrap();
/// products.set(&first, "name", "Chang")?;
/// products.sync().await?; // accepted: stored, survives a restart
/// assert_eq!(products.offline_data().await?.to_json(), r#"[{"id":1,"name":"Chang","__state__":"update"}]"#);
///
/// let report = products.online(true).await?; // sends it
/// assert_eq!(report.done(), 1);
/// # Ok(()) }
/// ```
pub struct DataSource<T = Record> {
    handle: Arc<Handle>,
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for DataSource<T> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), marker: PhantomData }
    }
}

impl<T> fmt::Debug for DataSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = self.handle.shared.engine();
        f.debug_struct("DataSource")
            .field("online", &engine.is_online())
            .field("rows", &engine.len())
            .field("has_changes", &engine.has_changes())
            .finish_non_exhaustive()
    }
}

/// A reference to a data source that does not keep it alive; for event handlers.
pub struct WeakDataSource<T = Record> {
    handle: Weak<Handle>,
    marker: PhantomData<fn() -> T>,
}

impl<T> WeakDataSource<T> {
    /// The data source, if it still exists.
    pub fn upgrade(&self) -> Option<DataSource<T>> {
        self.handle.upgrade().map(|handle| DataSource { handle, marker: PhantomData })
    }
}

impl<T> Clone for WeakDataSource<T> {
    fn clone(&self) -> Self {
        Self { handle: Weak::clone(&self.handle), marker: PhantomData }
    }
}

impl<T> fmt::Debug for WeakDataSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakDataSource").finish_non_exhaustive()
    }
}

impl DataSource {
    /// Starts building a data source of [`Record`]s.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<T: Row> DataSource<T> {
    /// Starts building a data source of your own type.
    ///
    /// ```
    /// use landfall::{DataSource, Model};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Product { id: i64, name: String }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> landfall::Result<()> {
    /// let products = DataSource::<Product>::typed()
    ///     .model(Model::new().id("id"))
    ///     .data([Product { id: 1, name: "Chai".into() }])
    ///     .build()?;
    /// products.fetch().await?;
    /// let first = products.at(0).unwrap();
    /// products.edit(&first, |product| product.name.push('!'))?;
    /// assert_eq!(products.at(0).unwrap().value()?.name, "Chai!");
    /// # Ok(()) }
    /// ```
    pub fn typed() -> Builder<T> {
        Builder::new()
    }
}

impl<T> DataSource<T> {
    /// Makes the handle; `follow` starts a task that follows a connectivity.
    pub(crate) fn new(
        shared: Arc<Shared>,
        driver: mpsc::UnboundedSender<Work>,
        follow: impl FnOnce(WeakDataSource) -> Option<AbortHandle>,
    ) -> Self {
        let handle = Arc::new_cyclic(|weak| {
            let follower = follow(WeakDataSource { handle: Weak::clone(weak), marker: PhantomData });
            Handle { shared, driver, follower }
        });
        Self { handle, marker: PhantomData }
    }

    /// A reference that does not keep the data source alive.
    pub fn downgrade(&self) -> WeakDataSource<T> {
        WeakDataSource { handle: Arc::downgrade(&self.handle), marker: PhantomData }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    pub(crate) fn perform(&self, steps: Steps) {
        self.shared().perform(steps, &self.handle.driver);
    }

    pub(crate) fn engine(&self) -> std::sync::MutexGuard<'_, Engine> {
        self.shared().engine()
    }

    /// Gives work to the driver; false when that is gone.
    pub(crate) fn hand_over(&self, work: Work) -> bool {
        self.handle.driver.send(work).is_ok()
    }

    pub(crate) fn start<R>(
        &self,
        read: fn(Settled) -> R,
        call: impl FnOnce(&mut Engine, Ticket) -> Steps,
    ) -> Operation<R> {
        let (ticket, receiver) = self.shared().promise();
        let steps = call(&mut self.shared().engine(), ticket);
        self.perform(steps);
        Operation::new(receiver, read)
    }

    // ---- reading

    /// Reads from the service; offline, from the storage. Drafts are dropped; pending changes stay on top of the fresh
    /// rows (G4). At most one read runs and one waits; a waiting one that is replaced ends with its successor.
    ///
    /// The operation fails with the transport's errors, `Rejected` when the service answers with errors, `Undecodable`,
    /// `Offline` when offline without a storage, and the storage's errors.
    pub fn read(&self) -> Operation<Outcome> {
        self.read_with(Record::new())
    }

    /// As [`read`](Self::read), with further parameters; they add to or replace Kendo's.
    #[expect(clippy::needless_pass_by_value, reason = "parameters are made for the call")]
    pub fn read_with(&self, params: Record) -> Operation<Outcome> {
        self.start(operation::outcome, |engine, ticket| engine.read(ticket, &params))
    }

    /// How many rows of the answer to the read under way are decoded; `None` when no read waits for its answer. Large answers
    /// are decoded on the driver's task, outside of all locks: ask from another thread.
    pub fn read_progress(&self) -> Option<usize> {
        self.shared().engine().read_progress()
    }

    /// Gives up the read that waits for its answer, or whose answer is being decoded: it fails with `Cancelled`, the data stay
    /// as they were, and an answer that comes later is ignored. A read that waits for it starts. Gives false, and does
    /// nothing, when there is no such read.
    pub fn cancel_read(&self) -> bool {
        let steps = self.shared().engine().cancel_read();
        let found = steps.is_some();
        self.perform(steps.unwrap_or_default());
        found
    }

    /// Loads once; later calls query what is here, unless the server does part of the query (R9.17).
    pub fn fetch(&self) -> Operation<Outcome> {
        self.start(operation::outcome, Engine::fetch)
    }

    /// Queries with these settings; what they omit is cleared (R9.14).
    pub fn query(&self, options: QueryOptions) -> Operation<Outcome> {
        self.start(operation::outcome, |engine, ticket| engine.query(ticket, options))
    }

    fn checked(
        &self,
        fields: impl IntoIterator<Item = String>,
        call: impl FnOnce(&mut Engine, Ticket) -> Steps,
    ) -> Operation<Outcome> {
        for field in fields {
            if let Err(error) = self.shared().engine().check_field(&field) {
                return Operation::failed(error.during("query"), operation::outcome);
            }
        }
        self.start(operation::outcome, call)
    }

    /// Sets the filter (`None` clears it) and goes to page 1. Fails with `Invalid` for a field the model does not declare.
    pub fn filter(&self, filter: impl Into<Option<Filter>>) -> Operation<Outcome> {
        let filter = filter.into();
        let fields = filter.as_ref().map(Filter::fields).unwrap_or_default();
        self.checked(fields, |engine, ticket| engine.filter(ticket, filter))
    }

    /// Sets the sort order; an empty one clears it. Fails with `Invalid` for a field the model does not declare.
    pub fn sort(&self, sort: impl IntoIterator<Item = Sort>) -> Operation<Outcome> {
        let sort: Vec<Sort> = sort.into_iter().collect();
        let fields: Vec<String> = sort.iter().map(|sort| sort.field.as_str().to_owned()).collect();
        self.checked(fields, |engine, ticket| engine.sort(ticket, sort))
    }

    /// Sets the groups; none clears them. Fails with `Invalid` for a field the model does not declare.
    pub fn group(&self, group: impl IntoIterator<Item = Group>) -> Operation<Outcome> {
        let group: Vec<Group> = group.into_iter().collect();
        let fields: Vec<String> = group.iter().map(|group| group.field.as_str().to_owned()).collect();
        self.checked(fields, |engine, ticket| engine.group(ticket, group))
    }

    /// Sets the aggregates; none clears them. Fails with `Invalid` for a field the model does not declare.
    pub fn aggregate(&self, aggregate: impl IntoIterator<Item = Aggregate>) -> Operation<Outcome> {
        let aggregate: Vec<Aggregate> = aggregate.into_iter().collect();
        let fields: Vec<String> = aggregate.iter().map(|one| one.field.as_str().to_owned()).collect();
        self.checked(fields, |engine, ticket| engine.aggregate(ticket, aggregate))
    }

    /// Goes to a page, counted from 1 and brought into the range of pages.
    pub fn page(&self, page: usize) -> Operation<Outcome> {
        self.start(operation::outcome, |engine, ticket| engine.page(ticket, page))
    }

    /// Sets the rows a page and goes to page 1.
    #[doc(alias = "pageSize")]
    pub fn page_size(&self, rows: usize) -> Operation<Outcome> {
        self.start(operation::outcome, |engine, ticket| engine.page_size(ticket, rows))
    }

    /// Goes to the next page. Gives its number, `None` on the last.
    #[doc(alias = "next")]
    pub fn next_page(&self) -> (Option<usize>, Operation<Outcome>) {
        self.turn(|engine, ticket| engine.next_page(ticket, None))
    }

    /// Goes to the previous page. Gives its number, `None` on the first.
    #[doc(alias = "prev")]
    pub fn previous_page(&self) -> (Option<usize>, Operation<Outcome>) {
        self.turn(|engine, ticket| engine.previous_page(ticket, None))
    }

    /// As [`next_page`](Self::next_page) with further settings, which win over the current ones.
    pub fn next_page_with(&self, options: QueryOptions) -> (Option<usize>, Operation<Outcome>) {
        self.turn(|engine, ticket| engine.next_page(ticket, Some(options)))
    }

    /// As [`previous_page`](Self::previous_page) with further settings.
    pub fn previous_page_with(&self, options: QueryOptions) -> (Option<usize>, Operation<Outcome>) {
        self.turn(|engine, ticket| engine.previous_page(ticket, Some(options)))
    }

    fn turn(
        &self,
        call: impl FnOnce(&mut Engine, Ticket) -> (Option<usize>, Steps),
    ) -> (Option<usize>, Operation<Outcome>) {
        let (ticket, receiver) = self.shared().promise();
        let (page, steps) = call(&mut self.shared().engine(), ticket);
        self.perform(steps);
        (page, Operation::new(receiver, operation::outcome))
    }

    // ---- editing

    /// Sets one field of an item; parsed as the field's type says. An equal value or a field that is not editable
    /// changes nothing.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` for a field the model does not declare or a missing parent object.
    pub fn set(&self, uid: impl Into<Uid>, field: &str, value: impl Into<Value>) -> Result<()> {
        let steps = {
            let mut engine = self.shared().engine();
            engine.check_field(field).map_err(|error| error.during("set"))?;
            engine.set(uid.into(), field, value)?
        };
        self.perform(steps);
        Ok(())
    }

    /// Sets a field without asking whether the model declares it.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` for a missing parent object.
    pub fn set_undeclared(&self, uid: impl Into<Uid>, field: &str, value: impl Into<Value>) -> Result<()> {
        let steps = self.shared().engine().set(uid.into(), field, value)?;
        self.perform(steps);
        Ok(())
    }

    /// Changes a list field with a function, and marks the item changed.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` when the field is no list.
    pub fn edit_array(&self, uid: impl Into<Uid>, field: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Result<()> {
        let uid = uid.into();
        let item = self.shared().engine().item(uid);
        let list = item.as_ref().and_then(|item| Path::parse(field).get(&item.record)).and_then(Value::as_array);
        let edited = list.map(|list| {
            // Outside of the lock: the function may call the data source.
            let mut list = list.to_vec();
            edit(&mut list);
            list
        });
        let put = |list: &mut Vec<Value>| drop(edited.map(|edited| std::mem::replace(list, edited)));
        let steps = self.shared().engine().edit_array(uid, field, put)?;
        self.perform(steps);
        Ok(())
    }

    /// Removes an item. The next sync destroys it on the server; a new one just vanishes.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone.
    pub fn remove(&self, uid: impl Into<Uid>) -> Result<()> {
        let steps = self.shared().engine().remove(uid.into())?;
        self.perform(steps);
        Ok(())
    }

    /// Cancels all drafts, and withdraws changes that were accepted online and failed. Changes accepted offline go back
    /// to their accepted values.
    ///
    /// # Errors
    /// None today.
    #[doc(alias = "cancelChanges")]
    pub fn cancel_changes(&self) -> Result<()> {
        let steps = self.shared().engine().cancel_changes()?;
        self.perform(steps);
        Ok(())
    }

    /// Cancels the changes of one item.
    ///
    /// # Errors
    /// None today.
    pub fn cancel_changes_of(&self, uid: impl Into<Uid>) -> Result<()> {
        let steps = self.shared().engine().cancel_changes_of(uid.into())?;
        self.perform(steps);
        Ok(())
    }

    // ---- syncing

    /// Accepts all drafts: stores them durably; online, sends everything pending. The report has one outcome per change;
    /// a failing record blocks only itself (G3).
    ///
    /// The operation itself fails when nothing could be accepted: the storage's errors, `Config` for an operation that the
    /// transport does not offer.
    pub fn sync(&self) -> Operation<SyncReport> {
        self.start(operation::report, Engine::sync)
    }

    /// Ends the sync that is under way: nothing more is sent. What was sent stays as it is guaranteed, and its answers are
    /// taken before the sync ends; what was not sent stays pending (without a storage, a draft), and the report of the sync
    /// says so with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). Syncs that wait for this one are not cancelled.
    /// Gives whether a sync was under way.
    pub fn cancel_sync(&self) -> bool {
        let (under_way, steps) = self.shared().engine().cancel_sync();
        self.perform(steps);
        under_way
    }

    /// How far the sync under way has got; `None` while none is. [`EventKind::Outcome`] tells each step
    /// ([`Event::progress`](crate::Event::progress)).
    pub fn sync_progress(&self) -> Option<SyncProgress> {
        self.shared().engine().sync_progress()
    }

    /// Goes online, which syncs, or offline. Unchanged: nothing happens (R6.36).
    pub fn online(&self, online: bool) -> Operation<SyncReport> {
        self.start(operation::report, |engine, ticket| engine.set_online(ticket, online))
    }

    /// Ends every wait (for a login, for a pause that the service asked for, for a back-off) and sends what is pending. To be
    /// called when the user has logged in, or the service is known to be back. Accepts no drafts, and leaves out what was
    /// refused for good.
    pub fn resume(&self) -> Operation<SyncReport> {
        self.start(operation::report, Engine::resume_held)
    }

    /// Whether the data source is online; at first it is.
    pub fn is_online(&self) -> bool {
        self.shared().engine().is_online()
    }

    /// Ends when nothing is under way any more: no read, no sync, no commit.
    pub fn idle(&self) -> Operation<()> {
        let (sender, receiver) = oneshot::channel();
        if !self.hand_over(Work::Idle(sender)) {
            return Operation::failed(
                Error::new(ErrorKind::Closed, "the runtime of the data source is gone"),
                operation::nothing,
            );
        }
        Operation::new(receiver, operation::nothing)
    }

    // ---- events

    /// Binds a handler. Handlers of one event run in the order they were bound, on the thread that caused it (yours for
    /// edits and local queries, the driver's for answers), and may call the data source; hold it weakly
    /// ([`downgrade`](Self::downgrade)) so that it can be dropped.
    #[doc(alias = "bind")]
    pub fn on(&self, kind: EventKind, handler: impl Fn(&Event) + Send + Sync + 'static) -> HandlerId {
        self.shared().engine().watch(true);
        self.shared().handlers.bind(kind, Arc::new(handler), false)
    }

    /// Binds a handler that runs once.
    #[doc(alias = "one")]
    pub fn once(&self, kind: EventKind, handler: impl Fn(&Event) + Send + Sync + 'static) -> HandlerId {
        self.shared().engine().watch(true);
        self.shared().handlers.bind(kind, Arc::new(handler), true)
    }

    /// Unbinds a handler. Gives whether it was bound.
    #[doc(alias = "unbind")]
    pub fn off(&self, handler: HandlerId) -> bool {
        self.shared().handlers.unbind(handler)
    }

    /// All events from now on as a stream. Events of a stream cannot prevent anything any more.
    pub fn events(&self) -> EventStream {
        self.shared().engine().watch(true);
        self.shared().handlers.stream()
    }

    // ---- connectivity

    /// Follows a connectivity: goes offline and online as it says. Ends with the data source or the connectivity; spawn
    /// it, or await it in a task of yours. The builder's [`connectivity`](Builder::connectivity) does both for you.
    pub fn follow(&self, connectivity: Connectivity) -> impl Future<Output = ()> + Send + 'static + use<T> {
        let weak = WeakDataSource { handle: Arc::downgrade(&self.handle), marker: PhantomData };
        following(weak, connectivity)
    }

    // ---- pushed changes

    fn pushed(&self, call: impl FnOnce(&mut Engine) -> Result<Steps>) -> Result<()> {
        let steps = call(&mut self.shared().engine())?;
        self.perform(steps);
        Ok(())
    }
}

impl<T: Row> DataSource<T> {
    /// Adds a record at the end, new to the server. Gives its identity.
    ///
    /// # Errors
    /// `Invalid` when the value does not serialise to a JSON object.
    pub fn add(&self, row: T) -> Result<Uid> {
        self.insert(usize::MAX, row)
    }

    /// Inserts a record at a position of the data. Gives its identity.
    ///
    /// # Errors
    /// `Invalid` when the value does not serialise to a JSON object.
    #[expect(clippy::needless_pass_by_value, reason = "the data source takes the row over")]
    pub fn insert(&self, index: usize, row: T) -> Result<Uid> {
        let record = to_record(&row)?;
        let (uid, steps) = self.shared().engine().insert(index, record)?;
        self.perform(steps);
        Ok(uid)
    }

    /// Edits an item as your own type: the members that differ afterwards are set, members unknown to the type stay.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Undecodable` when the record does not have the shape of the type.
    pub fn edit(&self, uid: impl Into<Uid>, edit: impl FnOnce(&mut T)) -> Result<()> {
        let uid = uid.into();
        let item = self.shared().engine().item(uid);
        let Some(item) = item else {
            return Err(Error::new(ErrorKind::NotFound, "no such item; it may have been removed").during("edit"));
        };
        let mut value: T = from_record(&item.record)?;
        let before = to_record(&value)?;
        edit(&mut value);
        let after = to_record(&value)?;
        let changed: Vec<(String, Value)> = after
            .iter()
            .filter(|(name, value)| before.get(name) != Some(value))
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        for (name, value) in changed {
            self.set_undeclared(uid, &name, value)?;
        }
        Ok(())
    }

    /// Replaces the data, as a read with these rows would; pending changes stay on top.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "data")]
    pub fn set_data(&self, rows: impl IntoIterator<Item = T>) -> Result<Operation<()>> {
        let records = rows.into_iter().map(|row| to_record(&row)).collect::<Result<Vec<Record>>>()?;
        Ok(self.start(operation::nothing, |engine, ticket| engine.set_data(ticket, records)))
    }

    /// Takes in records that the server announces as new.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushCreate")]
    pub fn push_create(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let records = records(rows)?;
        self.pushed(|engine| engine.push_create(records))
    }

    /// As [`push_create`](Self::push_create), at a position.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushInsert")]
    pub fn push_insert(&self, index: usize, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let records = records(rows)?;
        self.pushed(|engine| engine.push_insert(index, records))
    }

    /// Takes in newer versions that the server announces. A pending edit of the same record stays on top.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushUpdate")]
    pub fn push_update(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let records = records(rows)?;
        let inline = self.shared().inline.clone();
        self.pushed(|engine| {
            let known = inline.is_some().then(|| engine.known_of_pushed(&records));
            let steps = engine.push_update(records)?;
            if let (Some(inline), Some(known), Some(id)) = (inline, known, engine.id_member()) {
                inline.follow(&known, &id);
            }
            Ok(steps)
        })
    }

    /// Takes out records that the server announces as gone; only their ids matter.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushDestroy")]
    pub fn push_destroy(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let records = records(rows)?;
        self.pushed(|engine| engine.push_destroy(records))
    }

    /// What a new instance of the model looks like: `row` wrapped as [`add`](Self::add) would (R2.11-R2.15).
    ///
    /// # Errors
    /// `Invalid` when the value does not serialise to a JSON object.
    #[expect(clippy::needless_pass_by_value, reason = "as add() takes it")]
    pub fn wrap(&self, row: T) -> Result<Record> {
        let record = to_record(&row)?;
        Ok(self.shared().engine().wrap(record))
    }
}

/// Switches the data source as the connectivity says, as long as both exist.
pub(crate) fn following(
    source: WeakDataSource,
    connectivity: Connectivity,
) -> impl Future<Output = ()> + Send + 'static {
    follow(connectivity, move |state| {
        let source = source.upgrade();
        async move {
            if let Some(source) = source {
                // What a sync could not send stays pending; its failures went to the error event.
                drop(source.online(state.online).await);
            }
        }
    })
}

fn records<T: Row>(rows: impl IntoIterator<Item = T>) -> Result<Vec<Record>> {
    rows.into_iter().map(|row| to_record(&row)).collect()
}
