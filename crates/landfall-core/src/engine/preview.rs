//! A first look at a stored state: the first page and what is pending, before all rows are read.
//!
//! Reads only the rows that are shown in it. Changes nothing, and judges nothing that it does not read.

use super::{Engine, inbox::Pending, inbox::pending};
use crate::{ChangeKind, Record, Result, StoredState};

/// How many rows a first look shows where there is no page size.
const ROWS: usize = 100;

/// What can be shown of a stored state before all of it is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Preview {
    /// The rows of the page that is set, 100 where there is no page size, in the order in which they are stored. Empty where
    /// that takes more than these rows: with a filter, a sort order, groups, or rows that the service grouped.
    pub rows: Vec<Record>,
    /// How many rows there are, those with a pending removal not counted.
    pub total: usize,
    /// What is pending: rows in their order, then removals.
    pub pending: Vec<Pending>,
}

impl Engine {
    /// A first look at a stored state.
    ///
    /// # Errors
    /// `Corrupt` and `NewerFormat` as when it is read as a whole, as far as this much of it tells.
    pub fn preview(&self, state: &StoredState) -> Result<Preview> {
        let plain = self.state.filter.is_none() && self.state.sort().is_empty() && self.state.group().is_empty();
        let skip = if plain { self.state.skip().unwrap_or(0) } else { usize::MAX };
        let page = skip..skip.saturating_add(self.state.take().unwrap_or(ROWS));
        let mut total = 0;
        let mut part = StoredState { revision: state.revision, meta: state.meta.clone(), rows: Vec::new() };
        let mut shown = Vec::new();
        for row in &state.rows {
            let on_page = row.state != Some(ChangeKind::Destroy) && page.contains(&total);
            total += usize::from(row.state != Some(ChangeKind::Destroy));
            if on_page {
                shown.push(row.id);
            }
            if on_page || row.state.is_some() {
                part.rows.push(row.clone());
            }
        }
        let restored = self.decode(&part)?;
        let mut out = Preview { total, ..Preview::default() };
        let mut shown = shown.into_iter().peekable();
        for (row, change) in &restored.rows {
            if restored.groups.is_none() && shown.next_if_eq(&row.uid.0).is_some() {
                out.rows.push(row.record.clone());
            }
            out.pending.extend(change.as_ref().and_then(|change| pending(row.uid, change)));
        }
        out.pending.extend(restored.removed.iter().filter_map(|gone| pending(gone.row.uid, &gone.change)));
        Ok(out)
    }
}
