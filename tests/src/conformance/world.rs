//! The world around a data source: the model server, the storage with its contents, the clock.
//!
//! Owns what belongs to the scenario and survives a data source. Every storage is the library's own.

use super::{scenario::Scenario, trace};
use landfall_core::{Date, Delta, Error, ErrorKind, Record, Result, StoredState, Value};
use landfall_storage::{ItemAdapter, ItemStorage, Storage};
use landfall_transport_mock::MockServer;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The instant at which the clock stands still: 2024-03-05T12:00:00Z.
pub const NOW: Date = Date::from_millis(1_709_640_000_000);

/// Which storage the data source uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// A custom item storage: whole states as JSON text under their keys.
    Item,
    /// Process memory.
    Memory,
    /// A directory of files.
    File,
    /// A SQLite database.
    Sqlite,
}

impl StorageKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Item, Self::Memory, Self::File, Self::Sqlite];

    /// `item`, `memory`, `file` or `sqlite`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Memory => "memory",
            Self::File => "file",
            Self::Sqlite => "sqlite",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Texts under keys: what a program's own item storage looks like.
#[derive(Clone, Debug, Default)]
struct Texts(Arc<Mutex<BTreeMap<String, String>>>);

impl Texts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of the texts: what a program hands in as its custom storage.
#[derive(Debug)]
struct Slot(Texts, String);

impl ItemStorage for Slot {
    fn get_item(&self) -> Result<Option<String>> {
        Ok(self.0.with(|texts| texts.get(&self.1).cloned()))
    }

    fn set_item(&self, item: &str) -> Result<()> {
        self.0.with(|texts| texts.insert(self.1.clone(), item.to_owned()));
        Ok(())
    }
}

/// The storage of one scenario.
#[derive(Debug)]
enum Shelf {
    Item(Texts),
    Native { storage: Arc<dyn Storage>, _folder: Option<tempfile::TempDir> },
}

impl Shelf {
    fn open(kind: StorageKind) -> Result<Self> {
        let folder = || {
            tempfile::tempdir().map_err(|error| Error::new(ErrorKind::Storage, "no temporary folder").caused_by(error))
        };
        Ok(match kind {
            StorageKind::Item => Self::Item(Texts::default()),
            StorageKind::Memory => {
                Self::Native { storage: Arc::new(landfall_storage_memory::MemoryStorage::new()), _folder: None }
            }
            StorageKind::File => {
                let folder = folder()?;
                let storage = Arc::new(landfall_storage_file::FileStorage::open(folder.path())?);
                Self::Native { storage, _folder: Some(folder) }
            }
            StorageKind::Sqlite => {
                let folder = folder()?;
                let storage = landfall_storage_sqlite::SqliteStorage::open(folder.path().join("store.db"))?;
                Self::Native { storage: Arc::new(storage), _folder: Some(folder) }
            }
        })
    }
}

/// The world of one scenario.
#[derive(Debug)]
pub struct World {
    /// The model server, if there is one.
    pub server: Option<MockServer>,
    /// Whether its replies come later.
    pub later: bool,
    shelf: Option<Shelf>,
}

impl World {
    /// Sets the world of a scenario up.
    ///
    /// # Errors
    /// When the server's description does not make sense or the storage does not open.
    pub async fn of(scenario: &Scenario, kind: StorageKind) -> Result<Self> {
        let server = scenario.server.as_ref().map(MockServer::from_value).transpose()?;
        let later = scenario.server.as_ref().and_then(Value::as_object).and_then(|server| server.get("async"));
        let shelf = if scenario.shows_storage() { Some(Shelf::open(kind)?) } else { None };
        let world = Self { later: later.is_some_and(Value::is_truthy), server, shelf };
        for (key, value) in scenario.storage.iter().flat_map(Record::iter) {
            world.store(key, Some(value)).await?;
        }
        Ok(world)
    }

    /// The storage for a data source with this key.
    pub fn storage(&self, key: &str) -> Option<Arc<dyn Storage>> {
        self.shelf.as_ref().map(|shelf| -> Arc<dyn Storage> {
            match shelf {
                Shelf::Item(texts) => Arc::new(ItemAdapter::new(Slot(texts.clone(), key.to_owned()))),
                Shelf::Native { storage, .. } => Arc::clone(storage),
            }
        })
    }

    /// Writes a key from outside, or deletes it.
    ///
    /// # Errors
    /// When the storage refuses.
    pub async fn store(&self, key: &str, value: Option<&Value>) -> Result<()> {
        match (&self.shelf, value) {
            (None, _) => Ok(()),
            (Some(Shelf::Item(texts)), Some(value)) => {
                texts.with(|texts| texts.insert(key.to_owned(), value.to_json()));
                Ok(())
            }
            (Some(Shelf::Item(texts)), None) => {
                texts.with(|texts| texts.remove(key));
                Ok(())
            }
            (Some(Shelf::Native { storage, .. }), Some(value)) => {
                let new = StoredState::from_kendo(value)?;
                let known = storage.load(key).await?.revision;
                let delta = Delta { clear: true, put: new.rows, meta: new.meta, ..Delta::default() };
                storage.commit(key, known, delta).await.map(drop)
            }
            (Some(Shelf::Native { storage, .. }), None) => storage.remove(key).await,
        }
    }

    /// The whole contents of the storage as a trace shows them.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn contents(&self) -> Result<Value> {
        let mut out = Record::new();
        match &self.shelf {
            None => {}
            Some(Shelf::Item(texts)) => {
                for (key, text) in texts.with(|texts| texts.clone()) {
                    out.set(&key, trace::stored(&Value::from_json(&text)?));
                }
            }
            Some(Shelf::Native { storage, .. }) => {
                for key in storage.keys().await? {
                    out.set(&key, trace::stored(&storage.load(&key).await?.to_kendo(false)?));
                }
            }
        }
        Ok(out.into())
    }
}
