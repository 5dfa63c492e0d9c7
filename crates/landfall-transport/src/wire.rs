//! What a dialect hands to a channel and gets back: one HTTP-shaped request, one HTTP-shaped reply.
//!
//! Owns the two shapes and their redacted debug output. Sends nothing and reads no body.

use crate::{Operation, Text, origin};
use std::{fmt, time::Duration};

/// What the answer to a request is expected to be; Kendo's `dataType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "dataType")]
pub enum DataType {
    /// Whatever the answer's content type says.
    #[default]
    Any,
    /// JSON, whatever the content type says.
    Json,
    /// JSON in the call of one known callback.
    Jsonp,
    /// XML text.
    Xml,
    /// Plain text.
    Text,
    /// HTML text.
    Html,
}

/// A request as it travels, spelled by a [`Dialect`](crate::Dialect).
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct WireRequest {
    /// The operation that it carries out.
    pub operation: Operation,
    /// The HTTP method, in capitals.
    pub method: String,
    /// Absolute, or relative to the channel's base. May hold secrets; strip it before it is shown.
    pub url: String,
    /// Header names and values, in order, each name once.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
    /// What the answer should be.
    pub expects: DataType,
    /// With [`DataType::Jsonp`]: the callback's name that must wrap the answer.
    pub callback: Option<String>,
    /// The idempotency key; the channel sends it in the header that it is configured for.
    pub key: Option<Text>,
    /// The longest this request may take in all; the channel's own default when absent.
    pub timeout: Option<Duration>,
}

impl WireRequest {
    /// A request without headers and body.
    pub fn new(operation: Operation, method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            operation,
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            expects: DataType::Any,
            callback: None,
            key: None,
            timeout: None,
        }
    }

    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Sets a header, replacing one of the same name.
    pub fn set_header(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some(slot) => *slot = (name, value),
            None => self.headers.push((name, value)),
        }
    }

    /// Sets a header, replacing one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_header(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets what the answer should be.
    #[must_use]
    pub fn expecting(mut self, expects: DataType) -> Self {
        self.expects = expects;
        self
    }

    /// Whether the request only reads: nothing can have been applied by it.
    pub fn is_read(&self) -> bool {
        self.operation == Operation::Read
    }
}

/// Shows neither query, user information, header values nor body.
impl fmt::Debug for WireRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireRequest")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("url", &origin::shown(&self.url))
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("body", &self.body.as_ref().map(|body| format!("{} bytes", body.len())))
            .field("expects", &self.expects)
            .finish_non_exhaustive()
    }
}

/// An answer as it arrived: complete, decompressed, not yet read.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct WireReply {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case and values, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WireReply {
    /// An answer without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header; the name is put in lower case.
    #[must_use]
    pub fn with_header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers.push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The content type without parameters, in lower case; empty when there is none.
    pub fn content_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, without a byte order mark; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// The body without a byte order mark.
    pub fn bytes(&self) -> &[u8] {
        self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body)
    }
}

/// Shows neither header values nor body.
impl fmt::Debug for WireReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireReply")
            .field("status", &self.status)
            .field("content_type", &self.content_type())
            .field("body", &format!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
