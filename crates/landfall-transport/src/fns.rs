//! A transport from closures, one per operation; Kendo's function transports (R8.5, R8.6).
//!
//! Owns the dispatch and catches panics. Maps and encodes nothing: a closure gets the request as it is.

use crate::{
    Applied, Body, Error, ErrorKind, Operation, Reply, Request, Result, Transport,
    caught::{caught, caught_in},
};
use async_trait::async_trait;
use landfall_core::{Record, Value};
use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

type Answering = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;
type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// What a closure may answer with: a [`Reply`], a [`Body`], a value, a record, a list of records, or nothing
/// ("accepted as sent").
pub trait IntoReply {
    /// The reply.
    fn into_reply(self) -> Reply;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Reply {
        Reply::empty()
    }
}

impl IntoReply for Body {
    fn into_reply(self) -> Reply {
        Reply::with_body(self)
    }
}

impl IntoReply for Value {
    fn into_reply(self) -> Reply {
        Reply::with_body(self)
    }
}

impl IntoReply for Record {
    fn into_reply(self) -> Reply {
        Reply::with_body(self)
    }
}

impl IntoReply for Vec<Record> {
    fn into_reply(self) -> Reply {
        Reply::with_body(Value::array(self.into_iter().map(Value::from)))
    }
}

impl IntoReply for Vec<Value> {
    fn into_reply(self) -> Reply {
        Reply::with_body(Value::from(self))
    }
}

/// A transport from closures per operation. An operation without a closure is not offered.
///
/// A closure gets the [`Request`]; [`Request::data`] is what Kendo's `options.data` holds. Its error should say by
/// [`Error::applied`] whether the change may have been applied; a panic says [`ErrorKind::Callback`] and, for a write,
/// that it may.
///
/// ```
/// use landfall_transport::{FnTransport, Request, Transport};
/// use landfall_core::Value;
///
/// let transport = FnTransport::new()
///     .read(async |_request: Request| Value::from_json(r#"[{"id":1,"name":"Chai"}]"#))
///     .update_sync(|_request| Ok(()));
/// assert!(transport.offers(landfall_core::Operation::Update));
/// assert!(!transport.offers(landfall_core::Operation::Create));
/// ```
#[derive(Clone, Default)]
pub struct FnTransport {
    handlers: BTreeMap<Operation, Handler>,
}

/// A transport without operations yet, to be filled with closures.
pub fn from_fns() -> FnTransport {
    FnTransport::new()
}

macro_rules! operations {
    ($($operation:ident, $async_name:ident, $sync_name:ident, $text:literal;)*) => {
        impl FnTransport {$(
            #[doc = concat!("Answers `", $text, "` with an asynchronous closure.")]
            #[must_use]
            pub fn $async_name<F, Fut, R>(self, run: F) -> Self
            where
                F: Fn(Request) -> Fut + Send + Sync + 'static,
                Fut: Future<Output = Result<R>> + Send + 'static,
                R: IntoReply,
            {
                self.on(Operation::$operation, run)
            }

            #[doc = concat!("Answers `", $text, "` with a closure that does not wait.")]
            #[must_use]
            pub fn $sync_name<F, R>(self, run: F) -> Self
            where
                F: Fn(Request) -> Result<R> + Send + Sync + 'static,
                R: IntoReply,
            {
                self.on_sync(Operation::$operation, run)
            }
        )*}
    };
}
operations! {
    Read, read, read_sync, "read";
    Create, create, create_sync, "create";
    Update, update, update_sync, "update";
    Destroy, destroy, destroy_sync, "destroy";
    Submit, submit, submit_sync, "submit";
}

impl FnTransport {
    /// A transport without operations yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers an operation with an asynchronous closure.
    #[must_use]
    pub fn on<F, Fut, R>(mut self, operation: Operation, run: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
        R: IntoReply,
    {
        let handler: Handler = Arc::new(move |request| {
            let answering = run(request);
            Box::pin(async move { answering.await.map(IntoReply::into_reply) })
        });
        self.handlers.insert(operation, handler);
        self
    }

    /// Answers an operation with a closure that does not wait.
    #[must_use]
    pub fn on_sync<F, R>(self, operation: Operation, run: F) -> Self
    where
        F: Fn(Request) -> Result<R> + Send + Sync + 'static,
        R: IntoReply,
    {
        self.on(operation, move |request| std::future::ready(run(request).map(IntoReply::into_reply)))
    }
}

#[async_trait]
impl Transport for FnTransport {
    async fn send(&self, request: Request) -> Result<Reply> {
        let operation = request.operation;
        let Some(handler) = self.handlers.get(&operation) else {
            return Err(
                Error::new(ErrorKind::Unsupported, "there is no closure for this operation").during(operation.as_str())
            );
        };
        let doubt = if operation == Operation::Read { Applied::No } else { Applied::Maybe };
        let panicked = |error: Error| error.applied(doubt).during(operation.as_str());
        let answering = caught("starting an operation", || handler(request)).map_err(panicked)?;
        caught_in("running an operation", answering)
            .await
            .map_err(panicked)?
            .map_err(|error| error.during(operation.as_str()))
    }

    fn offers(&self, operation: Operation) -> bool {
        self.handlers.contains_key(&operation)
    }
}

impl fmt::Debug for FnTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FnTransport").field(&self.handlers.keys().collect::<Vec<_>>()).finish()
    }
}
