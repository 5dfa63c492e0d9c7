//! Date texts: the reference's list of formats, culture en-US (R2.37-R2.40).
//!
//! Owns the formats and their order. Never guesses beyond them: an unknown text is no date.

use super::zone::Zone;
use crate::{Date, date::Civil};

/// The formats in the order they are tried (R2.39); each matches a prefix of the text.
const FORMATS: [&str; 27] = [
    "yyyy-MM-ddTHH:mm:ss.fffffffzzz",
    "yyyy-MM-ddTHH:mm:ss.fffffff",
    "yyyy-MM-ddTHH:mm:ss.fffzzz",
    "yyyy-MM-ddTHH:mm:ss.fff",
    "ddd MMM dd yyyy HH:mm:ss",
    "yyyy-MM-ddTHH:mm:sszzz",
    "yyyy-MM-ddTHH:mmzzz",
    "yyyy-MM-ddTHH:mmzz",
    "yyyy-MM-ddTHH:mm:ss",
    "yyyy-MM-dd HH:mm:ss",
    "yyyy/MM/dd HH:mm:ss",
    "M/d/yyyy h:mm:ss tt",
    "M/d/yyyy h:mm tt",
    "dddd, MMMM dd, yyyy h:mm:ss tt",
    "yyyy-MM-ddTHH:mm",
    "yyyy-MM-dd HH:mm",
    "yyyy/MM/dd HH:mm",
    "dddd, MMMM dd, yyyy",
    "M/d/yyyy",
    "MMMM, yyyy",
    "MMMM dd",
    "h:mm:ss tt",
    "h:mm tt",
    "yyyy/MM/dd",
    "yyyy-MM-dd",
    "HH:mm:ss",
    "HH:mm",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Reads a date text; `None` when it is none.
pub(super) fn parse(text: &str, zone: &Zone) -> Option<Date> {
    // The usual form first. Longer fractions are rounded by the formats below.
    if let Some(date) = Date::from_usual(text.as_bytes()) {
        return Some(date);
    }
    if let Some(date) = wrapped(text) {
        return Some(date);
    }
    FORMATS.iter().find_map(|format| exact(text, format, zone))
}

/// `/Date(ms)/`, also with a zone suffix, which shifts the result (R2.38).
fn wrapped(text: &str) -> Option<Date> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let signed = inner.get(1..)?.find(['+', '-']).map_or(inner.len(), |at| at + 1);
    let (millis, suffix) = inner.split_at_checked(signed)?;
    let millis: i64 = millis.trim().parse().ok()?;
    let mut shift = 0;
    if !suffix.is_empty() {
        let (sign, digits) = suffix.split_at_checked(1)?;
        let digits: i64 = digits.parse().ok()?;
        let minutes = digits / 100 * 60 + digits % 100;
        shift = if sign == "-" { -minutes } else { minutes } * 60_000;
    }
    millis.checked_add(shift).map(Date::from_millis)
}

#[derive(Default)]
struct Fields {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    milli: u32,
    afternoon: bool,
    /// Minutes east of UTC, when the text names its zone.
    offset: Option<i64>,
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// One to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<&'a str> {
        let count = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(digits)
    }

    fn number(&mut self, least: usize, most: usize, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = self.digits(least, most)?.parse().ok()?;
        range.contains(&number).then_some(number)
    }

    fn literal(&mut self, wanted: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    /// One of the names, or of their first `letters` letters, in any case.
    fn name(&mut self, names: &[&'static str], letters: usize) -> Option<u32> {
        for (index, name) in (0..).zip(names) {
            let name = name.get(..letters.min(name.len()))?;
            if self.0.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
                self.0 = self.0.get(name.len()..)?;
                return Some(index);
            }
        }
        None
    }

    fn zone(&mut self, minutes_too: bool) -> Option<i64> {
        if self.literal("Z").is_some() {
            return Some(0);
        }
        let sign = match self.0.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let mut hours = self.digits(1, 2)?;
        let mut minutes = 0;
        if minutes_too {
            let colon = self.literal(":").is_some();
            // `+200` is two hours: the last two digits are the minutes.
            let rest = if !colon && hours.len() == 2 && self.0.bytes().take_while(u8::is_ascii_digit).count() == 1 {
                let last = hours.get(1..)?;
                hours = hours.get(..1)?;
                format!("{last}{}", self.digits(1, 1)?)
            } else {
                self.digits(2, 2)?.to_owned()
            };
            minutes = rest.parse().ok().filter(|minutes| (0..60).contains(minutes))?;
        }
        let hours: i64 = hours.parse().ok()?;
        // The reference stops at +13 and then reads the text as local time; +14 is a zone in use.
        (hours <= if sign < 0 { 12 } else { 14 }).then_some(sign * (hours * 60 + minutes))
    }
}

/// Reads a text by one format; trailing text is ignored.
fn exact(text: &str, format: &str, zone: &Zone) -> Option<Date> {
    let mut at = Cursor(text);
    let mut out = Fields::default();
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        let count = rest.chars().take_while(|c| *c == letter).count();
        let token = rest.get(..count * letter.len_utf8())?;
        rest = rest.get(token.len()..)?;
        match letter {
            'y' => out.year = Some(at.number(count, count, 0..=9999)?),
            'M' if count > 2 => out.month = Some(at.name(&MONTHS, if count == 3 { 3 } else { 9 })? + 1),
            'M' => out.month = Some(at.number(1, 2, 1..=12)?),
            'd' if count > 2 => _ = at.name(&DAYS, if count == 3 { 3 } else { 9 })?,
            'd' => out.day = Some(at.number(1, 2, 1..=31)?),
            'H' => out.hour = Some(at.number(1, 2, 0..=23)?),
            'h' => out.hour = Some(at.number(1, 2, 0..=12)?.checked_rem(12)?),
            'm' => out.minute = Some(at.number(1, 2, 0..=59)?),
            's' => out.second = Some(at.number(1, 2, 0..=59)?),
            'f' => out.milli = millis(at.digits(1, count)?),
            't' => out.afternoon = at.name(&["AM", "PM"], 2)? == 1,
            'z' => out.offset = Some(at.zone(count > 2)?),
            _ => at.literal(token)?,
        }
    }
    instant(&out, zone)
}

/// A fraction of a second, rounded to milliseconds.
fn millis(digits: &str) -> u32 {
    let padded = digits.bytes().chain(std::iter::repeat(b'0'));
    let number = padded.take(4).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (number + 5).div_euclid(10).min(999)
}

fn instant(fields: &Fields, zone: &Zone) -> Option<Date> {
    let today = || zone.local_now().map(|local| Date::from_millis(local).civil());
    let (year, month, day) = match (fields.year, fields.month, fields.day) {
        (None, None, None) => today().map(|now| (now.year, now.month, now.day))?,
        (None, month, day) => (today()?.year, month?, day.unwrap_or(1)),
        (Some(year), month, day) => (i64::from(year), month.unwrap_or(1), day.unwrap_or(1)),
    };
    let hour = fields.hour.unwrap_or(0) + if fields.afternoon { 12 } else { 0 };
    let (minute, second) = (fields.minute.unwrap_or(0), fields.second.unwrap_or(0));
    let local = Civil { year, month, day, hour, minute, second, milli: fields.milli }.to_millis()?;
    Some(match fields.offset {
        Some(minutes) => Date::from_millis(local.checked_sub(minutes * 60_000)?),
        None => zone.instant(local),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let zone = Zone::utc().at(Date::from_iso("2024-03-05T12:00:00Z").unwrap());
        assert_eq!(parse(text, &zone).map(|date| date.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn r2_40_vectors() {
        check("2020-01-02", Some("2020-01-02T00:00:00.000Z"));
        check("2020-01-02T03:04:05.1234567Z", Some("2020-01-02T03:04:05.123Z"));
        check("2020-01-02T03:04:05.1236Z", Some("2020-01-02T03:04:05.124Z"));
        check("2020-01-02T03:04:05+02:00", Some("2020-01-02T01:04:05.000Z"));
        check("2020-01-02T03:04:05-0230", Some("2020-01-02T05:34:05.000Z"));
        check("2020-01-02T03:04+02", Some("2020-01-02T01:04:00.000Z"));
        check("2020-01-02T03:04:05.5+14:00", Some("2020-01-01T13:04:05.500Z"));
        check("1/2/2020", Some("2020-01-02T00:00:00.000Z"));
        check("12/31/2019 5:06 PM", Some("2019-12-31T17:06:00.000Z"));
        check("12/31/2019 12:06:07 am", Some("2019-12-31T00:06:07.000Z"));
        check("2020-1-2", Some("2020-01-02T00:00:00.000Z"));
        check("2020-01-02T24:00:00", Some("2020-01-02T00:00:00.000Z"));
        check("January 2, 2020", Some("2024-01-02T00:00:00.000Z"));
        check("February, 2020", Some("2020-02-01T00:00:00.000Z"));
        check("Thursday, January 02, 2020", Some("2020-01-02T00:00:00.000Z"));
        check("Thu Jan 02 2020 03:04:05 GMT+0000 (UTC)", Some("2020-01-02T03:04:05.000Z"));
        check("5:06", Some("2024-03-05T05:06:00.000Z"));
        check("5:06 PM", Some("2024-03-05T17:06:00.000Z"));
        for bad in [
            "01/02/20",
            "2020",
            "2020-01",
            "20200102",
            "Jan 2 2020",
            "garbage",
            "2020-02-30",
            "2020-13-01",
            "2020-02-30T00:00:00Z",
            "",
            "é",
            "1577934245000",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn r2_39_formats_in_their_order_and_text_behind_them() {
        let day = Some("2020-01-02T00:00:00.000Z");
        let second = Some("2020-01-02T03:04:05.000Z");
        for text in ["2020-01-02", "2020/01/02", "1/2/2020", "2020-01-02 and more", "2020-01-02T25:00:00"] {
            check(text, day);
        }
        for text in [
            "2020-01-02T03:04:05",
            "2020-01-02 03:04:05",
            "2020/01/02 03:04:05",
            "1/2/2020 3:04:05 AM",
            "Thu Jan 02 2020 03:04:05",
            "Thursday, January 02, 2020 3:04:05 AM",
        ] {
            check(text, second);
        }
        for text in ["2020-01-02T03:04", "2020-01-02 03:04", "2020/01/02 03:04"] {
            check(text, Some("2020-01-02T03:04:00.000Z"));
        }
        check("2020-01-02T03:04:05.678", Some("2020-01-02T03:04:05.678Z"));
        check("2020-01-02T03:04:05.5Z", Some("2020-01-02T03:04:05.500Z"));
        check("2020-01-02T03:04+02:00", Some("2020-01-02T01:04:00.000Z"));
        check("1/2/2020 3:04 PM", Some("2020-01-02T15:04:00.000Z"));
        check("03:04:05", Some("2024-03-05T03:04:05.000Z"));
        check("January, 2020", Some("2020-01-01T00:00:00.000Z"));
        check(" 2020-01-02", None);
    }

    #[test]
    fn r2_38_wrapped() {
        check("/Date(1577934245000)/", Some("2020-01-02T03:04:05.000Z"));
        check("/Date(1577934245000+0200)/", Some("2020-01-02T05:04:05.000Z"));
        check("/Date(-1000)/", Some("1969-12-31T23:59:59.000Z"));
        check("/Date(-1000-0100)/", Some("1969-12-31T22:59:59.000Z"));
        check("/Date()/", None);
        check("/Date(x)/", None);
    }

    #[test]
    fn r2_40_local_time_uses_the_zone_and_named_zones_do_not() {
        let zone = Zone::fixed(3600);
        let text = |t| parse(t, &zone).map(|date| date.to_string());
        assert_eq!(text("2020-01-02").as_deref(), Some("2020-01-01T23:00:00.000Z"));
        assert_eq!(text("2020-01-02T03:04:05Z").as_deref(), Some("2020-01-02T03:04:05.000Z"));
        assert_eq!(text("5:06"), None, "no day without a now");
    }

    #[test]
    fn any_text_is_survived() {
        for text in ["2020-01-02T03:04:05.+", "2020-01-02T03:04:05+1", "2020-01-02T03:04:05+é", "/Date(é)/", "Май 2"]
        {
            let _ = parse(text, &Zone::utc());
        }
        assert_eq!(parse("2020-01-02T03:04:05+1", &Zone::utc()).map(Date::millis), Some(1_577_934_245_000));
    }
}
