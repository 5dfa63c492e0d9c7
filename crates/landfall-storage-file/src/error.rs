//! The file system's errors as landfall's. The one place that knows both.

use landfall_storage::{Error, ErrorKind};
use std::io;

/// What a failed call means for the caller.
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

/// Like [`io`], for a call that only reads: there `ReadOnly` would be no answer.
pub(crate) fn reading(source: io::Error, what: &'static str) -> Error {
    Error::new(ErrorKind::Storage, what).caused_by(source)
}

/// Fills in the sizes that the file system does not tell when it is full.
pub(crate) fn with_sizes(error: Error, used: u64, size: u64) -> Error {
    if !matches!(error.kind(), ErrorKind::QuotaExceeded { .. }) {
        return error;
    }
    Error::new(
        ErrorKind::QuotaExceeded { used, limit: 0, needed: used.saturating_add(size) },
        "the medium is full; make room and try again",
    )
    .caused_by(error)
}

/// A file that is not what was written.
pub(crate) fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

/// The handle was closed by an earlier failure.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "an earlier flush failed; open the storage again")
}
