//! The time zone of dates without one. Handed in; UTC unless the program says otherwise.

use std::{fmt, sync::Arc};

/// Where local times are: an offset from UTC for each local time.
#[derive(Clone, Default)]
pub struct Zone(Option<Arc<dyn Fn(i64) -> i32 + Send + Sync>>);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self(None)
    }

    /// A zone whose offset in seconds east of UTC follows from the local time in milliseconds since 1970.
    pub fn new(offset_at_local: impl Fn(i64) -> i32 + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(offset_at_local)))
    }

    /// The instant of a local time, both in milliseconds.
    pub(crate) fn to_utc(&self, local: i64) -> i64 {
        self.0.as_ref().map_or(local, |offset| local - i64::from(offset(local)) * 1000)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Zone(local)" } else { "Zone(UTC)" })
    }
}
