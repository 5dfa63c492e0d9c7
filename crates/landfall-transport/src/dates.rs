//! How instants are spelled where a dialect writes text: ISO 8601, or as JavaScript's `String(date)`.
//!
//! Owns the spelling and the time-zone hook. Knows no time zone but UTC and reads no clock.

use landfall_core::Date;
use std::{borrow::Cow, fmt::Debug, sync::Arc};

/// A time zone, as far as texts need one. Bring your own from whatever knows the zones of your program.
pub trait Zone: Debug + Send + Sync + 'static {
    /// Minutes east of UTC at that instant.
    fn offset_minutes(&self, at: Date) -> i32;

    /// The English long name at that instant, such as `Eastern Standard Time`.
    fn long_name(&self, at: Date) -> Cow<'_, str>;
}

/// Coordinated Universal Time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utc;

impl Zone for Utc {
    fn offset_minutes(&self, _at: Date) -> i32 {
        0
    }
    fn long_name(&self, _at: Date) -> Cow<'_, str> {
        Cow::Borrowed("Coordinated Universal Time")
    }
}

/// How a date becomes text in form encoding and URL templates.
#[derive(Clone, Debug, Default)]
pub enum Dates {
    /// `2024-02-29T13:05:09.007Z`. The default; Kendo writes the other form (Q52).
    #[default]
    Iso,
    /// `Thu Feb 29 2024 08:05:09 GMT-0500 (Eastern Standard Time)`, for services that were written against Kendo.
    JavaScript(Arc<dyn Zone>),
}

impl Dates {
    /// The text of an instant.
    pub fn text(&self, date: Date) -> String {
        match self {
            Self::Iso => date.to_string(),
            Self::JavaScript(zone) => javascript(date, zone.as_ref()),
        }
    }
}

/// The local wall-clock time as ISO text without a zone and without a fraction: `2024-02-29T08:05:09`.
pub fn local_iso(date: Date, zone: &dyn Zone) -> String {
    let local = wall_clock(date, zone).to_string();
    local.rsplit_once('.').map_or(local.clone(), |(seconds, _)| seconds.to_owned())
}

/// The instant whose UTC text shows the local wall-clock time.
fn wall_clock(date: Date, zone: &dyn Zone) -> Date {
    Date::from_millis(date.millis().saturating_add(i64::from(zone.offset_minutes(date)) * 60_000))
}

fn javascript(date: Date, zone: &dyn Zone) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let offset = zone.offset_minutes(date);
    let local = wall_clock(date, zone);
    let day_name = usize::try_from(local.millis().div_euclid(86_400_000).rem_euclid(7)).ok();
    let day_name = day_name.and_then(|day| DAYS.get(day)).copied().unwrap_or_default();
    let iso = local.to_string();
    let (day_text, time) = iso.split_once('T').unwrap_or((&iso, ""));
    // Years outside 0..=9999 are written with a sign and six digits.
    let split = day_text.rfind('-').and_then(|last| day_text.get(..last)?.rfind('-').map(|first| (first, last)));
    let (first, last) = split.unwrap_or_default();
    let year: i64 = day_text.get(..first).unwrap_or_default().trim_start_matches('+').parse().unwrap_or_default();
    let month = day_text.get(first + 1..last).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let month = MONTHS.get(month.wrapping_sub(1)).copied().unwrap_or_default();
    let day = day_text.get(last + 1..).unwrap_or_default();
    let year = if year < 0 { format!("-{:06}", year.abs()) } else { format!("{year:04}") };
    let time = time.get(..8).unwrap_or_default();
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
    format!("{day_name} {month} {day} {year} {time} GMT{sign}{hours:02}{minutes:02} ({})", zone.long_name(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(i32, &'static str);
    impl Zone for Fixed {
        fn offset_minutes(&self, _at: Date) -> i32 {
            self.0
        }
        fn long_name(&self, _at: Date) -> Cow<'_, str> {
            Cow::Borrowed(self.1)
        }
    }

    #[test]
    fn dates_as_javascript_prints_them() {
        let date = Date::from_iso("2024-02-29T13:05:09.007Z").unwrap();
        let text = |offset, name| Dates::JavaScript(Arc::new(Fixed(offset, name))).text(date);
        assert_eq!(text(-300, "Eastern Standard Time"), "Thu Feb 29 2024 08:05:09 GMT-0500 (Eastern Standard Time)");
        assert_eq!(text(345, "Nepal Time"), "Thu Feb 29 2024 18:50:09 GMT+0545 (Nepal Time)");
        assert_eq!(
            Dates::JavaScript(Arc::new(Utc)).text(Date::from_millis(0)),
            "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"
        );
        assert_eq!(Dates::Iso.text(date), "2024-02-29T13:05:09.007Z");
        assert_eq!(local_iso(date, &Fixed(-300, "")), "2024-02-29T08:05:09");
    }

    #[test]
    fn odd_years_do_not_panic() {
        for millis in [i64::MIN, i64::MAX, -62_198_755_200_000, 253_402_300_800_000] {
            // Far outside of what a date can be in JavaScript; only the absence of a panic matters here.
            let _ = Date::from_millis(millis.clamp(-8_640_000_000_000_000, 8_640_000_000_000_000)).to_string();
            let date = Date::from_millis(millis.clamp(-8_640_000_000_000_000, 8_640_000_000_000_000));
            assert!(Dates::JavaScript(Arc::new(Utc)).text(date).contains("GMT+0000"));
        }
        let year_one = Date::from_millis(-62_135_596_800_000);
        assert!(Dates::JavaScript(Arc::new(Utc)).text(year_one).starts_with("Mon Jan 01 0001 "));
    }
}
