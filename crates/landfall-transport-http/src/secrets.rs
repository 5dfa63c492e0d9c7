//! Secrets that a server sends back: masked before anything of an answer is kept, logged or shown.
//!
//! Owns which of the values we sent are secret and how they are found in an answer. Keeps none of them longer than an
//! exchange.

use landfall_transport::{WireReply, WireRequest, form, url::Url};
use reqwest::header::HeaderMap;

/// What stands in place of a secret.
const MASK: &[u8] = b"***";
/// Shorter values are no secrets: they would be found everywhere.
const SHORTEST: usize = 4;

/// The secrets of one exchange, in every spelling that an echo may have.
pub(crate) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// The secret values of these headers and of the URL's query. `named`: headers that are secret whatever their name;
    /// `key_header`: the one that carries the idempotency key, which is none.
    pub(crate) fn of(headers: &HeaderMap, url: &Url, named: &[String], key_header: Option<&str>) -> Self {
        let mut out = Self(Vec::new());
        for (name, value) in headers {
            let name = name.as_str();
            let is_key = key_header.is_some_and(|key| key.eq_ignore_ascii_case(name));
            let is_named = named.iter().any(|named| named.eq_ignore_ascii_case(name));
            if is_named || !is_key && sounds_secret(name) {
                let value = String::from_utf8_lossy(value.as_bytes());
                out.add(&value);
                // The credentials behind their scheme, and the values of cookies.
                if let Some((_, credentials)) = value.split_once(' ') {
                    out.add(credentials.trim());
                }
                if name == "cookie" {
                    value
                        .split(';')
                        .filter_map(|pair| pair.split_once('='))
                        .for_each(|(_, value)| out.add(value.trim()));
                }
            }
        }
        for (name, value) in url.query_pairs() {
            if sounds_secret(&name) {
                out.add(&value);
            }
        }
        out
    }

    fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let escaped = secret.replace('\\', "\\\\").replace('"', "\\\"");
        let spellings = [
            secret.to_owned(),
            escaped.clone(),
            escaped.replace('/', "\\/"),
            form::component(secret),
            form::component(secret).replace("%20", "+"),
            markup(secret),
        ];
        for spelling in spellings {
            let spelling = spelling.into_bytes();
            if !self.0.contains(&spelling) {
                self.0.push(spelling);
            }
        }
        // Whole before part.
        self.0.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    }

    /// Masks what the server echoed: in every refusal, and in the answer to a write unless the request's own body held
    /// the value, which then is data.
    pub(crate) fn mask(&self, sent: &WireRequest, reply: &mut WireReply) {
        if reply.is_success() && sent.is_read() {
            return;
        }
        let is_data = |secret: &[u8]| sent.body.as_ref().is_some_and(|body| find(body, secret).is_some());
        for secret in &self.0 {
            if !(reply.is_success() && is_data(secret)) {
                replace(&mut reply.body, secret);
            }
            for (_, value) in &mut reply.headers {
                if find(value.as_bytes(), secret).is_some() {
                    let mut bytes = std::mem::take(value).into_bytes();
                    replace(&mut bytes, secret);
                    *value = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
        }
    }
}

/// Whether a header or parameter of this name holds something that nobody else should see.
fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 11] = [
        "auth",
        "token",
        "secret",
        "cookie",
        "password",
        "passwd",
        "apikey",
        "api-key",
        "api_key",
        "session",
        "credential",
    ];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || name == "key" || name == "sig" || name == "signature"
}

/// As a page would show it.
fn markup(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn replace(bytes: &mut Vec<u8>, secret: &[u8]) {
    if find(bytes, secret).is_none() {
        return;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(at) = find(rest, secret) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(MASK);
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    *bytes = out;
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_transport::Operation;

    fn masked(header: (&'static str, &str), url: &str, sent_body: Option<&str>, status: u16, body: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, header.1.parse().unwrap());
        headers.insert("idempotency-key", "0000-key".parse().unwrap());
        let secrets = Secrets::of(&headers, &Url::parse(url).unwrap(), &["X-Mine".to_owned()], Some("Idempotency-Key"));
        let mut sent = WireRequest::new(Operation::Update, "POST", url);
        sent.body = sent_body.map(|body| body.as_bytes().to_vec());
        let mut reply = WireReply::new(status, body).with_header("x-echo", body.replace(['\r', '\n'], ""));
        secrets.mask(&sent, &mut reply);
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert!(status < 300 || reply.header("x-echo").unwrap() == text);
        text
    }

    #[test]
    fn what_is_echoed_is_masked_in_every_spelling() {
        let url = "http://h/p";
        let bearer = ("authorization", "Bearer a/b+c\"d==");
        for (echo, expected) in [
            ("Bearer a/b+c\"d==", "***"),
            (r#"{"got":"Bearer a\/b+c\"d=="}"#, r#"{"got":"***"}"#),
            (r#"{"got":"a/b+c\"d=="}"#, r#"{"got":"***"}"#),
            ("?t=a%2Fb%2Bc%22d%3D%3D&x", "?t=***&x"),
            ("<b>a/b+c&quot;d==</b>", "<b>***</b>"),
            ("a/b+c\"d== a/b+c\"d==", "*** ***"),
            ("nothing 0000-key", "nothing 0000-key"),
            ("", ""),
        ] {
            assert_eq!(masked(bearer, url, None, 500, echo), expected);
        }
    }

    #[test]
    fn which_values_are_secret() {
        let echo = "the value 12345678 here";
        let hidden = "the value *** here";
        for (name, expected) in [
            ("authorization", hidden),
            ("proxy-authorization", hidden),
            ("x-api-key", hidden),
            ("x-csrf-token", hidden),
            ("x-mine", hidden),
            ("accept-language", echo),
            ("x-request-id", echo),
        ] {
            assert_eq!(masked((name, "12345678"), "http://h/p", None, 400, echo), expected, "{name}");
        }
        assert_eq!(masked(("cookie", "a=1; sid=12345678"), "http://h/p", None, 400, echo), hidden);
        assert_eq!(masked(("x-a", "1"), "http://h/p?access_token=12345678&page=value", None, 400, echo), hidden);
        assert_eq!(masked(("authorization", "abc"), "http://h/p", None, 400, "abc"), "abc", "too short to be told");
    }

    #[test]
    fn data_of_the_request_itself_stays_in_a_success() {
        let header = ("authorization", "Bearer 12345678");
        let row = r#"{"token":"12345678"}"#;
        assert_eq!(masked(header, "http://h/p", Some(row), 200, row), row);
        assert_eq!(masked(header, "http://h/p", Some("{}"), 200, row), r#"{"token":"***"}"#);
        assert_eq!(masked(header, "http://h/p", Some(row), 422, row), r#"{"token":"***"}"#);
    }
}
