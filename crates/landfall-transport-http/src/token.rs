//! Bearer tokens: a hook that is asked for one, and asked again after a 401.
//!
//! Owns the trait and its redacted holder. Keeps no token longer than a request.

use async_trait::async_trait;
use landfall_transport::Result;
use std::{fmt, future::Future};

/// Gives bearer tokens.
#[async_trait]
pub trait TokenProvider: Send + Sync + 'static {
    /// The token for the next request; `None` to send none. `refused` is the token that the server has just answered
    /// with 401: give another one, or the same (or none) to let the 401 stand.
    ///
    /// # Errors
    /// Ends the request; nothing was sent then.
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>>;
}

/// Always the same token.
pub(crate) struct Fixed(pub(crate) String);

#[async_trait]
impl TokenProvider for Fixed {
    async fn token(&self, _refused: Option<&str>) -> Result<Option<String>> {
        Ok(Some(self.0.clone()))
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed(..)")
    }
}

/// A provider from a closure.
pub(crate) struct Asked<F>(pub(crate) F);

#[async_trait]
impl<F, Fut> TokenProvider for Asked<F>
where
    F: Fn(Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<String>>> + Send + 'static,
{
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>> {
        (self.0)(refused.map(str::to_owned)).await
    }
}
