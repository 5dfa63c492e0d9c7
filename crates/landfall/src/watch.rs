//! Whether to keep looking for the end of a storage call instead of sleeping until it wakes this thread: that takes a good
//! part of the time of a short commit. Decides only that; nothing blocks, and between two looks other tasks have their turn.

use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, RuntimeFlavor};

/// How long to look, and which calls are short: commits on a fast disk.
const SHORT: Duration = Duration::from_micros(300);

/// How many short calls in a row it takes at most before one is watched again.
const WARY: u32 = 64;

/// Watches one storage call after another.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Only where this thread would sleep: in a runtime of one thread, and while another processor does the work.
    possible: bool,
    since: Instant,
    /// How many calls in a row were short.
    short: u32,
    /// How many it takes. Twice as many each time that looking was in vain: where other programs keep the processors busy, the
    /// thread that looks is in the way of the one that works.
    needed: u32,
}

impl Watch {
    /// For a driver that runs there.
    pub(crate) fn new(runtime: &Handle) -> Self {
        let one_thread = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let several = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        Self { possible: one_thread && several, since: Instant::now(), short: 0, needed: 1 }
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        if self.possible {
            self.since = Instant::now();
        }
    }

    fn is_worthwhile(&self) -> bool {
        self.possible && self.short >= self.needed
    }

    /// Whether to look again rather than sleep.
    pub(crate) fn goes_on(&self) -> bool {
        self.is_worthwhile() && self.since.elapsed() < SHORT
    }

    /// The call ended.
    pub(crate) fn end(&mut self) {
        self.ended_after(self.since.elapsed());
    }

    fn ended_after(&mut self, time: Duration) {
        if time < SHORT {
            if self.is_worthwhile() {
                self.needed = (self.needed / 2).max(1);
            }
            self.short = self.short.saturating_add(1);
        } else {
            if self.is_worthwhile() {
                self.needed = (self.needed * 2).min(WARY);
            }
            self.short = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_calls_are_watched_and_calls_that_were_watched_in_vain_are_not_for_a_while() {
        let mut watch = Watch { possible: true, since: Instant::now(), short: 0, needed: 1 };
        let (short, long) = (Duration::from_micros(100), Duration::from_millis(1));
        assert!(!watch.is_worthwhile());
        watch.ended_after(short);
        assert!(watch.is_worthwhile());
        watch.ended_after(long);
        watch.ended_after(short);
        assert!(!watch.is_worthwhile(), "once in vain");
        watch.ended_after(short);
        assert!(watch.is_worthwhile());
        for _ in 0..20 {
            watch.ended_after(long);
            (0..WARY).for_each(|_| watch.ended_after(short));
        }
        assert!(watch.is_worthwhile());
        watch.ended_after(long);
        watch.ended_after(long);
        watch.ended_after(short);
        assert!(!watch.is_worthwhile());
        watch.possible = false;
        (0..WARY).for_each(|_| watch.ended_after(short));
        assert!(!watch.is_worthwhile());
    }
}
