//! Time zones of cases: offsets from the bundled time zone database, English long names from CLDR.

use icu_datetime::{NoCalendarFormatter, fieldsets::zone::SpecificLong};
use icu_locale_core::locale;
use icu_time::zone::{IanaParser, UtcOffset, ZoneNameTimestamp};
use jiff::{Timestamp, tz::TimeZone};
use landfall_core::{Date, Error, ErrorKind, Result};
use std::borrow::Cow;

/// A time zone by its IANA name.
#[derive(Clone, Debug)]
pub struct Iana {
    name: String,
    zone: TimeZone,
}

impl Iana {
    /// The zone of this name, such as `Europe/Sofia`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a name that is not in the database.
    pub fn named(name: &str) -> Result<Self> {
        let zone = TimeZone::get(name).map_err(|source| {
            Error::new(ErrorKind::NotFound, "no such time zone").with("zone", name).caused_by(source)
        })?;
        Ok(Self { name: name.to_owned(), zone })
    }

    fn offset_seconds(&self, millis: i64) -> i32 {
        Timestamp::from_millisecond(millis).map_or(0, |at| self.zone.to_offset(at).seconds())
    }

    /// The zone as schemas take it: the offset follows from a local time. A time that clocks skip counts by the offset
    /// before, one that they show twice is the first, as in JavaScript.
    pub fn of_local_times(&self) -> landfall_core::Zone {
        let zone = self.zone.clone();
        landfall_core::Zone::new(move |local| {
            let instant = Timestamp::from_millisecond(local)
                .map(|local| TimeZone::UTC.to_datetime(local))
                .and_then(|civil| zone.to_ambiguous_timestamp(civil).compatible());
            let seconds = instant.map_or(0, |instant| (local - instant.as_millisecond()) / 1000);
            i32::try_from(seconds).unwrap_or(0)
        })
    }
}

impl landfall_transport::Zone for Iana {
    fn offset_minutes(&self, at: Date) -> i32 {
        self.offset_seconds(at.millis()) / 60
    }

    fn long_name(&self, at: Date) -> Cow<'_, str> {
        let offset = UtcOffset::try_from_seconds(self.offset_seconds(at.millis())).ok();
        let zone = IanaParser::new()
            .parse(&self.name)
            .with_offset(offset)
            .with_zone_name_timestamp(ZoneNameTimestamp::from_epoch_seconds(at.millis().div_euclid(1000)));
        NoCalendarFormatter::try_new(locale!("en-US").into(), SpecificLong)
            .map_or_else(|_| Cow::Borrowed(self.name.as_str()), |names| Cow::Owned(names.format(&zone).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_transport::Dates;
    use std::sync::Arc;

    #[test]
    fn dates_in_zones() {
        for (zone, iso, text) in [
            ("UTC", "1970-01-01T00:00:00.000Z", "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"),
            ("Asia/Kolkata", "2024-06-01T10:00:00Z", "Sat Jun 01 2024 15:30:00 GMT+0530 (India Standard Time)"),
            ("America/New_York", "2024-06-01T10:00:00Z", "Sat Jun 01 2024 06:00:00 GMT-0400 (Eastern Daylight Time)"),
        ] {
            let zone = Iana::named(zone).unwrap();
            assert_eq!(Dates::JavaScript(Arc::new(zone)).text(Date::from_iso(iso).unwrap()), text);
        }
        assert_eq!(Iana::named("Mars/Olympus").unwrap_err().kind(), &ErrorKind::NotFound);
    }

    #[test]
    fn local_times_that_are_skipped_or_come_twice() {
        use landfall_core::{Field, Model, Record};
        let zone = Iana::named("America/New_York").unwrap().of_local_times();
        let model = Model::new().field(Field::new("at").date());
        for (local, instant) in [
            ("2024-01-15T12:00:00", "2024-01-15T17:00:00.000Z"),
            ("2024-03-10T02:30:00", "2024-03-10T07:30:00.000Z"),
            ("2024-11-03T01:30:00", "2024-11-03T05:30:00.000Z"),
        ] {
            let read = model.read(Record::from([("at", local)]), &zone);
            assert_eq!(read.get("at").unwrap().to_text(), instant, "{local}");
        }
    }
}
