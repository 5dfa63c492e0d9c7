//! What the worker thread does with the connection: load, commit, remove, keys, usage. Owns the connection, its transactions
//! and what it remembers between them.

use crate::{
    apply::apply,
    error::{self, Failure},
    head::{Head, unsigned},
    open,
    registry::Registered,
    rows::{Newer, Rows},
    schema,
    tail::Tail,
};
use landfall_storage::{Delta, Result, Revision, StoredState, stale};
use rusqlite::{Connection, OptionalExtension};
use std::{collections::HashMap, sync::Arc};

/// The least number of recent rows worth moving to the others.
const FEW: u64 = 1000;

/// The connection, until a failure closes it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each storage, and it stays where it is")]
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
    /// What was written last: while it is stored so, it need not be read again.
    last: Option<Last>,
    /// Tells this process that the file is open; it goes after the connection.
    _registered: Option<Registered>,
}

/// A state but for its rows and its meta document.
#[derive(Debug)]
struct Last {
    key: String,
    head: Head,
    tail: Tail,
}

impl Last {
    /// What is known, if it is of this key and stored so, else what is stored; none where nothing is.
    fn find(known: Option<Self>, sql: &Connection, key: &str) -> Result<Option<Self>, Failure> {
        if let Some(known) = known
            && known.key == key
            && known.head.is_stored(sql)?
        {
            return Ok(Some(known));
        }
        let Some((head, text)) = Head::find(sql, schema::FORMAT, key)? else { return Ok(None) };
        Ok(Some(Self { key: key.to_owned(), head, tail: Tail::read(text.as_deref())? }))
    }

    fn create(sql: &Connection, key: &str) -> Sql<Self> {
        count_states(sql, 1)?;
        Ok(Self { key: key.to_owned(), head: Head::create(sql, key)?, tail: Tail::default() })
    }
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

/// What a transaction is for.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// A transaction, rolled back unless it is committed. As rusqlite's, but begins and commits with prepared statements: a
/// small commit would spend a good part of its time on parsing these two words.
struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    fn begin(connection: &'a Connection, access: Access) -> Sql<Self> {
        let begin = match access {
            Access::Read => "BEGIN DEFERRED",
            Access::Write => "BEGIN IMMEDIATE",
        };
        connection.prepare_cached(begin)?.execute([])?;
        Ok(Self(connection))
    }

    fn commit(self) -> Sql<()> {
        // What fails leaves the transaction open: it is rolled back then.
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // A connection that is still in a transaction afterwards is closed by whoever began it.
            drop(self.0.execute_batch("ROLLBACK"));
        }
    }
}

type Sql<T> = rusqlite::Result<T>;

impl Database {
    /// `registered`: for a file.
    pub(crate) fn new(connection: Connection, registered: Option<Registered>) -> Self {
        let settled = registered.is_none();
        let recent = Recent::default();
        Self::Open(Open { connection, settled, current: settled, recent, last: None, _registered: registered })
    }

    /// Makes a file of an older format one of this format.
    fn upgrade(&mut self) -> Result<()> {
        if !matches!(self, Self::Open(Open { current: false, .. })) {
            return Ok(());
        }
        // Another process may have been first.
        self.transact(Access::Write, |sql| Ok(schema::upgrade(sql)?))?;
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
    fn transact<T>(&mut self, access: Access, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let Self::Open(Open { connection, .. }) = self else { return Err(error::closed()) };
        let outcome = (|| {
            let transaction = Transaction::begin(connection, access)?;
            let value = work(connection)?;
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
        self.transact(Access::Read, |sql| {
            let expected: u64 =
                sql.query_row("SELECT state_count FROM store WHERE id = 1", [], |row| unsigned(row, 0))?;
            let format = schema::format(sql)?;
            let mut statement = sql.prepare("SELECT id, key FROM states NOT INDEXED")?;
            let mut rows = statement.query([])?;
            let mut found = 0;
            while let Some(row) = rows.next()? {
                let key: String = row.get(1)?;
                let by_index = Head::find(sql, format, &key)?.map(|(head, _)| head.id);
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
        self.transact(Access::Read, |sql| {
            let format = schema::format(sql)?;
            let Some((head, tail)) = Head::find(sql, format, key)? else { return Ok(StoredState::default()) };
            let meta: Option<Arc<str>> =
                sql.prepare_cached("SELECT meta FROM states WHERE id = ?1")?.query_row([head.id], |row| row.get(0))?;
            if schema::meta_crc(meta.as_deref()) != head.meta_crc {
                return Err(error::damaged("the meta document does not match its checksum").into());
            }
            let newest = Tail::read(tail.as_deref())?.into_entries().map(Newer::from).collect();
            let capacity = usize::try_from(head.row_count).unwrap_or_default().min(1 << 20);
            let mut state = StoredState { revision: head.revision, meta, rows: Vec::with_capacity(capacity) };
            let mut sum = 0;
            Rows::new(sql, head.id).all(format, newest, |row, crc| {
                sum += u64::from(crc);
                state.rows.push(row);
            })?;
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
        let known = match self {
            Self::Open(Open { last, .. }) => last.take(),
            Self::Closed => None,
        };
        let (state, change) = self.transact(Access::Write, |sql| {
            let found = Last::find(known, sql, key)?;
            let current = found.as_ref().map_or(0, |state| state.head.revision);
            if current != expected {
                return Err(stale(key, expected, current).into());
            }
            let mut state = found.map_or_else(|| Last::create(sql, key), Ok)?;
            let change = apply(sql, &mut state.head, &mut state.tail, delta)?;
            state.head.write(sql, key, state.tail.text().as_deref())?;
            Ok((state, change))
        })?;
        let revision = state.head.revision;
        if let Self::Open(Open { recent, last, .. }) = self {
            let guess = recent.0.entry(state.head.id).or_default();
            guess.count = guess.count.saturating_add_signed(change);
            guess.of = state.head.row_count;
            *last = Some(state);
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
            let left = self.transact(Access::Write, |sql| Ok(Rows::new(sql, state).gather()?));
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
        self.transact(Access::Write, |sql| {
            // Not through `find`: what is damaged can be removed as well.
            let id: Option<i64> = sql
                .prepare_cached("SELECT id FROM states WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()?;
            if let Some(id) = id {
                Rows::new(sql, id).clear()?;
                sql.prepare_cached("DELETE FROM heads WHERE state = ?1")?.execute([id])?;
                sql.prepare_cached("DELETE FROM states WHERE id = ?1")?.execute([id])?;
                count_states(sql, -1)?;
            }
            Ok(())
        })
    }

    pub(crate) fn keys(&mut self) -> Result<Vec<String>> {
        self.transact(Access::Read, |sql| {
            let mut statement = sql.prepare_cached("SELECT key FROM states ORDER BY key")?;
            let keys = statement.query_map([], |row| row.get(0))?.collect::<Sql<Vec<String>>>()?;
            Ok(keys)
        })
    }

    pub(crate) fn usage(&mut self, key: Option<&str>) -> Result<u64> {
        self.transact(Access::Read, |sql| {
            let format = schema::format(sql)?;
            if let Some(key) = key {
                return Ok(Head::find(sql, format, key)?.map_or(0, |(head, _)| head.byte_count));
            }
            let heads = if format < schema::WITH_HEADS { "states" } else { "heads" };
            let mut sum = sql.prepare_cached(&format!("SELECT coalesce(sum(byte_count), 0) FROM {heads}"))?;
            Ok(sum.query_row([], |row| unsigned(row, 0))?)
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

fn count_states(sql: &Connection, by: i64) -> Sql<usize> {
    sql.prepare_cached("UPDATE store SET state_count = state_count + ?1 WHERE id = 1")?.execute([by])
}
