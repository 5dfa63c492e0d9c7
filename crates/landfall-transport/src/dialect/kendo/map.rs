//! Parameter maps: what becomes of the parameters before they are encoded (R8.9 to R8.11).
//!
//! Owns Kendo's object form, the usual functions by name, and OData's maps. Encodes no URL.

use crate::{Error, ErrorKind, Operation, Result, dialect::odata::query};
use landfall_core::{Record, Value};
use std::{fmt, sync::Arc};

/// What a parameter map gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// Parameters, to be form encoded.
    Params(Record),
    /// Text, sent as it is: in the query for GET, else as the body.
    Text(String),
    /// Nothing at all.
    Nothing,
}

impl From<Value> for Mapped {
    /// As jQuery takes a value: objects are encoded, text is sent as it is, null is nothing.
    fn from(value: Value) -> Self {
        match value {
            Value::Object(record) => Self::Params(record),
            Value::Null => Self::Nothing,
            other => Self::Text(other.to_text().into()),
        }
    }
}

type MapFn = Arc<dyn Fn(Value, Operation) -> Result<Mapped> + Send + Sync>;

/// Maps the merged parameters of a request; Kendo's `parameterMap`. Not called for submit (R8.12).
#[derive(Clone)]
#[doc(alias = "parameterMap")]
pub struct ParameterMap {
    name: &'static str,
    run: MapFn,
}

impl Default for ParameterMap {
    fn default() -> Self {
        Self::none()
    }
}

impl ParameterMap {
    fn named_fn(name: &'static str, run: impl Fn(Value, Operation) -> Result<Mapped> + Send + Sync + 'static) -> Self {
        Self { name, run: Arc::new(run) }
    }

    /// A map of your own.
    pub fn new(run: impl Fn(Value, Operation) -> Mapped + Send + Sync + 'static) -> Self {
        Self::try_new(move |value, operation| Ok(run(value, operation)))
    }

    /// A map of your own that may refuse.
    pub fn try_new(run: impl Fn(Value, Operation) -> Result<Mapped> + Send + Sync + 'static) -> Self {
        Self::named_fn("custom", run)
    }

    /// Gives the parameters back unchanged. The default.
    pub fn none() -> Self {
        Self::named_fn("none", |value, _| Ok(value.into()))
    }

    /// Renames top-level parameters; others pass unchanged (R8.10).
    pub fn rename<F: Into<String>, T: Into<String>>(names: impl IntoIterator<Item = (F, T)>) -> Self {
        let names: Vec<(String, String)> = names.into_iter().map(|(from, to)| (from.into(), to.into())).collect();
        Self::named_fn("rename", move |value, _| {
            let Value::Object(params) = value else { return Ok(value.into()) };
            let renamed = params.iter().map(|(name, value)| {
                let to = names.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to.as_str());
                (to.to_owned(), value.clone())
            });
            Ok(Mapped::Params(renamed.collect()))
        })
    }

    /// JSON text of the parameters, for every operation.
    pub fn json_body() -> Self {
        Self::named_fn("json-body", |value, _| Ok(Mapped::Text(value.to_json())))
    }

    /// JSON text for create, update and destroy; reads unchanged.
    pub fn json_body_write() -> Self {
        Self::named_fn("json-body-write", |value, operation| {
            Ok(if operation == Operation::Read { value.into() } else { Mapped::Text(value.to_json()) })
        })
    }

    /// For a batched write `{models: JSON text of the rows}`; else unchanged.
    pub fn models_json() -> Self {
        Self::named_fn("models-json", |value, operation| {
            Ok(match models(&value, operation) {
                Some(models) => Mapped::Params(Record::from([("models", models.to_json())])),
                None => value.into(),
            })
        })
    }

    /// For a batched write JSON text of the list of rows itself; else unchanged.
    pub fn models_array_body() -> Self {
        Self::named_fn("models-array-body", |value, operation| {
            Ok(match models(&value, operation) {
                Some(models) => Mapped::Text(models.to_json()),
                None => value.into(),
            })
        })
    }

    /// For a batched write JSON text of the list of rows; else nothing: a read loses its parameters, a single write its
    /// row. The map of Kendo's article on working offline; use it with `batch` only.
    pub fn models_array_or_nothing() -> Self {
        Self::named_fn("models-array-or-nothing", |value, operation| {
            Ok(models(&value, operation).map_or(Mapped::Nothing, |models| Mapped::Text(models.to_json())))
        })
    }

    /// `{request: JSON text of the parameters}`.
    pub fn request_param() -> Self {
        Self::named_fn("request-param", |value, _| Ok(Mapped::Params(Record::from([("request", value.to_json())]))))
    }

    /// Nothing, for every operation.
    pub fn nothing() -> Self {
        Self::named_fn("drop", |_, _| Ok(Mapped::Nothing))
    }

    /// Kendo's map of `type: "odata"` (R8.28, R8.29): `$top`, `$orderby`, … for reads, JSON text with top-level numbers as
    /// text for creates and updates (Q53), nothing for destroys. `format_json`: whether reads ask for `$format=json`.
    pub fn odata_v2(format_json: bool, zone: Arc<dyn crate::Zone>) -> Self {
        Self::named_fn("odata", move |value, operation| {
            odata(value, operation, |params| {
                let mut out = Record::from([("$inlinecount", "allpages")]);
                if format_json {
                    out.set("$format", "json");
                }
                query::read_params(&mut out, params, query::Version::V2, zone.as_ref())?;
                Ok(out)
            })
        })
    }

    /// Kendo's map of `type: "odata-v4"` (R8.35).
    pub fn odata_v4() -> Self {
        Self::named_fn("odata-v4", |value, operation| {
            odata(value, operation, |params| {
                let mut out = Record::from([("$format", "json")]);
                query::read_params(&mut out, params, query::Version::V4, &crate::Utc)?;
                if let Some(filter) = out.get_mut("$filter") {
                    *filter = query::unquote_guids(&filter.to_text()).into();
                }
                out.set("$count", true);
                Ok(out)
            })
        })
    }

    /// The parameters of ASP.NET's `DataSourceRequest`: `sort=Name-asc~Price-desc`, `filter=(Name~contains~'x'~and~…)`, rows as
    /// `models[0].Name=…`. `zone`: where dates of filters are local.
    pub fn aspnet(zone: Arc<dyn crate::Zone>) -> Self {
        Self::named_fn("aspnet", move |value, operation| super::aspnet::mapped(&value, operation, zone.as_ref()))
    }

    /// The map that a name stands for: `none`, `json-body`, `json-body-write`, `models-json`, `models-array-body`,
    /// `models-array-or-nothing`, `request-param`, `drop`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::none(),
            "json-body" => Self::json_body(),
            "json-body-write" => Self::json_body_write(),
            "models-json" => Self::models_json(),
            "models-array-body" => Self::models_array_body(),
            "models-array-or-nothing" => Self::models_array_or_nothing(),
            "request-param" => Self::request_param(),
            "drop" => Self::nothing(),
            _ => return None,
        })
    }

    /// Maps.
    ///
    /// # Errors
    /// Whatever the map refuses; OData's refuse operators that OData lacks with [`ErrorKind::Unsupported`] (Q54).
    pub fn apply(&self, params: Value, operation: Operation) -> Result<Mapped> {
        (self.run)(params, operation)
    }
}

fn models(value: &Value, operation: Operation) -> Option<Value> {
    if operation == Operation::Read {
        return None;
    }
    value.as_object()?.get("models").filter(|models| models.is_truthy()).cloned()
}

fn odata(value: Value, operation: Operation, read: impl FnOnce(&Record) -> Result<Record>) -> Result<Mapped> {
    let Value::Object(mut params) = value else {
        return Err(Error::new(ErrorKind::Invalid, "OData's parameter map needs an object"));
    };
    match operation {
        Operation::Read => read(&params).map(Mapped::Params),
        Operation::Destroy => Ok(Mapped::Nothing),
        _ => {
            let numbers: Vec<(String, String)> = params
                .iter()
                .filter_map(|(name, value)| value.as_number().map(|number| (name.to_owned(), number.to_string())))
                .collect();
            for (name, text) in numbers {
                params.set(name, text);
            }
            Ok(Mapped::Text(params.to_json()))
        }
    }
}

impl fmt::Debug for ParameterMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParameterMap").field(&self.name).finish()
    }
}
