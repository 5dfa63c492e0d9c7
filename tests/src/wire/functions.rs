//! The functions that cases name where Kendo wants JavaScript.

use landfall_core::{Error, ErrorKind, Record, Result, Value};
use landfall_transport::{
    WireRequest,
    dialect::kendo::{Address, DataHook, Functions, SendHook, Submit},
};
use std::sync::Arc;

/// The functions of the format, by the names it gives them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named;

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    member(value, name).and_then(Value::as_str).unwrap_or_default()
}

fn unknown(value: &Value) -> Error {
    Error::new(ErrorKind::Unsupported, "no function of the format").with("function", value.to_json())
}

impl Functions for Named {
    fn url(&self, value: &Value) -> Result<Address> {
        match text(value, "$fn") {
            "expand" => Ok(Address::template(text(value, "template"))),
            _ => Err(unknown(value)),
        }
    }

    fn data(&self, value: &Value) -> Result<Option<DataHook>> {
        match text(value, "$fn") {
            "" => Ok(None),
            "const" => {
                let data = member(value, "value").and_then(Value::as_object).cloned().ok_or_else(|| unknown(value))?;
                Ok(Some(Arc::new(move |_: &Value| data.clone())))
            }
            "keys" => Ok(Some(Arc::new(|call: &Value| {
                let names: Vec<&str> =
                    call.as_object().map(|call| call.iter().map(|(name, _)| name).collect()).unwrap_or_default();
                Record::from([("seen", names.join(","))])
            }))),
            _ => Err(unknown(value)),
        }
    }

    fn before_send(&self, value: &Value) -> Result<SendHook> {
        if text(value, "$fn") != "header" {
            return Err(unknown(value));
        }
        let (name, to) = (text(value, "name").to_owned(), text(value, "value").to_owned());
        Ok(Arc::new(move |sent: &mut WireRequest| {
            sent.set_header(&name, &to);
            Ok(())
        }))
    }

    fn submit(&self, value: &Value) -> Result<Submit> {
        match text(value, "$fn") {
            "post-json" => Ok(Submit::Json(text(value, "url").into())),
            _ => Err(unknown(value)),
        }
    }
}

/// The function of `schema.parse`.
pub(super) fn parse(value: &Value) -> Result<impl Fn(Value) -> Value + Send + Sync + 'static> {
    if text(value, "$fn") != "path" {
        return Err(unknown(value));
    }
    let path = text(value, "path").to_owned();
    Ok(move |answer: Value| landfall_core::Path::parse(&path).get_in(&answer).cloned().unwrap_or_default())
}
