//! The identities of items: which number is given next.
//!
//! Owns the numbers. Identities of two programs on one storage must not meet: each begins with 21 random bits before a
//! counter of 31. One bit between tells items that were made here from rows that were read, so that a row keeps its
//! identity over reads for as long as another program may still hold an edit of the item that it began as.

use super::table::Uid;

const BORN: u64 = 1 << 31;
const RANDOM: u64 = 0x1F_FFFF;

/// The next identity of a row that is read, and of an item that is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identities {
    read: u64,
    made: u64,
}

impl Identities {
    pub(super) fn new(random: u64) -> Self {
        let first = ((random & RANDOM) | 1) << 32;
        Self { read: first, made: first | BORN }
    }

    /// The first of that many consecutive identities for rows.
    pub(super) fn reserve(&mut self, count: usize) -> u64 {
        if (self.read & (BORN - 1)) + count as u64 >= BORN {
            self.read = (((self.read >> 32) + 1) & RANDOM).max(1) << 32;
        }
        let first = self.read;
        self.read += count as u64;
        first
    }

    pub(super) fn make(&mut self) -> Uid {
        let uid = Uid(self.made);
        self.made += 1;
        uid
    }

    /// None of these is given from now on. Few programs ever meet on the same random beginning, but a store that lives long
    /// sees many programs.
    pub(super) fn avoid(&mut self, known: impl Iterator<Item = Uid>) {
        for uid in known {
            for next in [&mut self.read, &mut self.made] {
                if uid.0 / BORN == *next / BORN {
                    *next = (*next).max(uid.0 + 1);
                }
            }
        }
    }

    /// Whether this identity was given before these.
    pub(super) fn are_after(&self, uid: Uid) -> bool {
        uid.0 < if is_made_here(uid) { self.made } else { self.read }
    }
}

/// Whether an item was made by a program on this storage, not read.
pub(super) fn is_made_here(uid: Uid) -> bool {
    uid.0 & BORN != 0
}

/// Whether a program gave this identity: a state in Kendo's form counts its rows.
pub(super) fn is_given(uid: Uid) -> bool {
    uid.0 >> 32 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_never_meet() {
        let mut ours = Identities::new(7);
        let before = ours;
        let made = [ours.make(), ours.make()];
        let read = ours.reserve(3);
        assert!(made.iter().all(|uid| is_made_here(*uid)) && !is_made_here(Uid(read)));
        assert!(ours.are_after(Uid(read)) && ours.are_after(made[1]) && !before.are_after(made[0]));
        let mut other = Identities::new(7);
        other.avoid([made[0], made[1], Uid(read + 2)].into_iter());
        assert_eq!((other.make().0, other.reserve(1)), (made[1].0 + 1, read + 3));
        let mut last = Identities { read: (RANDOM << 32) + BORN - 2, ..other };
        assert_eq!(last.reserve(2), 1 << 32, "the rows run out of numbers and begin elsewhere");
    }
}
