//! The state that everybody watches. Owns when a change counts as one.

use landfall_core::Text;
use std::{fmt, time::SystemTime};

/// Whether the service is thought to be reachable, why, and since when.
///
/// `Display` writes one line for people: `offline: connection refused`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Reachable or not.
    pub online: bool,
    /// Why, in words.
    pub reason: Text,
    /// When it last went up or down. A new reason alone does not move it.
    pub since: SystemTime,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.online { "online" } else { "offline" }, self.reason)
    }
}

/// What the watch channel holds.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) state: State,
    /// Whether `state` rests on evidence or on the program's word, not on an assumption.
    pub(super) settled: bool,
}

impl Cell {
    pub(super) fn new(online: bool, reason: &str, settled: bool) -> Self {
        Self { state: State { online, reason: Text::from(reason), since: SystemTime::now() }, settled }
    }

    /// Takes over what was learnt; tells whether there is something to tell.
    pub(super) fn learn(&mut self, online: bool, reason: Text) -> bool {
        let first = !std::mem::replace(&mut self.settled, true);
        let flipped = self.state.online != online;
        if !flipped && !first && self.state.reason == reason {
            return false;
        }
        if flipped {
            self.state.since = SystemTime::now();
        }
        self.state.online = online;
        self.state.reason = reason;
        true
    }
}
