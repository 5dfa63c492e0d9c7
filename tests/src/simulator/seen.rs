//! What a program sees and keeps, by the key of each record. Judges nothing.

use landfall_core::{Engine, Record, Value};
use std::collections::{BTreeMap, BTreeSet};

/// By which a record is known whatever its id is.
pub(crate) fn key_of(record: &Record) -> String {
    record.get("key").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The records that are shown.
pub(crate) fn shown(engine: &Engine) -> BTreeMap<String, Record> {
    engine.data().into_iter().map(|item| (key_of(&item.record), item.record)).collect()
}

/// The records that are removed.
pub(crate) fn removed(engine: &Engine) -> BTreeSet<String> {
    engine.destroyed().iter().map(|item| key_of(&item.record)).collect()
}

/// The records that the last read did not bring: changes of them are kept, and not shown. As they will be.
pub(crate) fn out_of_sight(engine: &Engine) -> BTreeMap<String, Record> {
    let (shown, removed) = (shown(engine), removed(engine));
    let mut hidden = BTreeMap::new();
    for pending in engine.pending_changes() {
        let key = key_of(&pending.record);
        if !shown.contains_key(&key) && !removed.contains(&key) {
            let record = pending.waiting.map_or(pending.record, |(_, record)| record);
            hidden.entry(key).or_insert(record);
        }
    }
    hidden
}

/// Every record that is there after a restart, shown or not; an error where one is there twice.
pub(crate) fn restored(engine: &Engine) -> Result<BTreeMap<String, Record>, String> {
    let mut there = BTreeMap::new();
    for item in engine.data() {
        let key = key_of(&item.record);
        if there.insert(key.clone(), item.record).is_some() {
            return Err(format!("{key} is there twice after a restart"));
        }
    }
    there.extend(out_of_sight(engine));
    Ok(there)
}
