//! Origins of URLs: who may see what, and what of a URL may be shown.
//!
//! Owns the comparison and the stripping. Never fetches anything.

use crate::{Error, ErrorKind, Result};
use url::Url;

/// Whether both URLs have the same scheme, host and port. URLs without such an origin (`file:`, `data:`) share none,
/// not even with themselves.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin().is_tuple() && a.origin() == b.origin()
}

/// Resolves a URL that somebody else gave (a `Location` header, a next link) and checks that it stays on the origin
/// of `base` and carries no user information.
///
/// # Errors
/// [`ErrorKind::Redirect`] when it leads elsewhere or cannot be read.
pub fn resolve_foreign(base: &Url, given: &str) -> Result<Url> {
    let refuse = |why: &'static str| Error::new(ErrorKind::Redirect, why).with("from", shown(base.as_str()));
    if given.chars().any(char::is_control) {
        return Err(refuse("the address holds control characters"));
    }
    let target = base.join(given).map_err(|source| refuse("the address cannot be read").caused_by(source))?;
    if !matches!(target.scheme(), "http" | "https") || !same_origin(base, &target) {
        return Err(refuse("only addresses of the same origin are followed").with("to", shown(target.as_str())));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err(refuse("the address carries user information"));
    }
    Ok(target)
}

/// Resolves a URL of our own configuration against a base.
///
/// # Errors
/// [`ErrorKind::Config`] when it is relative without a base, cannot be read, or is not of HTTP;
/// [`ErrorKind::Invalid`] when it holds control characters.
pub fn resolve_own(base: Option<&Url>, url: &str) -> Result<Url> {
    if url.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Invalid, "a URL must not hold control characters").with("url", shown(url)));
    }
    let parsed = match base {
        Some(base) => base.join(url),
        None => Url::parse(url),
    };
    let parsed = parsed.map_err(|source| {
        Error::new(ErrorKind::Config, "the URL cannot be read; give an absolute one or set a base URL")
            .with("url", shown(url))
            .caused_by(source)
    })?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(Error::new(ErrorKind::Config, "only http and https are spoken").with("url", shown(url)));
    }
    Ok(parsed)
}

/// What of a URL may appear in errors and logs: no query, no fragment, no user information, no control characters.
pub fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let without_user = match url.split_once("//") {
        Some((scheme, rest)) => {
            let authority_end = rest.find(['/', '\\']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(authority_end);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}{path}")
        }
        None => url.to_owned(),
    };
    without_user.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_addresses_stay_on_their_origin() {
        let base = Url::parse("http://api.example:8080/v1/products?token=x").unwrap();
        let cases = [
            ("/v1/products/2", true),
            ("products/2", true),
            ("?page=2", true),
            ("http://api.example:8080/other", true),
            ("HTTP://API.EXAMPLE:8080/other", true),
            ("http://api.example:8080\\@evil.example/", true),
            ("//api.example:8080/x", true),
            ("//evil.example/x", false),
            ("//api.example@evil.example/x", false),
            ("http://api.example:8080@evil.example/", false),
            ("http://user:pw@api.example:8080/", false),
            ("https://api.example:8080/x", false),
            ("http://api.example/x", false),
            ("http://api.example:8081/x", false),
            ("http://api.example.evil.example:8080/", false),
            ("\\\\evil.example\\x", false),
            ("file:///etc/passwd", false),
            ("data:text/plain,x", false),
            ("javascript:alert(1)", false),
            ("http://[::1]:8080/", false),
            ("http://xn--api-example:8080/", false),
            ("/x\r\nHost: evil", false),
            ("http://", false),
        ];
        for (given, allowed) in cases {
            assert_eq!(resolve_foreign(&base, given).is_ok(), allowed, "{given:?}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (url, expected) in [
            ("https://user:secret@host/p?token=secret#frag", "https://host/p"),
            ("/p?token=secret", "/p"),
            ("https://a@b@host:1/p", "https://host:1/p"),
            ("p\r\nq", "pq"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn own_urls_must_be_http() {
        let base = Url::parse("http://h/app/").unwrap();
        assert_eq!(resolve_own(Some(&base), "x").unwrap().as_str(), "http://h/app/x");
        for bad in ["file:///etc/passwd", "ftp://h/x"] {
            assert_eq!(*resolve_own(Some(&base), bad).unwrap_err().kind(), ErrorKind::Config);
        }
        assert_eq!(*resolve_own(None, "x").unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(*resolve_own(Some(&base), "a\nb").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
