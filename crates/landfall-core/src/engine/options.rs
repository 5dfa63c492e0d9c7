//! What a data source is told once, at its construction (reference section 1).

use crate::{Aggregate, Date, Filter, Group, Operation, Record, Result, Schema, Sort, Value};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The engine's options. Kendo's names; everything off or absent by default.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "Kendo's options are switches")]
pub struct Options {
    /// How answers are read and what records look like.
    pub schema: Schema,
    /// Send all changes of a kind as one request.
    pub batch: bool,
    /// A batch that is refused with a 4xx is taken apart within the same sync: each of its changes is sent once more, alone.
    /// Default: on; off for options taken over from Kendo, where the changes go alone with the next sync.
    pub split_refused_batches: bool,
    /// Sync after every edit.
    pub auto_sync: bool,
    /// A local sort reorders the data itself.
    pub in_place_sort: bool,
    /// First page to show, counted from 1. Default: 1 when there is a page size.
    pub page: Option<usize>,
    /// Rows a page; 0 counts as absent.
    pub page_size: Option<usize>,
    /// Initial sort order.
    pub sort: Option<Vec<Sort>>,
    /// Initial filter.
    pub filter: Option<Filter>,
    /// Initial groups.
    pub group: Vec<Group>,
    /// Initial aggregates.
    pub aggregate: Option<Vec<Aggregate>>,
    /// Queries and edits may name only fields that the model declares, when it declares any. Off for options taken over
    /// from Kendo, which knows no such check.
    pub strict_fields: bool,
    /// The server pages.
    pub server_paging: bool,
    /// The server sorts.
    pub server_sorting: bool,
    /// The server filters.
    pub server_filtering: bool,
    /// The server groups.
    pub server_grouping: bool,
    /// The server aggregates.
    pub server_aggregates: bool,
    /// With paging and grouping by the server: ask it to page over groups (R10.6).
    pub group_paging: bool,
    /// Lower-case texts in filters as this locale does (R7.24).
    pub accent_folding_filtering: Option<String>,
    /// The total before the first read.
    pub total: Option<usize>,
    /// There is an offline storage.
    pub offline_storage: bool,
    /// The rows are given inline: creates are answered without an id, and that is no error (C49).
    pub inline: bool,
    /// A field that names a record before the server gives it an id, if there is one. A read that shows a record whose
    /// create is in doubt then does not show it twice.
    pub natural_key: Option<crate::Text>,
    /// Requests under way at once, at most. Default: 6.
    pub max_in_flight: usize,
    /// What failures mean. Default: the table of [`judge`](crate::judge).
    pub policy: super::policy::Policy,
    /// When changes that failed are sent again.
    pub pauses: Pauses,
    /// How a change is settled whose outcome is unknown.
    pub doubts: Doubts,
    /// Which operations the transport offers.
    pub offers: Offers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: Schema::default(),
            batch: false,
            split_refused_batches: true,
            auto_sync: false,
            in_place_sort: false,
            page: None,
            page_size: None,
            sort: None,
            filter: None,
            group: Vec::new(),
            aggregate: None,
            strict_fields: true,
            server_paging: false,
            server_sorting: false,
            server_filtering: false,
            server_grouping: false,
            server_aggregates: false,
            group_paging: false,
            accent_folding_filtering: None,
            total: None,
            offline_storage: false,
            inline: false,
            natural_key: None,
            max_in_flight: 6,
            policy: super::policy::Policy::default(),
            pauses: Pauses::default(),
            doubts: Doubts::default(),
            offers: Offers::all(),
        }
    }
}

/// How a change is settled whose outcome is unknown: by its key where the server honours keys, else by looking it up where
/// that is possible, else as [`otherwise`](Self::otherwise) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Doubts {
    /// The server honours idempotency keys: a request that is repeated with its key is applied once. Default: yes.
    pub honours_keys: bool,
    /// [`Step::LookUp`](super::Step::LookUp) may find something out. Default: no.
    pub looks_up: bool,
    /// What happens where nobody knows. Default: repeat.
    pub otherwise: Doubt,
}

impl Default for Doubts {
    fn default() -> Self {
        Self { honours_keys: true, looks_up: false, otherwise: Doubt::Repeat }
    }
}

/// What happens to a change in doubt where nobody knows whether it was applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// It is repeated, and may be applied twice.
    #[default]
    Repeat,
    /// It waits in the inbox until somebody decides.
    Ask,
}

/// When changes that failed are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pauses {
    /// Send them by themselves when their time has come. Default: off.
    pub background: bool,
    /// The ceiling of the first back-off; it doubles with each further try, and the pause is a random part of it. Default:
    /// 1 second.
    pub first: Duration,
    /// The highest ceiling. Default: 5 minutes.
    pub longest: Duration,
    /// The longest pause of the server's (`Retry-After`) that holds the queue; one that asks for more holds its own change
    /// only, and that for so long. Default: 1 hour.
    pub longest_hold: Duration,
    /// Requests that one sync may send, further tries included. Default: no limit.
    pub budget: Option<usize>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            background: false,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            longest_hold: Duration::from_secs(3600),
            budget: None,
        }
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers(u8);

impl Offers {
    const fn bit(operation: Operation) -> u8 {
        match operation {
            Operation::Read => 1,
            Operation::Create => 2,
            Operation::Update => 4,
            Operation::Destroy => 8,
            Operation::Submit => 16,
        }
    }

    /// Read, create, update and destroy; not submit.
    pub const fn all() -> Self {
        Self(15)
    }

    /// None.
    pub const fn none() -> Self {
        Self(0)
    }

    /// Those that the predicate names.
    pub fn from_fn(offers: impl Fn(Operation) -> bool) -> Self {
        use Operation::{Create, Destroy, Read, Submit, Update};
        Self(
            [Read, Create, Update, Destroy, Submit]
                .into_iter()
                .filter(|op| offers(*op))
                .fold(0, |set, op| set | Self::bit(op)),
        )
    }

    /// Whether the operation is in the set.
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & Self::bit(operation) != 0
    }
}

impl Options {
    /// Reads the options that Kendo's configuration object holds and that are data: `batch`, `autoSync`, `inPlaceSort`,
    /// `page`, `pageSize`, `sort`, `filter`, `group`, `aggregate`, `server…`, `groupPaging`, `accentFoldingFiltering`,
    /// `total`, `type` and `schema`. Others (`transport`, `data`, `offlineStorage`, handlers) are left to the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for descriptors that cannot be understood.
    pub fn from_kendo(options: &Record) -> Result<Self> {
        let flag = |name: &str| options.get(name).is_some_and(Value::is_truthy);
        let number = |name: &str| options.get(name).and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok());
        let get = |name: &str| options.get(name).unwrap_or(&Value::Null);
        Ok(Self {
            schema: Schema::from_kendo(options)?,
            batch: flag("batch"),
            split_refused_batches: false,
            auto_sync: flag("autoSync"),
            in_place_sort: flag("inPlaceSort"),
            page: number("page"),
            page_size: number("pageSize"),
            sort: options.get("sort").map(Sort::list_from_value).transpose()?,
            filter: if flag("serverFiltering") {
                Filter::from_value_for_server(get("filter"))?
            } else {
                Filter::from_value(get("filter"))?
            },
            group: Group::list_from_value(get("group"))?,
            aggregate: options.get("aggregate").map(Aggregate::list_from_value).transpose()?,
            strict_fields: false,
            server_paging: flag("serverPaging"),
            server_sorting: flag("serverSorting"),
            server_filtering: flag("serverFiltering"),
            server_grouping: flag("serverGrouping"),
            server_aggregates: flag("serverAggregates"),
            group_paging: flag("groupPaging"),
            accent_folding_filtering: options.get("accentFoldingFiltering").and_then(Value::as_str).map(str::to_owned),
            total: number("total"),
            ..Self::default()
        })
    }

    /// Whether any operation is the server's.
    pub(crate) fn any_server(&self) -> bool {
        self.server_paging
            || self.server_sorting
            || self.server_filtering
            || self.server_grouping
            || self.server_aggregates
    }
}

/// What the engine may not look up by itself: the time and randomness. Handed in, so that a run can be repeated.
#[derive(Clone)]
pub struct Environment {
    now: Arc<dyn Fn() -> Date + Send + Sync>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Environment {
    /// From a clock and a source of random numbers. Pauses are measured by this clock, too; when it is set back, the time
    /// that has passed since it was last asked is not counted.
    pub fn new(
        now: impl Fn() -> Date + Send + Sync + 'static,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let now: Arc<dyn Fn() -> Date + Send + Sync> = Arc::new(now);
        let clock = Arc::clone(&now);
        let seen = Mutex::new((now().millis(), Duration::ZERO));
        let elapsed = move || {
            let millis = clock().millis();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = u64::try_from(millis.saturating_sub(seen.0)).unwrap_or(0);
            *seen = (millis, seen.1.saturating_add(Duration::from_millis(passed)));
            seen.1
        };
        Self { now, elapsed: Arc::new(elapsed), random: Arc::new(random) }
    }

    /// Takes the time of day from this clock; pauses are measured as before.
    #[must_use]
    pub fn with_now(mut self, now: impl Fn() -> Date + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Measures pauses by this clock, which is never set: the time since some moment.
    #[must_use]
    pub fn with_elapsed(mut self, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.elapsed = Arc::new(elapsed);
        self
    }

    /// A clock that stands still, and numbers that follow from a seed. For tests.
    pub fn fixed(now: Date, seed: u64) -> Self {
        let state = std::sync::atomic::AtomicU64::new(seed);
        Self::new(
            move || now,
            move || {
                // splitmix64
                let mut z = state.fetch_add(0x9E37_79B9_7F4A_7C15, std::sync::atomic::Ordering::Relaxed);
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            },
        )
    }

    pub(crate) fn now(&self) -> Date {
        (self.now)()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }

    pub(crate) fn random(&self) -> u64 {
        (self.random)()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
