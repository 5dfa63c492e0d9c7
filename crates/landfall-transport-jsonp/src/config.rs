//! The options of a JSONP-style service, with their defaults.

use landfall_core::Record;
use landfall_transport::{
    Dates,
    dialect::kendo::{Address, CallbackParameter, Settings},
};
use std::{fmt, time::Duration};

/// Where a JSONP-style service is and how it wants to be asked.
#[derive(Clone)]
pub struct JsonpConfig {
    pub(crate) read: Option<Address>,
    pub(crate) create: Option<Address>,
    pub(crate) update: Option<Address>,
    pub(crate) destroy: Option<Address>,
    pub(crate) callback_parameter: String,
    pub(crate) callback: Option<String>,
    pub(crate) data: Record,
    pub(crate) cache: bool,
    pub(crate) lists_only: bool,
    pub(crate) key_parameter: Option<String>,
    pub(crate) url_limit: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) dates: Dates,
}

impl Default for JsonpConfig {
    fn default() -> Self {
        Self {
            read: None,
            create: None,
            update: None,
            destroy: None,
            callback_parameter: "callback".to_owned(),
            callback: None,
            data: Record::new(),
            cache: false,
            lists_only: false,
            key_parameter: None,
            url_limit: 8192,
            timeout: None,
            dates: Dates::Iso,
        }
    }
}

impl JsonpConfig {
    /// No operation yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where records are read.
    #[must_use]
    pub fn read(mut self, url: impl Into<Address>) -> Self {
        self.read = Some(url.into());
        self
    }

    /// Where records are created.
    #[must_use]
    pub fn create(mut self, url: impl Into<Address>) -> Self {
        self.create = Some(url.into());
        self
    }

    /// Where records are updated.
    #[must_use]
    pub fn update(mut self, url: impl Into<Address>) -> Self {
        self.update = Some(url.into());
        self
    }

    /// Where records are removed.
    #[must_use]
    pub fn destroy(mut self, url: impl Into<Address>) -> Self {
        self.destroy = Some(url.into());
        self
    }

    /// The parameter that carries the callback's name. Default `callback`.
    #[must_use]
    #[doc(alias = "jsonp")]
    pub fn callback_parameter(mut self, name: impl Into<String>) -> Self {
        self.callback_parameter = name.into();
        self
    }

    /// A fixed callback name, of letters, digits, `_`, `$` and dots. Default: a fresh one for each request.
    #[must_use]
    #[doc(alias = "jsonpCallback")]
    pub fn callback(mut self, name: impl Into<String>) -> Self {
        self.callback = Some(name.into());
        self
    }

    /// Parameters of every request, such as an API key. Default none.
    #[must_use]
    pub fn data(mut self, data: Record) -> Self {
        self.data = data;
        self
    }

    /// Whether answers may come from caches; with `false` each request carries a stamp `_=…`. Default `false`.
    #[must_use]
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache;
        self
    }

    /// Whether a single record travels as a list of one in `models`, too, as services expect that were written for
    /// batches. Default `false`: as parameters of its own, as Kendo sends it.
    #[must_use]
    pub fn lists_only(mut self, lists_only: bool) -> Self {
        self.lists_only = lists_only;
        self
    }

    /// The parameter that carries a write's idempotency key, for services that look for one. Default: none.
    #[must_use]
    pub fn key_parameter(mut self, name: impl Into<String>) -> Self {
        self.key_parameter = Some(name.into());
        self
    }

    /// The longest URL that is sent, in bytes. Default 8192.
    #[must_use]
    pub fn url_limit(mut self, bytes: usize) -> Self {
        self.url_limit = bytes;
        self
    }

    /// How long a request may take. Default: the channel's limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How dates are written outside of JSON text. Default ISO 8601.
    #[must_use]
    pub fn dates(mut self, dates: Dates) -> Self {
        self.dates = dates;
        self
    }

    pub(crate) fn settings(&self, address: &Address) -> Settings {
        let mut settings = Settings::url(address.clone())
            .data_type(landfall_transport::DataType::Jsonp)
            .callback_parameter(CallbackParameter::Named(self.callback_parameter.clone()))
            .data(self.data.clone())
            .cache(self.cache);
        if let Some(callback) = &self.callback {
            settings = settings.callback(callback);
        }
        if let Some(timeout) = self.timeout {
            settings = settings.timeout(timeout);
        }
        settings
    }
}

/// Does not show the data, which may hold secrets.
impl fmt::Debug for JsonpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonpConfig")
            .field("read", &self.read)
            .field("create", &self.create)
            .field("update", &self.update)
            .field("destroy", &self.destroy)
            .field("callback_parameter", &self.callback_parameter)
            .field("url_limit", &self.url_limit)
            .finish_non_exhaustive()
    }
}
