//! The options. Owns defaults; decides nothing.

use std::time::Duration;

/// How a file is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// How long a call waits while another process writes, before it gives `Locked`. Default: 5 seconds.
    pub busy_timeout: Duration,
    /// Opens an existing file for reading only; every change gives `ReadOnly`. Default: no.
    pub read_only: bool,
}

impl SqliteConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self { busy_timeout: Duration::from_secs(5), read_only: false }
    }

    /// Sets [`busy_timeout`](Self::busy_timeout).
    #[must_use]
    pub fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self::new()
    }
}
