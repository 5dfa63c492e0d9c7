//! Local time: how a date text without a zone becomes an instant.
//!
//! Owns the seam to time zones. Never reads the system's zone or clock: both are handed in.

use crate::Date;
use std::{fmt, sync::Arc};

type Rule = Arc<dyn Fn(i64) -> i32 + Send + Sync>;

/// The zone of local times, and the instant that counts as now for texts that leave out the day or the year.
///
/// Default: UTC. Within a data source its clock says what now is, unless one is named; elsewhere such texts read as null
/// without one.
#[derive(Clone, Default)]
pub struct Zone {
    rule: Option<Rule>,
    now: Option<Date>,
    /// What the data source's clock said last; counts while no now is named.
    clock: Option<Date>,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self::default()
    }

    /// A zone with the same offset all year, in seconds east of UTC.
    pub fn fixed(offset_seconds: i32) -> Self {
        Self::new(move |_| offset_seconds)
    }

    /// A zone given by a rule: local milliseconds since 1970 (as if they were UTC) to the offset then, in seconds east
    /// of UTC.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    pub fn new(offset_seconds_at_local: impl Fn(i64) -> i32 + Send + Sync + 'static) -> Self {
        Self { rule: Some(Arc::new(offset_seconds_at_local)), now: None, clock: None }
    }

    /// Names the instant that counts as now.
    #[must_use]
    pub fn at(mut self, now: Date) -> Self {
        self.now = Some(now);
        self
    }

    /// Tells what the clock says.
    pub(crate) fn tick(&mut self, now: Date) {
        self.clock = Some(now);
    }

    /// The offset at a local time, in seconds east of UTC.
    pub fn offset_seconds_at_local(&self, local_millis: i64) -> i32 {
        self.rule.as_ref().map_or(0, |rule| rule(local_millis))
    }

    /// The instant of a local time.
    pub(crate) fn instant(&self, local_millis: i64) -> Date {
        let offset = i64::from(self.offset_seconds_at_local(local_millis)) * 1000;
        Date::from_millis(local_millis.saturating_sub(offset))
    }

    /// The local time of now, in milliseconds.
    pub(crate) fn local_now(&self) -> Option<i64> {
        let millis = self.now.or(self.clock)?.millis();
        // The rule is asked with the nearest local time known; exact but for the hour around a change of offset.
        let guess = millis.saturating_add(i64::from(self.offset_seconds_at_local(millis)) * 1000);
        Some(millis.saturating_add(i64::from(self.offset_seconds_at_local(guess)) * 1000))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("utc", &self.rule.is_none()).field("now", &self.now).finish_non_exhaustive()
    }
}
