//! What the worker thread does with the connection: load, commit, remove, keys, usage. Owns all statements; values are
//! always bound.

use crate::{error, open, registry::Registered, schema};
use landfall_storage::{ChangeKind, Delta, Error, Result, Revision, RowId, StoredRow, StoredState, stale};
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, types::Type,
};
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

/// The least number of recent rows worth moving to the others.
const FEW: u64 = 1000;

/// The connection, until a failure closes it.
#[derive(Debug)]
pub(crate) enum Database {
    Open(Open),
    Closed,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) connection: Connection,
    /// Whether the log that was found was carried over into the database. Not before the state is known to be legible:
    /// damaged bytes stay as they are.
    settled: bool,
    /// Whether the file is known to be of the newest format.
    current: bool,
    recent: Recent,
    /// Tells this process that the file is open; it goes after the connection.
    _registered: Option<Registered>,
}

/// How many recent rows the states have, as far as this connection knows: when to move them is worth a guess and no search.
#[derive(Debug, Default)]
pub(crate) struct Recent(HashMap<i64, Guess>);

#[derive(Debug, Default)]
struct Guess {
    count: u64,
    /// How many there were when they were last moved, which were to stay.
    stay: u64,
    /// Rows of the state.
    of: u64,
}

impl Guess {
    fn is_worth_moving(&self) -> bool {
        self.count > self.stay + (self.of / 4).max(FEW)
    }
}

/// What `states` says about one key.
struct Head {
    id: i64,
    revision: Revision,
    row_count: u64,
    byte_count: u64,
    row_sum: u64,
    meta_crc: u32,
}

impl Head {
    fn crc(&self, key: &str) -> u32 {
        let meta_crc = u64::from(self.meta_crc);
        schema::state_crc(key, [self.revision, self.row_count, self.byte_count, self.row_sum, meta_crc])
    }
}

/// What a row counts for in its state's head.
struct Weight {
    bytes: u64,
    crc: u32,
}

type Sql<T> = rusqlite::Result<T>;

/// A failure inside of a transaction: SQLite's, or ours.
enum Failure {
    Sql(rusqlite::Error),
    Own(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// SQLite's integers are signed; the bits are kept.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(row: &Row<'_>, column: usize) -> Sql<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

impl Database {
    /// `registered`: for a file.
    pub(crate) fn new(connection: Connection, registered: Option<Registered>) -> Self {
        let settled = registered.is_none();
        let recent = Recent::default();
        Self::Open(Open { connection, settled, current: settled, recent, _registered: registered })
    }

    /// Makes a file of format 1 one of this format: what is pending goes to its new place.
    fn upgrade(&mut self) -> Result<()> {
        if !matches!(self, Self::Open(Open { current: false, .. })) {
            return Ok(());
        }
        self.transact(TransactionBehavior::Immediate, |sql| {
            // Another process may have been first.
            let format: i32 = sql.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if format < schema::FORMAT {
                sql.execute_batch(schema::RECENT)?;
                sql.execute_batch(
                    "INSERT INTO recent(state, id, ord, marker, record, change, crc)
                     SELECT state, id, ord, marker, record, change, crc FROM rows WHERE marker IS NOT NULL;
                     DELETE FROM rows WHERE marker IS NOT NULL;",
                )?;
                sql.pragma_update(None, "user_version", schema::FORMAT)?;
            }
            Ok(())
        })?;
        if let Self::Open(open) = self {
            open.current = true;
        }
        Ok(())
    }

    /// Carries a log that an earlier process left over into the database, once: it may be whole in the system's memory
    /// only, and is flushed with that. Where others are at work in it, it is theirs to keep.
    fn settle(&mut self) -> Result<()> {
        let Self::Open(open) = self else { return Err(error::closed()) };
        if !open.settled && !open.connection.is_readonly("main").map_err(error::map)? {
            open::settle(&open.connection).map_err(|source| {
                let failed_flush = error::is_failed_flush(&source);
                let error = error::map(source);
                if failed_flush {
                    *self = Self::Closed;
                }
                error
            })?;
        }
        if let Self::Open(open) = self {
            open.settled = true;
        }
        Ok(())
    }

    /// Runs one unit of work; afterwards either it is committed, or nothing happened, or the database is closed.
    fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        let Self::Open(Open { connection, .. }) = self else { return Err(error::closed()) };
        let outcome = (|| {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        match outcome {
            Ok(value) => Ok(value),
            // Dropping a transaction rolls it back; if it did not, no one knows what the next one would build on.
            Err(failure) => {
                let failed_flush = matches!(&failure, Failure::Sql(source) if error::is_failed_flush(source));
                if failed_flush || !connection.is_autocommit() {
                    *self = Self::Closed;
                }
                Err(match failure {
                    Failure::Sql(source) => error::map(source),
                    Failure::Own(own) => own,
                })
            }
        }
    }

    /// Checks what a load would not notice: that no state is missing or illegible.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.transact(TransactionBehavior::Deferred, |sql| {
            let expected: u64 =
                sql.query_row("SELECT state_count FROM store WHERE id = 1", [], |row| unsigned(row, 0))?;
            let mut statement = sql.prepare(
                "SELECT id, revision, row_count, byte_count, row_sum, meta_crc, crc, key FROM states NOT INDEXED",
            )?;
            let mut rows = statement.query([])?;
            let mut found = 0;
            while let Some(row) = rows.next()? {
                let key: String = row.get(7)?;
                head(row, &key)?;
                let by_index: Option<i64> = sql
                    .prepare_cached("SELECT id FROM states WHERE key = ?1")?
                    .query_row([&key], |row| row.get(0))
                    .optional()?;
                if by_index != Some(row.get(0)?) {
                    return Err(error::damaged("the index of the keys is damaged").into());
                }
                found += 1;
            }
            if found != expected {
                return Err(error::damaged("a state is missing").into());
            }
            Ok(())
        })
    }

    pub(crate) fn load(&mut self, key: &str) -> Result<StoredState> {
        let state = self.read(key)?;
        // A commit tries again, and tells.
        drop(self.settle());
        Ok(state)
    }

    fn read(&mut self, key: &str) -> Result<StoredState> {
        self.transact(TransactionBehavior::Deferred, |sql| {
            let Some(head) = find(sql, key)? else { return Ok(StoredState::default()) };
            let meta: Option<Arc<str>> =
                sql.prepare_cached("SELECT meta FROM states WHERE id = ?1")?.query_row([head.id], |row| row.get(0))?;
            if schema::meta_crc(meta.as_deref()) != head.meta_crc {
                return Err(error::damaged("the meta document does not match its checksum").into());
            }
            let capacity = usize::try_from(head.row_count).unwrap_or_default().min(1 << 20);
            let mut state = StoredState { revision: head.revision, meta, rows: Vec::with_capacity(capacity) };
            let mut sum = 0;
            let mut take = |row: StoredRow, crc: u32, rows: &mut Vec<StoredRow>| {
                if schema::row_crc(&row) != crc {
                    let error = error::damaged("a row does not match its checksum");
                    return Err(Failure::from(error.with("row", row.id.to_string())));
                }
                sum += u64::from(crc);
                rows.push(row);
                Ok(())
            };
            // Both in the order of their ids; of two with the same the recent one counts.
            // A file of format 1 has none that is recent.
            let none = if sql.table_exists(None, "recent")? { "" } else { "LIMIT 0" };
            let recent = if none.is_empty() { "recent" } else { "rows" };
            let mut recent = sql.prepare_cached(&format!(
                "SELECT id, ord, marker, record, change, crc FROM {recent} WHERE state = ?1 ORDER BY id {none}"
            ))?;
            let mut recent = recent.query([head.id])?;
            let mut statement = sql
                .prepare_cached("SELECT id, ord, marker, record, change, crc FROM rows WHERE state = ?1 ORDER BY id")?;
            let mut rows = statement.query([head.id])?;
            let mut next = recent.next()?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let mut replaced = false;
                while let Some(newer) = next {
                    let order = newer.get::<_, i64>(0)?.cmp(&id);
                    if order == Ordering::Greater {
                        break;
                    }
                    replaced = order == Ordering::Equal;
                    if !is_deleted(newer)? {
                        take(stored_row(newer)?, newer.get(5)?, &mut state.rows)?;
                    }
                    next = recent.next()?;
                }
                if !replaced {
                    take(stored_row(row)?, row.get(5)?, &mut state.rows)?;
                }
            }
            while let Some(newer) = next {
                if !is_deleted(newer)? {
                    take(stored_row(newer)?, newer.get(5)?, &mut state.rows)?;
                }
                next = recent.next()?;
            }
            if state.rows.len() as u64 != head.row_count || sum != head.row_sum || state.size() != head.byte_count {
                return Err(error::damaged("rows are missing").into());
            }
            if !state.rows.is_sorted_by_key(|row| (row.order, row.id)) {
                state.rows.sort_unstable_by_key(|row| (row.order, row.id));
            }
            Ok(state)
        })
    }

    pub(crate) fn commit(&mut self, key: &str, expected: Revision, delta: &Delta) -> Result<Revision> {
        self.settle()?;
        self.upgrade()?;
        let revision = self.commit_to(key, expected, delta)?;
        if let (0, Self::Open(Open { connection, .. })) = (expected, &*self) {
            // So that a store which loses its log is never an empty one. It is in the log all the same.
            let carried = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            drop(carried);
        }
        Ok(revision)
    }

    fn commit_to(&mut self, key: &str, expected: Revision, delta: &Delta) -> Result<Revision> {
        let (revision, state, change, count) = self.transact(TransactionBehavior::Immediate, |sql| {
            let found = find(sql, key)?;
            let current = found.as_ref().map_or(0, |head| head.revision);
            if current != expected {
                return Err(stale(key, expected, current).into());
            }
            let mut head = match found {
                Some(head) => head,
                None => create(sql, key)?,
            };
            let change = apply(sql, &mut head, delta)?;
            head.revision += 1;
            sql.prepare_cached(
                "UPDATE states SET revision = ?2, row_count = ?3, byte_count = ?4, row_sum = ?5, meta_crc = ?6, crc = ?7
                 WHERE id = ?1",
            )?
            .execute(params![
                head.id,
                signed(head.revision),
                signed(head.row_count),
                signed(head.byte_count),
                signed(head.row_sum),
                head.meta_crc,
                head.crc(key)
            ])?;
            Ok((head.revision, head.id, change, head.row_count))
        })?;
        if let Self::Open(Open { recent, .. }) = self {
            let guess = recent.0.entry(state).or_default();
            guess.count = guess.count.saturating_add_signed(change);
            guess.of = count;
        }
        Ok(revision)
    }

    /// Whether so many rows are recent that they should be moved to the others when there is time.
    pub(crate) fn is_scattered(&self) -> bool {
        matches!(self, Self::Open(Open { recent, .. }) if recent.0.values().any(Guess::is_worth_moving))
    }

    /// Moves recent rows to the others, where there are many; not those with a pending change, which will change again.
    /// Worth nothing more than the next load: a failure changes nothing.
    pub(crate) fn gather(&mut self) {
        let Self::Open(Open { recent, .. }) = self else { return };
        let worth: Vec<i64> = recent.0.iter().filter(|(_, guess)| guess.is_worth_moving()).map(|(id, _)| *id).collect();
        for state in worth {
            let left = self.transact(TransactionBehavior::Immediate, |sql| {
                sql.prepare_cached(
                    "DELETE FROM rows WHERE state = ?1
                     AND id IN (SELECT id FROM recent WHERE state = ?1 AND record IS NULL)",
                )?
                .execute([state])?;
                sql.prepare_cached(
                    "INSERT OR REPLACE INTO rows(state, id, ord, marker, record, change, crc)
                     SELECT state, id, ord, marker, record, change, crc FROM recent
                     WHERE state = ?1 AND marker IS NULL AND record IS NOT NULL ORDER BY id",
                )?
                .execute([state])?;
                sql.prepare_cached("DELETE FROM recent WHERE state = ?1 AND marker IS NULL")?.execute([state])?;
                let left = sql
                    .prepare_cached("SELECT count(*) FROM recent WHERE state = ?1")?
                    .query_row([state], |row| unsigned(row, 0))?;
                Ok(left)
            });
            if let (Ok(left), Self::Open(Open { recent, .. })) = (left, &mut *self) {
                let guess = recent.0.entry(state).or_default();
                (guess.count, guess.stay) = (left, left);
            } else if let Self::Open(Open { recent, .. }) = self {
                // Not again at once.
                let guess = recent.0.entry(state).or_default();
                guess.stay = guess.count;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Result<()> {
        self.settle()?;
        self.upgrade()?;
        self.transact(TransactionBehavior::Immediate, |sql| {
            // Not through `find`: what is damaged can be removed as well.
            let id: Option<i64> = sql
                .prepare_cached("SELECT id FROM states WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()?;
            if let Some(id) = id {
                sql.prepare_cached("DELETE FROM rows WHERE state = ?1")?.execute([id])?;
                sql.prepare_cached("DELETE FROM recent WHERE state = ?1")?.execute([id])?;
                sql.prepare_cached("DELETE FROM states WHERE id = ?1")?.execute([id])?;
                count_states(sql, -1)?;
            }
            Ok(())
        })
    }

    pub(crate) fn keys(&mut self) -> Result<Vec<String>> {
        self.transact(TransactionBehavior::Deferred, |sql| {
            let mut statement = sql.prepare_cached("SELECT key FROM states ORDER BY key")?;
            let keys = statement.query_map([], |row| row.get(0))?.collect::<Sql<Vec<String>>>()?;
            Ok(keys)
        })
    }

    pub(crate) fn usage(&mut self, key: Option<&str>) -> Result<u64> {
        self.transact(TransactionBehavior::Deferred, |sql| match key {
            Some(key) => Ok(find(sql, key)?.map_or(0, |head| head.byte_count)),
            None => Ok(sql
                .prepare_cached("SELECT coalesce(sum(byte_count), 0) FROM states")?
                .query_row([], |row| unsigned(row, 0))?),
        })
    }

    /// Gives pages back to the file system when most of the file is empty. Worth nothing more than the space: failures
    /// are left to the next call that matters.
    pub(crate) fn give_back(&mut self) {
        let Self::Open(Open { connection, .. }) = self else { return };
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if let (Ok(free), Ok(all)) = (pragma("freelist_count"), pragma("page_count"))
            && free > 128
            && free > all / 2
        {
            // Each step gives one page back.
            let steps = connection.prepare("PRAGMA incremental_vacuum").and_then(|mut statement| {
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                Ok(())
            });
            drop(steps);
        }
    }
}

/// Reads and checks a head; the columns are `id, revision, row_count, byte_count, row_sum, meta_crc, crc`.
fn head(row: &Row<'_>, key: &str) -> Result<Head, Failure> {
    let head = Head {
        id: row.get(0)?,
        revision: unsigned(row, 1)?,
        row_count: unsigned(row, 2)?,
        byte_count: unsigned(row, 3)?,
        row_sum: unsigned(row, 4)?,
        meta_crc: row.get(5)?,
    };
    if head.crc(key) != row.get::<_, u32>(6)? {
        return Err(error::damaged("a state does not match its checksum").into());
    }
    Ok(head)
}

fn find(sql: &Transaction<'_>, key: &str) -> Result<Option<Head>, Failure> {
    let mut statement = sql.prepare_cached(
        "SELECT id, revision, row_count, byte_count, row_sum, meta_crc, crc FROM states WHERE key = ?1",
    )?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(|row| head(row, key)).transpose()
}

/// A new head; its checksum is written with the first revision.
fn create(sql: &Transaction<'_>, key: &str) -> Sql<Head> {
    sql.prepare_cached(
        "INSERT INTO states(key, revision, row_count, byte_count, row_sum, meta_crc, crc) VALUES(?1, 0, 0, 0, 0, 0, 0)",
    )?
    .execute([key])?;
    count_states(sql, 1)?;
    Ok(Head { id: sql.last_insert_rowid(), revision: 0, row_count: 0, byte_count: 0, row_sum: 0, meta_crc: 0 })
}

fn count_states(sql: &Transaction<'_>, by: i64) -> Sql<usize> {
    sql.prepare_cached("UPDATE store SET state_count = state_count + ?1 WHERE id = 1")?.execute([by])
}

/// Changes the rows. Gives by how many the recent ones are more than before.
fn apply(sql: &Transaction<'_>, head: &mut Head, delta: &Delta) -> Result<i64, Failure> {
    let mut recent = 0;
    if delta.clear {
        sql.prepare_cached("DELETE FROM rows WHERE state = ?1")?.execute([head.id])?;
        let gone = sql.prepare_cached("DELETE FROM recent WHERE state = ?1")?.execute([head.id])?;
        recent -= i64::try_from(gone).unwrap_or(i64::MAX);
        (head.row_count, head.byte_count, head.row_sum) = (0, 0, 0);
        set_meta(sql, head, None)?;
    } else if delta.meta.is_some() {
        let length: Option<u64> = sql
            .prepare_cached("SELECT length(CAST(meta AS BLOB)) FROM states WHERE id = ?1")?
            .query_row([head.id], |row| Ok(row.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned)))?;
        subtract(&mut head.byte_count, length.unwrap_or(0))?;
    }
    if !delta.delete.is_empty() || !delta.put.is_empty() {
        // Where much of it is new, it need not be moved later.
        let at_once = delta.put.len() as u64 >= head.row_count / 2;
        let mut rows = Rows::new(sql, head.id)?;
        for id in &delta.delete {
            let found = rows.find(*id)?;
            let Some(old) = &found.weight else { continue };
            forget(head, old)?;
            recent += rows.delete(*id, &found)?;
        }
        for row in &delta.put {
            let found = rows.find(row.id)?;
            if let Some(old) = &found.weight {
                forget(head, old)?;
            }
            let crc = schema::row_crc(row);
            // What is pending is recent, however much it is.
            let at_once = at_once && row.state.is_none();
            recent += if at_once { rows.put_at_once(row, crc, &found)? } else { rows.put(row, crc, &found)? };
            head.row_count += 1;
            head.byte_count += row.size() as u64;
            head.row_sum += u64::from(crc);
        }
    }
    if let Some(meta) = &delta.meta {
        set_meta(sql, head, Some(meta))?;
        head.byte_count += meta.len() as u64;
    }
    Ok(recent)
}
/// What is stored of one row.
struct Found {
    /// None when there is no such row.
    weight: Option<Weight>,
    /// Whether there is a recent one, or one that says that it is deleted.
    recent: bool,
}

/// The rows of one state: those that were there before, and the recent ones that stand in their place.
struct Rows<'a> {
    state: i64,
    weigh: CachedStatement<'a>,
    weigh_recent: CachedStatement<'a>,
    put: CachedStatement<'a>,
    put_recent: CachedStatement<'a>,
    delete_recent: CachedStatement<'a>,
}

impl<'a> Rows<'a> {
    fn new(sql: &'a Transaction<'_>, state: i64) -> Sql<Self> {
        Ok(Self {
            state,
            weigh: sql.prepare_cached(
                "SELECT length(CAST(record AS BLOB)) + coalesce(length(CAST(change AS BLOB)), 0), crc
                 FROM rows WHERE state = ?1 AND id = ?2",
            )?,
            weigh_recent: sql.prepare_cached(
                "SELECT length(CAST(record AS BLOB)) + coalesce(length(CAST(change AS BLOB)), 0), crc
                 FROM recent WHERE state = ?1 AND id = ?2",
            )?,
            put: sql.prepare_cached(
                "INSERT OR REPLACE INTO rows(state, id, ord, marker, record, change, crc)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            put_recent: sql.prepare_cached(
                "INSERT OR REPLACE INTO recent(state, id, ord, marker, record, change, crc)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            delete_recent: sql.prepare_cached("DELETE FROM recent WHERE state = ?1 AND id = ?2")?,
        })
    }

    fn find(&mut self, id: RowId) -> Sql<Found> {
        let recent = self
            .weigh_recent
            .query_row(params![self.state, signed(id)], |row| {
                let bytes = row.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned);
                let crc = row.get(1)?;
                Ok(bytes.map(|bytes| Weight { bytes, crc }))
            })
            .optional()?;
        match recent {
            Some(weight) => Ok(Found { weight, recent: true }),
            None => Ok(Found { weight: self.find_before(id)?, recent: false }),
        }
    }

    fn find_before(&mut self, id: RowId) -> Sql<Option<Weight>> {
        self.weigh
            .query_row(params![self.state, signed(id)], |row| Ok(Weight { bytes: unsigned(row, 0)?, crc: row.get(1)? }))
            .optional()
    }

    /// Gives by how many the recent rows are more than before; so do the others.
    fn delete(&mut self, id: RowId, found: &Found) -> Sql<i64> {
        if found.recent && self.find_before(id)?.is_none() {
            self.delete_recent.execute(params![self.state, signed(id)])?;
            return Ok(-1);
        }
        self.put_recent.execute(params![self.state, signed(id), 0, None::<&str>, None::<&str>, None::<&str>, 0])?;
        Ok(i64::from(!found.recent))
    }

    fn put(&mut self, row: &StoredRow, crc: u32, found: &Found) -> Sql<i64> {
        Self::write(&mut self.put_recent, self.state, row, crc)?;
        Ok(i64::from(!found.recent))
    }

    fn put_at_once(&mut self, row: &StoredRow, crc: u32, found: &Found) -> Sql<i64> {
        if found.recent {
            self.delete_recent.execute(params![self.state, signed(row.id)])?;
        }
        Self::write(&mut self.put, self.state, row, crc)?;
        Ok(-i64::from(found.recent))
    }

    fn write(statement: &mut CachedStatement<'_>, state: i64, row: &StoredRow, crc: u32) -> Sql<usize> {
        let marker = row.state.map(ChangeKind::as_str);
        let (id, order) = (signed(row.id), signed(row.order));
        statement.execute(params![state, id, order, marker, &*row.record, row.change.as_deref(), crc])
    }
}

fn is_deleted(row: &Row<'_>) -> Sql<bool> {
    Ok(row.get_ref(3)?.data_type() == Type::Null)
}

fn set_meta(sql: &Transaction<'_>, head: &mut Head, meta: Option<&str>) -> Sql<()> {
    sql.prepare_cached("UPDATE states SET meta = ?2 WHERE id = ?1")?.execute(params![head.id, meta])?;
    head.meta_crc = schema::meta_crc(meta);
    Ok(())
}

fn forget(head: &mut Head, old: &Weight) -> Result<(), Failure> {
    subtract(&mut head.row_count, 1)?;
    subtract(&mut head.byte_count, old.bytes)?;
    subtract(&mut head.row_sum, u64::from(old.crc))
}

fn subtract(from: &mut u64, what: u64) -> Result<(), Failure> {
    *from = from.checked_sub(what).ok_or_else(|| error::damaged("a state does not add up"))?;
    Ok(())
}

fn stored_row(row: &Row<'_>) -> Result<StoredRow, Failure> {
    let state = match row.get_ref(2)?.as_str_or_null().map_err(|_wrong_type| error::damaged("a marker is no text"))? {
        None => None,
        Some(marker) => Some(ChangeKind::from_marker(marker).ok_or_else(|| error::damaged("a marker is unknown"))?),
    };
    Ok(StoredRow { id: unsigned(row, 0)?, order: unsigned(row, 1)?, state, record: row.get(3)?, change: row.get(4)? })
}
