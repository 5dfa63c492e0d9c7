//! The probe of a URL over HTTP. Owns what counts as up: status, redirect, body.

use super::{Evidence, Probe};
use async_trait::async_trait;
use landfall_core::{Error, ErrorKind, Result};
use reqwest::{Client, Response, Url, header, redirect};
use std::{error::Error as _, fmt, sync::Arc};

/// The most of a body that is read, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// The most redirects that are followed.
const REDIRECT_LIMIT: usize = 5;

type StatusCheck = Arc<dyn Fn(u16) -> bool + Send + Sync>;
type BodyCheck = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Asks a URL with `GET` and takes a status of 200 to 299, or 304, for up: what jQuery calls done.
///
/// Redirects are followed within the origin only. One to another origin is down: that is how the login page of a hotel's
/// network answers. A network that answers 200 with its own page is told apart by a body check alone.
#[derive(Clone)]
pub struct HttpProbe {
    url: Url,
    client: Client,
    status: StatusCheck,
    body: Option<BodyCheck>,
}

impl HttpProbe {
    /// A probe of this absolute `http` or `https` URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a URL that cannot be used, or when the client cannot be made.
    pub fn new(url: impl AsRef<str>) -> Result<Self> {
        let refuse = |message: &'static str| Error::new(ErrorKind::Config, message).during("connectivity");
        let url =
            Url::parse(url.as_ref()).map_err(|cause| refuse("the URL of the probe is not one").caused_by(cause))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("the URL of the probe must be http or https").with("scheme", url.scheme()));
        }
        let client = Client::builder()
            .redirect(redirect::Policy::custom(within_origin))
            .build()
            .map_err(|cause| refuse("the HTTP client of the probe cannot be made").caused_by(cause))?;
        Ok(Self { url, client, status: Arc::new(|status| matches!(status, 200..=299 | 304)), body: None })
    }

    /// Which status counts as up, in place of 200 to 299 and 304. For a service that wants a login:
    /// `.status(|status| status < 500)`.
    #[must_use]
    pub fn status(mut self, is_up: impl Fn(u16) -> bool + Send + Sync + 'static) -> Self {
        self.status = Arc::new(is_up);
        self
    }

    /// Which body counts as up; asked only when the status does. A body over 64 KiB is down then. Default: any.
    #[must_use]
    pub fn body(mut self, is_up: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.body = Some(Arc::new(is_up));
        self
    }

    /// A client of yours in place of the built one (proxy, certificates). Its own redirect rules apply, so a redirect to
    /// another origin is seen only if it does not follow it, or by a body check.
    #[must_use]
    pub fn client_with_unchecked_redirects(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    async fn ask(&self) -> Result<Evidence, reqwest::Error> {
        // A cache on the way must not answer in the service's place.
        let request = self.client.get(self.url.clone()).header(header::CACHE_CONTROL, "no-cache");
        let mut response = request.send().await?;
        let status = response.status();
        if status.is_redirection() && status.as_u16() != 304 {
            return Ok(Evidence::down("redirected elsewhere (a login page of the network?)"));
        }
        if !(self.status)(status.as_u16()) {
            return Ok(Evidence::down(format!("the service answered with status {}", status.as_u16())));
        }
        let (body, complete) = read(&mut response).await?;
        if let Some(is_up) = &self.body {
            if !complete {
                return Ok(Evidence::down("the answer is longer than a probe reads"));
            }
            if !is_up(&body) {
                return Ok(Evidence::down("something else answered than the service (a login page of the network?)"));
            }
        }
        Ok(Evidence::up("the service answers"))
    }
}

#[async_trait]
impl Probe for HttpProbe {
    async fn probe(&self) -> Evidence {
        self.ask().await.unwrap_or_else(|error| Evidence::down(words(&error)))
    }
}

impl fmt::Debug for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query may hold secrets.
        f.debug_struct("HttpProbe").field("origin", &self.url.origin().ascii_serialization()).finish_non_exhaustive()
    }
}

fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= REDIRECT_LIMIT { attempt.follow() } else { attempt.stop() }
}

/// Reads the body up to the limit; whether that was all of it.
async fn read(response: &mut Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Ok((body, false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, true))
}

/// The cause at the root, without the URL: `connection refused`.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = if error.is_connect() {
        "cannot connect"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the answer broke off"
    };
    if error.source().is_none() { what.to_owned() } else { format!("{what}: {cause}") }
}
