//! The errors of sessions. A session id is a secret of its visitor and never becomes part of an error.

use landfall_storage::{Error, ErrorKind};

/// The session is over.
pub(crate) fn over(why: &'static str) -> Error {
    Error::new(ErrorKind::Closed, "the session is over; ask the session store for a new handle").with("because", why)
}

/// The session id cannot be used.
pub(crate) fn no_id() -> Error {
    Error::new(ErrorKind::Config, "a session id must not be empty").during("session")
}
