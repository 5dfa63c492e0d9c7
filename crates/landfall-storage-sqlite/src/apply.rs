//! What a commit changes in a state: where each changed row goes, and what the head then adds up to. Begins and ends no
//! transaction.

use crate::{
    error::Failure,
    head::{Head, Weight},
    rows::Rows,
    schema,
    tail::{Entry, Tail},
};
use landfall_storage::Delta;
use rusqlite::{Connection, params};

/// Changes a state: its head but for the revision, its tail, its rows. Gives by how many the recent rows are more than
/// before.
pub(crate) fn apply(sql: &Connection, head: &mut Head, tail: &mut Tail, delta: &Delta) -> Result<i64, Failure> {
    let rows = Rows::new(sql, head.id);
    let mut recent = 0;
    if delta.clear {
        *tail = Tail::default();
        recent += rows.clear()?;
        (head.row_count, head.byte_count, head.row_sum) = (0, 0, 0);
        set_meta(sql, head, None)?;
    } else if delta.meta.is_some() {
        let length: Option<i64> = sql
            .prepare_cached("SELECT length(CAST(meta AS BLOB)) FROM states WHERE id = ?1")?
            .query_row([head.id], |row| row.get(0))?;
        head.forget_meta(length.map_or(0, i64::cast_unsigned))?;
    }
    let entries = if delta.clear { None } else { tail.room_for(delta)? };
    if let Some(entries) = entries {
        keep(&rows, head, tail, entries)?;
    } else {
        recent += spill(&rows, std::mem::take(tail))?;
        recent += write(&rows, head, delta)?;
    }
    if let Some(meta) = &delta.meta {
        set_meta(sql, head, Some(meta))?;
        head.byte_count += meta.len() as u64;
    }
    Ok(recent)
}

/// Keeps changed rows in the tail.
fn keep(rows: &Rows<'_>, head: &mut Head, tail: &mut Tail, entries: Vec<Entry>) -> Result<(), Failure> {
    for entry in entries {
        let old = match tail.find(entry.id) {
            Some(known) => known.weight(),
            None => rows.find(entry.id)?.weight,
        };
        let new = entry.weight();
        if old.is_some() || new.is_some() {
            if let Some(old) = &old {
                head.forget(old)?;
            }
            if let Some(new) = &new {
                head.count(new);
            }
            tail.push(entry);
        }
    }
    Ok(())
}

/// Writes what was kept in a tail to the recent rows. The head counts it already.
fn spill(rows: &Rows<'_>, tail: Tail) -> Result<i64, Failure> {
    let mut recent = 0;
    for entry in tail.into_entries() {
        let found = rows.find(entry.id)?;
        recent += match &entry.row {
            Some(row) => rows.put(row, entry.crc, &found)?,
            None => rows.delete(entry.id, &found)?,
        };
    }
    Ok(recent)
}

/// Writes changes of rows to the tables.
fn write(rows: &Rows<'_>, head: &mut Head, delta: &Delta) -> Result<i64, Failure> {
    let mut recent = 0;
    // Where much of it is new, it need not be moved later.
    let at_once = delta.put.len() as u64 >= head.row_count / 2;
    for id in &delta.delete {
        let found = rows.find(*id)?;
        let Some(old) = &found.weight else { continue };
        head.forget(old)?;
        recent += rows.delete(*id, &found)?;
    }
    for row in &delta.put {
        let found = rows.find(row.id)?;
        if let Some(old) = &found.weight {
            head.forget(old)?;
        }
        let new = Weight { bytes: row.size() as u64, crc: schema::row_crc(row) };
        // What is pending is recent, however much it is.
        let at_once = at_once && row.state.is_none();
        recent += if at_once { rows.put_at_once(row, new.crc, &found)? } else { rows.put(row, new.crc, &found)? };
        head.count(&new);
    }
    Ok(recent)
}

fn set_meta(sql: &Connection, head: &mut Head, meta: Option<&str>) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE states SET meta = ?2 WHERE id = ?1")?.execute(params![head.id, meta])?;
    head.meta_crc = schema::meta_crc(meta);
    Ok(())
}
