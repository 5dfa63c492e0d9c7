//! Chance: numbers from a seed (`SplitMix64`), or from a tape.
//!
//! What is drawn from a seed is written down part by part (the set-up, each step, the end), so that the same schedule can be
//! played again without some of its steps.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// What was drawn, part by part: the set-up, the steps, the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape(pub Vec<Vec<u64>>);

impl Tape {
    /// A tape from arbitrary bytes: 24 for the set-up, 6 for each of at most 120 steps, nothing for the end.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (setup, rest) = bytes.split_at(bytes.len().min(24));
        let wide = |part: &[u8]| part.iter().map(|byte| u64::from(*byte)).collect::<Vec<u64>>();
        let mut parts = vec![wide(setup)];
        parts.extend(rest.chunks(6).take(120).map(wide));
        parts.push(Vec::new());
        Self(parts)
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.0.len().saturating_sub(2)
    }
}

/// What was drawn so far; readable also when the schedule ended in a panic.
pub(crate) type Record = Arc<Mutex<Tape>>;

enum Source {
    Seed(u64),
    /// What is left of the part under way, and the parts after it.
    Tape(VecDeque<u64>, VecDeque<Vec<u64>>),
}

pub(crate) struct Dice {
    source: Source,
    record: Record,
}

impl Dice {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self::new(Source::Seed(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ 0xA5A5))
    }

    pub(crate) fn from_tape(tape: &Tape) -> Self {
        let mut parts: VecDeque<Vec<u64>> = tape.0.iter().cloned().collect();
        let first = parts.pop_front().unwrap_or_default();
        Self::new(Source::Tape(first.into(), parts))
    }

    fn new(source: Source) -> Self {
        Self { source, record: Arc::new(Mutex::new(Tape(vec![Vec::new()]))) }
    }

    pub(crate) fn record(&self) -> Record {
        Arc::clone(&self.record)
    }

    /// The next part begins: a step, or the end.
    pub(crate) fn next_part(&mut self) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).0.push(Vec::new());
        if let Source::Tape(now, later) = &mut self.source {
            *now = later.pop_front().unwrap_or_default().into();
        }
    }

    /// How many steps there are on the tape; none when the numbers come from a seed.
    pub(crate) fn steps(&self) -> Option<usize> {
        match &self.source {
            Source::Seed(_) => None,
            Source::Tape(_, later) => Some(later.len().saturating_sub(1)),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let number = match &mut self.source {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
            Source::Tape(now, _) => now.pop_front().unwrap_or(0),
        };
        if let Some(part) = self.record.lock().unwrap_or_else(PoisonError::into_inner).0.last_mut() {
            part.push(number);
        }
        number
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
