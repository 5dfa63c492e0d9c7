//! The one error that crosses every seam of landfall.
//!
//! Owns the kinds a caller acts differently on. Never holds a secret: URLs are stripped of query and user
//! information before they become context.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// The result of a landfall operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller would act differently.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option, key or setting is not usable; nothing was done.
    Config,
    /// An argument does not fit (unknown field, unknown operator, bad index, wrong type); nothing was done.
    Invalid,
    /// A value breaks a validation rule of the model.
    Validation,
    /// The thing asked for does not exist.
    NotFound,
    /// The data source is offline and has no way to answer.
    Offline,
    /// The operation took longer than allowed.
    TimedOut,
    /// The request did not get through or its answer did not come back.
    Transport,
    /// A redirect was refused (another origin, or not a read).
    Redirect,
    /// The server answered with this HTTP status.
    Status(u16),
    /// The server answered, but refused the change or the query (`schema.errors`).
    Rejected,
    /// The server holds another version, or another record answered.
    Conflict,
    /// Whether the server has applied the change is unknown, and somebody has to decide.
    InDoubt,
    /// The answer cannot be read as agreed.
    Undecodable,
    /// A configured limit (body size, depth, wait) was exceeded.
    Limit,
    /// The storage failed (input/output).
    Storage,
    /// A quota or the medium is full; sizes in bytes, where known.
    QuotaExceeded {
        /// Bytes in use before the refused write.
        used: u64,
        /// Bytes allowed; 0 when the medium itself is full.
        limit: u64,
        /// Bytes that the write would have needed in all.
        needed: u64,
    },
    /// The storage cannot be written.
    ReadOnly,
    /// Another process holds the storage.
    Locked,
    /// The stored state is damaged; it was kept.
    Corrupt,
    /// The stored state was written by a newer program; it was kept.
    NewerFormat,
    /// The stored state was changed by somebody else since it was loaded.
    Stale {
        /// The revision that the storage holds now.
        current: u64,
    },
    /// An earlier failure, or closing, made this handle unusable.
    Closed,
    /// What was asked for is not supported here.
    Unsupported,
    /// The operation was cancelled, or a handler prevented it.
    Cancelled,
    /// A user's callback panicked; or the data source was called, or waited for, in a callback where that would wait for
    /// itself.
    Callback,
    /// Anything else.
    Unexpected,
}

impl ErrorKind {
    fn words(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Config => "configuration invalid",
            Self::Invalid => "invalid argument",
            Self::Validation => "validation failed",
            Self::NotFound => "not found",
            Self::Offline => "offline",
            Self::TimedOut => "timed out",
            Self::Transport => "transport failed",
            Self::Redirect => "redirect refused",
            Self::Status(code) => return Cow::Owned(format!("server status {code}")),
            Self::Rejected => "rejected by the server",
            Self::Conflict => "conflict",
            Self::InDoubt => "outcome unknown",
            Self::Undecodable => "answer undecodable",
            Self::Limit => "limit exceeded",
            Self::Storage => "storage failed",
            Self::QuotaExceeded { used, limit, needed } => {
                return Cow::Owned(format!(
                    "storage full ({used} bytes used, {needed} needed, {} allowed)",
                    if *limit == 0 { "no more".to_owned() } else { limit.to_string() }
                ));
            }
            Self::ReadOnly => "storage is read-only",
            Self::Locked => "storage is locked by another process",
            Self::Corrupt => "stored state is damaged",
            Self::NewerFormat => "stored state is of a newer format",
            Self::Stale { .. } => "stored state was changed by somebody else",
            Self::Closed => "closed",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Callback => "a callback failed",
            Self::Unexpected => "unexpected error",
        })
    }
}

/// Whether a failed request may have changed something on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Applied {
    /// Surely not: it was never sent, or the server said so.
    #[default]
    No,
    /// Perhaps: it was sent and no usable answer came back.
    Maybe,
}

/// An error of landfall: a kind, the operation, a message, context and a source.
///
/// One word wide. `Display` is one line and does not print the source; ask [`std::error::Error::source`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    applied: Applied,
    retry_after: Option<std::time::Duration>,
    body: Option<crate::Value>,
    headers: Vec<(String, String)>,
    source: Option<std::sync::Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of a kind with a message that says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: Cow::Borrowed(""),
            message: message.into(),
            context: Vec::new(),
            applied: Applied::No,
            retry_after: None,
            body: None,
            headers: Vec::new(),
            source: None,
        }))
    }

    /// Names the operation that failed (`read`, `commit`, ...). The innermost name is kept.
    #[must_use]
    pub fn during(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        if self.0.operation.is_empty() {
            self.0.operation = operation.into();
        }
        self
    }

    /// Adds a piece of context, such as `("key", "products")`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((name, value.into()));
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Says whether the failed request may have been applied by the server. Default: [`Applied::No`].
    #[must_use]
    pub fn applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// Keeps the pause that the server asked for (`Retry-After`).
    #[must_use]
    pub fn retry_after_of(mut self, pause: std::time::Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// Keeps what the server said (an error body, or the value of `schema.errors`).
    #[must_use]
    pub fn saying(mut self, body: crate::Value) -> Self {
        self.0.body = Some(body);
        self
    }

    /// Keeps headers of the answer, by lower-case name, for a failure policy to look at. They are never shown nor stored.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.headers = headers.into_iter().collect();
        self
    }

    /// The kind.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The operation that failed; empty when unknown.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The message, without kind and operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The context pairs in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The HTTP status, if the server answered with one.
    pub fn status(&self) -> Option<u16> {
        match self.0.kind {
            ErrorKind::Status(code) => Some(code),
            _ => None,
        }
    }

    /// What the server said, if it said something.
    pub fn body(&self) -> Option<&crate::Value> {
        self.0.body.as_ref()
    }

    /// The first value of a header of the answer, whatever the case of its name; none where the transport keeps none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The pause that the server asked for.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        self.0.retry_after
    }

    /// Whether the failed request may have been applied by the server: it was sent, and no usable answer came back.
    pub fn may_have_been_applied(&self) -> bool {
        self.0.applied == Applied::Maybe
    }

    /// Whether the same call may succeed later without a change of its arguments.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Offline
            | ErrorKind::TimedOut
            | ErrorKind::Transport
            | ErrorKind::Locked
            | ErrorKind::Stale { .. }
            | ErrorKind::QuotaExceeded { .. }
            | ErrorKind::Storage => true,
            ErrorKind::Status(code) => matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the failure means that there is no network or no server: the request never got through.
    pub fn is_no_network(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Offline | ErrorKind::Transport | ErrorKind::TimedOut)
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        let inner = &self.0;
        Self(Box::new(Inner {
            kind: inner.kind.clone(),
            operation: inner.operation.clone(),
            message: inner.message.clone(),
            context: inner.context.clone(),
            applied: inner.applied,
            retry_after: inner.retry_after,
            body: inner.body.clone(),
            headers: inner.headers.clone(),
            source: inner.source.clone(),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        f.write_str(&self.0.kind.words())?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("operation", &self.0.operation).field("message", &self.0.message);
        if !self.0.context.is_empty() {
            out.field("context", &self.0.context);
        }
        if self.0.applied == Applied::Maybe {
            out.field("applied", &self.0.applied);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }
}
