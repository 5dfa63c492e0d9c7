//! The identities of items: which number is given next, and by which id each is stored.
//!
//! Owns the numbers. Identities of two programs on one storage must not meet: each begins with 21 random bits before a
//! counter of 31, which begins anywhere in its first half. One bit between tells items that were made here from rows that were read, so that a row keeps its
//! identity over reads for as long as another program may still hold an edit of the item that it began as.
//!
//! A stored row keeps its id for as long as it is stored, whoever writes it: by that id two programs know an item that one
//! of them removes and makes anew, whatever the service calls it then. An item of this program that turns out to be a row of
//! another one keeps its identity here and is written under the id of that row ([`Names`]). Ids are translated in two
//! places: where a commit is handed out, and where a stored state is taken in. Once programs have met, rows keep their
//! identity over reads, too; a store that only one program ever used does without, which saves it finding every row by the
//! id of its record.

use super::table::Uid;
use crate::{Delta, RowId, Text};
use std::collections::{HashMap, HashSet};

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
        let start = (random >> 21) % (BORN / 2);
        let first = (((random & RANDOM) | 1) << 32) + start;
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

/// Items that are stored under another id than their own.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By stored id; an item may have been stored under several.
    here: HashMap<RowId, Uid>,
    /// The one under which an item is written.
    stored: HashMap<Uid, RowId>,
    /// Another program may know rows by their stored ids only: they keep them over reads.
    pub(super) lasting: bool,
}

impl Names {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }

    /// The item that a stored row is.
    pub(super) fn here(&self, id: RowId) -> Uid {
        self.here.get(&id).copied().unwrap_or(Uid(id))
    }

    /// The id under which an item is stored.
    pub(super) fn stored(&self, uid: Uid) -> RowId {
        self.stored.get(&uid).copied().unwrap_or(uid.0)
    }

    /// From now on this item is that stored row.
    fn pair(&mut self, id: RowId, uid: Uid) {
        if self.here(id) == uid && self.stored(uid) == id {
            return;
        }
        let other = self.here.insert(id, uid).filter(|other| *other != uid);
        if let Some(other) = other.filter(|other| self.stored(*other) == id) {
            self.stored.remove(&other);
        }
        self.stored.insert(uid, id);
    }

    /// Which item each row of a stored state is: by its stored id, else by the service's id of its record, else one that is
    /// not known here yet. Gives those that are known by another identity than their stored one.
    pub(super) fn recognise(
        &mut self,
        theirs: &[(Uid, Option<Text>)],
        known: &Known,
        fresh: &mut Identities,
    ) -> HashMap<Uid, Uid> {
        let mut names: HashMap<Uid, Uid> = HashMap::with_capacity(theirs.len());
        let mut taken: HashSet<Uid> = HashSet::with_capacity(theirs.len());
        for (stored, _) in theirs.iter().filter(|(stored, _)| is_given(*stored)) {
            let uid = self.here(stored.0);
            if known.items.contains(&uid) && taken.insert(uid) {
                names.insert(*stored, uid);
            }
        }
        for (stored, id) in theirs {
            if !names.contains_key(stored) {
                let same = id.as_ref().and_then(|id| known.by_id.get(id)).copied();
                let free = [same, Some(self.here(stored.0)), Some(*stored)]
                    .into_iter()
                    .flatten()
                    .find(|uid| !taken.contains(uid));
                let uid = free.unwrap_or_else(|| Uid(fresh.reserve(1)));
                taken.insert(uid);
                names.insert(*stored, uid);
            }
        }
        for (stored, _) in theirs.iter().filter(|(stored, _)| is_given(*stored)) {
            names.get(stored).copied().into_iter().for_each(|uid| self.pair(stored.0, uid));
        }
        names.retain(|stored, uid| stored != uid);
        names
    }

    /// Forgets the items that are none of these.
    pub(super) fn keep(&mut self, known: impl Fn(Uid) -> bool) {
        self.here.retain(|_, uid| known(*uid));
        self.stored.retain(|uid, _| known(*uid));
    }

    /// What is handed out for a delta that speaks of items by their own ids.
    pub(super) fn write(&self, mut delta: Delta) -> Delta {
        if !self.stored.is_empty() {
            for id in &mut delta.delete {
                *id = self.stored(Uid(*id));
            }
            for row in &mut delta.put {
                row.id = self.stored(Uid(row.id));
            }
        }
        delta
    }
}

/// The items that a program knows, also by the service's ids of their records.
#[derive(Debug, Default)]
pub(super) struct Known {
    items: HashSet<Uid>,
    by_id: HashMap<Text, Uid>,
}

impl Known {
    pub(super) fn add(&mut self, uid: Uid, id: Option<Text>) {
        self.items.insert(uid);
        if let Some(id) = id {
            self.by_id.entry(id).or_insert(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_row_is_known_by_its_id_then_by_its_record() {
        let given = |number: u64| Uid((1 << 32) + number);
        let mut names = Names::default();
        let mut fresh = Identities::new(2);
        let mut known = Known::default();
        known.add(given(1), Some("a".into()));
        known.add(given(2), Some("b".into()));
        let theirs = [(given(51), Some("a".into())), (given(52), Some("b".into())), (given(53), None)];
        let found = names.recognise(&theirs, &known, &mut fresh);
        assert_eq!(found, HashMap::from([(given(51), given(1)), (given(52), given(2))]));
        assert_eq!((names.stored(given(1)), names.stored(given(53))), (given(51).0, given(53).0));
        // The service knows them by other ids now.
        let theirs = [(given(51), Some("b".into())), (given(52), Some("c".into()))];
        let found = names.recognise(&theirs, &known, &mut fresh);
        assert_eq!(found, HashMap::from([(given(51), given(1)), (given(52), given(2))]));
        // The identity of one is the stored id of another.
        let theirs = [(given(51), None), (given(1), None)];
        let found = names.recognise(&theirs, &known, &mut fresh);
        assert_eq!((found[&given(51)], found[&given(1)] == given(1)), (given(1), false));
        assert_eq!(names.stored(found[&given(1)]), given(1).0);
        // Rows in Kendo's form are counted, which says nothing of what they are.
        let found = names.recognise(&[(Uid(1), Some("b".into()))], &known, &mut fresh);
        assert_eq!((found[&Uid(1)], names.here(1)), (given(2), Uid(1)));
    }

    #[test]
    fn an_item_is_written_under_the_id_that_it_is_stored_by() {
        let mut names = Names::default();
        assert_eq!((names.here(5), names.stored(Uid(5))), (Uid(5), 5));
        names.pair(5, Uid(1));
        names.pair(6, Uid(1));
        assert_eq!((names.here(5), names.here(6), names.stored(Uid(1))), (Uid(1), Uid(1), 6), "both are known");
        names.pair(6, Uid(2));
        assert_eq!((names.stored(Uid(1)), names.stored(Uid(2))), (1, 6), "no two are written under one id");
        let delta = names.write(Delta { delete: vec![2, 3], ..Delta::default() });
        assert_eq!(delta.delete, [6, 3]);
        names.keep(|uid| uid == Uid(1));
        assert_eq!((names.here(5), names.here(6), names.stored(Uid(2))), (Uid(1), Uid(6), 2));
    }

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
