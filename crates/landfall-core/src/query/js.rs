//! JavaScript's comparisons, as far as filters need them (R7.19-R7.34).
//!
//! Owns coercion. Never knows operators or records.

use crate::{Number, record::Cell};
use std::{borrow::Cow, cmp::Ordering};

/// JavaScript's conversions.
pub(crate) trait Coerce<'a> {
    /// JavaScript's `String(value)`; dates as ISO text (Q52).
    fn to_text(self) -> Cow<'a, str>;
    /// JavaScript's `Number(value)`.
    fn to_number(self) -> Number;
}

impl<'a> Coerce<'a> for Cell<'a> {
    fn to_text(self) -> Cow<'a, str> {
        match self {
            Self::Absent => Cow::Borrowed("undefined"),
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Number(value) => Cow::Owned(value.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Date(millis) => Cow::Owned(crate::Date::from_millis(millis).to_string()),
            Self::Other(value) => Cow::Owned(value.to_text().as_str().to_owned()),
        }
    }

    fn to_number(self) -> Number {
        match self {
            Self::Absent => Number::from(f64::NAN),
            Self::Null => Number::from(0_i64),
            Self::Bool(value) => Number::from(i64::from(value)),
            Self::Number(value) => value,
            Self::Text(text) => text_to_number(text),
            Self::Date(millis) => Number::from(millis),
            Self::Other(value) => text_to_number(&value.to_text()),
        }
    }
}

/// `a === b`. Lists, objects and dates are never one and the same thing here.
pub(crate) fn strictly_equal(a: Cell<'_>, b: Cell<'_>) -> bool {
    match (a, b) {
        (Cell::Absent, Cell::Absent) | (Cell::Null, Cell::Null) => true,
        (Cell::Bool(a), Cell::Bool(b)) => a == b,
        (Cell::Number(a), Cell::Number(b)) => a == b,
        (Cell::Text(a), Cell::Text(b)) => a == b,
        _ => false,
    }
}

/// `a == b`.
pub(crate) fn loosely_equal(a: Cell<'_>, b: Cell<'_>) -> bool {
    match (a, b) {
        (Cell::Absent | Cell::Null, _) | (_, Cell::Absent | Cell::Null) => a.is_missing() && b.is_missing(),
        // No two objects are the same. A date turns into a text that nobody writes into a filter.
        (Cell::Other(_), Cell::Other(_)) | (Cell::Date(_), _) | (_, Cell::Date(_)) => false,
        (Cell::Other(a), b) => loosely_equal(Cell::Text(&a.to_text()), b),
        (a, Cell::Other(b)) => loosely_equal(a, Cell::Text(&b.to_text())),
        (Cell::Text(a), Cell::Text(b)) => a == b,
        _ => a.to_number() == b.to_number(),
    }
}

/// The order that `<` and `>` see; `None` when one of them is not a number.
pub(crate) fn relation(a: Cell<'_>, b: Cell<'_>) -> Option<Ordering> {
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => Some(by_utf16(a, b)),
        (Cell::Other(a), _) => relation(Cell::Text(&a.to_text()), b),
        (_, Cell::Other(b)) => relation(a, Cell::Text(&b.to_text())),
        _ => a.to_number().partial_cmp(&b.to_number()),
    }
}

/// By UTF-16 code units, as JavaScript orders texts.
pub(crate) fn by_utf16(a: &str, b: &str) -> Ordering {
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// JavaScript's `Number(text)`.
pub(crate) fn text_to_number(text: &str) -> Number {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return Number::from(0_i64);
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            let plain = digits.chars().all(|c| c.is_digit(radix));
            let value = if plain { u64::from_str_radix(digits, radix).ok() } else { None };
            return value.map_or(Number::from(f64::NAN), Number::from);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "Infinity" {
        return Number::from(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    // Rust also reads "inf" and "nan"; JavaScript does not.
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Number::from(f64::NAN);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Number::from(whole);
    }
    Number::from(text.parse::<f64>().unwrap_or(f64::NAN))
}

/// How texts are lower-cased (R7.24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lower {
    /// The mapping of Unicode, the same everywhere.
    Plain,
    /// Turkish and Azeri: I becomes dotless.
    Turkic,
    /// Lithuanian: i keeps its dot below accents.
    Lithuanian,
}

impl Lower {
    /// By a language tag such as `tr-TR`.
    pub(crate) fn of(locale: Option<&str>) -> Self {
        let language = locale.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        if language.eq_ignore_ascii_case("tr") || language.eq_ignore_ascii_case("az") {
            Self::Turkic
        } else if language.eq_ignore_ascii_case("lt") {
            Self::Lithuanian
        } else {
            Self::Plain
        }
    }

    /// The text in lower case, in `scratch` when it has to change.
    pub(crate) fn apply<'a>(self, text: &'a str, scratch: &'a mut String) -> &'a str {
        if text.is_ascii() {
            if !text.bytes().any(|b| b.is_ascii_uppercase()) {
                return text;
            }
            if self != Self::Turkic {
                scratch.clear();
                scratch.push_str(text);
                scratch.make_ascii_lowercase();
                return scratch;
            }
        }
        *scratch = match self {
            Self::Plain => text.to_lowercase(),
            Self::Turkic => turkic(text).to_lowercase(),
            Self::Lithuanian => lithuanian(text).to_lowercase(),
        };
        scratch
    }
}

/// Whether `needle`, in lower case already and ASCII, is in the text in lower case; `None` when only the lower-cased text
/// tells. Outside of ASCII two characters become ASCII letters: the sign of the kelvin and the capital I with a dot.
pub(crate) fn contains_lower(text: &str, needle: &[u8]) -> Option<bool> {
    let Some((first, rest)) = needle.split_first() else { return Some(true) };
    if !text.is_ascii() && needle.iter().any(|byte| matches!(byte, b'i' | b'k')) {
        return None;
    }
    let text = text.as_bytes();
    let found = |at: usize| text.get(at + 1..=at + rest.len()).is_some_and(|part| part.eq_ignore_ascii_case(rest));
    Some(memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text).any(found))
}

/// I without a dot, and capital I with a dot, brought to small letters.
fn turkic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            'I' if chars.peek() == Some(&'\u{307}') => {
                chars.next();
                out.push('i');
            }
            'I' => out.push('ı'),
            'İ' => out.push('i'),
            c => out.push(c),
        }
    }
    out
}

/// I and J with an accent above, brought to small letters that keep their dot.
fn lithuanian(text: &str) -> String {
    let above =
        |c: &char| matches!(c, '\u{300}'..='\u{314}' | '\u{33d}'..='\u{344}' | '\u{346}' | '\u{34a}'..='\u{34c}');
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            'Ì' => out.push_str("i\u{307}\u{300}"),
            'Í' => out.push_str("i\u{307}\u{301}"),
            'Ĩ' => out.push_str("i\u{307}\u{303}"),
            'I' | 'J' | 'Į' if chars.peek().is_some_and(above) => {
                out.extend(c.to_lowercase());
                out.push('\u{307}');
            }
            c => out.push(c),
        }
    }
    out
}
