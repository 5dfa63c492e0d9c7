//! The format of the file: tables, version, checksums. Every released version stays readable; a change of the tables is
//! a new [`FORMAT`].

use landfall_storage::{ChangeKind, StoredRow};

/// `LFAL`, at bytes 68 to 71 of the file.
pub(crate) const APPLICATION_ID: i32 = 0x4C46_414C;

/// `PRAGMA user_version` of the files that this version writes, and the newest that it reads.
pub(crate) const FORMAT: i32 = 2;

pub(crate) const CREATE: &str = "
CREATE TABLE store(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  state_count INTEGER NOT NULL
) STRICT;
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
INSERT INTO store(id, state_count) VALUES(1, 0);
";

/// What format 2 has beside that: rows that stand in place of those of the same id in `rows`, so that changes all over a
/// large state are written close together. One without a record is deleted.
pub(crate) const RECENT: &str = "
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

/// The tables that a file of this format must have, with their text.
pub(crate) fn tables(format: i32) -> impl Iterator<Item = (&'static str, &'static str)> {
    let recent = if format >= 2 { RECENT } else { "" };
    CREATE.split(';').chain(recent.split(';')).map(str::trim).filter_map(|statement| {
        let name = statement.strip_prefix("CREATE TABLE ")?.split('(').next()?;
        Some((name, statement))
    })
}

/// The checksum of a row: CRC-32 of id, order, marker, record and change, numbers as 8 bytes, little end first, texts
/// with their length in front.
pub(crate) fn row_crc(row: &StoredRow) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&row.id.to_le_bytes());
    crc.update(&row.order.to_le_bytes());
    text(&mut crc, row.state.map(ChangeKind::as_str));
    text(&mut crc, Some(&row.record));
    text(&mut crc, row.change.as_deref());
    crc.finalize()
}

/// The checksum of the meta document; 0 without one.
pub(crate) fn meta_crc(meta: Option<&str>) -> u32 {
    meta.map_or(0, |meta| crc32fast::hash(meta.as_bytes()))
}

/// The checksum of a row of `states`.
pub(crate) fn state_crc(key: &str, numbers: [u64; 5]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    text(&mut crc, Some(key));
    for number in numbers {
        crc.update(&number.to_le_bytes());
    }
    crc.finalize()
}

fn text(crc: &mut crc32fast::Hasher, text: Option<&str>) {
    match text {
        Some(text) => {
            crc.update(&(text.len() as u64).to_le_bytes());
            crc.update(text.as_bytes());
        }
        None => crc.update(&u64::MAX.to_le_bytes()),
    }
}
