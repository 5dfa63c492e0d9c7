//! The transport: Kendo's JSONP spelling, always as a bare GET, over a channel.
//!
//! Owns what differs from the dialect `kendo`: never another verb, lists on request, the limit of URLs.

use crate::{JsonpConfig, error};
use async_trait::async_trait;
use landfall_core::{Record, Value};
use landfall_transport::{
    Channel, Dialect, DialectTransport, Found, LookUp, Operation, Reply, Request, Result, Surroundings, Transport,
    WireReply, WireRequest,
    dialect::kendo::{Kendo, Mapped, ParameterMap},
    form,
};
use std::sync::Arc;

/// A transport for JSONP-style services.
#[derive(Clone, Debug)]
pub struct JsonpTransport {
    inner: DialectTransport<Jsonp, Arc<dyn Channel>>,
}

impl JsonpTransport {
    /// A transport over this channel.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](landfall_transport::ErrorKind::Config) when no operation has a URL, or a name cannot be used.
    pub fn over(channel: impl Channel, config: JsonpConfig) -> Result<Self> {
        let channel: Arc<dyn Channel> = Arc::new(channel);
        Ok(Self { inner: DialectTransport::new(Jsonp::new(config), channel)? })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transport for JsonpTransport {
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

#[derive(Clone, Debug)]
struct Jsonp {
    kendo: Kendo,
    config: JsonpConfig,
}

impl Jsonp {
    fn new(config: JsonpConfig) -> Self {
        let map = if config.lists_only { lists() } else { ParameterMap::models_json() };
        let mut kendo = Kendo::new().parameter_map(map).dates(config.dates.clone());
        if let Some(address) = &config.read {
            kendo = kendo.read(config.settings(address));
        }
        if let Some(address) = &config.create {
            kendo = kendo.create(config.settings(address));
        }
        if let Some(address) = &config.update {
            kendo = kendo.update(config.settings(address));
        }
        if let Some(address) = &config.destroy {
            kendo = kendo.destroy(config.settings(address));
        }
        Self { kendo, config }
    }
}

/// For every write `{models: JSON text of the list of rows}`.
fn lists() -> ParameterMap {
    ParameterMap::new(|value, operation| {
        if operation == Operation::Read {
            return value.into();
        }
        let models = match value.as_object().and_then(|record| record.get("models")) {
            Some(models @ Value::Array(_)) => models.clone(),
            _ => Value::array([value]),
        };
        Mapped::Params(Record::from([("models", models.to_json())]))
    })
}

impl Dialect for Jsonp {
    fn offers(&self, operation: Operation) -> bool {
        self.kendo.offers(operation)
    }

    fn request(&self, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        // Without an origin of our own every service is a foreign one, which is what makes the GET bare.
        let nowhere = Surroundings::new(None, around.stamp(), around.nonce(0));
        let Some(mut sent) = self.kendo.request(request, &nowhere)? else { return Ok(None) };
        if let (Some(name), Some(key)) = (&self.config.key_parameter, &request.key) {
            sent.url.push('&');
            sent.url.push_str(&form::component(name));
            sent.url.push('=');
            sent.url.push_str(&form::component(key));
        }
        if sent.url.len() > self.config.url_limit {
            return Err(error::too_long(&sent, self.config.url_limit));
        }
        Ok(Some(sent))
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        self.kendo.answer(request, sent, reply)
    }

    fn check(&self) -> Result<()> {
        let config = &self.config;
        if [&config.read, &config.create, &config.update, &config.destroy].iter().all(|url| url.is_none()) {
            return Err(error::config("give at least one operation a URL"));
        }
        let plain =
            |name: &str| !name.is_empty() && !name.contains(['&', '=', '#', '?']) && !name.contains(char::is_control);
        if !plain(&config.callback_parameter) {
            return Err(error::config("the callback's parameter needs a plain name"));
        }
        self.kendo.check()
    }
}
