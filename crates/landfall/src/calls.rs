//! What the storage is to do, in the order in which it came to be.
//!
//! Owns one rule: commits are queued in the order in which the engine made them, whichever threads made them. A commit holds a
//! record as it is from then on, so one that was made earlier must not be stored later. Never knows what is in them.

use landfall_core::{Delta, Result, Step, Steps, Then, Value};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, oneshot};

pub(crate) enum StoreCall {
    Load(Then),
    Commit(Delta, Then),
    Export(oneshot::Sender<Result<Value>>),
}

/// The queue of one data source.
#[derive(Default)]
pub(crate) struct Calls {
    queue: Mutex<VecDeque<StoreCall>>,
    came: Notify,
}

impl Calls {
    fn queue(&self) -> MutexGuard<'_, VecDeque<StoreCall>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the commits out of what the engine just asked for. To be called before the engine is given back: no other thread
    /// can have made a later one by then.
    pub(crate) fn take_over(&self, steps: &mut Steps) {
        if !steps.iter().any(|step| matches!(step, Step::Commit(..))) {
            return;
        }
        for step in std::mem::take(steps) {
            match step {
                Step::Commit(delta, then) => self.queue().push_back(StoreCall::Commit(delta, then)),
                other => steps.push_back(other),
            }
        }
        self.came.notify_one();
    }

    /// Adds something that comes after all that is there.
    pub(crate) fn push(&self, call: StoreCall) {
        self.queue().push_back(call);
    }

    pub(crate) fn pop(&self) -> Option<StoreCall> {
        self.queue().pop_front()
    }

    /// The next call, if it is a commit that may be made together with the one before.
    pub(crate) fn pop_companion(&self) -> Option<(Delta, Then)> {
        let mut queue = self.queue();
        match queue.pop_front() {
            Some(StoreCall::Commit(delta, then)) if !then.overrules() => Some((delta, then)),
            Some(other) => {
                queue.push_front(other);
                None
            }
            None => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    pub(crate) fn clear(&self) {
        // Dropped when the queue is free again: whoever waits for an export may be woken on this thread.
        let gone = std::mem::take(&mut *self.queue());
        drop(gone);
    }

    /// Ends when commits were taken over since it last ended.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("waiting", &self.queue().len()).finish_non_exhaustive()
    }
}
