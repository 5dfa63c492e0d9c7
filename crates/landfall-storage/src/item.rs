//! Storages of your own from two functions, as Kendo's `offlineStorage: {getItem, setItem}` (R6.2): whole states as JSON
//! text. Owns the adapter that makes a [`Storage`] of them; the form of the text is the engine's.

use crate::{
    Capability, Delta, Error, ErrorKind, Result, Revision, Storage, StoredState, check_key, stale, worker::panic_text,
};
use async_trait::async_trait;
use landfall_core::Value;
use std::{
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

/// A place for one state as JSON text. As in Kendo it knows no key: it belongs to one data source. Make a [`Storage`] of
/// it with [`ItemAdapter::new`].
///
/// The text is Kendo's: an array of records, changed ones with `__state__` (R6.12 to R6.17) and landfall's own
/// bookkeeping in the one member `__landfall`. A text that Kendo wrote can be read. Calls come one at a time, on the
/// thread that happens to run the data source: they should not take long. They may call the data source, but not wait for
/// it; calls of the storage itself, `storage_usage` of the data source among them, fail with [`ErrorKind::Callback`] from here.
#[doc(alias = "getItem")]
#[doc(alias = "setItem")]
pub trait ItemStorage: Send + Sync + 'static {
    /// The text that was set last; `None` if there is none.
    ///
    /// # Errors
    /// Yours; [`ErrorKind::Storage`] fits most.
    fn get_item(&self) -> Result<Option<String>>;

    /// Keeps the text in place of the one before.
    ///
    /// # Errors
    /// Yours; [`ErrorKind::QuotaExceeded`] and [`ErrorKind::ReadOnly`] are understood. The text before should stay.
    fn set_item(&self, item: &str) -> Result<()>;

    /// Forgets the text. Unless written otherwise it is replaced by the empty list, Kendo's way.
    ///
    /// # Errors
    /// As [`set_item`](Self::set_item).
    fn remove_item(&self) -> Result<()> {
        self.set_item("[]")
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<I: ItemStorage + ?Sized> ItemStorage for $pointer<I> {
            fn get_item(&self) -> Result<Option<String>> {
                (**self).get_item()
            }
            fn set_item(&self, item: &str) -> Result<()> {
                (**self).set_item(item)
            }
            fn remove_item(&self) -> Result<()> {
                (**self).remove_item()
            }
        }
    )*};
}
forward!(Arc, Box);

/// A storage from two closures.
///
/// ```
/// use landfall_storage::{Delta, Storage, StoredRow, item_storage};
/// # use landfall_storage::conformance::block_on;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("products.json");
/// # let (read, write) = (path.clone(), path);
/// # block_on(async {
///
/// let storage = item_storage(
///     move || std::fs::read_to_string(&read).map(Some),
///     move |text| std::fs::write(&write, text),
/// );
///
/// let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1}"#.into(), change: None };
/// let state = storage.load("products").await?;
/// storage.commit("products", state.revision, Delta { put: vec![row], ..Delta::default() }).await?;
/// # Ok::<(), landfall_storage::Error>(())
/// # }).unwrap();
/// ```
///
/// An error of a closure becomes [`ErrorKind::Storage`]; an [`Error`] of landfall keeps its kind. That there is no file
/// (an I/O error `NotFound` of the first closure) means that there is no item.
pub fn item_storage<G, GE, S, SE>(get: G, set: S) -> ItemAdapter<impl ItemStorage>
where
    G: Fn() -> Result<Option<String>, GE> + Send + Sync + 'static,
    S: Fn(&str) -> Result<(), SE> + Send + Sync + 'static,
    GE: Into<Box<dyn StdError + Send + Sync>>,
    SE: Into<Box<dyn StdError + Send + Sync>>,
{
    ItemAdapter::new(Functions {
        get: move || match get().map_err(Into::into) {
            Ok(item) => Ok(item),
            Err(error) if is_not_found(&*error) => Ok(None),
            Err(error) => Err(adopt(error, "the item cannot be read")),
        },
        set: move |text: &str| set(text).map_err(|error| adopt(error.into(), "the item cannot be written")),
    })
}

struct Functions<G, S> {
    get: G,
    set: S,
}

impl<G, S> ItemStorage for Functions<G, S>
where
    G: Fn() -> Result<Option<String>> + Send + Sync + 'static,
    S: Fn(&str) -> Result<()> + Send + Sync + 'static,
{
    fn get_item(&self) -> Result<Option<String>> {
        (self.get)()
    }
    fn set_item(&self, item: &str) -> Result<()> {
        (self.set)(item)
    }
}

/// A foreign error that must be sized to become a source.
#[derive(Debug)]
struct Foreign(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Foreign {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

fn is_not_found(error: &(dyn StdError + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn adopt(error: Box<dyn StdError + Send + Sync>, message: &'static str) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => *own,
        Err(foreign) => Error::new(ErrorKind::Storage, message).caused_by(Foreign(foreign)),
    }
}

/// Makes a [`Storage`] of an [`ItemStorage`]. Clones share it.
///
/// What it can promise is what whole texts allow, and its [`capability`](Storage::capability) says so: not durable, not
/// atomic, one key. Before it writes it reads, and compares the text with the one it knows: if somebody else wrote in
/// between, the commit is [`ErrorKind::Stale`]. Each commit writes everything. A panic of the item storage is
/// [`ErrorKind::Callback`], a text that is no JSON [`ErrorKind::Corrupt`]: it is kept, and only
/// [`remove`](Storage::remove) replaces it.
///
/// The key is a label: the first one that is used belongs to the item from then on, and any other is refused with
/// [`ErrorKind::Unsupported`]. Give each data source an item storage of its own.
pub struct ItemAdapter<I> {
    shared: Arc<Shared<I>>,
}

struct Shared<I> {
    items: I,
    /// Locked while a function of the item storage runs.
    memory: Mutex<Memory>,
    /// The thread that runs it.
    runs: Mutex<Option<ThreadId>>,
}

#[derive(Default)]
struct Memory {
    label: Option<String>,
    /// The text that was seen last, and what it means.
    known: Option<Known>,
}

#[derive(Clone)]
struct Known {
    text: Option<String>,
    state: StoredState,
}

impl<I: ItemStorage> ItemAdapter<I> {
    /// Makes a storage of an item storage.
    pub fn new(items: I) -> Self {
        Self { shared: Arc::new(Shared { items, memory: Mutex::default(), runs: Mutex::default() }) }
    }

    fn runs(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> Result<MutexGuard<'_, Memory>> {
        if *self.runs() == Some(thread::current().id()) {
            // Not to be waited for: it is this thread that has it.
            return Err(Error::new(ErrorKind::Callback, "a function of the item storage called the storage"));
        }
        // The memory changes in one assignment, after everything that can panic.
        Ok(self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a function of the item storage, with the memory locked.
    fn run<T>(&self, name: &'static str, call: impl FnOnce(&I) -> Result<T>) -> Result<T> {
        *self.runs() = Some(thread::current().id());
        let done = guarded(name, || call(&self.shared.items));
        *self.runs() = None;
        done
    }

    fn get(&self) -> Result<Option<String>> {
        self.run("get_item", I::get_item)
    }

    /// The memory, for work on this key.
    fn at(&self, key: &str) -> Result<MutexGuard<'_, Memory>> {
        check_key(key)?;
        let mut memory = self.memory()?;
        match &memory.label {
            Some(label) if label != key => Err(Error::new(
                ErrorKind::Unsupported,
                "an item storage keeps one state; give each data source an item storage of its own",
            )
            .with("key", key)
            .with("belongs to", label)),
            Some(_) => Ok(memory),
            None => {
                memory.label = Some(key.to_owned());
                Ok(memory)
            }
        }
    }

    /// Reads the item and brings the memory up to date.
    fn look<'a>(&self, memory: &'a mut Memory) -> Result<&'a mut Known> {
        let text = self.get()?;
        let before = match &mut memory.known {
            Some(known) if known.text == text => None,
            Some(known) => Some(known.state.revision),
            None => Some(0),
        };
        if let Some(before) = before {
            let state = match &text {
                None => StoredState::default(),
                Some(text) => StoredState { revision: before.saturating_add(1), ..parse(text)? },
            };
            memory.known = Some(Known { text, state });
        }
        memory.known.as_mut().ok_or_else(|| Error::from(ErrorKind::Unexpected))
    }
}

fn guarded<T>(function: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let error =
            Error::new(ErrorKind::Callback, "a function of the item storage panicked").with("function", function);
        Err(match panic_text(&*panic) {
            Some(text) => error.with("panic", text),
            None => error,
        })
    })
}

fn parse(text: &str) -> Result<StoredState> {
    let value = Value::from_json(text).map_err(|source| {
        Error::new(ErrorKind::Corrupt, "the item is no JSON; it was kept, remove the key to start anew")
            .caused_by(source)
    })?;
    StoredState::from_kendo(&value)
        .map_err(|source| Error::new(ErrorKind::Corrupt, "the item holds no state; it was kept").caused_by(source))
}

#[async_trait]
impl<I: ItemStorage> Storage for ItemAdapter<I> {
    async fn load(&self, key: &str) -> Result<StoredState> {
        let load = || Ok(self.look(&mut *self.at(key)?)?.state.clone());
        load().map_err(|error: Error| error.during("load"))
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        let commit = || {
            let mut memory = self.at(key)?;
            let known = self.look(&mut memory)?;
            if known.state.revision != expected {
                return Err(stale(key, expected, known.state.revision));
            }
            let mut state = known.state.clone();
            state.apply(&delta, expected.saturating_add(1));
            let value = state.to_kendo(true)?;
            let written = value.to_json();
            self.run("set_item", |items| items.set_item(&written))?;
            // Item storages may keep the same in other words (a database with a JSON type). What is read back is what
            // the next look must find; if it means something else, somebody else wrote it, and the next look says so.
            let text = match self.get() {
                Ok(Some(text)) if text != written && Value::from_json(&text).is_ok_and(|read| read == value) => text,
                _ => written,
            };
            let revision = state.revision;
            *known = Known { text: Some(text), state };
            Ok(revision)
        };
        commit().map_err(|error: Error| error.during("commit"))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        let remove = || {
            let mut memory = self.at(key)?;
            let there = match &memory.known {
                Some(known) => known.state.revision > 0 || self.get()? != known.text,
                None => self.get()?.is_some(),
            };
            if there {
                self.run("remove_item", I::remove_item)?;
            }
            memory.known = Some(Known { text: self.get()?, state: StoredState::default() });
            Ok(())
        };
        remove().map_err(|error: Error| error.during("remove"))
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let keys = || {
            let mut memory = self.memory()?;
            let Some(label) = memory.label.clone() else { return Ok(Vec::new()) };
            let is_there = self.look(&mut memory)?.state.revision > 0;
            Ok(is_there.then_some(label).into_iter().collect())
        };
        keys().map_err(|error: Error| error.during("keys"))
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        let usage = || {
            let mut memory = match key {
                Some(key) => self.at(key)?,
                None => self.memory()?,
            };
            Ok(self.look(&mut memory)?.state.size())
        };
        usage().map_err(|error: Error| error.during("usage"))
    }

    /// Nothing but one key.
    fn capability(&self) -> Capability {
        Capability::none().one_key(true)
    }
}

impl<I> Clone for ItemAdapter<I> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<I> fmt::Debug for ItemAdapter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemAdapter").finish_non_exhaustive()
    }
}
