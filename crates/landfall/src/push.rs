//! What the server announces without being asked: the calls. What they do is the engine's.

use crate::{
    data_source::DataSource,
    entry::{Row, to_records},
};
use landfall_core::{Engine, Record, Result, Steps};

/// # Pushed changes
impl<T: Row> DataSource<T> {
    fn pushed(
        &self,
        name: &'static str,
        records: Vec<Record>,
        call: impl FnOnce(&mut Engine, Vec<Record>) -> Result<Steps>,
    ) -> Result<()> {
        self.change(name, |engine| {
            // Functions that make default values may panic: all of them run before the first record is taken in.
            let wrap = |record: Record| if record.is_empty() { engine.wrap(record) } else { record };
            let records = records.into_iter().map(wrap).collect();
            Ok(((), call(engine, records)?))
        })
    }

    /// Takes in records that the server announces as new.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushCreate")]
    pub fn push_create(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        self.pushed("push_create", to_records(rows)?, Engine::push_create)
    }

    /// As [`push_create`](Self::push_create), at a position.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushInsert")]
    pub fn push_insert(&self, index: usize, rows: impl IntoIterator<Item = T>) -> Result<()> {
        self.pushed("push_insert", to_records(rows)?, |engine, records| engine.push_insert(index, records))
    }

    /// Takes in newer versions that the server announces. A pending edit of the same record stays on top.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushUpdate")]
    pub fn push_update(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let inline = self.shared().inline.clone();
        self.pushed("push_update", to_records(rows)?, |engine, records| {
            let known = inline.is_some().then(|| engine.known_of_pushed(&records));
            let steps = engine.push_update(records)?;
            if let (Some(inline), Some(known), Some(id)) = (inline, known, engine.id_member()) {
                inline.follow(&known, &id);
            }
            Ok(steps)
        })
    }

    /// Takes out records that the server announces as gone; only their ids matter.
    ///
    /// # Errors
    /// `Invalid` when a value does not serialise to a JSON object.
    #[doc(alias = "pushDestroy")]
    pub fn push_destroy(&self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        self.pushed("push_destroy", to_records(rows)?, Engine::push_destroy)
    }
}
