//! The data source: one object to read, query, edit, go offline, come back and sync.

use crate::{
    builder::Builder,
    connectivity::{Connectivity, follow},
    entry::{Row, from_record, to_record, to_records},
    events::{EventStream, HandlerId},
    lock::Locked,
    operation::{self, Operation},
    shared::{Shared, Work},
};
use landfall_core::{
    Engine, Error, ErrorKind, Event, EventKind, Path, Record, Result, Settled, Steps, SyncProgress, SyncReport, Ticket,
    Uid, Value,
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
///
/// # Functions of the program's own
/// Handlers of events, functions that edit, transports and what shapes their requests, look-ups and what shows the first rows
/// run while nothing is locked: they may make every call. What they start they cannot wait for: on the driver's task, and in
/// every handler, [`Operation::wait`] fails instead.
///
/// Functions of the schema, the model and the zone, filters, orders, the failure policy and the clock run in the middle of
/// a call, or of an answer, with the data source locked. From there a call of the same data source does nothing: it fails with
/// [`ErrorKind::Callback`](crate::ErrorKind::Callback), in its result or its [`Operation`], and panics where it gives neither, as a
/// `RefCell` that is borrowed does. Such a panic is treated as the function's own: what is under way ends as if it had not begun,
/// or with an error, and later calls work. `clone`, [`downgrade`](Self::downgrade), [`on`](Self::on), [`once`](Self::once),
/// [`off`](Self::off), [`events`](Self::events), [`follow`](Self::follow) and `Debug` work there as well.
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
        let mut out = f.debug_struct("DataSource");
        // Not to be waited for: it may be this thread that uses the engine.
        if let Some(engine) = self.handle.shared.if_free() {
            out.field("online", &engine.is_online());
            out.field("rows", &engine.len());
            out.field("has_changes", &engine.has_changes());
        }
        out.finish_non_exhaustive()
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

    /// The engine, for a call that cannot fail: panics where the data source is running a function on this thread.
    #[track_caller]
    pub(crate) fn look(&self, call: &'static str) -> Locked<'_, Engine> {
        self.shared().look(call)
    }

    /// Gives work to the driver; false when that is gone.
    pub(crate) fn hand_over(&self, work: Work) -> bool {
        self.handle.driver.send(work).is_ok()
    }

    /// Makes a promise, and starts what keeps it.
    pub(crate) fn start<R>(
        &self,
        name: &'static str,
        read: fn(Settled) -> R,
        call: impl FnOnce(&mut Engine, Ticket) -> Steps,
    ) -> Operation<R> {
        self.start_with(name, read, |engine, ticket| ((), call(engine, ticket))).1
    }

    /// As [`start`](Self::start), for a call that also gives something at once.
    pub(crate) fn start_with<R, N: Default>(
        &self,
        name: &'static str,
        read: fn(Settled) -> R,
        call: impl FnOnce(&mut Engine, Ticket) -> (N, Steps),
    ) -> (N, Operation<R>) {
        let started = self.shared().enter(name).map(|engine| {
            let (ticket, receiver) = self.shared().promise();
            let (now, steps) = self.shared().make(engine, |engine| call(engine, ticket));
            (now, steps, receiver)
        });
        match started {
            Ok((now, steps, receiver)) => {
                self.perform(steps);
                (now, Operation::new(receiver, read, self.shared().inside()))
            }
            Err(error) => (N::default(), Operation::failed(error, read)),
        }
    }

    /// Makes a change, and performs what follows from it.
    pub(crate) fn change<R>(
        &self,
        name: &'static str,
        call: impl FnOnce(&mut Engine) -> Result<(R, Steps)>,
    ) -> Result<R> {
        let engine = self.shared().enter(name)?;
        let (now, steps) = self.shared().make(engine, |engine| match call(engine) {
            Ok((now, steps)) => (Ok(now), steps),
            Err(error) => (Err(error), Steps::new()),
        });
        self.perform(steps);
        now
    }

    // ---- editing

    /// Sets one field of an item; parsed as the field's type says. An equal value or a field that is not editable
    /// changes nothing.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` for a field the model does not declare or a missing parent object.
    pub fn set(&self, uid: impl Into<Uid>, field: &str, value: impl Into<Value>) -> Result<()> {
        let (uid, value) = (uid.into(), value.into());
        self.change("set", |engine| {
            engine.check_field(field).map_err(|error| error.during("set"))?;
            Ok(((), engine.set(uid, field, value)?))
        })
    }

    /// Sets a field without asking whether the model declares it.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` for a missing parent object.
    pub fn set_undeclared(&self, uid: impl Into<Uid>, field: &str, value: impl Into<Value>) -> Result<()> {
        let (uid, value) = (uid.into(), value.into());
        self.change("set", |engine| Ok(((), engine.set(uid, field, value)?)))
    }

    /// Changes a list field with a function, and marks the item changed.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Invalid` when the field is no list.
    pub fn edit_array(&self, uid: impl Into<Uid>, field: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Result<()> {
        let uid = uid.into();
        let item = self.shared().enter("edit_array")?.item(uid);
        let list = item.as_ref().and_then(|item| Path::parse(field).get(&item.record)).and_then(Value::as_array);
        let edited = list.map(|list| {
            // Outside of the lock: the function may call the data source.
            let mut list = list.to_vec();
            edit(&mut list);
            list
        });
        let put = |list: &mut Vec<Value>| drop(edited.map(|edited| std::mem::replace(list, edited)));
        self.change("edit_array", |engine| Ok(((), engine.edit_array(uid, field, put)?)))
    }

    /// Removes an item. The next sync destroys it on the server; a new one just vanishes.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone.
    pub fn remove(&self, uid: impl Into<Uid>) -> Result<()> {
        let uid = uid.into();
        self.change("remove", |engine| Ok(((), engine.remove(uid)?)))
    }

    /// Cancels all drafts, and withdraws changes that were accepted online and failed. Changes accepted offline go back
    /// to their accepted values, those accepted over a change of another program on the same storage to that one's. What is on
    /// its way or in doubt stays: its answer says what becomes of it.
    ///
    /// # Errors
    /// None today.
    #[doc(alias = "cancelChanges")]
    pub fn cancel_changes(&self) -> Result<()> {
        self.change("cancel_changes", |engine| Ok(((), engine.cancel_changes()?)))
    }

    /// Cancels the changes of one item.
    ///
    /// # Errors
    /// None today.
    pub fn cancel_changes_of(&self, uid: impl Into<Uid>) -> Result<()> {
        let uid = uid.into();
        self.change("cancel_changes_of", |engine| Ok(((), engine.cancel_changes_of(uid)?)))
    }

    // ---- syncing

    /// Accepts all drafts: stores them durably; online, sends everything pending. The report has one outcome per change;
    /// a failing record blocks only itself (G3). It begins when what was cancelled, decided or pushed before is stored.
    ///
    /// The operation itself fails when nothing could be accepted: the storage's errors, `Config` for an operation that the
    /// transport does not offer.
    pub fn sync(&self) -> Operation<SyncReport> {
        self.start("sync", operation::report, Engine::sync)
    }

    /// Ends the sync that is under way: nothing more is sent. What was sent stays as it is guaranteed, and its answers are
    /// taken before the sync ends; what was not sent stays pending (without a storage, a draft), and the report of the sync
    /// says so with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). Syncs that wait for this one are not cancelled.
    /// Gives whether a sync was under way.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn cancel_sync(&self) -> bool {
        let (under_way, steps) = self.shared().make(self.look("cancel_sync"), Engine::cancel_sync);
        self.perform(steps);
        under_way
    }

    /// How far the sync under way has got; `None` while none is. [`EventKind::Outcome`] tells each step
    /// ([`Event::progress`](crate::Event::progress)).
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn sync_progress(&self) -> Option<SyncProgress> {
        self.look("sync_progress").sync_progress()
    }

    /// Goes online, which syncs, or offline. Unchanged: nothing happens (R6.36).
    pub fn online(&self, online: bool) -> Operation<SyncReport> {
        self.start("online", operation::report, |engine, ticket| engine.set_online(ticket, online))
    }

    /// Ends every wait (for a login, for a pause that the service asked for, for a back-off) and sends what is pending. To be
    /// called when the user has logged in, or the service is known to be back. Accepts no drafts, and leaves out what was
    /// refused for good.
    pub fn resume(&self) -> Operation<SyncReport> {
        self.start("resume", operation::report, Engine::resume_held)
    }

    /// Whether the data source is online; at first it is.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn is_online(&self) -> bool {
        self.look("is_online").is_online()
    }

    /// Ends when nothing is under way any more: no read, no sync, no commit.
    pub fn idle(&self) -> Operation<()> {
        if let Err(error) = self.shared().inside().check_call() {
            // It is under way, and stays so until the function returns.
            return Operation::failed(error.during("idle"), operation::nothing);
        }
        let (sender, receiver) = oneshot::channel();
        if !self.hand_over(Work::Idle(sender)) {
            return Operation::failed(
                Error::new(ErrorKind::Closed, "the runtime of the data source is gone"),
                operation::nothing,
            );
        }
        Operation::new(receiver, operation::nothing, self.shared().inside())
    }

    // ---- events

    /// Binds a handler. Handlers of one event run in the order they were bound, on the thread that caused it (yours for
    /// edits and local queries, the driver's for answers), and may call the data source, but not wait for it; hold it weakly
    /// ([`downgrade`](Self::downgrade)) so that it can be dropped.
    #[doc(alias = "bind")]
    pub fn on(&self, kind: EventKind, handler: impl Fn(&Event) + Send + Sync + 'static) -> HandlerId {
        self.shared().watch();
        self.shared().handlers.bind(kind, Arc::new(handler), false)
    }

    /// Binds a handler that runs once.
    #[doc(alias = "one")]
    pub fn once(&self, kind: EventKind, handler: impl Fn(&Event) + Send + Sync + 'static) -> HandlerId {
        self.shared().watch();
        self.shared().handlers.bind(kind, Arc::new(handler), true)
    }

    /// Unbinds a handler. Gives whether it was bound.
    #[doc(alias = "unbind")]
    pub fn off(&self, handler: HandlerId) -> bool {
        self.shared().handlers.unbind(handler)
    }

    /// All events from now on as a stream. Events of a stream cannot prevent anything any more.
    pub fn events(&self) -> EventStream {
        self.shared().watch();
        self.shared().handlers.stream()
    }

    // ---- connectivity

    /// Follows a connectivity: goes offline and online as it says. Ends with the data source or the connectivity; spawn
    /// it, or await it in a task of yours. The builder's [`connectivity`](Builder::connectivity) does both for you.
    pub fn follow(&self, connectivity: Connectivity) -> impl Future<Output = ()> + Send + 'static + use<T> {
        let weak = WeakDataSource { handle: Arc::downgrade(&self.handle), marker: PhantomData };
        following(weak, connectivity)
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
        self.change("insert", |engine| engine.insert(index, record))
    }

    /// Edits an item as your own type: the members that differ afterwards are set one after another, members unknown to the type
    /// stay.
    ///
    /// # Errors
    /// `NotFound` for an item that is gone; `Undecodable` when the record does not have the shape of the type.
    pub fn edit(&self, uid: impl Into<Uid>, edit: impl FnOnce(&mut T)) -> Result<()> {
        let uid = uid.into();
        let item = self.shared().enter("edit")?.item(uid);
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
        let records = to_records(rows)?;
        Ok(self.start("set_data", operation::nothing, |engine, ticket| engine.set_data(ticket, records)))
    }

    /// What a new instance of the model looks like: `row` wrapped as [`add`](Self::add) would (R2.11-R2.15).
    ///
    /// # Errors
    /// `Invalid` when the value does not serialise to a JSON object.
    #[expect(clippy::needless_pass_by_value, reason = "as add() takes it")]
    pub fn wrap(&self, row: T) -> Result<Record> {
        let record = to_record(&row)?;
        Ok(self.shared().enter("wrap")?.wrap(record))
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
