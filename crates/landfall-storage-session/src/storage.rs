//! Sessions and their handles. Owns who sees which states and for how long; the states are a [`StateTable`] each.

use crate::{SessionConfig, error};
use async_trait::async_trait;
use landfall_storage::{Capability, Delta, Result, Revision, StateTable, Storage, StoredState};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// All sessions of a process. Clones share them.
#[derive(Clone)]
pub struct SessionStore {
    shared: Arc<Shared>,
}

struct Shared {
    config: SessionConfig,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

struct Session {
    inner: Mutex<Inner>,
}

enum Inner {
    Live { last_use: Instant, table: StateTable },
    Over(&'static str),
}

/// A storage for the states of one session.
///
/// Once the session was ended, or was not used for the idle time-out, every call gives
/// [`ErrorKind::Closed`](landfall_storage::ErrorKind::Closed), for good: a session that starts anew under the same id
/// belongs to new handles only, so that a forgotten handle never reads or writes the states of whoever comes next.
#[derive(Clone)]
pub struct SessionStorage {
    session: Arc<Session>,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing of ours panics while it holds a lock with something half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// Ends the session if nobody used it for too long; says whether it lives.
    fn is_live(&mut self, config: &SessionConfig, now: Instant) -> bool {
        match self {
            Self::Over(_) => false,
            Self::Live { last_use, .. } if now.saturating_duration_since(*last_use) <= config.idle_timeout => true,
            Self::Live { .. } => {
                *self = Self::Over("it was not used for the idle time-out");
                false
            }
        }
    }

    fn end(&mut self) {
        if matches!(self, Self::Live { .. }) {
            *self = Self::Over("it was ended");
        }
    }
}

impl SessionStore {
    /// No sessions yet.
    pub fn new(config: SessionConfig) -> Self {
        Self { shared: Arc::new(Shared { config, sessions: Mutex::default() }) }
    }

    /// A handle on the session of this id; starts the session if there is none, or none any more. This is a use of the
    /// session.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](landfall_storage::ErrorKind::Config) for an empty id.
    pub fn session(&self, id: &str) -> Result<SessionStorage> {
        if id.is_empty() {
            return Err(error::no_id());
        }
        let now = (self.shared.config.clock)();
        let mut sessions = lock(&self.shared.sessions);
        if let Some(session) = sessions.get(id) {
            let mut inner = session.lock();
            if inner.is_live(&self.shared.config, now)
                && let Inner::Live { last_use, .. } = &mut *inner
            {
                *last_use = now;
                drop(inner);
                return Ok(SessionStorage { session: Arc::clone(session), shared: Arc::clone(&self.shared) });
            }
        }
        let session = Arc::new(Session { inner: Mutex::new(Inner::Live { last_use: now, table: StateTable::new() }) });
        sessions.insert(id.to_owned(), Arc::clone(&session));
        Ok(SessionStorage { session, shared: Arc::clone(&self.shared) })
    }

    /// Ends a session: its states are gone at once and its handles are closed. Says whether it was alive.
    pub fn end(&self, id: &str) -> bool {
        let Some(session) = lock(&self.shared.sessions).remove(id) else { return false };
        let now = (self.shared.config.clock)();
        let mut inner = session.lock();
        let lived = inner.is_live(&self.shared.config, now);
        inner.end();
        lived
    }

    /// Ends all sessions that were not used for the idle time-out and frees their memory; says how many.
    pub fn sweep(&self) -> usize {
        let now = (self.shared.config.clock)();
        let mut sessions = lock(&self.shared.sessions);
        let before = sessions.len();
        sessions.retain(|_, session| session.lock().is_live(&self.shared.config, now));
        before - sessions.len()
    }

    /// The number of live sessions.
    pub fn len(&self) -> usize {
        let now = (self.shared.config.clock)();
        lock(&self.shared.sessions).values().filter(|session| session.lock().is_live(&self.shared.config, now)).count()
    }

    /// Whether there is no live session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for SessionStore {
    fn default() -> Self {
        Self::new(SessionConfig::new())
    }
}

impl SessionStorage {
    /// Whether the session still lives. Asking is no use of it.
    pub fn is_live(&self) -> bool {
        let now = (self.shared.config.clock)();
        self.session.lock().is_live(&self.shared.config, now)
    }

    /// Works on the states of the session and restarts its idle time.
    fn with<T>(&self, operation: &'static str, work: impl FnOnce(&mut StateTable) -> Result<T>) -> Result<T> {
        let now = (self.shared.config.clock)();
        let mut inner = self.session.lock();
        inner.is_live(&self.shared.config, now);
        let result = match &mut *inner {
            Inner::Live { last_use, table } => {
                *last_use = now.max(*last_use);
                work(table)
            }
            Inner::Over(why) => Err(error::over(why)),
        };
        result.map_err(|error| error.during(operation))
    }
}

#[async_trait]
impl Storage for SessionStorage {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.with("load", |table| table.load(key))
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        self.with("commit", |table| table.commit(key, expected, delta))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.with("remove", |table| table.remove(key))
    }

    async fn keys(&self) -> Result<Vec<String>> {
        self.with("keys", |table| Ok(table.keys()))
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        self.with("usage", |table| table.usage(key))
    }

    /// Atomic, since a commit happens under one lock; nothing else.
    fn capability(&self) -> Capability {
        Capability::none().atomic(true)
    }
}

// Session ids let their holder in; none is printed.

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStorage").finish_non_exhaustive()
    }
}
