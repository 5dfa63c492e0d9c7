//! The head of a state: its revision, and what its rows must add up to. Every commit writes it; it never looks at rows.

use crate::{
    error::{self, Failure},
    schema,
};
use landfall_storage::Revision;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What is stored about one key beside its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: i64,
    pub(crate) revision: Revision,
    pub(crate) row_count: u64,
    pub(crate) byte_count: u64,
    pub(crate) row_sum: u64,
    pub(crate) meta_crc: u32,
    /// Of all this, the key and the tail.
    crc: u32,
}

/// What a row counts for in its state's head.
pub(crate) struct Weight {
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

impl Head {
    /// Finds and checks the head of a key, and gives it with the text of its tail.
    pub(crate) fn find(sql: &Connection, format: i32, key: &str) -> Result<Option<(Self, Option<String>)>, Failure> {
        let id: Option<i64> = sql
            .prepare_cached("SELECT id FROM states WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let Some(id) = id else { return Ok(None) };
        // Not joined to the former: SQLite would prepare that again for every key that is bound.
        let found = sql
            .prepare_cached(if format < schema::WITH_HEADS {
                "SELECT revision, row_count, byte_count, row_sum, meta_crc, crc, NULL FROM states WHERE id = ?1"
            } else {
                "SELECT revision, row_count, byte_count, row_sum, meta_crc, crc, tail FROM heads WHERE state = ?1"
            })?
            .query_row([id], |row| Ok((Self::read(id, row)?, row.get::<_, Option<String>>(6)?)))
            .optional()?;
        let (head, tail) = found.ok_or_else(|| error::damaged("a state has no head"))?;
        if head.sum(key, tail.as_deref()) != head.crc {
            return Err(error::damaged("a state does not match its checksum").into());
        }
        Ok(Some((head, tail)))
    }

    /// Whether this head, which this connection wrote, is still stored. The checksum says whose it is, and with which tail.
    pub(crate) fn is_stored(&self, sql: &Connection) -> rusqlite::Result<bool> {
        let found = sql
            .prepare_cached(
                "SELECT revision, row_count, byte_count, row_sum, meta_crc, crc FROM heads WHERE state = ?1",
            )?
            .query_row([self.id], |row| Self::read(self.id, row))
            .optional()?;
        Ok(found.as_ref() == Some(self))
    }

    /// The columns are `revision, row_count, byte_count, row_sum, meta_crc, crc`.
    fn read(id: i64, row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            revision: unsigned(row, 0)?,
            row_count: unsigned(row, 1)?,
            byte_count: unsigned(row, 2)?,
            row_sum: unsigned(row, 3)?,
            meta_crc: row.get(4)?,
            crc: row.get(5)?,
        })
    }

    fn sum(&self, key: &str, tail: Option<&str>) -> u32 {
        let meta_crc = u64::from(self.meta_crc);
        schema::head_crc(key, [self.revision, self.row_count, self.byte_count, self.row_sum, meta_crc], tail)
    }

    /// A new state's; its checksum is written with the first revision.
    pub(crate) fn create(sql: &Connection, key: &str) -> rusqlite::Result<Self> {
        sql.prepare_cached("INSERT INTO states(key) VALUES(?1)")?.execute([key])?;
        let id = sql.last_insert_rowid();
        sql.prepare_cached("INSERT INTO heads VALUES(?1, 0, 0, 0, 0, 0, 0, NULL)")?.execute([id])?;
        Ok(Self { id, revision: 0, row_count: 0, byte_count: 0, row_sum: 0, meta_crc: 0, crc: 0 })
    }

    /// Writes it with its tail, under the next revision.
    pub(crate) fn write(&mut self, sql: &Connection, key: &str, tail: Option<&str>) -> rusqlite::Result<()> {
        self.revision += 1;
        self.crc = self.sum(key, tail);
        sql.prepare_cached(
            "UPDATE heads SET revision = ?2, row_count = ?3, byte_count = ?4, row_sum = ?5, meta_crc = ?6, crc = ?7,
             tail = ?8 WHERE state = ?1",
        )?
        .execute(params![
            self.id,
            signed(self.revision),
            signed(self.row_count),
            signed(self.byte_count),
            signed(self.row_sum),
            self.meta_crc,
            self.crc,
            tail
        ])?;
        Ok(())
    }

    /// A row is there that was not.
    pub(crate) fn count(&mut self, new: &Weight) {
        self.row_count += 1;
        self.byte_count += new.bytes;
        self.row_sum += u64::from(new.crc);
    }

    /// A row is there no more.
    pub(crate) fn forget(&mut self, old: &Weight) -> Result<(), Failure> {
        subtract(&mut self.row_count, 1)?;
        subtract(&mut self.byte_count, old.bytes)?;
        subtract(&mut self.row_sum, u64::from(old.crc))
    }

    /// A meta document of so many bytes is there no more.
    pub(crate) fn forget_meta(&mut self, bytes: u64) -> Result<(), Failure> {
        subtract(&mut self.byte_count, bytes)
    }
}

fn subtract(from: &mut u64, what: u64) -> Result<(), Failure> {
    *from = from.checked_sub(what).ok_or_else(|| error::damaged("a state does not add up"))?;
    Ok(())
}

/// SQLite's integers are signed; the bits are kept.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}
