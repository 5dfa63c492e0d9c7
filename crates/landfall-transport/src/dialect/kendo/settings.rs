//! The settings of one operation; what Kendo's `transport.read` and its siblings hold.
//!
//! Owns the values and their defaults. Spells nothing.

use crate::{DataType, Request, Result, WireRequest};
use landfall_core::{Record, Value};
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

type UrlFn = Arc<dyn Fn(&Value) -> String + Send + Sync>;
type DataFn = Arc<dyn Fn(&Value) -> Record + Send + Sync>;
type HeadersFn = Arc<dyn Fn(&Value) -> Vec<(String, String)> + Send + Sync>;
type BeforeSend = Arc<dyn Fn(&mut WireRequest) -> Result<()> + Send + Sync>;

/// Where an operation's requests go.
#[derive(Clone)]
pub enum Address {
    /// Always there. Braces are ordinary characters, as in Kendo.
    Fixed(String),
    /// `/products/{ProductID}`: each `{path}` is replaced by the percent-encoded value at that dotted path of the merged
    /// parameters (the row of a single write, `{"models":[…]}` of a batch, the parameters of a read). Absent values give
    /// nothing. Kendo has no such form; it is short for a function.
    Template(String),
    /// A function of the merged parameters (R8.9).
    Function(UrlFn),
}

impl Address {
    /// A template; see [`Address::Template`].
    pub fn template(template: impl Into<String>) -> Self {
        Self::Template(template.into())
    }

    /// A function of the merged parameters (R8.9).
    pub fn function(url: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self::Function(Arc::new(url))
    }

    /// The URL for these parameters.
    ///
    /// # Errors
    /// `Invalid` when a value would change the path of a template.
    pub fn resolve(&self, params: &Value, dates: &crate::Dates) -> Result<String> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::Template(template) => {
                crate::template::expand(template, params, dates, crate::template::Missing::Empty)
            }
            Self::Function(url) => Ok(url(params)),
        }
    }
}

impl From<&str> for Address {
    fn from(url: &str) -> Self {
        Self::Fixed(url.to_owned())
    }
}

impl From<String> for Address {
    fn from(url: String) -> Self {
        Self::Fixed(url)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(url) => f.debug_tuple("Fixed").field(&crate::origin::shown(url)).finish(),
            Self::Template(url) => f.debug_tuple("Template").field(&crate::origin::shown(url)).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

/// What a body says it is; Kendo's `contentType`. It never changes how the body is encoded (R8.16): that is the
/// parameter map's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "contentType")]
pub enum ContentType {
    /// `application/x-www-form-urlencoded; charset=UTF-8`, sent with a body only.
    #[default]
    Form,
    /// This text, sent with and without a body.
    Named(String),
    /// None by us (Kendo's `false`); a body travels as `text/plain;charset=UTF-8`.
    Unset,
}

/// How the callback's name of a JSONP request is sent; Kendo's `jsonp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackParameter {
    /// As a parameter of this name, which is not encoded.
    Named(String),
    /// Not at all (Kendo's `false`).
    Unsent,
}

/// The settings of one operation. Every setter is named after Kendo's option.
#[derive(Clone)]
pub struct Settings {
    pub(super) url: Option<Address>,
    pub(super) method: Option<String>,
    pub(super) data: Option<DataFn>,
    pub(super) data_type: DataType,
    pub(super) content_type: ContentType,
    pub(super) headers: Option<HeadersFn>,
    pub(super) cache: Option<bool>,
    pub(super) traditional: bool,
    pub(super) callback_parameter: Option<CallbackParameter>,
    pub(super) callback: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) before_send: Option<BeforeSend>,
}

impl Settings {
    /// Settings that send to this URL by GET (R8.14).
    pub fn url(url: impl Into<Address>) -> Self {
        Self { url: Some(url.into()), ..Self::none() }
    }

    /// Settings that send to an expanded template; see [`Address::Template`].
    pub fn template(template: impl Into<String>) -> Self {
        Self::url(Address::template(template))
    }

    pub(super) fn none() -> Self {
        Self {
            url: None,
            method: None,
            data: None,
            data_type: DataType::Any,
            content_type: ContentType::Form,
            headers: None,
            cache: None,
            traditional: false,
            callback_parameter: None,
            callback: None,
            timeout: None,
            before_send: None,
        }
    }

    /// The verb, in any case; Kendo's `type` and `method`. Default: GET for every operation, as in Kendo (R8.14, Q50).
    #[must_use]
    #[doc(alias = "type")]
    pub fn method(mut self, method: impl AsRef<str>) -> Self {
        self.method = Some(method.as_ref().to_ascii_uppercase());
        self
    }

    /// What the answer should be. Default: whatever its content type says.
    #[must_use]
    #[doc(alias = "dataType")]
    pub fn data_type(mut self, data_type: DataType) -> Self {
        self.data_type = data_type;
        self
    }

    /// Short for [`data_type(DataType::Json)`](Self::data_type).
    #[must_use]
    pub fn json(self) -> Self {
        self.data_type(DataType::Json)
    }

    /// Data that goes under the parameters of every request (R8.8).
    #[must_use]
    pub fn data(self, data: Record) -> Self {
        self.data_with(move |_| data.clone())
    }

    /// A function of the parameters that gives the data to go under them (R8.8).
    #[must_use]
    pub fn data_with(mut self, data: impl Fn(&Value) -> Record + Send + Sync + 'static) -> Self {
        self.data = Some(Arc::new(data));
        self
    }

    /// What the body says it is (R8.16).
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = ContentType::Named(content_type.into());
        self
    }

    /// Says nothing about the body (Kendo's `contentType: false`).
    #[must_use]
    pub fn without_content_type(mut self) -> Self {
        self.content_type = ContentType::Unset;
        self
    }

    /// Request headers; they replace the ones that would be sent otherwise.
    #[must_use]
    pub fn headers<N: Into<String>, V: Into<String>>(self, headers: impl IntoIterator<Item = (N, V)>) -> Self {
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.headers_with(move |_| headers.clone())
    }

    /// A function of the merged parameters that gives the request headers.
    #[must_use]
    pub fn headers_with(mut self, headers: impl Fn(&Value) -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        self.headers = Some(Arc::new(headers));
        self
    }

    /// Whether answers may come from caches: with `false` a stamp `_=…` is added to GET requests (R8.18). Default:
    /// `true`, and `false` for JSONP.
    #[must_use]
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Encodes lists as repeated plain names. Default `false`.
    #[must_use]
    pub fn traditional(mut self, traditional: bool) -> Self {
        self.traditional = traditional;
        self
    }

    /// The parameter that carries the callback's name. Default `callback` (R8.26).
    #[must_use]
    #[doc(alias = "jsonp")]
    pub fn callback_parameter(mut self, parameter: CallbackParameter) -> Self {
        self.callback_parameter = Some(parameter);
        self
    }

    /// A fixed callback name. Default: a fresh one for each request.
    #[must_use]
    #[doc(alias = "jsonpCallback")]
    pub fn callback(mut self, name: impl Into<String>) -> Self {
        self.callback = Some(name.into());
        self
    }

    /// How long a request may take. Default: the channel's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Changes a request just before it is sent. Not called for JSONP to another origin, which has no headers.
    #[must_use]
    #[doc(alias = "beforeSend")]
    pub fn before_send(mut self, change: impl Fn(&mut WireRequest) -> Result<()> + Send + Sync + 'static) -> Self {
        self.before_send = Some(Arc::new(change));
        self
    }

    /// The parameters of a request: the settings' data below, the call's data above (R8.8).
    pub(super) fn merged(&self, request: &Request) -> Value {
        let call = request.data();
        let mut params = self.data.as_ref().map(|data| data(&seen(&call, request))).unwrap_or_default();
        if let Value::Object(call) = &call {
            extend(&mut params, call);
        }
        Value::Object(params)
    }
}

/// What a data function sees: parameters without a value are there, as null, in their place.
fn seen<'a>(call: &'a Value, request: &Request) -> Cow<'a, Value> {
    let (Value::Object(params), false) = (call, request.unset.is_empty()) else { return Cow::Borrowed(call) };
    let standard = ["take", "skip", "page", "pageSize", "sort", "filter", "group", "aggregate", "groupPaging"];
    let mut out = Record::new();
    for name in standard {
        match params.get(name) {
            Some(value) => drop(out.set(name, value.clone())),
            None if request.unset.iter().any(|unset| unset.as_str() == name) => drop(out.set(name, Value::Null)),
            None => {}
        }
    }
    for (name, value) in params.iter() {
        out.set(name, value.clone());
    }
    Cow::Owned(Value::Object(out))
}

/// jQuery's deep extend: objects merge by name, lists by index; a name keeps its first place.
fn extend(target: &mut Record, source: &Record) {
    for (name, value) in source.iter() {
        if let Some(slot) = target.get_mut(name) {
            extend_value(slot, value);
        } else {
            target.set(name, value.clone());
        }
    }
}

fn extend_value(slot: &mut Value, value: &Value) {
    match (slot, value) {
        (Value::Object(target), Value::Object(source)) => extend(target, source),
        (Value::Array(target), Value::Array(source)) => {
            let target = Arc::make_mut(target);
            for (index, item) in source.iter().enumerate() {
                match target.get_mut(index) {
                    Some(slot) => extend_value(slot, item),
                    None => target.push(item.clone()),
                }
            }
        }
        (slot, value) => *slot = value.clone(),
    }
}

/// Shows neither data nor header values.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("method", &self.method)
            .field("data_type", &self.data_type)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}
