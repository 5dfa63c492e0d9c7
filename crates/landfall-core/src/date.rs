//! Instants: milliseconds since 1970-01-01T00:00:00Z, and their ISO 8601 text. Never reads the clock.

use std::fmt;

/// An instant with millisecond precision, as JavaScript's `Date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

/// A calendar day and time of day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) milli: u32,
}

const DAY: i64 = 86_400_000;

impl Civil {
    /// Milliseconds since 1970 as if the zone were UTC; `None` for a day that does not exist.
    pub(crate) fn to_millis(self) -> Option<i64> {
        let in_month = days_in_month(self.year, self.month)?;
        if self.day == 0 || self.day > in_month || self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let days = days_from_civil(self.year, i64::from(self.month), i64::from(self.day));
        let seconds = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days.checked_mul(DAY)?.checked_add(seconds * 1000 + i64::from(self.milli))
    }
}

pub(crate) fn days_in_month(year: i64, month: u32) -> Option<u32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_shifted = (month + 9) % 12;
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Date {
    /// The instant that lies this many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads the exact form that [`Display`](fmt::Display) writes, `YYYY-MM-DDTHH:MM:SS[.fff…]Z`.
    pub fn from_iso(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| -> Option<u32> {
            let part = bytes.get(from..to)?;
            part.iter().try_fold(0_u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
        };
        let at = |index: usize, wanted: u8| (bytes.get(index) == Some(&wanted)).then_some(());
        at(4, b'-')?;
        at(7, b'-')?;
        at(10, b'T')?;
        at(13, b':')?;
        at(16, b':')?;
        let milli = match bytes.get(19) {
            Some(b'Z') if bytes.len() == 20 => 0,
            Some(b'.') if bytes.last() == Some(&b'Z') && bytes.len() > 21 => {
                let fraction = bytes.get(20..bytes.len() - 1)?;
                if !fraction.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                fraction.iter().chain(b"00").take(3).fold(0, |sum, b| sum * 10 + u32::from(b - b'0'))
            }
            _ => return None,
        };
        let civil = Civil {
            year: i64::from(digits(0, 4)?),
            month: digits(5, 7)?,
            day: digits(8, 10)?,
            hour: digits(11, 13)?,
            minute: digits(14, 16)?,
            second: digits(17, 19)?,
            milli,
        };
        civil.to_millis().map(Self)
    }

    /// As [`from_iso`](Self::from_iso) for what services write; longer fractions are none of it, they are to be rounded.
    pub(crate) fn from_usual(text: &[u8]) -> Option<Self> {
        if text.len() > 24 {
            return None;
        }
        Self::from_iso(std::str::from_utf8(text).ok()?)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "remainders of small divisors")]
    pub(crate) fn civil(self) -> Civil {
        let days = self.0.div_euclid(DAY);
        let rest = self.0.rem_euclid(DAY);
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let shifted = (5 * doy + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Civil {
            year: yoe + era * 400 + i64::from(month <= 2),
            month: month as u32,
            day: (doy - (153 * shifted + 2) / 5 + 1) as u32,
            hour: (rest / 3_600_000) as u32,
            minute: (rest / 60_000 % 60) as u32,
            second: (rest / 1000 % 60) as u32,
            milli: (rest % 1000) as u32,
        }
    }
}

impl fmt::Display for Date {
    /// ISO 8601 in UTC with milliseconds, as `JSON.stringify` writes a date (R0.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        if (0..=9999).contains(&c.year) {
            write!(f, "{:04}", c.year)?;
        } else {
            write!(f, "{}{:06}", if c.year < 0 { '-' } else { '+' }, c.year.abs())?;
        }
        write!(f, "-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", c.month, c.day, c.hour, c.minute, c.second, c.milli)
    }
}
