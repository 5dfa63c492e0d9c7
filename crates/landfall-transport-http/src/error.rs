//! reqwest's errors become landfall's, in this one place. URLs are stripped.

use landfall_transport::{Applied, Error, ErrorKind, WireRequest, answer, origin};
use std::error::Error as _;

/// The error of an exchange that gave no complete answer.
pub(crate) fn failed(sent: &WireRequest, source: reqwest::Error) -> Error {
    let connecting = source.is_connect();
    let refused = connecting && !source.is_timeout();
    let (kind, message) = if source.is_builder() {
        let https = source.url().is_some_and(|url| url.scheme() == "https");
        let message = if https && cfg!(not(any(feature = "tls", feature = "native-tls"))) {
            "https needs the feature `tls` or `native-tls`"
        } else {
            "the request cannot be built"
        };
        (ErrorKind::Config, message)
    } else if source.is_timeout() {
        (ErrorKind::TimedOut, "no complete answer within the time allowed")
    } else if refused && speaks_no_tls(&source) {
        (ErrorKind::Config, "https needs the feature `tls` or `native-tls`")
    } else if refused {
        (ErrorKind::Transport, "no connection to the server")
    } else if source.is_body() || source.is_decode() {
        (ErrorKind::Transport, "the answer was cut off or garbled")
    } else {
        (ErrorKind::Transport, "the connection broke before an answer came")
    };
    // While connecting not one byte of the request was sent.
    let applied = if connecting || kind == ErrorKind::Config { Applied::No } else { answer::doubt(sent) };
    located(Error::new(kind, message).applied(applied).caused_by(source.without_url()), sent)
}

/// Without a TLS library reqwest's connector refuses the scheme.
fn speaks_no_tls(error: &reqwest::Error) -> bool {
    if cfg!(any(feature = "tls", feature = "native-tls")) {
        return false;
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.to_string().contains("scheme is not http") {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Adds where the request went.
pub(crate) fn located(error: Error, sent: &WireRequest) -> Error {
    error.with("url", origin::shown(&sent.url))
}
