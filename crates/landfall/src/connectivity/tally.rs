//! N of M: how many of the last probes must agree before the state flips. Owns the window, knows no time.

use landfall_core::{Error, ErrorKind, Result};
use std::collections::VecDeque;

/// `agreeing` of the last `of` probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quorum {
    pub(super) agreeing: u8,
    pub(super) of: u8,
}

impl Quorum {
    pub(super) fn check(self, name: &'static str) -> Result<Self> {
        if self.agreeing == 0 || self.agreeing > self.of {
            return Err(Error::new(ErrorKind::Config, "needs at least 1 and at most all of the probes it looks at")
                .during("connectivity")
                .with("option", name)
                .with("given", format!("{} of {}", self.agreeing, self.of)));
        }
        Ok(self)
    }
}

/// The last probes since the last flip.
#[derive(Debug)]
pub(super) struct Tally {
    up: Quorum,
    down: Quorum,
    last: VecDeque<bool>,
}

impl Tally {
    pub(super) fn new(up: Quorum, down: Quorum) -> Self {
        Self { up, down, last: VecDeque::new() }
    }

    /// Counts one more probe; the state that follows from it.
    pub(super) fn count(&mut self, online: bool, up: bool) -> bool {
        self.last.push_front(up);
        self.last.truncate(usize::from(self.up.of.max(self.down.of)));
        let quorum = if online { self.down } else { self.up };
        let against = self.last.iter().take(usize::from(quorum.of)).filter(|&&up| up != online).count();
        if against < usize::from(quorum.agreeing) {
            return online;
        }
        self.last.clear();
        !online
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(up: (u8, u8), down: (u8, u8), probes: &str) -> String {
        let quorum = |(agreeing, of)| Quorum { agreeing, of };
        let mut tally = Tally::new(quorum(up), quorum(down));
        let mut online = true;
        probes
            .chars()
            .map(|probe| {
                online = tally.count(online, probe == '+');
                if online { '+' } else { '-' }
            })
            .collect()
    }

    #[test]
    fn one_of_one_follows_every_probe() {
        assert_eq!(states((1, 1), (1, 1), "+-+--+"), "+-+--+");
    }

    #[test]
    fn two_of_two_needs_them_in_a_row() {
        assert_eq!(states((1, 1), (2, 2), "-+-+--+"), "+++++-+");
    }

    #[test]
    fn two_of_three_forgives_one_between() {
        assert_eq!(states((2, 3), (2, 3), "-+-+-+"), "++---+");
    }

    #[test]
    fn nothing_before_a_flip_counts_after_it() {
        assert_eq!(states((2, 4), (1, 1), "++-+-+"), "++---+");
    }

    #[test]
    fn a_quorum_that_cannot_be_met_is_refused() {
        assert!(Quorum { agreeing: 0, of: 1 }.check("up_after").is_err());
        assert!(Quorum { agreeing: 3, of: 2 }.check("up_after").is_err());
        assert!(Quorum { agreeing: 2, of: 2 }.check("up_after").is_ok());
    }
}
