//! A dialect from Kendo's own options, as JSON: the `transport` object and the `type`.
//!
//! Owns the reading of options. Functions, which JSON cannot hold, are resolved by the caller's [`Functions`].

use super::{Address, CallbackParameter, ContentType, Kendo, ParameterMap, Settings, Submit};
use crate::{DataType, Dates, Error, ErrorKind, Operation, Result, WireRequest, Zone};
use landfall_core::{Record, Value};
use std::{sync::Arc, time::Duration};

/// A function that gives data.
pub type DataHook = Arc<dyn Fn(&Value) -> Record + Send + Sync>;
/// A function that changes a request.
pub type SendHook = Arc<dyn Fn(&mut WireRequest) -> Result<()> + Send + Sync>;

/// Says what an option stands for where Kendo wants a JavaScript function. Each method gets the option's value as it
/// stands in the JSON. The defaults refuse.
pub trait Functions {
    /// A `url` that is neither text nor absent.
    ///
    /// # Errors
    /// `Config` when the value names nothing known.
    fn url(&self, value: &Value) -> Result<Address> {
        Err(unknown("url", value))
    }

    /// A `data` that may be a function; `None` means that it is plain data.
    ///
    /// # Errors
    /// `Config` when the value names nothing known.
    fn data(&self, _value: &Value) -> Result<Option<DataHook>> {
        Ok(None)
    }

    /// A `beforeSend`.
    ///
    /// # Errors
    /// `Config` when the value names nothing known.
    fn before_send(&self, value: &Value) -> Result<SendHook> {
        Err(unknown("beforeSend", value))
    }

    /// A `parameterMap` that is no object. The default knows [`ParameterMap::named`].
    ///
    /// # Errors
    /// `Config` when the value names nothing known.
    fn parameter_map(&self, value: &Value) -> Result<ParameterMap> {
        value.as_str().and_then(ParameterMap::named).ok_or_else(|| unknown("parameterMap", value))
    }

    /// A `submit`.
    ///
    /// # Errors
    /// `Config` when the value names nothing known.
    fn submit(&self, value: &Value) -> Result<Submit> {
        Err(unknown("submit", value))
    }
}

/// Options without functions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl Functions for NoFunctions {}

fn unknown(option: &'static str, value: &Value) -> Error {
    let value: String = value.to_json().chars().take(80).collect();
    Error::new(ErrorKind::Config, "this option needs a function that is not known")
        .with("option", option)
        .with("value", value)
}

impl Kendo {
    /// Reads Kendo's `transport` option. `kind` is the data source's `type` (`odata`, `odata-v4` or none), `zone` the time
    /// zone for dates in the long JavaScript form; without one dates are ISO 8601 (Q52).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the option that is not understood.
    pub fn from_options(
        transport: &Value,
        kind: Option<&str>,
        zone: Option<Arc<dyn Zone>>,
        functions: &dyn Functions,
    ) -> Result<Self> {
        let options = transport
            .as_object()
            .ok_or_else(|| Error::new(ErrorKind::Config, "transport must be an object").with("option", "transport"))?;
        let one = |operation: Operation| settings(options.get(operation.as_str()), functions);
        let (read, create) = (one(Operation::Read)?, one(Operation::Create)?);
        let (update, destroy) = (one(Operation::Update)?, one(Operation::Destroy)?);
        let open = |settings: Option<Settings>| settings.unwrap_or_else(Settings::none);
        let mut kendo = match kind {
            None => Self { read, create, update, destroy, ..Self::default() },
            Some("odata") => {
                let zone = zone.clone().unwrap_or_else(|| Arc::new(crate::Utc));
                Self::odata_v2_in(open(read), open(create), open(update), open(destroy), zone)
            }
            Some("odata-v4") => {
                let batch = settings(options.get("batch"), functions)?.and_then(|settings| settings.url);
                // Kendo always has this type's submit; without a URL it cannot be meant.
                Self::odata_v4(open(read), open(create), open(update), open(destroy), batch)
            }
            Some(other) => {
                return Err(Error::new(ErrorKind::Config, "this type of data source is not known")
                    .with("type", other.chars().take(80).collect::<String>()));
            }
        };
        match options.get("parameterMap") {
            None => {}
            Some(Value::Object(names)) if !names.contains("$fn") => {
                kendo.map = ParameterMap::rename(names.iter().map(|(from, to)| (from, String::from(to.to_text()))));
            }
            Some(value) => kendo.map = functions.parameter_map(value)?,
        }
        if let Some(submit) = options.get("submit") {
            kendo.submit = Some(functions.submit(submit)?);
        }
        kendo.cached = match options.get("cache") {
            Some(Value::String(text)) if text.as_str() == "inmemory" => true,
            Some(Value::Bool(cached)) => *cached,
            None => false,
            Some(_) => return Err(Error::new(ErrorKind::Config, "only the cache \"inmemory\" is known")),
        };
        if let Some(zone) = zone {
            kendo.dates = Dates::JavaScript(zone);
        }
        Ok(kendo)
    }
}

fn settings(option: Option<&Value>, functions: &dyn Functions) -> Result<Option<Settings>> {
    let options = match option {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(url)) => return Ok(Some(Settings::url(url.as_str()))),
        Some(Value::Object(options)) => options,
        Some(other) => return Err(unknown("operation", other)),
    };
    let mut settings = Settings::none();
    // `method` wins over `type`, whatever their order.
    let verb = options.get("method").or_else(|| options.get("type")).and_then(Value::as_str);
    if let Some(verb) = verb {
        settings = settings.method(verb);
    }
    for (name, value) in options.iter() {
        match (name, value) {
            ("url", Value::String(url)) => settings.url = Some(Address::Fixed(url.as_str().to_owned())),
            ("url", value) => settings.url = Some(functions.url(value)?),
            ("data", value) => {
                settings.data = match (functions.data(value)?, value) {
                    (Some(hook), _) => Some(hook),
                    (None, Value::Object(record)) => {
                        let record = record.clone();
                        Some(Arc::new(move |_: &Value| record.clone()))
                    }
                    (None, _) => return Err(unknown("data", value)),
                };
            }
            ("dataType", value) => settings.data_type = data_type(value)?,
            ("contentType", Value::Bool(false)) => settings.content_type = ContentType::Unset,
            ("contentType", Value::String(text)) => {
                settings.content_type = ContentType::Named(text.as_str().to_owned());
            }
            ("headers", Value::Object(headers)) => {
                settings = settings
                    .headers(headers.iter().map(|(name, value)| (name.to_owned(), String::from(value.to_text()))));
            }
            ("cache", Value::Bool(cache)) => settings.cache = Some(*cache),
            ("traditional", value) => settings.traditional = value.is_truthy(),
            ("jsonp", Value::Bool(false)) => settings.callback_parameter = Some(CallbackParameter::Unsent),
            ("jsonp", Value::String(text)) => {
                settings.callback_parameter = Some(CallbackParameter::Named(text.as_str().to_owned()));
            }
            ("jsonpCallback", Value::String(text)) => settings.callback = Some(text.as_str().to_owned()),
            ("timeout", Value::Number(number)) => {
                settings.timeout = number.as_u64().filter(|millis| *millis > 0).map(Duration::from_millis);
            }
            ("beforeSend", value) => settings.before_send = Some(functions.before_send(value)?),
            // Everything else (such as xhrFields) has no meaning outside of a browser.
            _ => {}
        }
    }
    Ok(Some(settings))
}

fn data_type(value: &Value) -> Result<DataType> {
    Ok(match value.as_str() {
        Some("json") => DataType::Json,
        Some("jsonp") => DataType::Jsonp,
        Some("xml") => DataType::Xml,
        Some("text") => DataType::Text,
        Some("html") => DataType::Html,
        None if value.is_null() => DataType::Any,
        _ => return Err(unknown("dataType", value)),
    })
}
