//! The builder: every option of the channel, its unit and its default. Checks once, in `build`.

use crate::{
    HttpChannel, HttpTransport,
    token::{Asked, Fixed, TokenProvider},
};
use landfall_transport::{Dialect, DialectTransport, Error, ErrorKind, Result, WireRequest, origin, url::Url};
use reqwest::header::HeaderName;
use std::{fmt, future::Future, sync::Arc, time::Duration};

pub(crate) type HeadersFn = Arc<dyn Fn(&WireRequest) -> Vec<(String, String)> + Send + Sync>;

/// The default time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The default limit of a body, in bytes.
const BODY_LIMIT: u64 = 64 * 1024 * 1024;

/// Options of an [`HttpTransport`] or an [`HttpChannel`].
pub struct HttpBuilder {
    client: Client,
    base: Option<String>,
    timeout: Option<Duration>,
    body_limit: u64,
    headers: Vec<(String, String)>,
    secret_names: Vec<String>,
    headers_fn: Option<HeadersFn>,
    token: Option<Arc<dyn TokenProvider>>,
    key_header: Option<String>,
    https_only: bool,
}

enum Client {
    Builder(Box<reqwest::ClientBuilder>),
    Finished(reqwest::Client),
}

impl Default for HttpBuilder {
    fn default() -> Self {
        Self {
            client: Client::Builder(Box::new(reqwest::Client::builder())),
            base: None,
            timeout: Some(TIMEOUT),
            body_limit: BODY_LIMIT,
            headers: Vec::new(),
            secret_names: Vec::new(),
            headers_fn: None,
            token: None,
            key_header: Some("Idempotency-Key".to_owned()),
            https_only: false,
        }
    }
}

impl HttpBuilder {
    /// Proxies, TLS, pools, DNS and everything else that reqwest can be told. The redirect policy is set by us, last.
    #[must_use]
    pub fn client(mut self, client: reqwest::ClientBuilder) -> Self {
        self.client = Client::Builder(Box::new(client));
        self
    }

    /// A finished client. **Its own redirect policy stays in force and is not checked**: with reqwest's default it follows
    /// redirects to other origins.
    #[must_use]
    pub fn client_with_unchecked_redirects(mut self, client: reqwest::Client) -> Self {
        self.client = Client::Finished(client);
        self
    }

    /// What relative URLs resolve against; its origin is the one that gets the token and the headers set here. A path
    /// should end in `/`. Default: none, then every URL has to be absolute.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base = Some(url.into());
        self
    }

    /// The longest a request may take in all, redirects and body included. Default 30 s. A request's own time limit wins.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// No time limit, except where a request has its own.
    #[must_use]
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// The largest body that is taken, in bytes after decoding. Default 64 MiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = bytes;
        self
    }

    /// A header of every request to the base URL's origin (to every origin without a base URL). A header of the same name
    /// that the dialect sets wins.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// As [`header`](Self::header); a server that sends the value back does not get it stored, logged or shown: it is masked
    /// in what is kept of the answer. Values of less than 4 characters are not.
    ///
    /// Tokens, and headers and query parameters whose name says what they are (`Authorization`, `Cookie`, `X-Api-Key`, anything
    /// with "token", "secret", "auth"...), are masked without being named.
    #[must_use]
    pub fn secret_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.secret_names.push(name.clone());
        self.header(name, value)
    }

    /// As [`header`](Self::header), from a function of the request. One that panics ends the request with
    /// [`Callback`](ErrorKind::Callback); nothing is sent then.
    #[must_use]
    pub fn headers_with(
        mut self,
        headers: impl Fn(&WireRequest) -> Vec<(String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.headers_fn = Some(Arc::new(headers));
        self
    }

    /// A fixed bearer token. Needs a [base URL](Self::base_url): the token goes to its origin only.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Arc::new(Fixed(token.into())));
        self
    }

    /// A function that gives bearer tokens and is asked once more, with the refused token, after a 401; the request is then
    /// sent once more with the new one. One that fails or panics ends the request; nothing is sent then.
    #[must_use]
    pub fn bearer_with<F, Fut>(self, ask: F) -> Self
    where
        F: Fn(Option<String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<String>>> + Send + 'static,
    {
        self.token_provider(Asked(ask))
    }

    /// As [`bearer_with`](Self::bearer_with), from a type of yours.
    #[must_use]
    pub fn token_provider(mut self, provider: impl TokenProvider) -> Self {
        self.token = Some(Arc::new(provider));
        self
    }

    /// The header that carries a write's idempotency key. Default `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_header(mut self, name: impl Into<String>) -> Self {
        self.key_header = Some(name.into());
        self
    }

    /// Sends no idempotency key. A repeated write may then be applied twice.
    #[must_use]
    pub fn without_idempotency_key(mut self) -> Self {
        self.key_header = None;
        self
    }

    /// Refuses every URL that is not https. Default `false`.
    #[must_use]
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.https_only = https_only;
        self
    }

    /// A transport that speaks this dialect.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a base URL, header or client that cannot be used, or what [`Dialect::check`] refuses.
    pub fn build(self, dialect: impl Dialect) -> Result<HttpTransport> {
        let channel = self.build_channel()?;
        DialectTransport::new(Arc::new(dialect) as Arc<dyn Dialect>, channel).map(HttpTransport::from)
    }

    /// The channel alone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a base URL, header or client that cannot be used.
    pub fn build_channel(self) -> Result<HttpChannel> {
        let config = |message: &'static str| Error::new(ErrorKind::Config, message);
        let base = match &self.base {
            Some(text) => Some(origin::resolve_own(None, text)?),
            None => None,
        };
        if self.token.is_some() && base.is_none() {
            return Err(config("a bearer token needs a base URL, whose origin is the only one that gets it"));
        }
        if self.https_only && base.as_ref().is_some_and(|base| base.scheme() != "https") {
            return Err(config("the base URL is not https"));
        }
        let names = self.headers.iter().map(|(name, _)| name).chain(&self.key_header);
        for name in names {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|source| config("a header's name cannot be used").caused_by(source))?;
        }
        for (name, value) in &self.headers {
            reqwest::header::HeaderValue::from_str(value).map_err(|source| {
                config("a header's value cannot be used").with("header", name.as_str()).caused_by(source)
            })?;
        }
        let (client, follow) = match self.client {
            Client::Finished(client) => (client, false),
            Client::Builder(builder) => {
                // We follow redirects ourselves: only we know the method and the time that is left.
                let client = builder
                    .redirect(reqwest::redirect::Policy::none())
                    .https_only(self.https_only)
                    .build()
                    .map_err(|source| config("the HTTP client cannot be built").caused_by(source))?;
                (client, true)
            }
        };
        Ok(HttpChannel::new(Options {
            client,
            follow,
            base,
            timeout: self.timeout,
            body_limit: self.body_limit,
            headers: self.headers,
            secret_names: self.secret_names,
            headers_fn: self.headers_fn,
            token: self.token,
            key_header: self.key_header,
            https_only: self.https_only,
        }))
    }
}

/// What the channel works with, checked.
pub(crate) struct Options {
    pub(crate) client: reqwest::Client,
    pub(crate) follow: bool,
    pub(crate) base: Option<Url>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) body_limit: u64,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) secret_names: Vec<String>,
    pub(crate) headers_fn: Option<HeadersFn>,
    pub(crate) token: Option<Arc<dyn TokenProvider>>,
    pub(crate) key_header: Option<String>,
    pub(crate) https_only: bool,
}

/// Shows neither header values nor tokens.
impl fmt::Debug for HttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBuilder")
            .field("base", &self.base.as_deref().map(origin::shown))
            .field("timeout", &self.timeout)
            .field("body_limit", &self.body_limit)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("token", &self.token.as_ref().map(|_| ".."))
            .finish_non_exhaustive()
    }
}
