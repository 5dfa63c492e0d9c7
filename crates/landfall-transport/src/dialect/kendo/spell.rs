//! From settings and mapped parameters to a request, step by step as jQuery 3 sends it (R8.14 to R8.19, R8.26).
//!
//! Owns the order of the parts of a URL and the standard headers. Resolves and normalises no URL: channels do, as
//! browsers do.

use super::{CallbackParameter, ContentType, Mapped, Settings};
use crate::{DataType, Dates, Error, ErrorKind, Operation, Result, Surroundings, WireRequest, form, jsonp};

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const SCRIPT: &str =
    "text/javascript, application/javascript, application/ecmascript, application/x-ecmascript, */*; q=0.01";

/// Spells a request.
pub(super) fn spell(
    settings: &Settings,
    operation: Operation,
    url: &str,
    params: &landfall_core::Value,
    mapped: Mapped,
    dates: &Dates,
    around: &Surroundings<'_>,
) -> Result<WireRequest> {
    let mut url = url.split('#').next().unwrap_or_default().to_owned();
    let foreign = around.is_foreign(&url);
    let mut data = match mapped {
        Mapped::Params(params) => {
            form::encode(&params, &form::FormRules { traditional: settings.traditional, dates: dates.clone() })
        }
        Mapped::Text(text) => text,
        Mapped::Nothing => String::new(),
    };
    let form_type = match &settings.content_type {
        ContentType::Form => true,
        ContentType::Named(name) => name.starts_with("application/x-www-form-urlencoded"),
        ContentType::Unset => false,
    };

    let callback = callback(settings, &mut url, &mut data, form_type, around)?;
    let script = callback.is_some() && foreign;
    let mut method = settings.method.clone().unwrap_or_else(|| "GET".to_owned());
    if script {
        "GET".clone_into(&mut method);
    }
    let has_content = !matches!(method.as_str(), "GET" | "HEAD");
    let cache = settings.cache.unwrap_or(callback.is_none());
    if !has_content {
        if !data.is_empty() {
            url = appended(url, &std::mem::take(&mut data));
        }
        if !cache {
            url = appended(without_stamp(&url), &format!("_={}", around.stamp()));
        }
    } else if form_type {
        data = data.replace("%20", "+");
    }

    let mut sent = WireRequest::new(operation, method, url);
    sent.expects = if callback.is_some() { DataType::Jsonp } else { settings.data_type };
    sent.timeout = settings.timeout;
    if script {
        sent.set_header("Accept", "*/*");
        sent.callback = callback;
        return Ok(sent);
    }
    sent.set_header("Accept", if callback.is_some() { SCRIPT } else { accept(settings.data_type) });
    sent.callback = callback;
    match &settings.content_type {
        ContentType::Named(name) => sent.set_header("Content-Type", name),
        ContentType::Form if !data.is_empty() => sent.set_header("Content-Type", FORM),
        // What a browser says of text that nobody described.
        ContentType::Unset if !data.is_empty() => sent.set_header("Content-Type", "text/plain;charset=UTF-8"),
        ContentType::Form | ContentType::Unset => {}
    }
    if !foreign {
        sent.set_header("X-Requested-With", "XMLHttpRequest");
    }
    if let Some(headers) = &settings.headers {
        for (name, value) in headers(params) {
            sent.set_header(name, value);
        }
    }
    if !data.is_empty() {
        sent.body = Some(data.into_bytes());
    }
    if let Some(change) = &settings.before_send {
        change(&mut sent)?;
    }
    Ok(sent)
}

/// The `Accept` header of a data type (R8.17).
fn accept(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Any => "*/*",
        DataType::Json => "application/json, text/javascript, */*; q=0.01",
        DataType::Jsonp => SCRIPT,
        DataType::Xml => "application/xml, text/xml, */*; q=0.01",
        DataType::Text => "text/plain, */*; q=0.01",
        DataType::Html => "text/html, */*; q=0.01",
    }
}

/// The callback of a JSONP request, put into the URL (or the data) on the way.
fn callback(
    settings: &Settings,
    url: &mut String,
    data: &mut String,
    form_type: bool,
    around: &Surroundings<'_>,
) -> Result<Option<String>> {
    if !matches!(settings.data_type, DataType::Json | DataType::Jsonp) {
        return Ok(None);
    }
    let parameter = match &settings.callback_parameter {
        Some(CallbackParameter::Unsent) => None,
        Some(CallbackParameter::Named(name)) => Some(name.as_str()),
        None => Some("callback"),
    };
    let in_url = parameter.and_then(|_| placeholder(url));
    let in_data = parameter.filter(|_| in_url.is_none() && form_type).and_then(|_| placeholder(data));
    if settings.data_type != DataType::Jsonp && in_url.is_none() && in_data.is_none() {
        return Ok(None);
    }
    let name = match &settings.callback {
        Some(name) if jsonp::is_callback_name(name) => name.clone(),
        Some(_) => return Err(Error::new(ErrorKind::Config, "the callback's name may hold letters, digits, _ and $")),
        None => jsonp::callback_name(around),
    };
    if let Some(place) = in_url {
        url.replace_range(place, &name);
    } else if let Some(place) = in_data {
        data.replace_range(place, &name);
    } else if let Some(parameter) = parameter {
        *url = appended(std::mem::take(url), &format!("{parameter}={name}"));
    }
    Ok(Some(name))
}

/// Where a `?` stands for the callback's name: a whole value (`fn=?`), or `??` anywhere.
fn placeholder(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied();
    (0..bytes.len()).find_map(|index| match (at(index), at(index + 1)) {
        (Some(b'='), Some(b'?')) if matches!(at(index + 2), None | Some(b'&')) => Some(index + 1..index + 2),
        (Some(b'?'), Some(b'?')) => Some(index..index + 2),
        _ => None,
    })
}

fn appended(mut url: String, text: &str) -> String {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(text);
    url
}

/// Without the first parameter `_`.
fn without_stamp(url: &str) -> String {
    let found = ["?_=", "&_="].iter().filter_map(|mark| url.find(mark)).min();
    let Some(start) = found else { return url.to_owned() };
    let (before, rest) = url.split_at(start + 1);
    let end = rest.find('&').unwrap_or(rest.len());
    format!("{before}{}", rest.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for (text, place) in [
            ("/p?fn=?", Some(6..7)),
            ("/p?fn=?&a=1", Some(6..7)),
            ("/p?fn=?x", None),
            ("/p??", Some(2..4)),
            ("/p?a=1", None),
            ("", None),
        ] {
            assert_eq!(placeholder(text), place, "{text}");
        }
    }

    #[test]
    fn stamps() {
        for (url, expected) in [("/p?_=1", "/p?"), ("/p?a=1&_=2&b=3", "/p?a=1&&b=3"), ("/p?a_=1", "/p?a_=1")] {
            assert_eq!(without_stamp(url), expected);
        }
    }
}
