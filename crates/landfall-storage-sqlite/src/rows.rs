//! The rows of one state in their tables: those that were there before, and the recent ones that stand in their place.
//! Never looks at the head or its tail.

use crate::{
    error::{self, Failure},
    head::{Weight, signed, unsigned},
    schema,
    tail::Entry,
};
use landfall_storage::{ChangeKind, RowId, StoredRow};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

/// What is stored of one row.
pub(crate) struct Found {
    /// None when there is no such row.
    pub(crate) weight: Option<Weight>,
    /// The place of the recent one, or of that which says that it is deleted.
    recent: Option<i64>,
}

pub(crate) struct Rows<'a> {
    sql: &'a Connection,
    state: i64,
}

type Sql<T> = rusqlite::Result<T>;

/// What is written of one row.
struct Columns<'r> {
    id: i64,
    order: i64,
    marker: Option<&'static str>,
    record: Option<&'r str>,
    change: Option<&'r str>,
    crc: u32,
}

impl<'r> Columns<'r> {
    fn of(row: &'r StoredRow, crc: u32) -> Self {
        Self {
            id: signed(row.id),
            order: signed(row.order),
            marker: row.state.map(ChangeKind::as_str),
            record: Some(&row.record),
            change: row.change.as_deref(),
            crc,
        }
    }

    fn deleted(id: RowId) -> Self {
        Self { id: signed(id), order: 0, marker: None, record: None, change: None, crc: 0 }
    }
}

impl<'a> Rows<'a> {
    pub(crate) fn new(sql: &'a Connection, state: i64) -> Self {
        Self { sql, state }
    }

    fn cached(&self, sql: &str) -> Sql<CachedStatement<'a>> {
        self.sql.prepare_cached(sql)
    }

    pub(crate) fn find(&self, id: RowId) -> Sql<Found> {
        let recent = self
            .cached(
                "SELECT length(CAST(record AS BLOB)) + coalesce(length(CAST(change AS BLOB)), 0), crc, rowid
                 FROM recent WHERE state = ?1 AND id = ?2",
            )?
            .query_row(params![self.state, signed(id)], |row| {
                let bytes = row.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned);
                let (crc, place) = (row.get(1)?, row.get(2)?);
                Ok((bytes.map(|bytes| Weight { bytes, crc }), place))
            })
            .optional()?;
        match recent {
            Some((weight, place)) => Ok(Found { weight, recent: Some(place) }),
            None => Ok(Found { weight: self.find_before(id)?, recent: None }),
        }
    }

    fn find_before(&self, id: RowId) -> Sql<Option<Weight>> {
        self.cached(
            "SELECT length(CAST(record AS BLOB)) + coalesce(length(CAST(change AS BLOB)), 0), crc
             FROM rows WHERE state = ?1 AND id = ?2",
        )?
        .query_row(params![self.state, signed(id)], |row| Ok(Weight { bytes: unsigned(row, 0)?, crc: row.get(1)? }))
        .optional()
    }

    /// Gives by how many the recent rows are more than before; so do the others.
    pub(crate) fn delete(&self, id: RowId, found: &Found) -> Sql<i64> {
        let is_before = match found.recent {
            Some(_) => self.find_before(id)?.is_some(),
            None => found.weight.is_some(),
        };
        if is_before { self.put_recent(found, &Columns::deleted(id)) } else { self.delete_recent(found) }
    }

    pub(crate) fn put(&self, row: &StoredRow, crc: u32, found: &Found) -> Sql<i64> {
        self.put_recent(found, &Columns::of(row, crc))
    }

    /// As one of those that were there before.
    pub(crate) fn put_at_once(&self, row: &StoredRow, crc: u32, found: &Found) -> Sql<i64> {
        let gone = self.delete_recent(found)?;
        let insert = self.cached(
            "INSERT OR REPLACE INTO rows(state, id, ord, marker, record, change, crc)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        self.insert(insert, &Columns::of(row, crc))?;
        Ok(gone)
    }

    /// What is there is changed where it is, what is new comes behind the last.
    fn put_recent(&self, found: &Found, columns: &Columns<'_>) -> Sql<i64> {
        let Some(place) = found.recent else {
            let insert = self.cached(
                "INSERT INTO recent(state, id, ord, marker, record, change, crc) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            self.insert(insert, columns)?;
            return Ok(1);
        };
        let Columns { order, marker, record, change, crc, .. } = columns;
        self.cached("UPDATE recent SET ord = ?2, marker = ?3, record = ?4, change = ?5, crc = ?6 WHERE rowid = ?1")?
            .execute(params![place, order, marker, record, change, crc])?;
        Ok(0)
    }

    fn insert(&self, mut insert: CachedStatement<'_>, columns: &Columns<'_>) -> Sql<()> {
        let Columns { id, order, marker, record, change, crc } = columns;
        insert.execute(params![self.state, id, order, marker, record, change, crc])?;
        Ok(())
    }

    fn delete_recent(&self, found: &Found) -> Sql<i64> {
        let Some(place) = found.recent else { return Ok(0) };
        self.cached("DELETE FROM recent WHERE rowid = ?1")?.execute([place])?;
        Ok(-1)
    }

    /// Deletes all. Gives by how many the recent rows are more than before.
    pub(crate) fn clear(&self) -> Sql<i64> {
        self.cached("DELETE FROM rows WHERE state = ?1")?.execute([self.state])?;
        let gone = self.cached("DELETE FROM recent WHERE state = ?1")?.execute([self.state])?;
        Ok(-i64::try_from(gone).unwrap_or(i64::MAX))
    }

    /// Moves recent rows to the others; not those with a pending change, which will change again. Gives how many stay.
    pub(crate) fn gather(&self) -> Sql<u64> {
        self.cached(
            "DELETE FROM rows WHERE state = ?1 AND id IN (SELECT id FROM recent WHERE state = ?1 AND record IS NULL)",
        )?
        .execute([self.state])?;
        self.cached(
            "INSERT OR REPLACE INTO rows(state, id, ord, marker, record, change, crc)
             SELECT state, id, ord, marker, record, change, crc FROM recent
             WHERE state = ?1 AND marker IS NULL AND record IS NOT NULL ORDER BY id",
        )?
        .execute([self.state])?;
        self.cached("DELETE FROM recent WHERE state = ?1 AND marker IS NULL")?.execute([self.state])?;
        self.cached("SELECT count(*) FROM recent WHERE state = ?1")?.query_row([self.state], |row| unsigned(row, 0))
    }

    /// All rows in the order of their ids, checked, each with its checksum; of two with the same id the newer one. `newest`
    /// stand in place of all others.
    pub(crate) fn all(
        &self,
        format: i32,
        newest: Vec<Newer>,
        mut take: impl FnMut(StoredRow, u32),
    ) -> Result<(), Failure> {
        let mut newer = if format < schema::WITH_RECENT { Vec::new() } else { self.recent()? };
        for row in newest {
            match newer.binary_search_by_key(&signed(row.id), |known| signed(known.id)) {
                Ok(at) => newer.splice(at..=at, [row]).for_each(drop),
                Err(at) => newer.insert(at, row),
            }
        }
        let mut newer = newer.into_iter().peekable();
        let mut take_newer = |Newer { row, crc, .. }: Newer| row.into_iter().for_each(|row| take(row, crc));
        let mut statement =
            self.cached("SELECT id, ord, marker, record, change, crc FROM rows WHERE state = ?1 ORDER BY id")?;
        let mut rows = statement.query([self.state])?;
        while let Some(row) = rows.next()? {
            let id = unsigned(row, 0)?;
            while let Some(smaller) = newer.next_if(|newer| signed(newer.id) < signed(id)) {
                take_newer(smaller);
            }
            match newer.next_if(|newer| newer.id == id) {
                Some(same) => take_newer(same),
                None => take_newer(Newer::read(id, row)?),
            }
        }
        newer.for_each(take_newer);
        Ok(())
    }

    fn recent(&self) -> Result<Vec<Newer>, Failure> {
        let mut statement =
            self.cached("SELECT id, ord, marker, record, change, crc FROM recent WHERE state = ?1 ORDER BY id")?;
        let mut rows = statement.query([self.state])?;
        let mut recent = Vec::new();
        while let Some(row) = rows.next()? {
            recent.push(Newer::read(unsigned(row, 0)?, row)?);
        }
        Ok(recent)
    }
}

/// A row that stands in place of others of its id, or says that it is deleted.
pub(crate) struct Newer {
    pub(crate) id: RowId,
    pub(crate) row: Option<StoredRow>,
    pub(crate) crc: u32,
}

impl From<Entry> for Newer {
    fn from(Entry { id, row, crc, .. }: Entry) -> Self {
        Self { id, row, crc }
    }
}

impl Newer {
    /// The columns are `id, ord, marker, record, change, crc`.
    fn read(id: RowId, row: &Row<'_>) -> Result<Self, Failure> {
        let crc = row.get(5)?;
        let Some(record) = row.get(3)? else { return Ok(Self { id, row: None, crc }) };
        let marker = row.get_ref(2)?.as_str_or_null().map_err(|_wrong_type| error::damaged("a marker is no text"))?;
        let row =
            StoredRow { id, order: unsigned(row, 1)?, state: schema::marker(marker)?, record, change: row.get(4)? };
        if schema::row_crc(&row) != crc {
            return Err(error::damaged_row(id).into());
        }
        Ok(Self { id, row: Some(row), crc })
    }
}
