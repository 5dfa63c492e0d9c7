//! A memory of answered reads around any transport (R8.24).
//!
//! Owns the memory and its bound. Never stores anything durably and never answers a write.

use crate::{Found, LookUp, Operation, Reply, Request, Result, Transport};
use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

type KeyOf = Arc<dyn Fn(&Request) -> Option<String> + Send + Sync>;

/// Answers a read whose parameters were answered before from memory, without a request; Kendo's
/// `transport.cache: "inmemory"`.
///
/// Keys are compared as JSON text, so the order of parameters matters (R8.24). Writes do not empty the memory; call
/// [`clear`](Self::clear). A hit gives a copy: unlike in Kendo (R8.25) nobody can spoil what is kept. Clones share it.
#[derive(Clone)]
#[doc(alias = "inmemory")]
pub struct Cached<T> {
    inner: T,
    key_of: KeyOf,
    capacity: usize,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<String, Reply>,
    oldest_first: VecDeque<String>,
}

impl<T: Transport> Cached<T> {
    /// Keeps up to 256 answers, by the parameters of the read.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            key_of: Arc::new(|request| Some(request.params.to_json())),
            capacity: 256,
            memory: Arc::default(),
        }
    }

    /// Uses another key; `None` means that the answer is not kept. For the dialect `kendo`:
    /// [`Kendo::read_key`](crate::dialect::kendo::Kendo::read_key), which is exactly Kendo's.
    #[must_use]
    pub fn keyed_by(mut self, key_of: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        self.key_of = Arc::new(key_of);
        self
    }

    /// How many answers are kept at most; the oldest goes first. Default 256.
    #[must_use]
    pub fn capacity(mut self, answers: usize) -> Self {
        self.capacity = answers;
        self
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.memory() = Memory::default();
    }

    /// The transport inside.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Transport> Transport for Cached<T> {
    async fn send(&self, request: Request) -> Result<Reply> {
        if request.operation != Operation::Read {
            return self.inner.send(request).await;
        }
        let Some(key) = (self.key_of)(&request) else { return self.inner.send(request).await };
        if let Some(reply) = self.memory().answers.get(&key) {
            return Ok(reply.clone());
        }
        let reply = self.inner.send(request).await?;
        let mut memory = self.memory();
        if memory.answers.insert(key.clone(), reply.clone()).is_none() {
            memory.oldest_first.push_back(key);
        }
        while memory.answers.len() > self.capacity {
            let Some(oldest) = memory.oldest_first.pop_front() else { break };
            memory.answers.remove(&oldest);
        }
        Ok(reply)
    }

    fn offers(&self, operation: Operation) -> bool {
        self.inner.offers(operation)
    }

    async fn look_up(&self, ask: LookUp) -> Result<Found> {
        self.inner.look_up(ask).await
    }

    fn looks_up(&self) -> bool {
        self.inner.looks_up()
    }

    fn sends_keys(&self) -> bool {
        self.inner.sends_keys()
    }
}

impl<T: fmt::Debug> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("inner", &self.inner).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
