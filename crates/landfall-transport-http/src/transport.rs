//! The channel over reqwest, and the transport that speaks a dialect over it.
//!
//! Owns the exchange: headers, token, redirects, deadline, body limit. Spells and reads nothing.

use crate::{
    HttpBuilder,
    config::Options,
    error::{failed, located},
    secrets::Secrets,
    token::{Renewals, ask},
};
use async_trait::async_trait;
use landfall_transport::{
    Applied, Channel, Dialect, DialectTransport, Error, ErrorKind, Found, LookUp, Operation, Reply, Request, Result,
    Transport, WireReply, WireRequest, answer, caught, dialect::rest::Rest, origin, url::Url,
};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many redirects of one request are followed.
const HOPS: usize = 10;

/// Carries requests by HTTP. Clones share connections.
#[derive(Clone)]
pub struct HttpChannel {
    options: Arc<Options>,
    renewals: Arc<Renewals>,
}

impl HttpChannel {
    /// Options for a channel or a transport.
    pub fn builder() -> HttpBuilder {
        HttpBuilder::default()
    }

    pub(crate) fn new(options: Options) -> Self {
        Self { options: Arc::new(options), renewals: Arc::default() }
    }

    /// Whether the URL belongs to the origin that may see tokens and headers.
    fn is_own(&self, url: &Url) -> bool {
        self.options.base.as_ref().is_none_or(|base| origin::same_origin(base, url))
    }

    fn headers(&self, sent: &WireRequest, url: &Url) -> Result<HeaderMap> {
        let mut map = HeaderMap::new();
        if self.is_own(url) {
            for (name, value) in &self.options.headers {
                set(&mut map, sent, name, value)?;
            }
            if let Some(headers) = &self.options.headers_fn {
                // Nothing is sent yet: a panic is this request's error, and no doubt.
                for (name, value) in caught("making headers", || headers(sent))? {
                    set(&mut map, sent, &name, &value)?;
                }
            }
        }
        for (name, value) in &sent.headers {
            set(&mut map, sent, name, value)?;
        }
        if let (Some(name), Some(key)) = (&self.options.key_header, &sent.key)
            && !sent.is_read()
        {
            set(&mut map, sent, name, key)?;
        }
        Ok(map)
    }

    /// One exchange with this token, over redirects as far as they are allowed.
    async fn attempt(
        &self,
        sent: &WireRequest,
        url: &Url,
        token: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<WireReply> {
        let method = Method::from_bytes(sent.method.as_bytes()).map_err(|source| {
            located(Error::new(ErrorKind::Config, "the HTTP method cannot be used").caused_by(source), sent)
        })?;
        let mut headers = self.headers(sent, url)?;
        if let Some(token) = token.filter(|_| self.is_own(url) && !headers.contains_key(AUTHORIZATION)) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|source| {
                located(Error::new(ErrorKind::Config, "the bearer token cannot be sent").caused_by(source), sent)
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut url = url.clone();
        for _ in 0..=HOPS {
            let mut request = self.options.client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(timed_out(sent));
                }
                request = request.timeout(left);
            }
            if let Some(body) = &sent.body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(|source| failed(sent, source))?;
            let status = response.status().as_u16();
            if self.options.follow && method == Method::GET && matches!(status, 301 | 302 | 303 | 307 | 308) {
                let Some(location) = response.headers().get("location") else {
                    return self.collected(sent, response, &headers, &url).await;
                };
                let location = location.to_str().map_err(|source| {
                    located(
                        Error::new(ErrorKind::Redirect, "the redirect's address cannot be read").caused_by(source),
                        sent,
                    )
                })?;
                url = origin::resolve_foreign(&url, location)
                    .map_err(|error| error.with("operation", sent.operation.as_str()))?;
                continue;
            }
            return self.collected(sent, response, &headers, &url).await;
        }
        Err(located(Error::new(ErrorKind::Redirect, "too many redirects"), sent))
    }

    /// The answer without what it echoes of our secrets.
    async fn collected(
        &self,
        sent: &WireRequest,
        response: reqwest::Response,
        headers: &HeaderMap,
        url: &Url,
    ) -> Result<WireReply> {
        let mut reply = self.collect(sent, response).await?;
        let options = &self.options;
        Secrets::of(headers, url, &options.secret_names, options.key_header.as_deref()).mask(sent, &mut reply);
        Ok(reply)
    }

    /// Reads the body up to the limit.
    async fn collect(&self, sent: &WireRequest, mut response: reqwest::Response) -> Result<WireReply> {
        let limit = self.options.body_limit;
        let mut reply = WireReply::new(response.status().as_u16(), Vec::new());
        for (name, value) in response.headers() {
            reply = reply.with_header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        let success = reply.is_success();
        let too_large = |reply: WireReply| {
            if success {
                let error = Error::new(ErrorKind::Limit, "the answer's body is larger than allowed");
                Err(located(error.applied(answer::doubt(sent)).with("limit", limit.to_string()), sent))
            } else {
                // The status says it all; what the server has to say about it at such length is dropped.
                Ok(reply)
            }
        };
        if response.content_length().is_some_and(|length| length > limit) {
            return too_large(reply);
        }
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if (reply.body.len() as u64).saturating_add(chunk.len() as u64) > limit {
                        reply.body = Vec::new();
                        return too_large(reply);
                    }
                    reply.body.extend_from_slice(&chunk);
                }
                Ok(None) => return Ok(reply),
                Err(source) => return Err(failed(sent, source)),
            }
        }
    }
}

fn set(map: &mut HeaderMap, sent: &WireRequest, name: &str, value: &str) -> Result<()> {
    let refuse = |message: &'static str| {
        let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        located(Error::new(ErrorKind::Invalid, message).with("header", name), sent)
    };
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|source| refuse("a header's name holds characters that must not be sent").caused_by(source))?;
    let value = HeaderValue::from_str(value)
        .map_err(|source| refuse("a header's value holds characters that must not be sent").caused_by(source))?;
    map.insert(parsed, value);
    Ok(())
}

fn timed_out(sent: &WireRequest) -> Error {
    let error = Error::new(ErrorKind::TimedOut, "no complete answer within the time allowed");
    located(error.applied(answer::doubt(sent)), sent)
}

#[async_trait]
impl Channel for HttpChannel {
    async fn exchange(&self, sent: &WireRequest) -> Result<WireReply> {
        let url = origin::resolve_own(self.options.base.as_ref(), &sent.url)?;
        if self.options.https_only && url.scheme() != "https" {
            return Err(located(Error::new(ErrorKind::Config, "only https is allowed here"), sent));
        }
        let limit: Option<Duration> = sent.timeout.or(self.options.timeout);
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let provider = self.options.token.as_ref().filter(|_| self.is_own(&url));
        let Some(provider) = provider else { return self.attempt(sent, &url, None, deadline).await };
        let seen = self.renewals.count();
        let token = ask(provider.as_ref(), None).await.map_err(|error| error.applied(Applied::No))?;
        let reply = self.attempt(sent, &url, token.as_deref(), deadline).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        // A 401 surely applied nothing, so the one repetition that tokens need is safe.
        let fresh = self.renewals.renewed(provider.as_ref(), token.as_deref(), seen).await;
        let fresh = fresh.map_err(|error| error.applied(Applied::No))?;
        match fresh {
            Some(fresh) if token.as_deref() != Some(fresh.as_str()) => {
                self.attempt(sent, &url, Some(&fresh), deadline).await
            }
            _ => Ok(reply),
        }
    }

    fn base(&self) -> Option<&Url> {
        self.options.base.as_ref()
    }

    fn sends_keys(&self) -> bool {
        self.options.key_header.is_some()
    }
}

/// Shows neither header values nor tokens.
impl fmt::Debug for HttpChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        f.debug_struct("HttpChannel")
            .field("base", &options.base.as_ref().map(|base| origin::shown(base.as_str())))
            .field("timeout", &options.timeout)
            .field("body_limit", &options.body_limit)
            .field("token", &options.token.as_ref().map(|_| ".."))
            .finish_non_exhaustive()
    }
}

/// A transport over HTTP that speaks the dialect it was built with.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    inner: DialectTransport<Arc<dyn Dialect>, HttpChannel>,
}

impl HttpTransport {
    /// Options for a transport.
    pub fn builder() -> HttpBuilder {
        HttpBuilder::default()
    }

    /// A REST collection at this URL, with every default: [`Rest::new`] and [`HttpBuilder::default`].
    ///
    /// ```
    /// # fn main() -> landfall_transport::Result<()> {
    /// let products = landfall_transport_http::HttpTransport::rest("http://localhost:3000/products")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a URL that cannot be used.
    pub fn rest(collection: impl Into<String>) -> Result<Self> {
        let url = collection.into();
        Self::builder().base_url(url.clone()).build(Rest::new(url))
    }

    /// The channel that it uses.
    pub const fn channel(&self) -> &HttpChannel {
        self.inner.channel()
    }
}

impl From<DialectTransport<Arc<dyn Dialect>, HttpChannel>> for HttpTransport {
    fn from(inner: DialectTransport<Arc<dyn Dialect>, HttpChannel>) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Reply> {
        self.inner.send(request).await
    }

    fn offers(&self, operation: Operation) -> bool {
        self.inner.offers(operation)
    }

    async fn look_up(&self, ask: LookUp) -> Result<Found> {
        self.inner.look_up(ask).await
    }

    fn looks_up(&self) -> bool {
        self.inner.looks_up()
    }

    fn sends_keys(&self) -> bool {
        self.inner.sends_keys()
    }
}
