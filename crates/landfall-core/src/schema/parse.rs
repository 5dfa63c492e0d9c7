//! Turning values into a field's type: the parsers that reads and `set` share (R2.31-R2.40).
//!
//! Owns the conversion of single values, culture en-US. Never fails: what cannot be read becomes null.

use super::{dates, field::FieldType, zone::Zone};
use crate::{Number, Value};

/// Converts a value to a type; `None` is absent (JavaScript's undefined) and may stay so.
pub(crate) fn convert(kind: FieldType, value: Option<&Value>, zone: &Zone) -> Option<Value> {
    let typed = !matches!(kind, FieldType::Object | FieldType::Default);
    if typed && matches!(value, Some(Value::String(text)) if text.eq_ignore_ascii_case("null")) {
        return Some(Value::Null);
    }
    match (kind, value) {
        (FieldType::Object | FieldType::Default, value) => value.cloned(),
        (FieldType::String | FieldType::Boolean, None | Some(Value::Null))
        | (FieldType::String, Some(Value::String(_)))
        | (FieldType::Boolean, Some(Value::Bool(_))) => value.cloned(),
        (FieldType::String, Some(value)) => Some(Value::String(value.to_text())),
        (FieldType::Boolean, Some(Value::String(text))) => Some(Value::Bool(text.eq_ignore_ascii_case("true"))),
        (FieldType::Boolean, Some(value)) => Some(Value::Bool(value.is_truthy())),
        (FieldType::Number, value) => Some(value.and_then(to_number).map_or(Value::Null, Value::Number)),
        (FieldType::Date, value) => Some(value.and_then(|v| to_date(v, zone)).unwrap_or(Value::Null)),
    }
}

fn to_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => (!number.is_nan()).then_some(*number),
        Value::String(text) => number_text(text),
        Value::Array(_) => number_text(&value.to_text()),
        Value::Null | Value::Bool(_) | Value::Date(_) | Value::Object(_) => None,
    }
}

fn to_date(value: &Value, zone: &Zone) -> Option<Value> {
    match value {
        Value::Date(_) => Some(value.clone()),
        Value::String(text) => dates::parse(text, zone).map(Value::Date),
        Value::Array(_) => dates::parse(&value.to_text(), zone).map(Value::Date),
        _ => None,
    }
}

/// Reads a number text by the rules of R2.33. Whole numbers keep all their digits.
pub(super) fn number_text(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    if has_exponent(text) {
        return prefix(text.trim_start());
    }
    let mut negative = match text.find('-') {
        None => false,
        Some(0) => true,
        Some(_) => return None,
    };
    let mut text = text.to_owned();
    let mut percent = false;
    if text.contains('$') {
        // The pattern of negative amounts: ($n).
        if text.contains("($") && text.contains(')') {
            text = text.replacen("($", "", 1).replacen(')', "", 1);
            negative = true;
        }
        text = text.replacen('$', "", 1);
    } else if text.contains('%') {
        percent = true;
        text = text.replacen('%', "", 1);
    }
    text = text.replacen('-', "", 1);
    text.retain(|c| c != ',' && !c.is_whitespace() && c != '\u{feff}');
    let number = prefix(&text)?;
    let number = if negative { negate(number) } else { number };
    Some(if percent { Number::from(number.as_f64() / 100.0) } else { number })
}

fn negate(number: Number) -> Number {
    match number.as_i64().and_then(i64::checked_neg) {
        Some(whole) => Number::from(whole),
        None => Number::from(-number.as_f64()),
    }
}

/// Whether an `e` with digits behind it occurs anywhere.
fn has_exponent(text: &str) -> bool {
    text.match_indices(['e', 'E']).any(|(at, _)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        rest.strip_prefix(['+', '-']).unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The longest numeric prefix, as JavaScript's `parseFloat`.
fn prefix(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        let from = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at, at > from)
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let (mut end, mut any) = digits(start);
    let mut whole = any;
    if bytes.get(end) == Some(&b'.') {
        let (after, fraction) = digits(end + 1);
        if any || fraction {
            end = after;
            any = true;
            whole = whole && !fraction;
        }
    }
    if !any {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let (after, exponent) = digits(signed);
        if exponent {
            end = after;
            whole = false;
        }
    }
    let number = text.get(..end)?;
    if whole {
        let number = number.trim_end_matches('.');
        if let Ok(value) = number.parse::<i64>() {
            return Some(Number::from(value));
        }
        if let Ok(value) = number.parse::<u64>() {
            return Some(Number::from(value));
        }
    }
    number.parse::<f64>().ok().filter(|value| value.is_finite()).map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: FieldType, input: &str, expected: &str) {
        let value = Value::from_json(input).unwrap();
        let got = convert(kind, Some(&value), &Zone::utc()).map_or("absent".to_owned(), |v| v.to_json());
        assert_eq!(got, expected, "{kind:?} of {input}");
    }

    #[test]
    fn r2_33_number_texts() {
        for (text, expected) in [
            ("5", "5"),
            ("1,234.5", "1234.5"),
            ("-3", "-3"),
            (" 7 ", "7"),
            ("12abc", "12"),
            ("abc", "null"),
            ("1e3", "1000"),
            ("1e", "1"),
            ("$5", "5"),
            ("(5)", "null"),
            ("($5)", "-5"),
            ("50%", "0.5"),
            ("+5", "5"),
            ("5-", "null"),
            ("--5", "5"),
            ("0x10", "0"),
            (".5", "0.5"),
            ("5.", "5"),
            (".", "null"),
            ("1 000", "1000"),
            ("1\u{a0}000", "1000"),
            ("Infinity", "null"),
            ("1e999", "null"),
            ("", "null"),
            ("-0.5", "-0.5"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9,007,199,254,740,993", "-9007199254740993"),
        ] {
            check(FieldType::Number, &Value::from(text).to_json(), expected);
        }
    }

    #[test]
    fn r2_33_numbers_of_other_values() {
        for (input, expected) in
            [("0", "0"), ("1.5", "1.5"), ("true", "null"), ("false", "null"), ("[]", "null"), ("{}", "null")]
        {
            check(FieldType::Number, input, expected);
        }
        let nan = Value::from(f64::NAN);
        assert_eq!(convert(FieldType::Number, Some(&nan), &Zone::utc()), Some(Value::Null));
    }

    #[test]
    fn r2_32_the_text_null() {
        for kind in [FieldType::Number, FieldType::Date, FieldType::String, FieldType::Boolean] {
            check(kind, r#""NULL""#, "null");
        }
        check(FieldType::Default, r#""null""#, r#""null""#);
    }

    #[test]
    fn r2_34_to_r2_36_booleans_texts_others() {
        for (input, expected) in
            [(r#""True""#, "true"), (r#""yes""#, "false"), (r#""""#, "false"), ("1", "true"), ("null", "null")]
        {
            check(FieldType::Boolean, input, expected);
        }
        for (input, expected) in
            [("5", r#""5""#), ("[]", r#""""#), ("{}", r#""[object Object]""#), ("null", "null"), ("true", r#""true""#)]
        {
            check(FieldType::String, input, expected);
        }
        check(FieldType::Object, r#"{"a":1}"#, r#"{"a":1}"#);
    }

    #[test]
    fn r2_37_dates_of_other_values() {
        for input in ["0", "false", "null", r#""""#, "1577934245000", "true", "{}"] {
            check(FieldType::Date, input, "null");
        }
        check(FieldType::Date, r#""2020-01-02T03:04:05Z""#, r#""2020-01-02T03:04:05.000Z""#);
    }

    #[test]
    fn r3_10_absent_values() {
        for (kind, expected) in [
            (FieldType::Number, Some(Value::Null)),
            (FieldType::Date, Some(Value::Null)),
            (FieldType::String, None),
            (FieldType::Boolean, None),
            (FieldType::Default, None),
            (FieldType::Object, None),
        ] {
            assert_eq!(convert(kind, None, &Zone::utc()), expected);
        }
    }
}
