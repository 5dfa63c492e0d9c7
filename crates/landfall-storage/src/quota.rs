//! A byte limit around a storage. Owns the accounting; the bytes stay with the storage inside.
//!
//! How a commit is judged: what it may add is reserved before it goes to the storage inside and given back when that
//! answered, so that commits that overlap cannot exceed the limit together. The bytes in use are asked of the storage
//! inside each time (other handles may have written); only close to the limit, where an upper bound is not enough, the
//! sizes of the rows that a commit replaces are looked up, in a cache per key that one load fills.

use crate::{Capability, Delta, Error, ErrorKind, Result, Revision, RowId, Storage, StoredState, check_key, stale};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The limit of the browser's `localStorage` that people are used to.
const LIKE_LOCAL_STORAGE: u64 = 5 * 1024 * 1024;

/// A storage with a limit on the bytes that all its keys take together, as [`Storage::usage`] counts them.
///
/// A commit that would exceed the limit gives [`ErrorKind::QuotaExceeded`] and changes nothing. A commit that makes
/// nothing longer is always let through, also while the limit is exceeded already (a smaller limit than yesterday), so
/// that there is a way back. Clones share the accounting. Handles that bypass this wrapper, and other processes, are
/// counted as far as they had committed when a commit was judged.
///
/// ```
/// use landfall_storage::{Delta, ErrorKind, QuotaStorage, Storage, StoredRow};
/// use landfall_storage_memory::MemoryStorage;
/// # use landfall_storage::conformance::block_on;
/// # block_on(async {
///
/// let storage = QuotaStorage::new(MemoryStorage::new(), 1_000);
/// let row = |text: &str| StoredRow { id: 1, order: 1, state: None, record: text.into(), change: None };
/// let big = format!(r#"{{"text":"{}"}}"#, "x".repeat(2_000));
///
/// let error = storage.commit("k", 0, Delta { put: vec![row(&big)], ..Delta::default() }).await.unwrap_err();
/// assert_eq!(error.kind(), &ErrorKind::QuotaExceeded { used: 0, limit: 1_000, needed: 2_011 });
/// assert_eq!(storage.commit("k", 0, Delta { put: vec![row("{}")], ..Delta::default() }).await?, 1);
/// # Ok::<(), landfall_storage::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct QuotaStorage<S> {
    inner: S,
    limit: Option<u64>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Bytes that commits under way may add.
    reserved: u64,
    /// Counts the commits that ended; a usage that was asked before one of them ended may lack it.
    ended: u64,
    /// What the rows of a key weigh, at one revision.
    sizes: HashMap<String, Sizes>,
}

/// What the texts of one state weigh.
#[derive(Debug)]
struct Sizes {
    revision: Revision,
    total: u64,
    meta: u64,
    rows: HashMap<RowId, u64>,
}

impl Sizes {
    fn of(state: &StoredState) -> Self {
        let rows: HashMap<RowId, u64> = state.rows.iter().map(|row| (row.id, row.size() as u64)).collect();
        let meta = state.meta.as_ref().map_or(0, |meta| meta.len() as u64);
        Self { revision: state.revision, total: state.size(), meta, rows }
    }

    /// The total after a delta, without applying it.
    fn total_after(&self, delta: &Delta) -> u64 {
        let meta = match &delta.meta {
            Some(meta) => meta.len() as u64,
            None if delta.clear => 0,
            None => self.meta,
        };
        // Rows that the delta touches: gone, or their new size.
        let mut touched: HashMap<RowId, u64> = delta.delete.iter().map(|id| (*id, 0)).collect();
        touched.extend(delta.put.iter().map(|row| (row.id, row.size() as u64)));
        let new: u64 = touched.values().sum();
        if delta.clear {
            return meta + new;
        }
        let old: u64 = touched.keys().filter_map(|id| self.rows.get(id)).sum();
        self.total - self.meta - old + meta + new
    }

    fn apply(&mut self, delta: &Delta, revision: Revision) {
        self.total = self.total_after(delta);
        if delta.clear {
            self.rows.clear();
            self.meta = 0;
        }
        for id in &delta.delete {
            self.rows.remove(id);
        }
        self.rows.extend(delta.put.iter().map(|row| (row.id, row.size() as u64)));
        if let Some(meta) = &delta.meta {
            self.meta = meta.len() as u64;
        }
        self.revision = revision;
    }
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        // Every change of the books is complete before anything could panic.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room kept for one commit; given back when the commit ended, or when its future was dropped.
struct Reservation {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        books.reserved -= self.bytes;
        books.ended += 1;
    }
}

/// What became of a request for room.
enum Room {
    Kept(Reservation),
    /// A commit ended while the usage was being asked: ask again.
    AskAgain,
    Lacking {
        used: u64,
        needed: u64,
    },
}

impl<S: Storage> QuotaStorage<S> {
    /// Limits the storage to so many bytes.
    pub fn new(inner: S, limit: u64) -> Self {
        Self { inner, limit: Some(limit), ledger: Arc::default() }
    }

    /// No limit of its own; for programs that decide at run time.
    pub fn unlimited(inner: S) -> Self {
        Self { inner, limit: None, ledger: Arc::default() }
    }

    /// Limits the storage to 5 MiB, like the browser's `localStorage`.
    pub fn like_local_storage(inner: S) -> Self {
        Self::new(inner, LIKE_LOCAL_STORAGE)
    }

    /// The limit in bytes, if there is one.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The storage inside. What is done to it directly is not judged.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Keeps room for so many more bytes.
    fn keep_room(&self, limit: u64, used: u64, ended: u64, growth: u64) -> Room {
        let mut books = self.ledger.books();
        if books.ended != ended {
            return Room::AskAgain;
        }
        let used = used.saturating_add(books.reserved);
        let needed = used.saturating_add(growth);
        if growth > 0 && needed > limit {
            return Room::Lacking { used, needed };
        }
        books.reserved += growth;
        Room::Kept(Reservation { ledger: Arc::clone(&self.ledger), bytes: growth })
    }

    /// By how much the state of a key would grow, exactly.
    async fn growth(&self, key: &str, expected: Revision, delta: &Delta) -> Result<u64> {
        let in_use = self.inner.usage(Some(key)).await?;
        let known = {
            let books = self.ledger.books();
            // A state that was removed and made again by others can have the same revision; then its weight tells.
            let sizes = books.sizes.get(key).filter(|sizes| sizes.revision == expected && sizes.total == in_use);
            sizes.map(|sizes| sizes.total_after(delta).saturating_sub(sizes.total))
        };
        if let Some(growth) = known {
            return Ok(growth);
        }
        let state = self.inner.load(key).await?;
        if state.revision != expected {
            return Err(stale(key, expected, state.revision));
        }
        let sizes = Sizes::of(&state);
        let growth = sizes.total_after(delta).saturating_sub(sizes.total);
        self.ledger.books().sizes.insert(key.to_owned(), sizes);
        Ok(growth)
    }

    /// Waits for nothing but the storage inside; gives room for the delta, or says that there is none.
    async fn room(&self, limit: u64, key: &str, expected: Revision, delta: &Delta) -> Result<Reservation> {
        // Surely no more than this; enough of an answer as long as there is plenty of room.
        let mut growth = delta.size();
        let mut exact = growth == 0;
        loop {
            let ended = self.ledger.books().ended;
            let used = self.inner.usage(None).await?;
            match self.keep_room(limit, used, ended, growth) {
                Room::Kept(room) => return Ok(room),
                Room::AskAgain => {}
                Room::Lacking { .. } if !exact => {
                    growth = self.growth(key, expected, delta).await?;
                    exact = true;
                }
                Room::Lacking { used, needed } => {
                    return Err(Error::new(
                        ErrorKind::QuotaExceeded { used, limit, needed },
                        "sync, remove records or raise the limit",
                    )
                    .with("key", key));
                }
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Storage> Storage for QuotaStorage<S> {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.inner.load(key).await
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        check_key(key).map_err(|error| error.during("commit"))?;
        let Some(limit) = self.limit else { return self.inner.commit(key, expected, delta).await };
        let room = self.room(limit, key, expected, &delta).await.map_err(|error| error.during("commit"))?;
        // Taken out while the commit runs: if this future is dropped, nobody knows which state the sizes belong to.
        let sizes = self.ledger.books().sizes.remove(key).filter(|sizes| sizes.revision == expected);
        let after = sizes.map(|sizes| (sizes, delta.clone()));
        let revision = self.inner.commit(key, expected, delta).await?;
        if let Some((mut sizes, delta)) = after {
            sizes.apply(&delta, revision);
            self.ledger.books().sizes.insert(key.to_owned(), sizes);
        }
        drop(room);
        Ok(revision)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.ledger.books().sizes.remove(key);
        let result = self.inner.remove(key).await;
        let mut books = self.ledger.books();
        books.sizes.remove(key);
        books.ended += 1;
        result
    }

    async fn keys(&self) -> Result<Vec<String>> {
        self.inner.keys().await
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        self.inner.usage(key).await
    }

    fn capability(&self) -> Capability {
        let inner = self.inner.capability();
        inner.limit(match (inner.limit, self.limit) {
            (Some(inner), Some(own)) => Some(inner.min(own)),
            (inner, own) => inner.or(own),
        })
    }
}
