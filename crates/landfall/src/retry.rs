//! Further tries within one call. Owns when a request is tried again and after which pause; never what a failure means
//! for the change, which is the engine's failure policy.

use crate::shared::Shared;
use landfall_core::{Applied, Error, ErrorKind, Operation, Reply, Request, Result};
use std::{future::Future, time::Duration};

/// The longest pause that back-off alone leads to.
const LONGEST: Duration = Duration::from_secs(30);

/// How often, and how long apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) more: u32,
    pub(crate) backoff: Duration,
    pub(crate) max_retry_after: Duration,
    /// The service honours keys: a write that may have been applied can be repeated.
    pub(crate) repeats: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self { more: 0, backoff: Duration::from_millis(500), max_retry_after: Duration::from_secs(30), repeats: true }
    }
}

impl Retries {
    /// The pause before the next try, `None` when this was the last one. `done`: further tries made already; `random`
    /// spreads the pauses of many clients.
    fn pause(self, error: &Error, doubt: bool, done: u32, random: u64) -> Option<Duration> {
        if done >= self.more {
            return None;
        }
        // A first try that is still being worked on.
        let busy = error.status() == Some(409) && (doubt || error.retry_after().is_some());
        let network = error.is_retryable() && !matches!(error.kind(), ErrorKind::Offline);
        if !busy && !network {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.max_retry_after {
            return None;
        }
        let ceiling = self.backoff.saturating_mul(1_u32.checked_shl(done).unwrap_or(u32::MAX)).min(LONGEST);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        let jittered = Duration::from_nanos(if nanos == 0 { 0 } else { random % (nanos + 1) });
        Some(jittered.max(asked))
    }
}

/// Sends a request until it succeeds, fails for good, or was tried often enough. Every try is the same request with the
/// same key; an error says that the request may have been applied as soon as one of the tries may.
pub(crate) async fn send<F>(shared: &Shared, request: Request, once: impl Fn(Request) -> F + Send) -> Result<Reply>
where
    F: Future<Output = Result<Reply>> + Send,
{
    let retries = shared.retries;
    if retries.more == 0 {
        return once(request).await;
    }
    let write = request.operation != Operation::Read;
    let mut doubt = false;
    let mut done = 0;
    loop {
        let error = match once(request.clone()).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        doubt |= write && error.may_have_been_applied();
        let pause = retries.pause(&error, doubt, done, crate::builder::random());
        let last = |error: Error| if doubt && !settled(&error) { error.applied(Applied::Maybe) } else { error };
        let Some(pause) = pause.filter(|_| retries.repeats || !doubt) else { return Err(last(error)) };
        tokio::time::sleep(pause).await;
        if !may_go_on(shared, write) {
            return Err(last(error));
        }
        done += 1;
    }
}

/// Whether the data source is still online, and a write within the budget of its sync.
fn may_go_on(shared: &Shared, write: bool) -> bool {
    let mut engine = shared.engine();
    engine.is_online() && (!write || engine.may_try_again())
}

/// Whether a refusal of a repeated request also says that the tries before were not applied.
fn settled(error: &Error) -> bool {
    landfall_core::settles(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Error {
        Error::new(ErrorKind::Status(code), "")
    }

    #[test]
    fn which_failures_are_tried_again() {
        let retries = Retries { more: 1, ..Retries::default() };
        for code in 400..600 {
            let again = retries.pause(&status(code), false, 0, 0).is_some();
            assert_eq!(again, matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504), "{code}");
        }
        for kind in [ErrorKind::TimedOut, ErrorKind::Transport] {
            assert!(retries.pause(&Error::from(kind), false, 0, 0).is_some());
        }
        for kind in [ErrorKind::Undecodable, ErrorKind::Limit, ErrorKind::Redirect, ErrorKind::Offline] {
            assert!(retries.pause(&Error::from(kind), false, 0, 0).is_none());
        }
        assert!(retries.pause(&status(409), true, 0, 0).is_some(), "a first try may still be worked on");
        assert!(retries.pause(&status(503), false, 1, 0).is_none(), "the budget is spent");
    }

    #[test]
    fn pauses_grow_are_jittered_and_respect_retry_after() {
        let retries = Retries {
            more: 40,
            backoff: Duration::from_millis(50),
            max_retry_after: Duration::from_secs(2),
            ..Retries::default()
        };
        for (done, ceiling) in [(0, 50), (1, 100), (2, 200), (5, 1600), (39, 30_000)] {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let pause = retries.pause(&status(503), false, done, random).unwrap();
                assert!(pause <= Duration::from_millis(ceiling), "{done} {random} {pause:?}");
            }
        }
        let asking = |secs| status(429).retry_after_of(Duration::from_secs(secs));
        assert_eq!(retries.pause(&asking(2), false, 0, 0), Some(Duration::from_secs(2)));
        assert_eq!(retries.pause(&asking(3), false, 0, 0), None);
    }
}
