//! The transport contract. Owns the trait; sends nothing itself.

use async_trait::async_trait;
use landfall_core::{Found, LookUp, Operation, Reply, Request, Result};
use std::{fmt::Debug, sync::Arc};

/// Carries requests to a service and answers back.
///
/// # Contract
///
/// - One call is one request on the wire at most; a transport never repeats a write by itself.
/// - An error says whether the request **may have been applied**
///   ([`Error::may_have_been_applied`](landfall_core::Error::may_have_been_applied)): a time-out, a cut connection, an
///   unreadable or foreign 2xx, a 502 or 504 may; a refused connection and every other HTTP status were not.
/// - A status outside 200..=299 is [`ErrorKind::Status`](landfall_core::ErrorKind::Status), with the decoded error body
///   ([`Error::body`](landfall_core::Error::body)) and `Retry-After`, where given.
/// - Calls may overlap. Dropping a future cancels the request as far as it can be; whether it was applied is then
///   unknown.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends one request and gives the answer.
    ///
    /// # Errors
    /// `Transport`, `TimedOut`, `Status`, `Undecodable`, `Redirect`, `Limit`, `Unsupported`, `Config`.
    async fn send(&self, request: Request) -> Result<Reply>;

    /// Whether the operation is configured. The engine asks before it sends anything of a sync.
    fn offers(&self, operation: Operation) -> bool;

    /// Finds out what the service has of a changed record, without changing anything. Default: it cannot be told.
    ///
    /// # Errors
    /// As [`send`](Self::send): nothing was found out, and asking again later may help.
    async fn look_up(&self, _ask: LookUp) -> Result<Found> {
        Ok(Found::Unknown)
    }

    /// Whether [`look_up`](Self::look_up) may ever find something out. Default: no.
    fn looks_up(&self) -> bool {
        false
    }

    /// Whether the idempotency key of a write travels with it. Default: yes.
    fn sends_keys(&self) -> bool {
        true
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Transport + ?Sized> Transport for $pointer<T> {
            async fn send(&self, request: Request) -> Result<Reply> {
                (**self).send(request).await
            }
            fn offers(&self, operation: Operation) -> bool {
                (**self).offers(operation)
            }
            async fn look_up(&self, ask: LookUp) -> Result<Found> {
                (**self).look_up(ask).await
            }
            fn looks_up(&self) -> bool {
                (**self).looks_up()
            }
            fn sends_keys(&self) -> bool {
                (**self).sends_keys()
            }
        }
    )*};
}
forward!(Arc, Box);
