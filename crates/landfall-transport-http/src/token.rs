//! Bearer tokens: a hook that is asked for one, and asked again after a 401.
//!
//! Owns the trait, its redacted holder, and the queue of those that wait for a new token. Shows no token.

use async_trait::async_trait;
use landfall_transport::{Result, caught, caught_in};
use std::{
    fmt,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::sync::Mutex;

/// Gives bearer tokens.
#[async_trait]
pub trait TokenProvider: Send + Sync + 'static {
    /// The token for the next request; `None` to send none. `refused` is the token that the server has just answered
    /// with 401: give another one, or the same (or none) to let the 401 stand. Of requests that are under way together and
    /// refused with the same token one asks, and all go on with what it gets.
    ///
    /// # Errors
    /// Ends the request; nothing was sent then. So does a panic, as [`Callback`](landfall_transport::ErrorKind::Callback).
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>>;
}

/// Asks for a token. Nothing is under way by then: a provider that panics has failed, and nothing was sent.
pub(crate) async fn ask(provider: &dyn TokenProvider, refused: Option<&str>) -> Result<Option<String>> {
    // It may panic before there is a future to be polled.
    let asked = caught("asking for a token", || provider.token(refused))?;
    caught_in("asking for a token", asked).await?
}

/// The renewals of a channel's token: one at a time.
#[derive(Default)]
pub(crate) struct Renewals {
    count: AtomicU64,
    latest: Mutex<Option<Renewal>>,
}

struct Renewal {
    refused: Option<String>,
    given: Option<String>,
}

impl Renewals {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The token after this one, which was refused. A renewal of the same token since the request began, when there had
    /// been `seen` of them, serves this request too.
    pub(crate) async fn renewed(
        &self,
        provider: &dyn TokenProvider,
        refused: Option<&str>,
        seen: u64,
    ) -> Result<Option<String>> {
        let mut latest = self.latest.lock().await;
        if self.count() != seen
            && let Some(renewal) = latest.as_ref().filter(|renewal| renewal.refused.as_deref() == refused)
        {
            return Ok(renewal.given.clone());
        }
        let given = ask(provider, refused).await?;
        *latest = Some(Renewal { refused: refused.map(str::to_owned), given: given.clone() });
        self.count.fetch_add(1, Ordering::Release);
        Ok(given)
    }
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
