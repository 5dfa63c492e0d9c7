//! Whether to keep looking for the end of a storage call instead of sleeping until it wakes this thread: that takes a good
//! part of the time of a short commit. Decides only that; nothing blocks, and between two looks other tasks have their turn.

use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, RuntimeFlavor};

/// What is worth looking for, and how long: a commit on a fast disk.
const SHORT: Duration = Duration::from_micros(400);

/// Watches one storage call after another.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Only where this thread would sleep: in a runtime of one thread, and while another processor does the work.
    possible: bool,
    /// Whether the last call was short.
    short: bool,
    since: Instant,
}

impl Watch {
    /// For a driver that runs there.
    pub(crate) fn new(runtime: &Handle) -> Self {
        let one_thread = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let several = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        Self { possible: one_thread && several, short: false, since: Instant::now() }
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        if self.possible {
            self.since = Instant::now();
        }
    }

    /// The call ended.
    pub(crate) fn end(&mut self) {
        self.short = self.possible && self.since.elapsed() < SHORT;
    }

    /// Whether to look again rather than sleep.
    pub(crate) fn goes_on(&self) -> bool {
        self.short && self.since.elapsed() < SHORT
    }
}
