//! Opening and creating the file: looks before it touches, and creates a file only whole.
//!
//! A new file is made under another name and linked to its own when its tables are durable. So a file that is empty or
//! half written is never one of a creation that was cut short: it is damage, and treated as such.

use crate::{
    SqliteConfig, error,
    log::{self, Log},
    registry::{self, Registered},
    schema,
};
use landfall_storage::{Error, ErrorKind, Result, fs as private};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    ffi::OsString,
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The end of the name of a log that was set aside because its end was torn.
const TORN: &str = "-wal.torn";

/// Opens the file, or creates it.
pub(crate) fn file(path: &Path, config: &SqliteConfig) -> Result<(Connection, Registered)> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::Config, "a path is needed"));
    }
    // Nobody else in this process opens or closes it meanwhile.
    let mut open = registry::lock();
    if registry::is_open(&open, path) {
        // It was looked at then. Looking now would end the locks that SQLite has on it for this process.
        let connection = connect(path, config)?;
        return Ok((connection, registry::enter(&mut open, path)));
    }
    // A creation that was swept away by another process is tried again.
    for _ in 0..8 {
        match look(path)? {
            Found::Nothing if config.read_only => {
                return Err(Error::new(ErrorKind::Storage, "there is no such file, and reading only creates none"));
            }
            Found::Nothing => match create(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(error::io(source, "the database file cannot be created")),
                Ok(created) => created?,
            },
            Found::Ours => {
                look_at_log(path, config)?;
                let connection = connect(path, config)?;
                keep_names(path, &connection)?;
                return Ok((connection, registry::enter(&mut open, path)));
            }
        }
    }
    Err(Error::new(ErrorKind::Storage, "the database file cannot be created"))
}

/// A database in memory, with the same tables.
pub(crate) fn memory() -> Result<Connection> {
    let connection = Connection::open_in_memory().map_err(error::map)?;
    harden(&connection).map_err(error::map)?;
    create_tables(&connection).map_err(error::map)?;
    Ok(connection)
}

enum Found {
    Nothing,
    Ours,
}

/// Reads the header with our own eyes, so that a foreign database is not even opened.
fn look(path: &Path) -> Result<Found> {
    let refuse = |why| Err(Error::new(ErrorKind::Corrupt, why));
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            let log = fs::symlink_metadata(with_suffix(path, "-wal"));
            if log.is_ok_and(|log| log.len() > 0) {
                return refuse("the database file is gone, but its log (-wal) is still there");
            }
            return Ok(Found::Nothing);
        }
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::new(ErrorKind::Storage, "the database file cannot be read").caused_by(source));
        }
        Err(source) => return Err(error::io(source, "the database file cannot be read")),
    };
    let is_file = file.metadata().map_err(|source| error::io(source, "the database file cannot be read"))?.is_file();
    if !is_file {
        return Err(Error::new(ErrorKind::Config, "the path is no file"));
    }
    let mut header = Vec::with_capacity(100);
    Read::by_ref(&mut file)
        .take(100)
        .read_to_end(&mut header)
        .map_err(|source| error::io(source, "the header cannot be read"))?;
    if header.len() < 100 {
        return refuse("the file is empty or cut short");
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return refuse("the file is no SQLite database");
    }
    if header.get(68..72) != Some(schema::APPLICATION_ID.to_be_bytes().as_slice()) {
        return refuse("the file is not a database of landfall");
    }
    Ok(Found::Ours)
}

/// Refuses a log in which acknowledged commits are damaged, and keeps a copy of one that is torn: SQLite would forget what
/// it cannot read of it.
fn look_at_log(path: &Path, config: &SqliteConfig) -> Result<()> {
    let failed = |source| error::io(source, "the log of the database (-wal) cannot be read");
    let log_path = with_suffix(path, "-wal");
    let judge = |database: &mut fs::File| {
        let log = match fs::read(&log_path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(failed)?,
        };
        let verdict = log::judge(&log, database).map_err(failed)?;
        Ok::<_, Error>((verdict, log))
    };
    let mut database = fs::File::open(path).map_err(failed)?;
    // Another process may be writing it just now; then it is whole in a moment, or never ours alone.
    for _ in 0..20 {
        let (first, _) = judge(&mut database)?;
        if first == Log::Whole {
            return Ok(());
        }
        let damaged = || Err(error::damaged("the log of the database (-wal) is damaged"));
        // With the whole database to ourselves it is looked at again.
        let _alone = match alone(path) {
            Ok(Some(alone)) => alone,
            Ok(None) => {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            // Where nothing can be written, nothing is forgotten either.
            Err(_) if first == Log::Damaged => return damaged(),
            Err(_) => return Ok(()),
        };
        let (verdict, log) = judge(&mut database)?;
        if verdict == Log::Damaged {
            return damaged();
        }
        if verdict == Log::Torn && !config.read_only {
            let copy = with_suffix(path, TORN);
            drop(fs::remove_file(&copy));
            let kept = private::create_private_file(&copy).and_then(|mut file| {
                file.write_all(&log)?;
                file.sync_all()
            });
            kept.map_err(|source| error::io(source, "the torn log of the database cannot be set aside"))?;
        }
        return Ok(());
    }
    Ok(())
}

/// The database, used by nobody else while the connection lives; `None` if somebody uses it.
fn alone(path: &Path) -> Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let begun = (|| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        // It must not carry the log over and remove it when it is closed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    })();
    match begun.map_err(error::map) {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if error.kind() == &ErrorKind::Locked => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a further connection can write, where new files can be made beside it. Not found out by opening the files ourselves:
/// closing them would end the locks that SQLite has on them for this process.
pub(crate) fn can_write(path: &Path) -> bool {
    // A database whose creation failed is not there, and can be made.
    if matches!(fs::exists(path), Ok(false)) {
        return true;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let begun = (|| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Where the file itself may not be written, even this begins.
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
        connection.is_readonly("main")
    })();
    // While another one writes, it can be written.
    begun.map_or_else(|failed| error::map(failed).kind() == &ErrorKind::Locked, |read_only| !read_only)
}

/// Makes the file under another name and gives it its own if nobody else did meanwhile. The outer error is one of the
/// file system.
fn create(path: &Path) -> io::Result<Result<()>> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let dir = path.parent().unwrap_or(Path::new(""));
    private::create_private_dir(dir)?;
    sweep(path, dir);
    let suffix = format!(".new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let new = with_suffix(path, &suffix);
    drop(private::create_private_file(&new)?);
    let made = (|| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&new, flags)?;
        harden(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        create_tables(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.close().map_err(|(_, error)| error)
    })();
    let named = match &made {
        Ok(()) => name(&new, path),
        Err(_) => Ok(()),
    };
    for suffix in ["", "-journal", "-wal", "-shm"] {
        // Left-overs are swept later, should this fail.
        drop(fs::remove_file(with_suffix(&new, suffix)));
    }
    named?;
    private::sync_dir(dir)?;
    Ok(made.map_err(error::map))
}

/// Gives the finished file its name, unless there is one of that name.
fn name(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // File systems without links.
        Err(_) if !path.try_exists()? => fs::rename(new, path),
        other => other,
    }
}

/// Removes what creations of dead processes left behind. Recent ones may be alive.
fn sweep(path: &Path, dir: &Path) {
    let Some(name) = path.file_name() else { return };
    let mut prefix = name.to_owned();
    prefix.push(".new-");
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        let is_old = || {
            let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
            Some(age > Duration::from_secs(60))
        };
        if is_ours && is_old() == Some(true) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    schema::create(&transaction)?;
    transaction.commit()
}

/// The file is treated as untrusted: nothing that its schema holds is run.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ] {
        connection.set_db_config(option, on)?;
    }
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // Whether rows belong to a state is checked with the sums of the state.
    connection.pragma_update(None, "foreign_keys", false)?;
    // No temporary files outside.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn connect(path: &Path, config: &SqliteConfig) -> Result<Connection> {
    let access = if config.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error::map)?;
    connection.busy_timeout(config.busy_timeout).map_err(error::map)?;
    harden(&connection).map_err(error::map)?;
    // What turns out to be damaged is closed as it was.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(error::map)?;
    let format = schema::format(&connection).map_err(error::map)?;
    if format > schema::FORMAT {
        return Err(Error::new(ErrorKind::NewerFormat, "a newer landfall wrote the database; use that one")
            .with("format", format.to_string())
            .with("known", schema::FORMAT.to_string()));
    }
    check_tables(&connection, format)?;
    if !connection.is_readonly("main").map_err(error::map)? {
        prepare(&connection).map_err(error::map)?;
    }
    Ok(connection)
}

/// Puts the names of the database and of its log on the disk, which an earlier process may have failed to do; SQLite does not
/// tell when it fails.
fn keep_names(path: &Path, connection: &Connection) -> Result<()> {
    if connection.is_readonly("main").map_err(error::map)? {
        return Ok(());
    }
    // The log is made by the first look at the tables.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(error::map)?;
    let synced = private::sync_dir(path.parent().unwrap_or(Path::new("")));
    synced.map_err(|source| error::io(source, "the directory cannot be flushed"))
}

/// The settings that durability rests on.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Small logs: what has grown is given back. 200 pages are 800 KiB.
    connection.pragma_update(None, "wal_autocheckpoint", 200)?;
    connection.pragma_update(None, "journal_size_limit", 1024 * 1024)
}

/// Carries the log over into the database file, which flushes both; from now on, closing does so too.
pub(crate) fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// The tables must be those that we made, and nothing that acts by itself may be there.
fn check_tables(connection: &Connection, format: i32) -> Result<()> {
    let mut statement =
        connection.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").map_err(error::map)?;
    let entries = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(error::map)?;
    if entries.iter().any(|(kind, ..)| kind == "trigger" || kind == "view") {
        return Err(error::damaged("the database holds triggers or views, which landfall never makes"));
    }
    for (name, sql) in schema::expected(format) {
        if !entries.iter().any(|(_, known, text)| known == name && text.replace('"', "") == sql) {
            return Err(error::damaged("a table is missing or not as landfall makes it").with("table", name));
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = OsString::from(path);
    text.push(suffix);
    PathBuf::from(text)
}
