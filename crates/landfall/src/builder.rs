//! Building a data source: Kendo's options, a service, a place to store things.

use crate::{
    connectivity::Connectivity,
    data_source::{DataSource, following},
    driver::Driver,
    entry::{Row, to_record},
    local::LocalTransport,
    retry::Retries,
    shared::{LookUpFn, Shared},
};
use landfall_core::{
    Aggregate, Date, Doubt, Engine, Environment, Error, ErrorKind, Filter, Found, Group, LookUp, Model, Offers,
    Operation, Options, Policy, Record, Result, Schema, Sort, Text, Try, Value, Verdict,
};
use landfall_storage::Storage;
use landfall_transport::Transport;
use std::{
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc};

enum Place {
    None,
    /// The default storage of the platform.
    Key(String),
    Storage(Arc<dyn Storage>, String),
}

/// Sets up a [`DataSource`]. Every setter takes the place of an earlier call of the same.
///
/// | option | default |
/// |---|---|
/// | [`transport`](Self::transport) or [`data`](Self::data) | no rows |
/// | [`schema`](Self::schema), [`model`](Self::model) | bare arrays, no model (read-only as in Kendo) |
/// | [`offline_storage`](Self::offline_storage), [`storage`](Self::storage) | none |
/// | [`batch`](Self::batch), [`auto_sync`](Self::auto_sync), `server_*` | off |
/// | [`page_size`](Self::page_size), [`sort`](Self::sort), [`filter`](Self::filter), [`group`](Self::group), [`aggregate`](Self::aggregate) | none |
/// | [`max_in_flight`](Self::max_in_flight) | 6 requests |
/// | [`retries`](Self::retries), [`retry_in_background`](Self::retry_in_background) | 0, off |
/// | [`honours_idempotency_keys`](Self::honours_idempotency_keys), [`when_in_doubt`](Self::when_in_doubt) | yes, repeat |
/// | [`failure_policy`](Self::failure_policy) | the table of [`judge`](crate::judge) |
#[must_use = "a builder does nothing until build() is called"]
pub struct Builder<T = Record> {
    options: Options,
    transport: Option<Arc<dyn Transport>>,
    rows: Vec<Record>,
    place: Place,
    app_name: Option<String>,
    clock: Option<Arc<dyn Fn() -> Date + Send + Sync>>,
    connectivity: Option<Connectivity>,
    offline_on_failure: bool,
    retries: Retries,
    honours_keys: Option<bool>,
    look_up: Option<LookUpFn>,
    problem: Option<Error>,
    marker: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: Row> Builder<T> {
    pub(crate) fn new() -> Self {
        Self {
            options: Options::default(),
            transport: None,
            rows: Vec::new(),
            place: Place::None,
            app_name: None,
            clock: None,
            connectivity: None,
            offline_on_failure: false,
            retries: Retries::default(),
            honours_keys: None,
            look_up: None,
            problem: None,
            marker: PhantomData,
        }
    }

    /// Takes over the options of a Kendo configuration object that are data: everything but `transport`, `data` and
    /// `offlineStorage`, see [`Options::from_kendo`].
    ///
    /// # Errors
    /// `Invalid` for descriptors that cannot be understood.
    pub fn kendo(mut self, options: &Record) -> Result<Self> {
        self.options = Options::from_kendo(options)?;
        Ok(self)
    }

    /// The service. Without one the data source holds the rows of [`data`](Self::data) only.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Rows given inline; ignored when there is a transport.
    pub fn data(mut self, rows: impl IntoIterator<Item = T>) -> Self {
        self.rows.clear();
        for row in rows {
            match to_record(&row) {
                Ok(record) => self.rows.push(record),
                Err(error) => self.problem = Some(error.during("build")),
            }
        }
        self
    }

    /// How answers are read and what records look like.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.options.schema = schema;
        self
    }

    /// What records look like; shorthand for a schema that has only a model.
    pub fn model(mut self, model: Model) -> Self {
        self.options.schema = std::mem::take(&mut self.options.schema).with_model(model);
        self
    }

    /// Keeps the data under this key in the default storage: one `SQLite` file in the platform's data directory, under
    /// the application's name ([`app_name`](Self::app_name)). Needs the feature `storage-sqlite`.
    #[doc(alias = "offlineStorage")]
    pub fn offline_storage(mut self, key: impl Into<String>) -> Self {
        self.place = Place::Key(key.into());
        self
    }

    /// Keeps the data in this storage under this key.
    pub fn storage(mut self, storage: impl Storage, key: impl Into<String>) -> Self {
        self.place = Place::Storage(Arc::new(storage), key.into());
        self
    }

    /// The name of the folder of the default storage. Default: the file stem of the executable.
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = Some(name.into());
        self
    }

    /// Send all changes of a kind as one request. Default: off.
    pub fn batch(mut self, on: bool) -> Self {
        self.options.batch = on;
        self
    }

    /// A batch that is refused with a 4xx is taken apart within the same sync: each of its changes is sent once more, alone and
    /// under a key of its own, so that only those fail that are meant. Default: on; off after [`kendo`](Self::kendo), as
    /// there is one request a kind in Kendo. Switched off, all of its changes fail, none of them counts as refused
    /// ([`Failure::in_company`](crate::Failure::in_company)), and the next sync of any kind sends each alone.
    pub fn split_refused_batches(mut self, on: bool) -> Self {
        self.options.split_refused_batches = on;
        self
    }

    /// Sync after every edit. Default: off.
    #[doc(alias = "autoSync")]
    pub fn auto_sync(mut self, on: bool) -> Self {
        self.options.auto_sync = on;
        self
    }

    /// A local sort reorders the data itself. Default: off.
    #[doc(alias = "inPlaceSort")]
    pub fn in_place_sort(mut self, on: bool) -> Self {
        self.options.in_place_sort = on;
        self
    }

    /// Rows a page; 0 means no paging. Default: no paging.
    #[doc(alias = "pageSize")]
    pub fn page_size(mut self, rows: usize) -> Self {
        self.options.page_size = Some(rows).filter(|rows| *rows > 0);
        self
    }

    /// First page to show, counted from 1. Default: 1 when there is a page size.
    pub fn page(mut self, page: usize) -> Self {
        self.options.page = Some(page);
        self
    }

    /// Initial sort order. Default: as loaded.
    pub fn sort(mut self, sort: impl IntoIterator<Item = Sort>) -> Self {
        self.options.sort = Some(sort.into_iter().collect());
        self
    }

    /// Initial filter. Default: none.
    pub fn filter(mut self, filter: impl Into<Option<Filter>>) -> Self {
        self.options.filter = filter.into();
        self
    }

    /// Initial groups. Default: none.
    pub fn group(mut self, group: impl IntoIterator<Item = Group>) -> Self {
        self.options.group = group.into_iter().collect();
        self
    }

    /// Initial aggregates. Default: none.
    pub fn aggregate(mut self, aggregate: impl IntoIterator<Item = Aggregate>) -> Self {
        self.options.aggregate = Some(aggregate.into_iter().collect());
        self
    }

    /// The server pages. Default: off.
    #[doc(alias = "serverPaging")]
    pub fn server_paging(mut self, on: bool) -> Self {
        self.options.server_paging = on;
        self
    }

    /// The server sorts. Default: off.
    #[doc(alias = "serverSorting")]
    pub fn server_sorting(mut self, on: bool) -> Self {
        self.options.server_sorting = on;
        self
    }

    /// The server filters. Default: off.
    #[doc(alias = "serverFiltering")]
    pub fn server_filtering(mut self, on: bool) -> Self {
        self.options.server_filtering = on;
        self
    }

    /// The server groups. Default: off.
    #[doc(alias = "serverGrouping")]
    pub fn server_grouping(mut self, on: bool) -> Self {
        self.options.server_grouping = on;
        self
    }

    /// The server aggregates. Default: off.
    #[doc(alias = "serverAggregates")]
    pub fn server_aggregates(mut self, on: bool) -> Self {
        self.options.server_aggregates = on;
        self
    }

    /// Lower-case texts in filters as this locale does. Default: locale-independent.
    #[doc(alias = "accentFoldingFiltering")]
    pub fn accent_folding_filtering(mut self, locale: impl Into<String>) -> Self {
        self.options.accent_folding_filtering = Some(locale.into());
        self
    }

    /// Whether queries and edits may name only fields that the model declares, when it declares any. Default: yes; no
    /// after [`kendo`](Self::kendo), as there.
    pub fn strict_fields(mut self, on: bool) -> Self {
        self.options.strict_fields = on;
        self
    }

    /// A field that names a record before the server gives it an id, such as a number that the program makes up. A read that
    /// shows a record whose create is in doubt then does not show it twice. Default: none.
    pub fn natural_key(mut self, field: impl Into<Text>) -> Self {
        self.options.natural_key = Some(field.into());
        self
    }

    /// Requests of a sync under way at once, at most. Default: 6.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.options.max_in_flight = requests.max(1);
        self
    }

    /// Tries a request again, this often at most, when it failed in a way that may pass: no connection, time-out, cut
    /// connection, 408, 425, 429, 500, 502, 503, 504, and 409 while the first try is still being worked on. Every try is
    /// the same request with the same key. Default: 0, each change is tried once by a call.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries.more = retries;
        self
    }

    /// The ceiling of the pause before the first retry; it doubles with each one, up to 30 seconds, and the pause is a
    /// random part of it. Default: 500 ms.
    pub fn backoff(mut self, pause: Duration) -> Self {
        self.retries.backoff = pause;
        self
    }

    /// The longest pause that the server's `Retry-After` can impose on a retry; when it asks for more, the try has failed.
    /// Default: 30 seconds.
    pub fn max_retry_after(mut self, pause: Duration) -> Self {
        self.retries.max_retry_after = pause;
        self
    }

    /// Sends changes that failed, or could not be sent, by itself when their time has come: after an exponential back-off
    /// with full jitter, after the pause that the server asked for, after a login. Drafts are not accepted by it, and
    /// what was refused for good waits for an explicit sync or the [inbox](DataSource::inbox). Needs an offline storage,
    /// and a runtime with time enabled; ends with the data source. Default: off.
    pub fn retry_in_background(mut self, on: bool) -> Self {
        self.options.pauses.background = on;
        self
    }

    /// The ceiling of the first back-off between syncs in the background, and the highest one; it doubles with each try,
    /// and the pause is a random part of it. Default: 1 second, 5 minutes.
    pub fn background_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.options.pauses.first = first;
        self.options.pauses.longest = longest;
        self
    }

    /// The longest pause of the server's (`Retry-After`) that holds the whole queue, explicit syncs included; a longer one
    /// holds only the change that it was told for, and that for so long. Default: 1 hour.
    pub fn max_hold(mut self, pause: Duration) -> Self {
        self.options.pauses.longest_hold = pause;
        self
    }

    /// Requests that one sync may send at most, [further tries](Self::retries) included; what is left goes with the next.
    /// Changes that were tried least go first then. Default: no limit.
    pub fn sync_budget(mut self, requests: usize) -> Self {
        self.options.pauses.budget = Some(requests.max(1));
        self
    }

    /// What failures mean, in place of the table of [`judge`](crate::judge) or in front of it: `None` leaves a failure to
    /// the table. Called while the data source is locked: calls of it from there fail with `Callback`, or panic where they
    /// give no error.
    ///
    /// ```
    /// # use landfall::{DataSource, Verdict};
    /// // This service says 403 when the session has ended.
    /// let builder = DataSource::builder().failure_policy(|tried| match tried.error.status() {
    ///     Some(403) => Some(Verdict::HoldForLogin),
    ///     _ => None,
    /// });
    /// # drop(builder);
    /// ```
    pub fn failure_policy(mut self, judge: impl Fn(&Try<'_>) -> Option<Verdict> + Send + Sync + 'static) -> Self {
        self.options.policy = Policy::new(judge);
        self
    }

    /// Whether the service honours idempotency keys: repeated with its key, a request is applied once and answered as the
    /// first time. Where it does not, a change whose outcome is unknown is [looked up](Self::look_up) before it is sent
    /// again, and no request that may have been applied is repeated within a call. Default: yes, as far as the transport
    /// sends keys.
    pub fn honours_idempotency_keys(mut self, on: bool) -> Self {
        self.honours_keys = Some(on);
        self
    }

    /// Finds out what the service has of a changed record: by its id ([`LookUp::id`]), by its natural key
    /// ([`LookUp::name`]), by the idempotency key, or in whatever way the service offers. Used for changes in doubt where
    /// keys are not [honoured](Self::honours_idempotency_keys), and for conflicts whose refusal does not show the other
    /// side. Default: what the transport can do; the dialects `Rest` and `OData` ask by id, and by natural key where they
    /// can filter.
    ///
    /// ```
    /// # use landfall::{DataSource, Found};
    /// let builder = DataSource::builder().honours_idempotency_keys(false).look_up(async |ask| {
    ///     // Ask the service here; `Found::Missing` says that it has no such record.
    ///     Ok(if ask.name().is_some() { Found::Missing } else { Found::Unknown })
    /// });
    /// # drop(builder);
    /// ```
    pub fn look_up<F, Fut>(mut self, look_up: F) -> Self
    where
        F: Fn(LookUp) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Found>> + Send + 'static,
    {
        self.look_up = Some(LookUpFn(Arc::new(move |ask| Box::pin(look_up(ask)))));
        self
    }

    /// What happens to a change in doubt where nobody can tell whether it was applied. Default: it is repeated.
    pub fn when_in_doubt(mut self, doubt: Doubt) -> Self {
        self.options.doubts.otherwise = doubt;
        self
    }

    /// The clock: for default dates, and for when something failed. Default: the system's, which also stands in for one that
    /// panics. It is called while the data source is locked: calls of it from there fail with `Callback`, or panic where they
    /// give no error.
    pub fn clock(mut self, now: impl Fn() -> Date + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(now));
        self
    }

    /// Follows this connectivity: goes offline and online as it says, and syncs on the way back. Default: by hand.
    pub fn connectivity(mut self, connectivity: Connectivity) -> Self {
        self.connectivity = Some(connectivity);
        self
    }

    /// Goes offline by itself when a request fails because there is no network. Default: off, as in Kendo (R6.51).
    pub fn offline_on_network_failure(mut self, on: bool) -> Self {
        self.offline_on_failure = on;
        self
    }

    /// Makes the data source. Nothing is read yet (R1.1).
    ///
    /// # Errors
    /// `Config` outside a tokio runtime (see [`blocking`](crate::blocking) for programs without one), for an empty storage
    /// key, and for [`offline_storage`](Self::offline_storage) without a default storage; the storage's own errors when
    /// the default storage cannot be opened.
    pub fn build(self) -> Result<DataSource<T>> {
        let handle = Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Config, "build() needs a tokio runtime; without one use landfall::blocking")
                .during("build")
                .caused_by(source)
        })?;
        self.build_on(&handle)
    }

    pub(crate) fn build_on(mut self, handle: &Handle) -> Result<DataSource<T>> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let storage = match self.place {
            Place::None => None,
            Place::Key(key) => Some((open_default(self.app_name.as_deref())?, key)),
            Place::Storage(storage, key) => Some((storage, key)),
        };
        if let Some((_, key)) = &storage
            && key.is_empty()
        {
            return Err(Error::new(
                ErrorKind::Config,
                "the storage key is empty; give each data source a key of its own",
            )
            .during("build"));
        }
        let mut options = self.options;
        options.offline_storage = storage.is_some();
        let (transport, inline): (Arc<dyn Transport>, _) = if let Some(transport) = self.transport {
            (transport, None)
        } else {
            options.inline = true;
            let rows = Arc::new(LocalTransport::new(self.rows));
            (Arc::<LocalTransport>::clone(&rows), Some(rows))
        };
        options.doubts.honours_keys = self.honours_keys.unwrap_or_else(|| transport.sends_keys());
        options.doubts.looks_up = self.look_up.is_some() || transport.looks_up();
        let mut retries = self.retries;
        retries.repeats = options.doubts.honours_keys;
        options.offers = Offers::from_fn(|operation: Operation| transport.offers(operation));
        let clock = self.clock.unwrap_or_else(|| Arc::new(now));
        let clock = move || catch_unwind(AssertUnwindSafe(|| clock())).unwrap_or_else(|_panic| now());
        // Pauses go by the runtime's clock, which is never set.
        let start = tokio::time::Instant::now();
        let env = Environment::new(clock, random).with_elapsed(move || start.elapsed());
        let mut engine = Engine::new(options, env);
        if self.connectivity.as_ref().is_some_and(|connectivity| !connectivity.is_online()) {
            // Known before the first request; nobody waits for it.
            drop(engine.set_online(0, false));
        }
        let shared =
            Arc::new(Shared::new(engine, (transport, inline), storage, self.offline_on_failure, retries, self.look_up));
        let (sender, inbox) = mpsc::unbounded_channel();
        let task = Driver::new(Arc::clone(&shared), inbox, handle).run();
        drop(handle.spawn(task));
        let connectivity = self.connectivity;
        Ok(DataSource::new(shared, sender, |weak| {
            connectivity.map(|connectivity| handle.spawn(following(weak, connectivity)).abort_handle())
        }))
    }
}

fn now() -> Date {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Date::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) fn random() -> u64 {
    let mut bytes = [0_u8; 8];
    // The system's randomness does not fail on supported platforms; a hasher's seed stands in if it ever did.
    if getrandom::fill(&mut bytes).is_err() {
        use std::hash::{BuildHasher, Hasher};
        return std::collections::hash_map::RandomState::new().build_hasher().finish();
    }
    u64::from_le_bytes(bytes)
}

#[cfg(feature = "storage-sqlite")]
fn open_default(app_name: Option<&str>) -> Result<Arc<dyn Storage>> {
    let stem =
        std::env::current_exe().ok().and_then(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    let name = app_name.map(str::to_owned).or(stem).unwrap_or_else(|| "landfall".to_owned());
    Ok(Arc::new(landfall_storage_sqlite::SqliteStorage::open_default(&name)?))
}

#[cfg(not(feature = "storage-sqlite"))]
fn open_default(_app_name: Option<&str>) -> Result<Arc<dyn Storage>> {
    Err(Error::new(
        ErrorKind::Config,
        "a key alone needs the feature `storage-sqlite`; enable it, or give a storage: .storage(MemoryStorage::new(), key), \
         .storage(FileStorage::open(folder)?, key), or your own",
    )
    .during("build"))
}

/// A `Value` as a schema-less shorthand for tests and small programs.
impl<T: Row> Builder<T> {
    /// Inline rows from JSON.
    ///
    /// # Errors
    /// `Invalid` when a row is not an object.
    pub fn data_values(mut self, rows: &[Value]) -> Result<Self> {
        self.rows = rows
            .iter()
            .map(|row| {
                row.as_object()
                    .cloned()
                    .ok_or_else(|| Error::new(ErrorKind::Invalid, "a row must be an object").during("build"))
            })
            .collect::<Result<_>>()?;
        Ok(self)
    }
}
