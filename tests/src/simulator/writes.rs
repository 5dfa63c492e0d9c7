//! What several programs wrote to each place (a field of a record, or whether the record is there), and how much of that was
//! acknowledged or taken back; what must be found at each place follows from it. Knows nothing of how an engine comes to it.

use super::model::{EXISTS, Shown, value_at};
use landfall_core::{Record, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A key of a record, and a field of it or [`EXISTS`].
pub(crate) type Place = (String, &'static str);

/// Writes, by their places and numbers there.
pub(crate) type Covered = Vec<(Place, usize)>;

/// One write of a program to a place.
#[derive(Clone, Debug)]
struct Write {
    by: usize,
    value: Value,
    made: u64,
    /// When it was acknowledged.
    acked: Option<u64>,
    /// The program restarted before it was acknowledged, or it was taken back.
    dead: bool,
    /// It was accepted offline: only its own program may take it back.
    kept: bool,
    /// A write to a field says that the record exists: that field.
    with: Option<(&'static str, Value)>,
    /// Of a removal: the id by which its program knew the record.
    id: Option<i64>,
}

/// The writes to each place, oldest first.
#[derive(Debug)]
pub(crate) struct Writes {
    places: BTreeMap<Place, Vec<Write>>,
    /// There are more than two programs.
    many: bool,
}

impl Writes {
    pub(crate) fn new(programs: u64) -> Self {
        Self { places: BTreeMap::new(), many: programs > 2 }
    }

    fn note(&mut self, by: usize, made: u64, place: Place, value: Value, with: Option<(&'static str, Value)>) {
        let write = Write { by, value, made, acked: None, dead: false, kept: false, with, id: None };
        self.places.entry(place).or_default().push(write);
    }

    /// A program writes to a field.
    pub(crate) fn set(&mut self, by: usize, made: u64, key: &str, field: &'static str, value: &Value) {
        self.note(by, made, (key.to_owned(), field), value.clone(), None);
        self.note(by, made, (key.to_owned(), EXISTS), true.into(), Some((field, value.clone())));
    }

    /// A program makes a record with this value in both fields.
    pub(crate) fn add(&mut self, by: usize, made: u64, key: &str, value: &Value) {
        self.note(by, made, (key.to_owned(), "b"), value.clone(), None);
        self.set(by, made, key, "a", value);
    }

    /// A program removes a record that it knows by this id.
    pub(crate) fn remove(&mut self, by: usize, made: u64, key: &str, id: Option<i64>) {
        let place = (key.to_owned(), EXISTS);
        self.note(by, made, place.clone(), false.into(), None);
        if let Some(write) = self.places.get_mut(&place).and_then(|writes| writes.last_mut()) {
            write.id = id;
        }
    }

    /// Nothing is known of this record any more.
    pub(crate) fn forget(&mut self, key: &str) {
        self.places.retain(|(of, _), _| of != key);
    }

    /// What a program shows of what it wrote: a sync covers that, a read dropped the rest. `hidden`: what is out of sight is
    /// not removed.
    pub(crate) fn visible(&self, by: usize, shown: &Shown, hidden: &BTreeMap<String, Record>) -> Covered {
        let mut visible = Vec::new();
        for (place, writes) in &self.places {
            let record = shown.get(&place.0);
            let holds = |field: &str, value: &Value| record.is_some_and(|record| record.get(field) == Some(value));
            for (index, write) in writes.iter().enumerate().filter(|(_, write)| write.by == by && !write.dead) {
                let is_shown = match &write.with {
                    Some((field, value)) => holds(field, value),
                    None if place.1 == EXISTS => record.is_none() && !hidden.contains_key(&place.0),
                    None => holds(place.1, &write.value),
                };
                if is_shown {
                    visible.push((place.clone(), index));
                }
            }
        }
        visible
    }

    /// A sync told that it accepted these; `kept`: offline. `is_lost`: whether a removal of this place, by this id of the
    /// record, is of another record than the one that is there.
    pub(crate) fn acknowledge(
        &mut self,
        covered: Covered,
        at: u64,
        kept: bool,
        is_lost: impl Fn(&Place, Option<i64>) -> bool,
    ) {
        for (place, index) in covered {
            let Some(write) = self.places.get_mut(&place).and_then(|writes| writes.get_mut(index)) else { continue };
            // Of two programs one has always met the other by then. A third that met none of their commits knows a record that was
            // made anew by the service's id alone, and the record with that id is gone.
            if write.dead || self.many && is_lost(&place, write.id) {
                continue;
            }
            write.acked.get_or_insert(at);
            write.kept |= kept;
        }
    }

    /// A program restarts: what was not acknowledged may be gone.
    pub(crate) fn restart(&mut self, by: usize) {
        let unsure = |write: &&mut Write| write.by == by && write.acked.is_none();
        self.places.values_mut().flatten().filter(unsure).for_each(|write| write.dead = true);
    }

    /// What a program took back by now counts as if it had never been written. `below`: its accepted changes before; `all`:
    /// also what the others wrote before.
    pub(crate) fn take_back(&mut self, by: usize, (before, below): &(Shown, Shown), after: &Shown, all: bool) {
        let mut fields = BTreeSet::new();
        for ((key, field), writes) in &mut self.places {
            let [was, now] = [before, after].map(|shown| value_at(field, shown.get(key)));
            let gone = *field == EXISTS && now == Some(false.into());
            if was == now && !gone {
                continue;
            }
            // What it wrote since the value that it is back at, and what it showed of the others, or had below a draft. Of a
            // record that is not there any more all, also that it was removed.
            let below = value_at(field, below.get(key));
            let back = writes.iter().filter(|write| Some(&write.value) == now.as_ref()).map(|write| write.made).max();
            let shown = |write: &&Write| [&was, &below].iter().any(|value| Some(&write.value) == value.as_ref());
            let authors: Vec<usize> = writes.iter().filter(shown).map(|write| write.by).chain([by]).collect();
            for write in writes.iter_mut().filter(|write| Some(write.made) > back || gone) {
                let is_meant = all || !write.kept || authors.contains(&write.by);
                if was != now && is_meant || write.by == by && write.acked.is_none() {
                    (write.dead, write.acked) = (true, None);
                }
            }
            let dead = writes.iter().filter(|write| write.dead);
            fields.extend(dead.map(|write| (key.clone(), *field, write.value.to_json())));
        }
        // A write to a field that was taken back does not say any more that its record exists.
        for ((key, _), writes) in self.places.iter_mut().filter(|((_, field), _)| *field == EXISTS) {
            for write in writes {
                let is_dead =
                    |(field, value): &(&'static str, Value)| fields.contains(&(key.clone(), *field, value.to_json()));
                if write.with.as_ref().is_some_and(is_dead) {
                    (write.dead, write.acked) = (true, None);
                }
            }
        }
    }

    /// Whether a place may have a value: not one that somebody wrote before the last acknowledged write was made, knowing
    /// or not; and not the one it began with.
    fn may_be(writes: &[Write], found: &Value) -> bool {
        let Some(last) = writes.iter().filter(|write| write.acked.is_some()).max_by_key(|write| write.made) else {
            return true;
        };
        writes.iter().any(|write| {
            let over = write.acked.is_some_and(|acked| acked < last.made);
            let own = write.by == last.by && write.made < last.made;
            write.value == *found && !over && !own
        })
    }

    /// Whether a record was removed after the last acknowledged write to one of its fields: what comes back then comes as
    /// the program shows it that brings it back. That may be a third one, which never saw that write; then it counts when the
    /// removal was stored, which is not known but for its acknowledgement.
    fn was_removed_since(&self, key: &str, writes: &[Write]) -> bool {
        let stored = |write: &Write| if self.many { write.acked.unwrap_or(u64::MAX) } else { write.made };
        let last = writes.iter().filter(|write| write.acked.is_some()).map(|write| write.made).max();
        let whole = self.places.get(&(key.to_owned(), EXISTS)).into_iter().flatten();
        whole.filter(|write| write.value == Value::from(false)).any(|write| Some(stored(write)) >= last)
    }

    /// Whether these records are allowed by what was acknowledged.
    ///
    /// # Errors
    /// A place that may not be as it is.
    pub(crate) fn allow(&self, records: &BTreeMap<String, Record>) -> Result<(), String> {
        for ((key, field), writes) in &self.places {
            let Some(found) = value_at(field, records.get(key)) else { continue };
            let anew = *field != EXISTS && self.was_removed_since(key, writes);
            if !anew && !Self::may_be(writes, &found) {
                return Err(format!("{key}.{field} is {}, written {writes:?}", found.to_json()));
            }
        }
        Ok(())
    }
}
