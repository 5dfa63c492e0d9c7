//! The storage. Owns a lock around a [`StateTable`]; never waits for anything but that lock.

use async_trait::async_trait;
use landfall_storage::{Capability, Delta, Result, Revision, StateTable, Storage, StoredState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// States in process memory. Clones share them; a new one shares with nobody.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    table: Arc<Mutex<StateTable>>,
}

impl MemoryStorage {
    /// An empty storage of its own.
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, StateTable> {
        // Nothing of ours panics while it holds the lock with a state half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.table().load(key).map_err(|error| error.during("load"))
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        self.table().commit(key, expected, delta).map_err(|error| error.during("commit"))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.table().remove(key).map_err(|error| error.during("remove"))
    }

    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.table().keys())
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        self.table().usage(key).map_err(|error| error.during("usage"))
    }

    /// Atomic, since a commit happens under one lock; nothing else.
    fn capability(&self) -> Capability {
        Capability::none().atomic(true)
    }
}
