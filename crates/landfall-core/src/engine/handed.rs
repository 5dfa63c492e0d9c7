//! Commits that were handed out and are not confirmed yet, in their order.
//!
//! Owns their numbers, and whether each holds everything; never what is in them.

use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Handed {
    queue: VecDeque<(u64, bool)>,
    /// How many of them hold everything.
    whole: usize,
}

impl Handed {
    /// Whether every commit that was handed out is confirmed.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of the one that was handed out last.
    pub(super) fn newest(&self) -> Option<u64> {
        self.queue.back().map(|(number, _)| *number)
    }

    pub(super) fn push(&mut self, number: u64, whole: bool) {
        self.queue.push_back((number, whole));
        self.whole += usize::from(whole);
    }

    /// The oldest one is confirmed, or failed.
    pub(super) fn pop(&mut self) -> Option<(u64, bool)> {
        let first = self.queue.pop_front()?;
        self.whole -= usize::from(first.1);
        Some(first)
    }

    /// Whether one of them holds everything.
    pub(super) fn holds_whole(&self) -> bool {
        self.whole > 0
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
