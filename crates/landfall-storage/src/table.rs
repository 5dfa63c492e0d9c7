//! States in memory, for storages that keep them there. Owns the rows; knows no lock, thread or medium.

use crate::{Delta, Error, ErrorKind, Result, Revision, RowId, StoredRow, StoredState};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Refuses the one key that no storage keeps.
///
/// # Errors
/// [`ErrorKind::Config`] when the key is empty.
pub fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(ErrorKind::Config, "a storage key must not be empty; give the data source a name"));
    }
    Ok(())
}

/// The answer to a commit that builds on another revision than the current one.
pub fn stale(key: &str, expected: Revision, current: Revision) -> Error {
    Error::new(ErrorKind::Stale { current }, "load the state again and commit on top of it")
        .with("key", key)
        .with("expected", expected.to_string())
        .with("current", current.to_string())
}

/// States by key, with commits that cost in proportion to the delta. The shared inside of storages that keep their
/// states in memory; synchronous, to be put behind a lock.
#[derive(Clone, Debug, Default)]
pub struct StateTable {
    states: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    revision: Revision,
    meta: Option<Arc<str>>,
    rows: HashMap<RowId, StoredRow>,
    /// Bytes of text, kept up to date so that asking costs nothing.
    size: u64,
}

impl Entry {
    fn apply(&mut self, delta: Delta) {
        if delta.clear {
            self.rows.clear();
            self.meta = None;
            self.size = 0;
        }
        for id in delta.delete {
            if let Some(old) = self.rows.remove(&id) {
                self.size -= old.size() as u64;
            }
        }
        for row in delta.put {
            self.size += row.size() as u64;
            if let Some(old) = self.rows.insert(row.id, row) {
                self.size -= old.size() as u64;
            }
        }
        if let Some(meta) = delta.meta {
            self.size += meta.len() as u64;
            if let Some(old) = self.meta.replace(meta) {
                self.size -= old.len() as u64;
            }
        }
    }
}

impl StateTable {
    /// A table without states.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`Storage::load`](crate::Storage::load).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty key.
    pub fn load(&self, key: &str) -> Result<StoredState> {
        check_key(key)?;
        let Some(entry) = self.states.get(key) else { return Ok(StoredState::default()) };
        let mut rows: Vec<StoredRow> = entry.rows.values().cloned().collect();
        rows.sort_unstable_by_key(|row| (row.order, row.id));
        Ok(StoredState { revision: entry.revision, meta: entry.meta.clone(), rows })
    }

    /// See [`Storage::commit`](crate::Storage::commit).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty key, [`ErrorKind::Stale`] for another revision than the current one.
    pub fn commit(&mut self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        check_key(key)?;
        let current = self.states.get(key).map_or(0, |entry| entry.revision);
        if current != expected {
            return Err(stale(key, expected, current));
        }
        let entry = self.states.entry(key.to_owned()).or_default();
        entry.apply(delta);
        entry.revision = current + 1;
        Ok(entry.revision)
    }

    /// See [`Storage::remove`](crate::Storage::remove).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty key.
    pub fn remove(&mut self, key: &str) -> Result<()> {
        check_key(key)?;
        self.states.remove(key);
        Ok(())
    }

    /// See [`Storage::keys`](crate::Storage::keys).
    pub fn keys(&self) -> Vec<String> {
        self.states.keys().cloned().collect()
    }

    /// See [`Storage::usage`](crate::Storage::usage).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty key.
    pub fn usage(&self, key: Option<&str>) -> Result<u64> {
        match key {
            Some(key) => {
                check_key(key)?;
                Ok(self.states.get(key).map_or(0, |entry| entry.size))
            }
            None => Ok(self.states.values().map(|entry| entry.size).sum()),
        }
    }
}
