//! The format of the file: tables, version, checksums. Every released version stays readable; a change of the tables is
//! a new [`FORMAT`].

use crate::error;
use landfall_storage::{ChangeKind, Result, StoredRow};
use rusqlite::Connection;

/// `LFAL`, at bytes 68 to 71 of the file.
pub(crate) const APPLICATION_ID: i32 = 0x4C46_414C;

/// `PRAGMA user_version` of the files that this version writes, and the newest that it reads.
pub(crate) const FORMAT: i32 = 3;

/// The first format with the table `recent`.
pub(crate) const WITH_RECENT: i32 = 2;

/// The first format with the table `heads`.
pub(crate) const WITH_HEADS: i32 = 3;

const STORE: &str = "
CREATE TABLE store(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  state_count INTEGER NOT NULL
) STRICT;
";

/// As it was before [`WITH_HEADS`].
const STATES_WITH_HEADS: &str = "
CREATE TABLE states(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,
  meta TEXT,
  row_count INTEGER NOT NULL,
  byte_count INTEGER NOT NULL,
  row_sum INTEGER NOT NULL,
  meta_crc INTEGER NOT NULL,
  crc INTEGER NOT NULL
) STRICT;
";

const STATES: &str = "
CREATE TABLE states(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  meta TEXT
) STRICT;
";

/// What every commit writes, small enough for one page: revision and sums of a state, and its last changes. These stand in
/// place of the rows of the same id in `recent` and `rows`.
const HEADS: &str = "
CREATE TABLE heads(
  state INTEGER PRIMARY KEY REFERENCES states(id),
  revision INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  byte_count INTEGER NOT NULL,
  row_sum INTEGER NOT NULL,
  meta_crc INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  tail TEXT
) STRICT;
";

const ROWS: &str = "
CREATE TABLE rows(
  state INTEGER NOT NULL REFERENCES states(id),
  id INTEGER NOT NULL,
  ord INTEGER NOT NULL,
  marker TEXT CHECK(marker IN ('create', 'update', 'destroy')),
  record TEXT NOT NULL,
  change TEXT,
  crc INTEGER NOT NULL,
  PRIMARY KEY(state, id)
) STRICT, WITHOUT ROWID;
";

/// As it was in format 2.
const RECENT_WITHOUT_ROWID: &str = "
CREATE TABLE recent(
  state INTEGER NOT NULL REFERENCES states(id),
  id INTEGER NOT NULL,
  ord INTEGER NOT NULL,
  marker TEXT CHECK(marker IN ('create', 'update', 'destroy')),
  record TEXT,
  change TEXT,
  crc INTEGER NOT NULL,
  PRIMARY KEY(state, id)
) STRICT, WITHOUT ROWID;
";

/// Rows that stand in place of those of the same id in `rows`, so that changes all over a large state are written close
/// together: one behind the other, found by a small index. One without a record is deleted.
const RECENT: &str = "
CREATE TABLE recent(
  state INTEGER NOT NULL REFERENCES states(id),
  id INTEGER NOT NULL,
  ord INTEGER NOT NULL,
  marker TEXT CHECK(marker IN ('create', 'update', 'destroy')),
  record TEXT,
  change TEXT,
  crc INTEGER NOT NULL,
  PRIMARY KEY(state, id)
) STRICT;
";

/// The tables of a file of this format.
fn tables(format: i32) -> &'static [&'static str] {
    if format < WITH_RECENT {
        &[STORE, ROWS, STATES_WITH_HEADS]
    } else if format < WITH_HEADS {
        &[STORE, ROWS, STATES_WITH_HEADS, RECENT_WITHOUT_ROWID]
    } else {
        &[STORE, ROWS, STATES, RECENT, HEADS]
    }
}

/// The tables that a file of this format must have: name and text. A table that was given its name later has it in quotes.
pub(crate) fn expected(format: i32) -> impl Iterator<Item = (&'static str, &'static str)> {
    tables(format).iter().filter_map(|table| {
        let statement = table.trim().trim_end_matches(';');
        let name = statement.strip_prefix("CREATE TABLE ")?.split('(').next()?;
        Some((name, statement))
    })
}

/// Makes the tables of a new file.
pub(crate) fn create(sql: &Connection) -> rusqlite::Result<()> {
    sql.execute_batch(&tables(FORMAT).concat())?;
    sql.execute_batch("INSERT INTO store(id, state_count) VALUES(1, 0)")?;
    sql.pragma_update(None, "application_id", APPLICATION_ID)?;
    sql.pragma_update(None, "user_version", FORMAT)
}

/// Of which format a file is.
pub(crate) fn format(sql: &Connection) -> rusqlite::Result<i32> {
    sql.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes a file of an older format one of this format, inside of a transaction.
pub(crate) fn upgrade(sql: &Connection) -> rusqlite::Result<()> {
    let format = format(sql)?;
    if format >= FORMAT {
        return Ok(());
    }
    if format < WITH_RECENT {
        // What is pending goes to its new place.
        sql.execute_batch(RECENT)?;
        sql.execute_batch(
            "INSERT INTO recent(state, id, ord, marker, record, change, crc)
             SELECT state, id, ord, marker, record, change, crc FROM rows WHERE marker IS NOT NULL;
             DELETE FROM rows WHERE marker IS NOT NULL;",
        )?;
    } else {
        replace(sql, "recent", RECENT, "state, id, ord, marker, record, change, crc")?;
    }
    sql.execute_batch(HEADS)?;
    sql.execute_batch(
        "INSERT INTO heads(state, revision, row_count, byte_count, row_sum, meta_crc, crc)
         SELECT id, revision, row_count, byte_count, row_sum, meta_crc, crc FROM states;",
    )?;
    replace(sql, "states", STATES, "id, key, meta")?;
    sql.pragma_update(None, "user_version", FORMAT)
}

/// Makes a table anew, with these columns of the old one.
fn replace(sql: &Connection, name: &str, create: &str, columns: &str) -> rusqlite::Result<()> {
    sql.execute_batch(&create.replacen(name, &format!("new_{name}"), 1))?;
    sql.execute_batch(&format!(
        "INSERT INTO new_{name}({columns}) SELECT {columns} FROM {name};
         DROP TABLE {name};
         ALTER TABLE new_{name} RENAME TO {name};"
    ))
}

/// The checksum of a row: CRC-32 of id, order, marker, record and change, numbers as 8 bytes, little end first, texts
/// with their length in front.
pub(crate) fn row_crc(row: &StoredRow) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let (id, order, record) = (row.id.to_le_bytes(), row.order.to_le_bytes(), length(&row.record));
    // In as few pieces as can be: there are many rows to be read.
    match row.state.map(ChangeKind::as_str) {
        None => crc.update([id, order, NO_TEXT, record].as_flattened()),
        Some(marker) => {
            crc.update([id, order, length(marker)].as_flattened());
            crc.update(marker.as_bytes());
            crc.update(&record);
        }
    }
    crc.update(row.record.as_bytes());
    text(&mut crc, row.change.as_deref());
    crc.finalize()
}

/// The checksum of the meta document; 0 without one.
pub(crate) fn meta_crc(meta: Option<&str>) -> u32 {
    meta.map_or(0, |meta| crc32fast::hash(meta.as_bytes()))
}

/// The checksum of a head; one without a tail has the same in every format.
pub(crate) fn head_crc(key: &str, numbers: [u64; 5], tail: Option<&str>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    text(&mut crc, Some(key));
    for number in numbers {
        crc.update(&number.to_le_bytes());
    }
    if tail.is_some() {
        text(&mut crc, tail);
    }
    crc.finalize()
}

/// The kind of a change from its marker.
pub(crate) fn marker(text: Option<&str>) -> Result<Option<ChangeKind>> {
    let Some(text) = text else { return Ok(None) };
    ChangeKind::from_marker(text).map(Some).ok_or_else(|| error::damaged("a marker is unknown"))
}

const NO_TEXT: [u8; 8] = u64::MAX.to_le_bytes();

fn length(text: &str) -> [u8; 8] {
    (text.len() as u64).to_le_bytes()
}

fn text(crc: &mut crc32fast::Hasher, text: Option<&str>) {
    match text {
        Some(text) => {
            crc.update(&length(text));
            crc.update(text.as_bytes());
        }
        None => crc.update(&NO_TEXT),
    }
}
