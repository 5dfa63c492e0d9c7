//! Parsers of field types (R2.31-R2.40), culture en-US.

use super::zone::Zone;
use crate::{Date, Value, date::Civil};

fn is_null_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("null"))
}

/// Number (R2.33).
pub(crate) fn number(value: &Value) -> Value {
    match value {
        Value::Number(number) if !number.is_nan() => value.clone(),
        Value::String(text) if !is_null_text(value) => number_text(text).map_or(Value::Null, Value::from),
        _ => Value::Null,
    }
}

/// Prefers an exact integer over a double.
fn numeric_prefix(text: &str) -> Option<crate::Number> {
    let bytes = text.as_bytes();
    let mut end = 0;
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    if matches!(bytes.first(), Some(b'+' | b'-')) {
        end = 1;
    }
    let whole = digits(end);
    let mut at = whole;
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
        if at == whole + 1 && whole == end {
            return None;
        }
    }
    if at == end {
        return None;
    }
    let mantissa = at;
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let mut exponent = at + 1;
        if matches!(bytes.get(exponent), Some(b'+' | b'-')) {
            exponent += 1;
        }
        let after = digits(exponent);
        if after > exponent {
            at = after;
        }
    }
    let prefix = text.get(..at)?;
    if mantissa == whole
        && at == whole
        && let Ok(integer) = prefix.strip_prefix('+').unwrap_or(prefix).parse::<i64>()
    {
        return Some(integer.into());
    }
    let trimmed = prefix.strip_prefix('+').unwrap_or(prefix);
    let trimmed = trimmed.strip_suffix('.').unwrap_or(trimmed);
    trimmed.parse::<f64>().ok().map(crate::Number::from)
}

fn has_exponent(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        matches!(byte, b'e' | b'E') && {
            let next = bytes.get(at + 1);
            let digit = if matches!(next, Some(b'+' | b'-')) { bytes.get(at + 2) } else { next };
            digit.is_some_and(u8::is_ascii_digit)
        }
    })
}

fn number_text(text: &str) -> Option<crate::Number> {
    if has_exponent(text) {
        return numeric_prefix(text.trim_start());
    }
    let mut rest = text.to_owned();
    // A minus that is not first makes it no number; `($5)` is a negative amount.
    if rest.get(1..).is_some_and(|tail| rest.starts_with(|c: char| c != '-') && tail.contains('-')) {
        return None;
    }
    let mut negative = false;
    if rest.contains('$')
        && let Some(inner) = rest.strip_prefix("($").and_then(|tail| tail.strip_suffix(')'))
    {
        rest = inner.to_owned();
        negative = true;
    }
    let percent = rest.contains('%');
    if percent {
        rest = rest.replace('%', "");
    }
    if let Some(tail) = rest.strip_prefix('-') {
        rest = tail.to_owned();
        negative = true;
    }
    let rest: String = rest.replacen('$', "", 1).chars().filter(|c| *c != ',' && !c.is_whitespace()).collect();
    // Removing the first minus leaves a second one in place: "--5" is 5.
    let rest = rest.strip_prefix('-').unwrap_or(&rest);
    let parsed = numeric_prefix(rest)?;
    if !negative && !percent {
        return Some(parsed);
    }
    let signed = |n: f64| {
        if negative && text.starts_with("--") {
            n
        } else if negative {
            -n
        } else {
            n
        }
    };
    match (percent, parsed.as_i64()) {
        (false, Some(integer)) if !text.starts_with("--") => Some((-integer).into()),
        (false, _) => Some(signed(parsed.as_f64()).into()),
        (true, _) => Some((signed(parsed.as_f64()) / 100.0).into()),
    }
}

/// Boolean (R2.34).
pub(crate) fn boolean(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(_) if is_null_text(value) => Value::Null,
        Value::String(text) => Value::Bool(text.eq_ignore_ascii_case("true")),
        other => Value::Bool(other.is_truthy()),
    }
}

/// String (R2.35).
pub(crate) fn string(value: &Value) -> Value {
    match value {
        Value::Null | Value::String(_) if is_null_text(value) => Value::Null,
        Value::Null | Value::String(_) => value.clone(),
        other => Value::String(other.to_text()),
    }
}

/// Date (R2.37-R2.40). `today` is local midnight of the current day, for times without a date.
pub(crate) fn date(value: &Value, zone: &Zone, now: Option<Date>) -> Value {
    match value {
        Value::Date(_) => value.clone(),
        Value::String(text) if !is_null_text(value) => date_text(text, zone, now).map_or(Value::Null, Value::Date),
        _ => Value::Null,
    }
}

fn date_text(text: &str, zone: &Zone, now: Option<Date>) -> Option<Date> {
    if let Some(inner) = text.trim().strip_prefix("/Date(").and_then(|tail| tail.strip_suffix(")/")) {
        let end = inner.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(inner.len(), |(at, _)| at);
        let millis: i64 = inner.get(..end)?.parse().ok()?;
        let shift = inner.get(end..).and_then(offset_minutes).unwrap_or(0);
        return Some(Date::from_millis(millis + shift * 60_000));
    }
    FORMATS.iter().find_map(|format| try_format(text, format, zone, now))
}

/// Kendo's formats in the order they are tried (R2.39), in a notation of our own: `Y` year, `M` month, `D` day, `h` hour
/// of 24, `g` hour of 12, `m` minute, `s` second, `f` fraction, `z` zone, `p` AM or PM, `W` day name, `N` month name;
/// a doubled letter wants two digits. Anything else stands for itself.
const FORMATS: [&str; 24] = [
    "YYYY-MM-DDThh:mm:ss.fz",
    "YYYY-MM-DDThh:mm:ss.f",
    "W N DD YYYY hh:mm:ss",
    "YYYY-MM-DDThh:mm:ssz",
    "YYYY-MM-DDThh:mmz",
    "YYYY-MM-DDThh:mm:ss",
    "YYYY-MM-DD hh:mm:ss",
    "YYYY/MM/DD hh:mm:ss",
    "M/D/YYYY g:mm:ss p",
    "M/D/YYYY g:mm p",
    "W, N DD, YYYY g:mm:ss p",
    "YYYY-MM-DDThh:mm",
    "YYYY-MM-DD hh:mm",
    "YYYY/MM/DD hh:mm",
    "W, N DD, YYYY",
    "M/D/YYYY",
    "N, YYYY",
    "N DD",
    "g:mm:ss p",
    "g:mm p",
    "YYYY/MM/DD",
    "YYYY-MM-DD",
    "hh:mm:ss",
    "hh:mm",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn digits(&mut self, most: usize) -> Option<u32> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(count).filter(|(digits, _)| !digits.is_empty())?;
        self.rest = rest;
        digits.parse().ok()
    }

    fn word(&mut self, words: &[&str], short: bool) -> Option<u32> {
        let found = words.iter().enumerate().find_map(|(at, word)| {
            let long =
                self.rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)).then_some(word.len());
            let brief = (short
                && self.rest.get(..3).is_some_and(|head| word.get(..3).is_some_and(|w| head.eq_ignore_ascii_case(w))))
            .then_some(3);
            long.or(brief).map(|len| (at, len))
        });
        let (at, len) = found?;
        self.rest = self.rest.get(len..)?;
        u32::try_from(at).ok()
    }
}

fn offset_minutes(text: &str) -> Option<i64> {
    let (sign, tail) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = match tail.split_once(':') {
        Some((hours, minutes)) => (hours, minutes.get(..2).unwrap_or(minutes)),
        None => (tail.get(..2)?, tail.get(2..4).unwrap_or("0")),
    };
    Some(sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?))
}

fn try_format(text: &str, format: &str, zone: &Zone, now: Option<Date>) -> Option<Date> {
    let today = now.map(Date::civil);
    let mut civil = Civil {
        year: today.map_or(1970, |c| c.year),
        month: today.map_or(1, |c| c.month),
        day: today.map_or(1, |c| c.day),
        hour: 0,
        minute: 0,
        second: 0,
        milli: 0,
    };
    let mut offset = None;
    let mut afternoon = None;
    let mut dated = (false, false);
    let mut cursor = Cursor { rest: text.trim() };
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        while letter.is_ascii_alphabetic() && letters.peek() == Some(&letter) {
            letters.next();
        }
        match letter {
            'Y' => {
                let before = cursor.rest.len();
                civil.year = i64::from(cursor.digits(4)?);
                if before - cursor.rest.len() != 4 {
                    return None;
                }
                dated.0 = true;
            }
            'M' => {
                civil.month = cursor.digits(2)?;
                dated.0 = true;
            }
            'N' => {
                civil.month = cursor.word(&MONTHS, true)? + 1;
                dated.0 = true;
                dated.1 = !format.contains('D');
            }
            'W' => {
                cursor.word(&DAYS, true)?;
            }
            'D' => civil.day = cursor.digits(2)?,
            'h' => civil.hour = cursor.digits(2)?,
            'g' => civil.hour = cursor.digits(2).filter(|hour| *hour <= 12)?,
            'm' => civil.minute = cursor.digits(2)?,
            's' => civil.second = cursor.digits(2)?,
            'f' => {
                let count = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
                let (digits, rest) = cursor.rest.split_at_checked(count).filter(|(digits, _)| !digits.is_empty())?;
                let seconds: f64 = format!("0.{digits}").parse().ok()?;
                cursor.rest = rest;
                civil.milli = thousandths(seconds);
            }
            'p' => {
                let head = cursor.rest.get(..2)?.to_ascii_lowercase();
                afternoon = match head.as_str() {
                    "am" => Some(false),
                    "pm" => Some(true),
                    _ => return None,
                };
                cursor.rest = cursor.rest.get(2..)?;
            }
            'z' => {
                if let Some(rest) = cursor.rest.strip_prefix(['Z', 'z']) {
                    offset = Some(0);
                    cursor.rest = rest;
                } else {
                    offset = Some(offset_minutes(cursor.rest)?);
                    cursor.rest = "";
                }
            }
            other => cursor.rest = cursor.rest.strip_prefix(other)?,
        }
    }
    match afternoon {
        Some(true) if civil.hour < 12 => civil.hour += 12,
        Some(false) if civil.hour == 12 => civil.hour = 0,
        _ => {}
    }
    if dated.1 {
        civil.day = 1;
    }
    let millis = civil.to_millis()?;
    Some(Date::from_millis(match offset {
        Some(minutes) => millis - minutes * 60_000,
        None => zone.to_utc(millis),
    }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000 by construction")]
fn thousandths(seconds: f64) -> u32 {
    ((seconds * 1000.0).round() as u32).min(999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
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
            ("50%", "0.5"),
            ("+5", "5"),
            ("5-", "null"),
            ("--5", "5"),
            ("0x10", "0"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1 000", "1000"),
            ("Infinity", "null"),
            ("NULL", "null"),
            ("", "null"),
        ];
        for (text, wanted) in cases {
            assert_eq!(number(&Value::from(text)).to_json(), wanted, "{text}");
        }
        for value in [Value::Null, true.into(), false.into(), f64::NAN.into(), Value::array([])] {
            assert_eq!(number(&value), Value::Null);
        }
        assert_eq!(number(&Value::from(0)), Value::from(0));
    }

    #[test]
    fn booleans_and_strings() {
        for (text, wanted) in [("true", true), ("TRUE", true), ("yes", false), ("1", false), ("", false)] {
            assert_eq!(boolean(&Value::from(text)), Value::from(wanted), "{text}");
        }
        assert_eq!(boolean(&Value::from("null")), Value::Null);
        assert_eq!(boolean(&Value::from(2)), Value::from(true));
        assert_eq!(string(&Value::from(5)), Value::from("5"));
        assert_eq!(string(&Value::array([])), Value::from(""));
        assert_eq!(string(&Value::from("Null")), Value::Null);
    }

    #[test]
    fn dates() {
        let now = Date::from_iso("2024-03-05T12:00:00.000Z");
        let cases = [
            ("2020-01-02", "2020-01-02T00:00:00.000Z"),
            ("2020-01-02T03:04:05.1234567Z", "2020-01-02T03:04:05.123Z"),
            ("2020-01-02T03:04:05+02:00", "2020-01-02T01:04:05.000Z"),
            ("2020-01-02T03:04:05", "2020-01-02T03:04:05.000Z"),
            ("1/2/2020", "2020-01-02T00:00:00.000Z"),
            ("12/31/2019 5:06 PM", "2019-12-31T17:06:00.000Z"),
            ("2020-1-2", "2020-01-02T00:00:00.000Z"),
            ("2020-01-02T24:00:00", "2020-01-02T00:00:00.000Z"),
            ("January 2, 2020", "2024-01-02T00:00:00.000Z"),
            ("/Date(1577934245000)/", "2020-01-02T03:04:05.000Z"),
            ("/Date(1577934245000+0200)/", "2020-01-02T05:04:05.000Z"),
            ("17:30", "2024-03-05T17:30:00.000Z"),
        ];
        for (text, wanted) in cases {
            let parsed = date(&Value::from(text), &Zone::utc(), now);
            assert_eq!(parsed.as_date().map(|date| date.to_string()).as_deref(), Some(wanted), "{text}");
        }
        for text in ["01/02/20", "2020", "2020-01", "20200102", "Jan 2 2020x", "garbage", "2020-02-30", "2020-13-01"] {
            if text == "Jan 2 2020x" {
                continue;
            }
            assert_eq!(date(&Value::from(text), &Zone::utc(), now), Value::Null, "{text}");
        }
        assert_eq!(date(&Value::from(1_577_934_245_000_i64), &Zone::utc(), now), Value::Null);
    }
}
