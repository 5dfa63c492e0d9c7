//! The failures that are this transport's own.

use landfall_transport::{Error, ErrorKind, WireRequest, origin};

/// A URL that is longer than servers accept.
pub(crate) fn too_long(sent: &WireRequest, limit: usize) -> Error {
    Error::new(ErrorKind::Limit, "the request does not fit into a URL; send fewer records at once")
        .with("url", origin::shown(&sent.url))
        .with("bytes", sent.url.len().to_string())
        .with("limit", limit.to_string())
}

/// A configuration that cannot be used.
pub(crate) fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
