//! What the service said about changes, and which of them the program took back, as long as it is not known to be stored.
//!
//! A commit that meets another program's takes in that one's state, in which these changes are still on their way: what was
//! heard about them is said again on top of it, or two programs would ask the service in turns for ever. Owns what was
//! heard; never what it means ([`super::answer`]).

use super::{Engine, change::Theirs, policy::Verdict, table::Uid};
use crate::{Delta, Error, Record, Text};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) enum Said {
    Done(Record),
    /// `together`: the request held other changes as well.
    Failed {
        error: Error,
        verdict: Verdict,
        theirs: Option<Theirs>,
        together: bool,
    },
    /// Not the service: the program took the change of this key back.
    Withdrawn(Layer),
}

/// What the program took back of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// What was accepted online.
    Online,
    /// What was accepted, also offline.
    Accepted,
    /// What was sent, and is in doubt.
    Sent,
}

#[derive(Clone, Debug)]
struct Heard {
    uid: Uid,
    /// The key of the request that this is the outcome of, or of the change.
    key: Text,
    said: Said,
}

/// What is not known to be stored, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    /// By the number of the commit that says so.
    handed: BTreeMap<u64, Vec<Heard>>,
    /// What the next commit says.
    waiting: Vec<Heard>,
}

impl Unstored {
    pub(super) fn note(&mut self, uid: Uid, key: &Text, said: Said) {
        self.waiting.push(Heard { uid, key: key.clone(), said });
    }

    /// A commit is handed out that holds all of it.
    pub(super) fn handed(&mut self, number: u64) {
        if !self.waiting.is_empty() {
            self.handed.insert(number, std::mem::take(&mut self.waiting));
        }
    }

    /// The commit was made. `whole`: it holds everything that those before it did.
    pub(super) fn stored(&mut self, number: u64, whole: bool) {
        if whole {
            self.handed = self.handed.split_off(&(number + 1));
        } else {
            self.handed.remove(&number);
        }
    }

    /// The rows that something was heard about.
    pub(super) fn rows(&self) -> impl Iterator<Item = Uid> {
        self.all().map(|heard| heard.uid)
    }

    fn all(&self) -> impl Iterator<Item = &Heard> {
        self.handed.values().flatten().chain(&self.waiting)
    }
}

impl Engine {
    /// Says what was heard again on top of a state in which it is not known yet.
    pub(super) fn say_again(&mut self) {
        let heard = std::mem::take(&mut self.unstored);
        for one in heard.all() {
            let uid = one.uid;
            let sent = self.change(uid).and_then(|change| change.sent.as_ref());
            let waits = sent.is_some_and(|sent| sent.key == one.key && !sent.in_flight);
            if !waits && !matches!(one.said, Said::Withdrawn(_)) {
                continue;
            }
            // All of it is stored by the commit that it is said for.
            let mut delta = Delta::default();
            match &one.said {
                Said::Withdrawn(layer) => self.take_back_again(uid, &one.key, *layer),
                Said::Done(record) => drop(self.acknowledge(uid, record, &mut delta)),
                Said::Failed { error, verdict, theirs, together } => {
                    if let Some(sent) = self.change_mut(uid).and_then(|change| change.sent.as_mut()) {
                        sent.together = *together;
                    }
                    drop(self.fail_as(uid, error, (*verdict, Verdict::Retry), theirs.clone(), &mut delta));
                }
            }
        }
        self.unstored = heard;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_kept_until_it_is_stored() {
        let mut unstored = Unstored::default();
        let note = |unstored: &mut Unstored, uid| unstored.note(Uid(uid), &"key".into(), Said::Done(Record::new()));
        let left = |unstored: &Unstored| unstored.all().map(|heard| heard.uid.0).collect::<Vec<_>>();
        note(&mut unstored, 1);
        unstored.handed(10);
        note(&mut unstored, 2);
        note(&mut unstored, 3);
        unstored.handed(11);
        note(&mut unstored, 4);
        unstored.stored(11, false);
        assert_eq!(left(&unstored), [1, 4], "commit 10 failed, and 11 says nothing of what it said");
        unstored.handed(12);
        unstored.stored(12, true);
        assert!(left(&unstored).is_empty());
    }
}
