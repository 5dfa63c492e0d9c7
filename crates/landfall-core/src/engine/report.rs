//! What a sync did, change by change.

use super::table::Uid;
use crate::{ChangeKind, Error, Record};

/// How one change fared in one sync.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangeOutcome {
    /// The item.
    pub uid: Uid,
    /// What was sent.
    pub kind: ChangeKind,
    /// The record: as acknowledged, or as it was sent.
    pub record: Record,
    /// `Ok` when the server acknowledged it and that is stored; else why not. A failed change stays pending.
    pub result: Result<(), Error>,
}

/// The outcome of a sync, one entry per change that was tried, in the order they were sent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// The outcomes.
    pub outcomes: Vec<ChangeOutcome>,
    /// Changes that were accepted into the offline storage only, because the data source is offline.
    pub stored: usize,
}

impl SyncReport {
    /// Whether every change that was tried was acknowledged.
    pub fn is_success(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.result.is_ok())
    }

    /// The number of acknowledged changes.
    pub fn done(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count()
    }

    /// The changes that failed and stay pending.
    pub fn failures(&self) -> impl Iterator<Item = &ChangeOutcome> {
        self.outcomes.iter().filter(|outcome| outcome.result.is_err())
    }

    /// The first failure as an error; `Ok` with the report itself when there is none.
    ///
    /// # Errors
    /// The error of the first change that failed.
    pub fn into_result(self) -> Result<Self, Error> {
        let first = self.failures().next().and_then(|outcome| outcome.result.as_ref().err()).cloned();
        first.map_or(Ok(self), Err)
    }
}

/// How far a sync has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncProgress {
    /// Changes whose outcome is known and stored: acknowledged, failed, or not sent after all.
    pub done: usize,
    /// Changes that the sync is about. Grows when a change follows that waited for the outcome of another one.
    pub total: usize,
}
