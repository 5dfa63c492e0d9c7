//! Reading answers the way all dialects do: failures by status, JSON bodies, `Retry-After`.
//!
//! Owns the one table from status to error. Never knows a convention.

use crate::{Applied, Body, DataType, Error, ErrorKind, Found, Result, WireReply, WireRequest};
use landfall_core::{Date, Value};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How much of an error body that is no JSON is kept, in characters.
const KEPT: usize = 2000;

/// What a request that got no usable answer leaves behind: a read nothing, a write perhaps.
pub fn doubt(sent: &WireRequest) -> Applied {
    if sent.is_read() { Applied::No } else { Applied::Maybe }
}

/// The error of an answer whose status is not one of success.
///
/// 502 and 504, and the redirects 301 to 303 of a write, say that it may have been applied; every other status says
/// that it was not. The body is kept, decoded when it is JSON, and `Retry-After` too.
pub fn failure(sent: &WireRequest, reply: &WireReply) -> Error {
    let redirect = (300..400).contains(&reply.status) && reply.status != 304;
    let mut error = if redirect {
        Error::new(ErrorKind::Redirect, "the server sent a redirect that must not be followed")
            .with("status", reply.status.to_string())
            .with("to", crate::origin::shown(reply.header("location").unwrap_or_default()))
    } else {
        Error::new(ErrorKind::Status(reply.status), reason(reply.status))
    };
    if matches!(reply.status, 301..=303 | 502 | 504) {
        error = error.applied(doubt(sent));
    }
    if let Some(pause) = retry_after(reply) {
        error = error.retry_after_of(pause);
    }
    let kept = reply.headers.iter().filter(|(name, _)| name != "set-cookie").cloned();
    error = error.with_headers(kept);
    let said = reply.text();
    if !said.trim().is_empty() && !redirect {
        let value = Value::from_json(&said).unwrap_or_else(|_| said.chars().take(KEPT).collect::<String>().into());
        error = error.saying(value);
    }
    located(error, sent)
}

/// The error of an answer that is not what was agreed.
pub fn undecodable(sent: &WireRequest, message: &'static str) -> Error {
    located(Error::new(ErrorKind::Undecodable, message).applied(doubt(sent)), sent)
}

/// Names the operation and the stripped URL.
pub(crate) fn located(error: Error, sent: &WireRequest) -> Error {
    error.during(sent.operation.as_str()).with("url", crate::origin::shown(&sent.url))
}

/// A JSON body: nothing for 204, 205 and answers to HEAD, an error for an empty one or one that is not JSON.
///
/// The answer to a write is decoded at once, so that an unreadable one is known to leave the write in doubt. The
/// answer to a read, which may be large, is looked at only; the engine decodes it straight into records.
///
/// # Errors
/// [`ErrorKind::Undecodable`].
pub fn json(sent: &WireRequest, reply: &WireReply) -> Result<Body> {
    if is_empty_success(sent, reply) {
        return Ok(Body::Empty);
    }
    let bytes = reply.bytes();
    let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return Err(undecodable(sent, "the body is empty where JSON was expected"));
    };
    if !matches!(first, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
        return Err(undecodable(sent, "the body is not JSON").with("content_type", reply.content_type()));
    }
    if sent.is_read() { Ok(Body::Json(Arc::from(bytes))) } else { decoded(sent, bytes).map(Body::Value) }
}

/// As [`json()`], but refuses an answer that says it is HTML: a log-in page or a captive portal, never the service.
///
/// # Errors
/// [`ErrorKind::Undecodable`].
pub fn strict_json(sent: &WireRequest, reply: &WireReply) -> Result<Body> {
    if matches!(reply.content_type().as_str(), "text/html" | "application/xhtml+xml") && !reply.body.is_empty() {
        return Err(undecodable(sent, "a web page answered where JSON was expected"));
    }
    json(sent, reply)
}

/// Decodes a JSON body completely.
///
/// # Errors
/// [`ErrorKind::Undecodable`].
pub fn decoded(sent: &WireRequest, bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|source| undecodable(sent, "the body is not UTF-8 text").caused_by(source))?;
    Value::from_json(text).map_err(|source| undecodable(sent, "the body is not JSON").caused_by(source))
}

/// What an answer to a look-up says: a record, or a list that holds one or none. Anything else cannot be told.
pub fn found(body: Option<Value>) -> Found {
    match body {
        Some(Value::Object(record)) => Found::Record(record),
        Some(Value::Array(rows)) => match rows.as_slice() {
            [] => Found::Missing,
            [Value::Object(record)] => Found::Record(record.clone()),
            _ => Found::Unknown,
        },
        _ => Found::Unknown,
    }
}

/// Whether the answer is a success that has no body by its nature.
pub fn is_empty_success(sent: &WireRequest, reply: &WireReply) -> bool {
    matches!(reply.status, 204 | 205) || sent.method == "HEAD"
}

/// An answer read by the data type that was asked for, as jQuery does (R8.21, R8.22), but nothing is ever executed
/// and text that holds JSON is never taken as a list of characters.
///
/// # Errors
/// [`ErrorKind::Undecodable`].
pub fn by_data_type(sent: &WireRequest, reply: &WireReply) -> Result<Body> {
    if is_empty_success(sent, reply) {
        return Ok(Body::Empty);
    }
    let text = |reply: &WireReply| Body::Value(reply.text().as_ref().into());
    match sent.expects {
        DataType::Json => json(sent, reply),
        DataType::Jsonp => {
            let name = sent.callback.as_deref().unwrap_or_default();
            crate::jsonp::unwrap(name, &reply.text())
                .map(Body::Value)
                .map_err(|error| located(error.applied(doubt(sent)), sent))
        }
        DataType::Xml => document(sent, reply),
        DataType::Text | DataType::Html => Ok(text(reply)),
        DataType::Any => {
            let kind = reply.content_type();
            let has = |word: &str| kind.contains(word);
            if has("json") {
                return json(sent, reply);
            }
            if has("xml") && !has("html") {
                return document(sent, reply);
            }
            match json(sent, reply) {
                Ok(body) if body_decodes(&body) => Ok(body),
                // A write answered with a word such as "OK" is accepted as sent.
                _ if !has("html") => Ok(text(reply)),
                _ => Err(undecodable(sent, "a web page answered where data was expected")),
            }
        }
    }
}

/// An XML document in its object form; as text without the feature `xml`.
#[cfg_attr(not(feature = "xml"), expect(clippy::unnecessary_wraps, reason = "with the feature it may fail"))]
fn document(sent: &WireRequest, reply: &WireReply) -> Result<Body> {
    #[cfg(feature = "xml")]
    return crate::xml::decode(&reply.text())
        .map(Body::Value)
        .map_err(|source| undecodable(sent, "the body is not XML").caused_by(source));
    #[cfg(not(feature = "xml"))]
    {
        _ = sent;
        Ok(Body::Value(reply.text().as_ref().into()))
    }
}

fn body_decodes(body: &Body) -> bool {
    !matches!(body.decode(), Err(_) | Ok(None))
}

/// The pause that `Retry-After` asks for: seconds, or a date, counted from the answer's own `Date` if it has one.
pub fn retry_after(reply: &WireReply) -> Option<Duration> {
    let value = reply.header("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX / 1000)));
    }
    let until = http_date(value)?.millis();
    let now = reply.header("date").and_then(http_date).map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        },
        Date::millis,
    );
    Some(Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Date> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? + 1;
    (words.next() == Some("GMT")).then_some(())?;
    Date::from_iso(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

/// The usual words for a status; empty for an unusual one.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    fn sent(operation: Operation) -> WireRequest {
        WireRequest::new(operation, "POST", "http://h/p?secret=1")
    }

    #[test]
    fn a_status_says_whether_it_may_have_been_applied() {
        for status in [400, 401, 403, 404, 409, 422, 429, 500, 503, 307, 308] {
            let error = failure(&sent(Operation::Update), &WireReply::new(status, ""));
            assert!(!error.may_have_been_applied(), "{status}");
        }
        for status in [301, 302, 303, 502, 504] {
            let error = failure(&sent(Operation::Update), &WireReply::new(status, ""));
            assert!(error.may_have_been_applied(), "{status}");
            assert!(!failure(&sent(Operation::Read), &WireReply::new(status, "")).may_have_been_applied());
        }
    }

    #[test]
    fn what_the_server_said_is_kept_and_the_query_is_not() {
        let error = failure(&sent(Operation::Create), &WireReply::new(409, r#"{"errors":["taken"]}"#));
        assert_eq!(error.body().map(Value::to_json).as_deref(), Some(r#"{"errors":["taken"]}"#));
        assert_eq!(error.status(), Some(409));
        assert!(!error.to_string().contains("secret"), "{error}");
        let error = failure(&sent(Operation::Create), &WireReply::new(500, "<h1>no</h1>"));
        assert_eq!(error.body().and_then(Value::as_str), Some("<h1>no</h1>"));
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let reply = |value: &str| WireReply::new(503, "").with_header("Retry-After", value);
        assert_eq!(retry_after(&reply("120")), Some(Duration::from_secs(120)));
        let dated = reply("Wed, 21 Oct 2015 07:28:30 GMT").with_header("Date", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&reply("Wed, 21 Oct 2015 07:28:30 GMT")), Some(Duration::ZERO));
        for odd in ["", "soon", "-5", "1.5", "Wed, 21 Oct"] {
            assert_eq!(retry_after(&reply(odd)), None, "{odd:?}");
        }
        assert!(retry_after(&reply("99999999999999999999999")).is_some());
    }

    #[test]
    fn json_is_recognised_strictly() {
        let page = WireReply::new(200, "<!doctype html>").with_header("content-type", "text/html; charset=utf-8");
        for operation in [Operation::Read, Operation::Update] {
            let error = strict_json(&sent(operation), &page).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Undecodable);
            assert_eq!(error.may_have_been_applied(), operation == Operation::Update);
            assert!(json(&sent(operation), &WireReply::new(200, " \r\n")).is_err());
            assert!(json(&sent(operation), &WireReply::new(204, "")).unwrap().is_absent());
        }
        let broken = json(&sent(Operation::Create), &WireReply::new(201, r#"{"id":1,"#)).unwrap_err();
        assert!(broken.may_have_been_applied());
        let marked = json(&sent(Operation::Read), &WireReply::new(200, "\u{feff}[1]")).unwrap();
        assert_eq!(marked.decode().unwrap().unwrap().to_json(), "[1]");
    }

    #[test]
    fn without_a_data_type_text_that_is_json_is_json() {
        let answer = |kind: &str, text: &str| {
            by_data_type(&sent(Operation::Update), &WireReply::new(200, text).with_header("content-type", kind))
        };
        let value = |body: Result<Body>| body.unwrap().decode().unwrap().unwrap();
        assert_eq!(value(answer("text/plain", "[1]")).to_json(), "[1]");
        assert_eq!(value(answer("text/html", "[1]")).to_json(), "[1]");
        assert_eq!(value(answer("text/plain", "OK")).as_str(), Some("OK"));
        assert!(answer("text/html", "<p>log in</p>").is_err());
        assert!(answer("application/json", "OK").is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(200_000);
        assert!(json(&sent(Operation::Update), &WireReply::new(200, deep)).is_err());
    }
}
