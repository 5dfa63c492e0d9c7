//! A channel that numbers what it carries, so that the servers know the order in which requests were sent: connections
//! overtake each other.

use async_trait::async_trait;
use landfall_core::{Operation, Result};
use landfall_transport::{Channel, DataType, WireReply, WireRequest, url::Url};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The header that carries the number. The servers take it off.
pub(super) const HEADER: &str = "x-landfall-sent";

/// Numbers requests from 0 in the order in which they are handed over.
#[derive(Clone, Debug)]
pub(super) struct Numbered<C> {
    inner: C,
    sent: Arc<AtomicUsize>,
    expected: Arc<Mutex<HashMap<Operation, DataType>>>,
}

impl<C: Channel> Numbered<C> {
    pub(super) fn new(inner: C) -> Self {
        Self { inner, sent: Arc::default(), expected: Arc::default() }
    }

    /// How many requests were sent so far.
    pub(super) fn count(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    /// What the last request of an operation wanted its answer to be.
    pub(super) fn expected(&self, operation: &str) -> Option<DataType> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.iter().find(|(known, _)| known.as_str() == operation).map(|(_, expects)| *expects)
    }
}

#[async_trait]
impl<C: Channel> Channel for Numbered<C> {
    async fn exchange(&self, request: &WireRequest) -> Result<WireReply> {
        let number = self.sent.fetch_add(1, Ordering::AcqRel);
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(request.operation, request.expects);
        self.inner.exchange(&request.clone().with_header(HEADER, number.to_string())).await
    }

    fn base(&self) -> Option<&Url> {
        self.inner.base()
    }
}
