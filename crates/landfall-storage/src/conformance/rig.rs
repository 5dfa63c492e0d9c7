//! What the cases are written with: a handle that waits, and short spellings of rows and deltas.

use super::wait::block_on;
use crate::{
    Capability, ChangeKind, Delta, Error, ErrorKind, Result, Revision, RowId, Storage, StoredRow, StoredState,
};
use std::sync::Arc;

pub(super) const KEY: &str = "products-offline";

/// A handle whose calls wait.
#[derive(Clone)]
pub(super) struct Handle(pub(super) Arc<dyn Storage>);

impl Handle {
    pub(super) fn try_load(&self, key: &str) -> Result<StoredState> {
        block_on(self.0.load(key))
    }
    #[track_caller]
    pub(super) fn load(&self, key: &str) -> StoredState {
        self.try_load(key).unwrap_or_else(|error| panic!("load of {key:?}: {error:?}"))
    }
    pub(super) fn try_commit(&self, key: &str, expected: Revision, delta: &Delta) -> Result<Revision> {
        block_on(self.0.commit(key, expected, delta.clone()))
    }
    #[track_caller]
    pub(super) fn commit(&self, key: &str, expected: Revision, delta: &Delta) -> Revision {
        self.try_commit(key, expected, delta).unwrap_or_else(|error| panic!("commit to {key:?}: {error:?}"))
    }
    pub(super) fn try_remove(&self, key: &str) -> Result<()> {
        block_on(self.0.remove(key))
    }
    #[track_caller]
    pub(super) fn remove(&self, key: &str) {
        self.try_remove(key).unwrap_or_else(|error| panic!("remove of {key:?}: {error:?}"));
    }
    #[track_caller]
    pub(super) fn keys(&self) -> Vec<String> {
        block_on(self.0.keys()).unwrap_or_else(|error| panic!("keys: {error:?}"))
    }
    pub(super) fn try_usage(&self, key: Option<&str>) -> Result<u64> {
        block_on(self.0.usage(key))
    }
    #[track_caller]
    pub(super) fn usage(&self, key: Option<&str>) -> u64 {
        self.try_usage(key).unwrap_or_else(|error| panic!("usage of {key:?}: {error:?}"))
    }
    pub(super) fn capability(&self) -> Capability {
        self.0.capability()
    }
}

/// Says that a case does not apply.
pub(super) fn skip(why: &str) {
    println!("not applicable: {why}");
}

pub(super) fn row(id: RowId, order: u64, record: &str) -> StoredRow {
    StoredRow { id, order, state: None, record: record.into(), change: None }
}

pub(super) fn changed(id: RowId, order: u64, state: ChangeKind, record: &str, change: &str) -> StoredRow {
    StoredRow { state: Some(state), change: Some(change.into()), ..row(id, order, record) }
}

pub(super) fn put(rows: impl IntoIterator<Item = StoredRow>) -> Delta {
    Delta { put: rows.into_iter().collect(), ..Delta::default() }
}

pub(super) fn meta(text: &str) -> Delta {
    Delta { meta: Some(text.into()), ..Delta::default() }
}

pub(super) fn clear() -> Delta {
    Delta { clear: true, ..Delta::default() }
}

/// What the deltas make of an empty state.
pub(super) fn model<'a>(deltas: impl IntoIterator<Item = &'a Delta>) -> StoredState {
    let mut state = StoredState::default();
    for (delta, revision) in deltas.into_iter().zip(1..) {
        state.apply(delta, revision);
    }
    state
}

#[track_caller]
pub(super) fn assert_kind<T: std::fmt::Debug>(result: Result<T>, kind: &ErrorKind) -> Error {
    match result {
        Ok(value) => panic!("expected the error {kind:?}, got {value:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:?}");
            error
        }
    }
}
