//! When to ask next: the interval while up, back-off with jitter while down. Owns the arithmetic, waits for nothing.

use landfall_core::{Error, ErrorKind, Result};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// How long a doubt may last: after a probe that contradicts the state the next one follows this soon.
const DOUBT: Duration = Duration::from_secs(1);

/// Intervals, limits and jitter of a polling.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) longest: Duration,
    pub(super) jitter: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            longest: Duration::from_secs(60),
            jitter: 0.5,
        }
    }
}

impl Schedule {
    pub(super) fn check(self) -> Result<Self> {
        let refuse =
            |option, message| Err(Error::new(ErrorKind::Config, message).during("connectivity").with("option", option));
        if self.interval.is_zero() {
            return refuse("interval", "must be longer than nothing");
        }
        if self.timeout.is_zero() {
            return refuse("timeout", "must be longer than nothing");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return refuse("jitter", "is a share between 0 and 1");
        }
        Ok(self)
    }

    /// The pause after a probe. `failures` are those in a row since the state went down.
    pub(super) fn pause(&self, online: bool, up: bool, failures: u32, random: f64) -> Duration {
        if online != up {
            return self.interval.min(DOUBT);
        }
        if online {
            return self.interval;
        }
        let longest = self.longest.max(self.interval);
        let doubled = 2u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| self.interval.checked_mul(factor));
        doubled.unwrap_or(longest).min(longest).mul_f64(1.0 - self.jitter * random)
    }
}

/// A number from 0 up to 1, different in every process. Good enough to spread clients, no good for secrets.
pub(super) fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    u32::try_from(bits).map_or(0.5, |bits| f64::from(bits) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_while_down_up_to_the_cap() {
        let schedule = Schedule::default();
        let pauses: Vec<u64> = (1..=6).map(|failures| schedule.pause(false, false, failures, 0.0).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        assert_eq!(schedule.pause(false, false, u32::MAX, 0.0).as_secs(), 60);
    }

    #[test]
    fn jitter_takes_away_its_share_at_most() {
        let schedule = Schedule::default();
        assert_eq!(schedule.pause(false, false, 2, 0.5), Duration::from_millis(7500));
        assert_eq!(schedule.pause(true, true, 0, 0.9), Duration::from_secs(5));
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&random()));
        }
    }

    #[test]
    fn a_doubt_is_settled_soon() {
        let schedule = Schedule::default();
        assert_eq!(schedule.pause(true, false, 1, 0.0), Duration::from_secs(1));
        let fast = Schedule { interval: Duration::from_millis(200), ..schedule };
        assert_eq!(fast.pause(true, false, 1, 0.0), Duration::from_millis(200));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Schedule { interval: Duration::ZERO, ..Schedule::default() }.check().is_err());
        assert!(Schedule { timeout: Duration::ZERO, ..Schedule::default() }.check().is_err());
        assert!(Schedule { jitter: f64::NAN, ..Schedule::default() }.check().is_err());
        assert!(Schedule::default().check().is_ok());
    }
}
