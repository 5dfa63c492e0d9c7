//! SQLite's errors as landfall's. The one place that knows both.

use crate::{SqliteConfig, open};
use landfall_storage::{Error, ErrorKind, RowId, fs as private};
use rusqlite::{ErrorCode, ffi};
use std::{
    io,
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// What a failed statement means for the caller.
pub(crate) fn map(source: rusqlite::Error) -> Error {
    use rusqlite::Error as E;
    let (kind, message) = match &source {
        E::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                (ErrorKind::Locked, "another process is writing; try again, or raise the busy time-out")
            }
            ErrorCode::DiskFull => (
                ErrorKind::QuotaExceeded { used: 0, limit: 0, needed: 0 },
                "the medium is full; make room and try again",
            ),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                (ErrorKind::ReadOnly, "the database or its directory cannot be written")
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                (ErrorKind::Corrupt, "SQLite finds the file damaged")
            }
            // Our statements are fixed and right; if SQLite finds one wrong, the file's schema is not what we wrote.
            ErrorCode::Unknown => (ErrorKind::Corrupt, "the file is not as landfall makes it"),
            ErrorCode::TooBig => (ErrorKind::Limit, "a text is longer than SQLite takes"),
            ErrorCode::CannotOpen => (ErrorKind::Storage, "the database file cannot be opened"),
            // A page of a long text lies beyond the end of the file.
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ => {
                (ErrorKind::Corrupt, "the file is cut short")
            }
            ErrorCode::SystemIoFailure => (ErrorKind::Storage, "reading or writing the database failed"),
            _ => (ErrorKind::Storage, "SQLite refused a statement"),
        },
        // What we wrote ourselves has the types that we ask for.
        E::SqlInputError { .. }
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..)
        | E::QueryReturnedNoRows => (ErrorKind::Corrupt, "the database holds what landfall never writes"),
        _ => (ErrorKind::Storage, "SQLite refused a statement"),
    };
    Error::new(kind, message).caused_by(source)
}

/// A failure of the file system around the database.
pub(crate) fn io(source: io::Error, what: &'static str) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::QuotaExceeded { used: 0, limit: 0, needed: 0 }
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, what).caused_by(source)
}

/// Finds out why reading or writing the database at this path failed: SQLite does not tell a quota, a full medium or a
/// read-only one from others everywhere, and takes a file that could not be opened for a moment to be read-only. Writes a file
/// beside it, and removes it again.
pub(crate) fn explained(error: Error, path: &Path, config: &SqliteConfig) -> Error {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let says_read_only = error.kind() == &ErrorKind::ReadOnly && !config.read_only;
    if error.kind() != &ErrorKind::Storage && !says_read_only {
        return error;
    }
    // The name is one that is swept, should removing it fail.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}-probe-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let probe = private::create_private_file(name.as_ref()).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    drop(std::fs::remove_file(&name));
    match probe {
        Ok(()) if says_read_only && open::can_write(path) => {
            let words = "the database could not be opened for writing, but can be now; open the storage again";
            Error::new(ErrorKind::Storage, words).caused_by(error)
        }
        Ok(()) => error,
        Err(source) => match io(source, "the medium of the database cannot be written") {
            found if found.kind() == &ErrorKind::Storage || found.kind() == error.kind() => error,
            found => Error::new(found.kind().clone(), "the medium of the database cannot be written").caused_by(error),
        },
    }
}

/// Whether nothing that is written from now on could be trusted to be on the disk: a flush failed.
pub(crate) fn is_failed_flush(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error(), Some(failure)
        if matches!(failure.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}

/// A state that does not match its checksums.
pub(crate) fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

/// The handle was closed by an earlier failure.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "an earlier flush failed; open the storage again")
}

/// A row that does not match its checksum.
pub(crate) fn damaged_row(id: RowId) -> Error {
    damaged("a row does not match its checksum").with("row", id.to_string())
}

/// A tail that is no JSON of ours.
pub(crate) fn json(source: serde_json::Error) -> Error {
    damaged("a tail is not as landfall writes it").caused_by(source)
}

/// A failure inside of a transaction: SQLite's, or ours.
pub(crate) enum Failure {
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
