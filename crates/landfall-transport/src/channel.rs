//! The channel contract: how requests travel. Owns the trait; spells and reads nothing.

use crate::{Result, WireReply, WireRequest};
use async_trait::async_trait;
use std::{fmt::Debug, sync::Arc};
use url::Url;

/// Carries one spelled request to a service and the answer back, without knowing what either means.
///
/// # Contract
///
/// - Every complete answer is `Ok`, whatever its status; the body is complete and decompressed.
/// - An error says whether the request may have been applied: once bytes of a write were sent and no complete answer
///   came back, it may.
/// - A write is never sent twice for one call, save after an answer that surely applied nothing (a 401 that a fresh
///   token resolves).
/// - Redirects are followed for GET and within one origin at most; any other redirect comes back as the answer.
/// - Calls may overlap. Dropping the future cancels the request as far as it can be.
#[async_trait]
pub trait Channel: Debug + Send + Sync + 'static {
    /// Sends one request and gives the complete answer.
    ///
    /// # Errors
    /// `Transport`, `TimedOut`, `Redirect`, `Limit`, `Config`, `Invalid`.
    async fn exchange(&self, request: &WireRequest) -> Result<WireReply>;

    /// What relative URLs resolve against; its origin is "our own origin". `None`: URLs have to be absolute.
    fn base(&self) -> Option<&Url>;

    /// Whether [`WireRequest::key`] travels with a write. Default: yes.
    fn sends_keys(&self) -> bool {
        true
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Channel + ?Sized> Channel for $pointer<T> {
            async fn exchange(&self, request: &WireRequest) -> Result<WireReply> {
                (**self).exchange(request).await
            }
            fn base(&self) -> Option<&Url> {
                (**self).base()
            }
            fn sends_keys(&self) -> bool {
                (**self).sends_keys()
            }
        }
    )*};
}
forward!(Arc, Box);
