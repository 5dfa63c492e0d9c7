//! The options. Owns defaults; decides nothing.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Tells the time; see [`SessionConfig::clock`].
pub(crate) type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// How long sessions live.
#[derive(Clone)]
pub struct SessionConfig {
    pub(crate) idle_timeout: Duration,
    pub(crate) clock: Clock,
}

impl SessionConfig {
    /// Sessions end 20 minutes after their last use.
    pub fn new() -> Self {
        Self { idle_timeout: Duration::from_secs(20 * 60), clock: Arc::new(Instant::now) }
    }

    /// How long a session lives without use. Any call of a handle, and asking for a handle, is a use. Default: 20
    /// minutes. [`Duration::MAX`]: for ever.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// Where the time comes from, for tests. Must not go back. Default: [`Instant::now`].
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfig").field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}
