//! The storage contract. Owns the trait and what a storage says about itself; keeps nothing.

use async_trait::async_trait;
use landfall_core::{Delta, Result, Revision, StoredState};
use std::{fmt::Debug, sync::Arc};

/// What a storage can promise. Unknown means no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "independent promises, each read on its own")]
pub struct Capability {
    /// A commit that returned survives the death of the process and, on honest hardware, a power cut (G1).
    pub durable: bool,
    /// A commit is found as a whole or not at all after a crash.
    pub atomic: bool,
    /// Several processes may work on one store: each sees the other's commits (as `Stale`), or is refused (`Locked`).
    pub shared: bool,
    /// The largest number of bytes that all keys together may take, if there is a limit.
    pub limit: Option<u64>,
    /// Keeps the state of one key only: the first key that is used owns the place, any other is refused with
    /// [`ErrorKind::Unsupported`](landfall_core::ErrorKind::Unsupported). (Item storages: Kendo's pair of functions
    /// knows no key.)
    pub one_key: bool,
}

impl Capability {
    /// Promises nothing.
    pub const fn none() -> Self {
        Self { durable: false, atomic: false, shared: false, limit: None, one_key: false }
    }

    /// Sets [`durable`](Self::durable).
    #[must_use]
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets [`atomic`](Self::atomic).
    #[must_use]
    pub const fn atomic(mut self, atomic: bool) -> Self {
        self.atomic = atomic;
        self
    }

    /// Sets [`shared`](Self::shared).
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Sets [`limit`](Self::limit), in bytes.
    #[must_use]
    pub const fn limit(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// Sets [`one_key`](Self::one_key).
    #[must_use]
    pub const fn one_key(mut self, one_key: bool) -> Self {
        self.one_key = one_key;
        self
    }
}

/// Keeps the offline states of data sources, one per key.
///
/// # Contract
///
/// - **Keys** are any non-empty text; two different keys never share anything. An empty key is
///   [`ErrorKind::Config`](landfall_core::ErrorKind::Config).
/// - **Atomic**: a commit is applied as a whole or not at all; a failed commit leaves the state as it was, and the
///   handle goes on (except after a failed flush or a failed roll-back: then every later call gives
///   [`ErrorKind::Closed`](landfall_core::ErrorKind::Closed) until the storage is opened again).
/// - **Durable on return**, where [`capability`](Self::capability) says durable.
/// - **Revisions**: `commit` names the revision it builds on. If the state has another one, nothing is changed and the
///   answer is [`ErrorKind::Stale`](landfall_core::ErrorKind::Stale) with the current one. Revisions grow by one; an
///   absent state has revision 0 and is loaded as the empty state; after `remove` the key starts again at 0.
/// - **Sharing**: clones of a handle, and several handles in one process on one place, see the same states. Calls may
///   overlap; commits on one key happen one after another.
/// - **Dropped futures**: dropping a future of this trait half way leaves the old state or the new one, and the handle
///   usable.
/// - **Cost**: a commit costs in proportion to the delta, not to the state.
/// - **Damage**: what cannot be read is [`ErrorKind::Corrupt`](landfall_core::ErrorKind::Corrupt) or
///   [`ErrorKind::NewerFormat`](landfall_core::ErrorKind::NewerFormat), is kept, and is never replaced by an empty state.
/// - **Full**: [`ErrorKind::QuotaExceeded`](landfall_core::ErrorKind::QuotaExceeded); read-only media:
///   [`ErrorKind::ReadOnly`](landfall_core::ErrorKind::ReadOnly); both leave the state as it was.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// Loads the state of a key; the empty state with revision 0 when there is none. Creates nothing.
    ///
    /// # Errors
    /// `Config`, `Corrupt`, `NewerFormat`, `Locked`, `Storage`, `Closed`.
    async fn load(&self, key: &str) -> Result<StoredState>;

    /// Applies a delta to the state that has the expected revision and gives the new revision.
    ///
    /// # Errors
    /// `Stale` when the state has another revision; `QuotaExceeded`, `ReadOnly`, `Corrupt`, `NewerFormat`, `Locked`,
    /// `Storage`, `Closed`, `Config`.
    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision>;

    /// Forgets the state of a key; no error if there is none.
    ///
    /// # Errors
    /// `ReadOnly`, `Locked`, `Storage`, `Closed`, `Config`.
    async fn remove(&self, key: &str) -> Result<()>;

    /// All keys that hold a state, in ascending order of their text.
    ///
    /// # Errors
    /// `Storage`, `Closed`.
    async fn keys(&self) -> Result<Vec<String>>;

    /// Bytes in use: by one key, or by all keys together (`None`). The key's own text and the storage's overhead may
    /// be left out; what counts for a quota is in.
    ///
    /// # Errors
    /// `Storage`, `Closed`, `Config`.
    async fn usage(&self, key: Option<&str>) -> Result<u64>;

    /// What this storage promises.
    fn capability(&self) -> Capability;
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: Storage + ?Sized> Storage for $pointer<S> {
            async fn load(&self, key: &str) -> Result<StoredState> {
                (**self).load(key).await
            }
            async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
                (**self).commit(key, expected, delta).await
            }
            async fn remove(&self, key: &str) -> Result<()> {
                (**self).remove(key).await
            }
            async fn keys(&self) -> Result<Vec<String>> {
                (**self).keys().await
            }
            async fn usage(&self, key: Option<&str>) -> Result<u64> {
                (**self).usage(key).await
            }
            fn capability(&self) -> Capability {
                (**self).capability()
            }
        }
    )*};
}
forward!(Arc, Box);
