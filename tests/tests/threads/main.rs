//! One data source used by many threads (I20): each row is a register that all of them share, and what they do at once is
//! stored and sent in the order in which it was done.
//!
//! `LANDFALL_THREAD_ROUNDS=n` runs that many rounds, `LANDFALL_THREAD_SEED=n` begins with that seed. A seed fixes what each thread
//! does, not how the machine mixes the threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]
#![forbid(unsafe_code)]

mod bounds;
mod history;
mod order;
mod rounds;
mod service;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// One clock for all threads: no two ticks are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// Numbers from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    pub(crate) fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }

    /// Dice of their own for somebody.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.roll())
    }
}
