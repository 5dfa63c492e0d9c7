//! OData v4's `$batch`: the multipart bytes of a request and the reading of its answer (R8.36, R8.37).
//!
//! Owns both directions. Never knows settings or keys: parts come ready.

use crate::{Error, ErrorKind, Result, Surroundings, WireReply, WireRequest, answer};
use landfall_core::{Body, ChangeKind, Record, Value};

/// The order of the changesets, as Kendo sends them.
pub const ORDER: [ChangeKind; 3] = [ChangeKind::Update, ChangeKind::Destroy, ChangeKind::Create];

/// One request within a batch.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which changeset it belongs to. Parts of one kind have to be neighbours.
    pub kind: ChangeKind,
    /// The method, in capitals.
    pub method: String,
    /// The URL as it stands in the request line.
    pub url: String,
    /// Further headers of this part.
    pub headers: Vec<(String, String)>,
    /// JSON text; `None` for a removal.
    pub body: Option<String>,
}

/// Builds the body of a batch; gives its boundary too.
///
/// # Errors
/// [`ErrorKind::Invalid`] when a URL or header holds control characters or blanks that would end its line.
pub fn build(parts: &[Part], around: &Surroundings<'_>) -> Result<(String, String)> {
    let batch = format!("sf_batch_{}", groups(around.nonce(2)));
    let mut out = String::new();
    let mut changeset = String::new();
    let mut open: Option<ChangeKind> = None;
    for (id, part) in parts.iter().enumerate() {
        check(part)?;
        if open != Some(part.kind) {
            if open.is_some() {
                line(&mut out, &format!("--{changeset}--"));
            }
            changeset = format!("sf_changeset_{}", groups(around.nonce(3 + id as u64)));
            open = Some(part.kind);
            line(&mut out, &format!("--{batch}"));
            line(&mut out, &format!("Content-Type: multipart/mixed; boundary={changeset}"));
            line(&mut out, "");
        }
        line(&mut out, &format!("--{changeset}"));
        line(&mut out, "Content-Type: application/http");
        line(&mut out, "Content-Transfer-Encoding: binary");
        line(&mut out, &format!("Content-ID: {id}"));
        line(&mut out, "");
        line(&mut out, &format!("{} {} HTTP/1.1", part.method, part.url));
        for (name, value) in &part.headers {
            line(&mut out, &format!("{name}: {value}"));
        }
        if let Some(body) = &part.body {
            line(&mut out, "Content-Type: application/json;odata=minimalmetadata");
            line(&mut out, "Prefer: return=representation");
            line(&mut out, "");
            line(&mut out, body);
        }
        line(&mut out, "");
    }
    if open.is_some() {
        line(&mut out, &format!("--{changeset}--"));
        line(&mut out, "");
    }
    out.push_str("--");
    out.push_str(&batch);
    out.push_str("--");
    Ok((batch, out))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\r\n");
}

fn check(part: &Part) -> Result<()> {
    let bad = |text: &str| text.chars().any(char::is_control);
    if bad(&part.url) || part.url.contains(' ') || part.headers.iter().any(|(n, v)| bad(n) || bad(v) || n.contains(':'))
    {
        return Err(Error::new(
            ErrorKind::Invalid,
            "a URL or header of a batch holds characters that would end its line",
        )
        .with("url", crate::origin::shown(&part.url)));
    }
    Ok(())
}

/// Three groups of four hexadecimal digits.
fn groups(number: u64) -> String {
    let group = |shift: u32| (number >> shift) & 0xffff;
    format!("{:04x}-{:04x}-{:04x}", group(32), group(16), group(0))
}

/// One response within a batch's answer.
#[derive(Debug)]
struct Response {
    content_id: Option<usize>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads the answer: one result per kind that held rows, in the order of `held` (kinds and how many rows each sent).
///
/// A changeset with any status outside 200 to 299 has failed as a whole (Q55: that kind's error; in Kendo the sync hangs).
/// Within a changeset responses are put in place by `Content-ID` where each carries one, else by position.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when the answer is no multipart at all.
pub fn parse(
    sent: &WireRequest,
    reply: &WireReply,
    held: &[(ChangeKind, usize)],
) -> Result<Vec<(ChangeKind, Result<Body>)>> {
    let text = reply.bytes();
    let boundary = boundary(reply.header("content-type").unwrap_or_default())
        .ok_or_else(|| answer::undecodable(sent, "the answer to a batch is not multipart/mixed"))?;
    let outer = split(text, &boundary).ok_or_else(|| answer::undecodable(sent, "the batch's boundary is missing"))?;
    let changesets: Vec<Option<Vec<Response>>> = outer.iter().map(|part| changeset(part)).collect();
    let mut first_id = 0;
    let mut results = Vec::with_capacity(held.len());
    for (index, (kind, rows)) in held.iter().enumerate() {
        let result = match changesets.get(index) {
            Some(Some(responses)) => read_changeset(sent, responses, *kind, *rows, first_id),
            Some(None) => Err(answer::undecodable(sent, "a changeset of the answer cannot be read")),
            None => Err(answer::undecodable(sent, "the answer lacks a changeset")),
        };
        results.push((*kind, result));
        first_id += rows;
    }
    Ok(results)
}

fn read_changeset(
    sent: &WireRequest,
    responses: &[Response],
    kind: ChangeKind,
    rows: usize,
    first_id: usize,
) -> Result<Body> {
    if let Some(failed) = responses.iter().find(|response| !(200..300).contains(&response.status)) {
        let reply = failed.headers.iter().fold(WireReply::new(failed.status, failed.body.clone()), |reply, header| {
            reply.with_header(&header.0, &header.1)
        });
        return Err(answer::failure(sent, &reply).with("changeset", kind.as_str()));
    }
    if responses.len() != rows {
        return Err(answer::undecodable(sent, "a changeset answers another number of rows than were sent"));
    }
    let by_id = responses
        .iter()
        .all(|response| response.content_id.and_then(|id| id.checked_sub(first_id)).is_some_and(|place| place < rows));
    let mut bodies: Vec<Value> = vec![Value::Null; rows];
    for (position, response) in responses.iter().enumerate() {
        let place = match response.content_id {
            Some(id) if by_id => id - first_id,
            _ => position,
        };
        let blank = response.status == 204 || response.body.iter().all(u8::is_ascii_whitespace);
        // A row without an answer of its own was accepted as sent: an empty object changes nothing of it.
        let row = if blank { Record::new().into() } else { stripped(answer::decoded(sent, &response.body)?) };
        match bodies.get_mut(place) {
            Some(slot) if slot.is_null() => *slot = row,
            _ => return Err(answer::undecodable(sent, "a changeset answers one row twice")),
        }
    }
    if kind == ChangeKind::Destroy || bodies.iter().all(Value::is_empty) {
        return Ok(Body::Empty);
    }
    Ok(Body::Value(Value::from(bodies)))
}

/// Without OData's annotations.
fn stripped(value: Value) -> Value {
    let Value::Object(mut record) = value else { return value };
    let notes: Vec<String> =
        record.iter().map(|(name, _)| name).filter(|name| name.starts_with("@odata")).map(str::to_owned).collect();
    for note in notes {
        record.remove(&note);
    }
    Value::Object(record)
}

/// The parts between the delimiter lines of a boundary; `None` when there is no delimiter line.
fn split<'a>(text: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let delimiter = format!("--{boundary}");
    let end = format!("--{boundary}--");
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    let mut position = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        if bare == delimiter.as_bytes() || bare == end.as_bytes() {
            if let Some(start) = start {
                parts.push(text.get(start..position).unwrap_or_default());
            }
            start = Some(position + line.len());
            if bare == end.as_bytes() {
                return Some(parts);
            }
        }
        position += line.len();
    }
    // Some services forget the closing line; what came before is complete all the same if a length said so.
    start.map(|start| {
        parts.push(text.get(start..).unwrap_or_default());
        parts
    })
}

/// The responses of one part of the outer multipart: a nested multipart, or a single response for a whole changeset.
fn changeset(part: &[u8]) -> Option<Vec<Response>> {
    let (headers, body) = headers_and_body(part)?;
    let kind = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())?;
    if let Some(boundary) = boundary(kind) {
        let inner = split(body, &boundary)?;
        inner.iter().map(|part| headers_and_body(part).and_then(|(headers, body)| response(&headers, body))).collect()
    } else {
        Some(vec![response(&headers, body)?])
    }
}

fn response(outer: &[(String, String)], text: &[u8]) -> Option<Response> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let status_line = std::str::from_utf8(text.get(..end)?).ok()?;
    let mut words = status_line.split_ascii_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/"))?;
    let status = words.next()?.parse().ok()?;
    let (headers, body) = headers_and_body(text.get(end + 1..)?)?;
    let content_id = outer
        .iter()
        .chain(&headers)
        .find(|(name, _)| name == "content-id")
        .and_then(|(_, value)| value.trim().parse().ok());
    Some(Response { content_id, status, headers, body: body.trim_ascii().to_vec() })
}

/// Header names in lower case and values.
type Headers = Vec<(String, String)>;

/// Header lines up to the first empty line, and what follows.
fn headers_and_body(text: &[u8]) -> Option<(Headers, &[u8])> {
    let mut headers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at(end);
        let line = line.trim_ascii();
        rest = tail;
        if line.is_empty() {
            return Some((headers, rest));
        }
        let line = std::str::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':')?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        if headers.len() > 100 {
            return None;
        }
    }
}

/// The boundary of a `multipart/mixed` content type.
fn boundary(content_type: &str) -> Option<String> {
    let mut pieces = content_type.split(';');
    pieces.next().filter(|kind| kind.trim().eq_ignore_ascii_case("multipart/mixed"))?;
    pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    fn sent() -> WireRequest {
        WireRequest::new(Operation::Submit, "POST", "/$batch")
    }

    fn reply(body: &str) -> WireReply {
        let body = body.replace('\n', "\r\n");
        WireReply::new(200, body).with_header("Content-Type", "multipart/mixed; boundary=b1")
    }

    const HEAD: &str = "Content-Type: application/http\nContent-Transfer-Encoding: binary\n";

    #[test]
    fn each_kind_gets_its_own_result() {
        let text = format!(
            "--b1\nContent-Type: multipart/mixed; boundary=c0\n\n--c0\n{HEAD}Content-ID: 1\n\nHTTP/1.1 200 OK\nContent-Type: application/json\n\n{{\"id\":2,\"@odata.etag\":\"x\"}}\n\n--c0\n{HEAD}Content-ID: 0\n\nHTTP/1.1 204 No Content\n\n\n\n--c0--\n\n--b1\n{HEAD}\nHTTP/1.1 412 Precondition Failed\nContent-Type: application/json\n\n{{\"error\":{{\"code\":\"old\"}}}}\n--b1--\n"
        );
        let held = [(ChangeKind::Update, 2), (ChangeKind::Destroy, 1), (ChangeKind::Create, 1)];
        let parts = parse(&sent(), &reply(&text), &held).unwrap();
        let rows = parts[0].1.as_ref().unwrap().decode().unwrap().unwrap();
        // The answers came in the other order; their Content-ID puts them in place.
        assert_eq!(rows.to_json(), r#"[{},{"id":2}]"#);
        let error = parts[1].1.as_ref().unwrap_err();
        assert_eq!(error.status(), Some(412));
        assert_eq!(error.body().unwrap().to_json(), r#"{"error":{"code":"old"}}"#);
        let missing = parts[2].1.as_ref().unwrap_err();
        assert_eq!(*missing.kind(), ErrorKind::Undecodable);
        assert!(missing.may_have_been_applied());
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for (kind, text) in [
            ("application/json", "{}"),
            ("multipart/mixed", "--b1\n"),
            ("multipart/mixed; boundary=b1", "nothing here"),
        ] {
            let reply = WireReply::new(200, text).with_header("Content-Type", kind);
            let error = parse(&sent(), &reply, &[(ChangeKind::Create, 1)]).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Undecodable, "{kind}");
        }
        for broken in ["--b1\n\n--b1--\n", "--b1\nContent-Type: application/http\n\nhello\n--b1--\n", "--b1\n"] {
            let parts = parse(&sent(), &reply(broken), &[(ChangeKind::Create, 1)]).unwrap();
            assert!(parts[0].1.is_err(), "{broken:?}");
        }
        let twice = format!(
            "--b1\nContent-Type: multipart/mixed; boundary=c0\n\n--c0\n{HEAD}Content-ID: 0\n\nHTTP/1.1 200 OK\n\n{{}}\n--c0\n{HEAD}Content-ID: 0\n\nHTTP/1.1 200 OK\n\n{{}}\n--c0--\n--b1--\n"
        );
        assert!(parse(&sent(), &reply(&twice), &[(ChangeKind::Create, 2)]).unwrap()[0].1.is_err());
    }

    #[test]
    fn nothing_can_end_a_line_early() {
        let part = |url: &str| Part {
            kind: ChangeKind::Update,
            method: "PUT".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Some("{}".into()),
        };
        let around = Surroundings::new(None, 0, 1);
        for bad in ["/p\r\nX: y", "/p HTTP/1.1", "/p\n"] {
            assert_eq!(*build(&[part(bad)], &around).unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(build(&[part("/p(1)")], &around).is_ok());
    }
}
