//! What must be true of one program: what it wrote to each place (a field of a record, or whether the record is there), and
//! how much of that was acknowledged. Knows nothing of how the engine comes to it.

use landfall_core::{Record, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The place of a record's being there.
pub(crate) const EXISTS: &str = "exists";

/// What the program did to one place, oldest first. Those from the last acknowledged one on may be found after a crash.
#[derive(Clone, Debug, Default)]
struct History {
    values: Vec<Value>,
    /// When each was written; unique.
    stamps: Vec<i64>,
    /// The last one that was acknowledged to the program.
    acked: usize,
    /// What it was before what is certain by now.
    past: Vec<Value>,
}

impl History {
    fn new(values: Vec<Value>, stamp: i64) -> Self {
        let stamps = vec![stamp; values.len()];
        Self { values, stamps, acked: 0, past: Vec::new() }
    }

    fn push(&mut self, value: Value, stamp: i64) {
        self.values.push(value);
        self.stamps.push(stamp);
    }

    /// Goes back to where it had this value last.
    fn go_back(&mut self, value: &Value) {
        let length = self.values.iter().rposition(|known| known == value).map_or(0, |at| at + 1);
        self.values.truncate(length);
        self.stamps.truncate(length);
    }

    fn last(&self) -> &Value {
        self.values.last().unwrap()
    }

    fn was(&self, value: &Value) -> bool {
        self.past.contains(value) || self.values.contains(value)
    }

    fn allows(&self, value: &Value) -> bool {
        self.values[self.acked..].contains(value)
    }

    fn settle(&mut self, value: Value) {
        self.past.append(&mut self.values);
        (self.values, self.stamps, self.acked) = (vec![value], vec![-1], 0);
    }
}

/// The last write to each place at some moment.
pub(crate) type Cover = Vec<(String, &'static str, i64)>;

/// Records as a program shows them, by key.
pub(crate) type Shown = BTreeMap<String, Record>;

/// The places of each record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model(BTreeMap<String, BTreeMap<&'static str, History>>);

/// What stands at a place of a record; none of a field where no record is.
pub(crate) fn value_at(place: &str, record: Option<&Record>) -> Option<Value> {
    match record {
        record if place == EXISTS => Some(record.is_some().into()),
        Some(record) => Some(record.get(place).cloned().unwrap_or_default()),
        None => None,
    }
}

impl Model {
    /// A record that the service has from the beginning.
    pub(crate) fn plant(&mut self, key: &str) {
        let place = |value: Value| History::new(vec![value], 0);
        let row = [(EXISTS, place(true.into())), ("a", place(0.into())), ("b", place(0.into()))];
        self.0.insert(key.to_owned(), row.into());
    }

    /// The program adds a record with this value in both fields.
    pub(crate) fn add(&mut self, key: &str, value: &Value, stamp: i64) {
        let place = |values: [Value; 2]| History::new(values.to_vec(), stamp);
        let row = [
            (EXISTS, place([false.into(), true.into()])),
            ("a", place([Value::Null, value.clone()])),
            ("b", place([Value::Null, value.clone()])),
        ];
        self.0.insert(key.to_owned(), row.into());
    }

    /// The program writes.
    pub(crate) fn write(&mut self, key: &str, place: &str, value: Value, stamp: i64) {
        self.0.get_mut(key).and_then(|row| row.get_mut(place)).unwrap().push(value, stamp);
    }

    /// What a sync that begins now accepts.
    pub(crate) fn cover(&self) -> Cover {
        let all = self.0.iter().flat_map(|(key, row)| {
            row.iter().map(move |(place, history)| (key.clone(), *place, *history.stamps.last().unwrap()))
        });
        all.collect()
    }

    /// A sync told that it accepted this.
    pub(crate) fn acknowledge(&mut self, cover: Cover) {
        for (key, place, stamp) in cover {
            if let Some(history) = self.0.get_mut(&key).and_then(|row| row.get_mut(place)) {
                // Gone when a read dropped it, or when a later restart made it certain.
                if let Some(at) = history.stamps.iter().rposition(|known| *known == stamp) {
                    history.acked = history.acked.max(at);
                }
            }
        }
    }

    /// The program took back what it could: what that changed in what is shown is written anew, and must be something that it
    /// was before.
    ///
    /// # Errors
    /// What it never was.
    pub(crate) fn take_back(&mut self, before: &Shown, after: &Shown, stamp: i64) -> Result<(), String> {
        for (key, row) in &mut self.0 {
            let (before, after) = (before.get(key), after.get(key));
            for (place, history) in row {
                let Some(value) = value_at(place, after) else {
                    if before.is_some() {
                        // With the record, nothing about its fields is promised any more, nor by a sync that still waits.
                        (history.acked, history.stamps) = (0, vec![stamp; history.values.len()]);
                    }
                    continue;
                };
                if value_at(place, before).as_ref() == Some(&value) {
                    continue;
                }
                if !history.was(&value) {
                    let value = value.to_json();
                    return Err(format!("{key}.{place} was taken back to {value}, which it never was: {history:?}"));
                }
                history.push(value, stamp);
            }
        }
        Ok(())
    }

    /// What the program sees: its own last edit, unless a read dropped drafts. `gone`: the records that it removed.
    ///
    /// # Errors
    /// What it sees instead.
    pub(crate) fn sees(&mut self, shown: &Shown, gone: &BTreeSet<String>, reading: bool) -> Result<(), String> {
        for (key, row) in &mut self.0 {
            for (place, history) in row {
                let Some(value) = value_at(place, shown.get(key)) else { continue };
                if value == *history.last() {
                    continue;
                }
                // The record is not among those that the service has, and what was changed about it is kept.
                let parked = *place == EXISTS && !gone.contains(key);
                if reading && history.allows(&value) {
                    // A read drops drafts; what was accepted must still be there.
                    history.go_back(&value);
                } else if !(reading && parked) {
                    return Err(format!("I12: {key}.{place} shows {}, expected {history:?}", value.to_json()));
                }
            }
        }
        Ok(())
    }

    /// What is there after a restart must hold everything that was acknowledged; it becomes what is certain.
    ///
    /// # Errors
    /// What is there instead.
    pub(crate) fn restarts(&mut self, shown: &Shown) -> Result<(), String> {
        for (key, row) in &mut self.0 {
            for (place, history) in row {
                let Some(value) = value_at(place, shown.get(key)) else { continue };
                if !history.allows(&value) {
                    let value = value.to_json();
                    return Err(format!("I1: {key}.{place} is {value} after a restart, not in {history:?}"));
                }
                history.settle(value);
            }
        }
        if let Some(key) = shown.keys().find(|key| !self.0.contains_key(*key)) {
            return Err(format!("{key} was never there"));
        }
        Ok(())
    }

    /// What the service has in the end.
    ///
    /// # Errors
    /// What it has instead.
    pub(crate) fn reached(&self, there: &Shown) -> Result<(), String> {
        for (key, row) in &self.0 {
            for (place, history) in row {
                let Some(value) = value_at(place, there.get(key)) else { continue };
                if value != *history.last() {
                    let value = value.to_json();
                    return Err(format!("I12: {key}.{place} on the server is {value}, expected {history:?}"));
                }
            }
        }
        Ok(())
    }
}
