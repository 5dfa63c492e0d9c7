//! The options. Owns defaults; decides nothing.

/// How files are kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileConfig {
    /// A file is written anew when it is longer than twice what its state needs plus this many bytes. Default: 512 KiB.
    pub slack: u64,
}

impl FileConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self { slack: 512 * 1024 }
    }

    /// Sets [`slack`](Self::slack), in bytes.
    #[must_use]
    pub fn slack(mut self, slack: u64) -> Self {
        self.slack = slack;
        self
    }
}

impl Default for FileConfig {
    fn default() -> Self {
        Self::new()
    }
}
