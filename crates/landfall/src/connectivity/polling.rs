//! Polling: its options. The task itself is in `poller`.

use super::{
    Connectivity, Probe,
    events::runtime,
    poller::{Hints, Poller},
    schedule::Schedule,
    state::Cell,
    tally::{Quorum, Tally},
};
use futures_core::Stream;
use landfall_core::Result;
use std::{fmt, time::Duration};
use tokio::sync::{mpsc, watch};

/// Connectivity by asking, again and again. A builder; [`start`](Self::start) begins.
///
/// Asks at once, then every 5 seconds. One good probe brings it up; two failed ones in a row take it down, the second
/// following a second after the first, so that one lost packet is not an outage. While down, the pauses double up to a
/// minute and are shortened by a random part, so that a fleet does not come back in one instant.
///
/// ```no_run
/// # #[cfg(feature = "transport-http")]
/// # async fn example() -> landfall_core::Result<()> {
/// use landfall::connectivity::Polling;
/// use std::time::Duration;
///
/// let connectivity = Polling::new("https://example.com/health").interval(Duration::from_secs(10)).start()?;
/// println!("{}", connectivity.settled().await);
/// # Ok(()) }
/// ```
#[must_use = "a polling does nothing until it is started"]
pub struct Polling {
    probe: Result<Box<dyn Probe>>,
    schedule: Schedule,
    up: Quorum,
    down: Quorum,
    initial: Option<bool>,
    hints: Result<Option<Hints>>,
}

impl Polling {
    /// Asks this URL with a [`HttpProbe`](super::HttpProbe) of default settings.
    #[cfg(feature = "transport-http")]
    pub fn new(url: impl AsRef<str>) -> Self {
        Self::with(super::HttpProbe::new(url).map(|probe| Box::new(probe) as Box<dyn Probe>))
    }

    /// Asks with a probe: a [`HttpProbe`](super::HttpProbe) with settings, or one of your own.
    pub fn of(probe: impl Probe) -> Self {
        Self::with(Ok(Box::new(probe)))
    }

    fn with(probe: Result<Box<dyn Probe>>) -> Self {
        Self {
            probe,
            schedule: Schedule::default(),
            up: Quorum { agreeing: 1, of: 1 },
            down: Quorum { agreeing: 2, of: 2 },
            initial: None,
            hints: Ok(None),
        }
    }

    /// The pause between the end of a probe and the next one while up, and the first pause while down. Default: 5 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.schedule.interval = interval;
        self
    }

    /// How long one probe may take; longer is down. Default: 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.schedule.timeout = timeout;
        self
    }

    /// The longest pause while down. Default: 60 s; never less than the interval.
    pub fn longest_pause(mut self, longest: Duration) -> Self {
        self.schedule.longest = longest;
        self
    }

    /// The share of a pause while down that is left to chance, 0 to 1. Default: 0.5, so a pause of 10 s becomes 5 to 10 s.
    pub fn jitter(mut self, share: f64) -> Self {
        self.schedule.jitter = share;
        self
    }

    /// Goes up after `agreeing` good ones of the last `of` probes. Default: 1 of 1.
    pub fn up_after(mut self, agreeing: u8, of: u8) -> Self {
        self.up = Quorum { agreeing, of };
        self
    }

    /// Goes down after `agreeing` failed ones of the last `of` probes. Default: 2 of 2.
    pub fn down_after(mut self, agreeing: u8, of: u8) -> Self {
        self.down = Quorum { agreeing, of };
        self
    }

    /// The state until probes say otherwise. Default: online is assumed, and the very first probe decides alone.
    pub fn initial(mut self, online: bool) -> Self {
        self.initial = Some(online);
        self
    }

    /// Every item of the stream makes the polling ask at once, whatever it says: a hint wakes, the probe decides. The end of
    /// the stream is the end of the hints only.
    pub fn hints(mut self, hints: impl Stream<Item = bool> + Send + 'static) -> Self {
        self.hints = Ok(Some(Box::pin(hints)));
        self
    }

    /// Takes the operating system's network events as [hints](Self::hints). What the system calls offline is wrong with
    /// many VPNs, so it never decides here.
    #[cfg(feature = "connectivity-os")]
    pub fn hints_of_os(mut self) -> Self {
        self.hints = super::OsEvents::new().map(|events| Some(Box::pin(events) as Hints));
        self
    }

    /// Starts on the current runtime (which must have its timer enabled), with a probe at once.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](landfall_core::ErrorKind::Config) for a URL or an option that cannot be used, and outside a
    /// tokio runtime; [`ErrorKind::Unsupported`](landfall_core::ErrorKind::Unsupported) when the operating system gives
    /// no events.
    pub fn start(self) -> Result<Connectivity> {
        let (probe, hints) = (self.probe?, self.hints?);
        let schedule = self.schedule.check()?;
        let tally = Tally::new(self.up.check("up_after")?, self.down.check("down_after")?);
        let runtime = runtime()?;
        let cell = match self.initial {
            Some(online) => Cell::new(online, "the initial state", true),
            None => Cell::new(true, "assumed, the first probe is under way", false),
        };
        let (cell, watched) = watch::channel(cell);
        let (sender, requests) = mpsc::channel(8);
        let task = runtime.spawn(Poller { probe, schedule, tally, cell, requests, hints }.run());
        Ok(Connectivity::new(watched, Some(sender), Some(task.abort_handle())))
    }
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("probe", &self.probe)
            .field("schedule", &self.schedule)
            .field("up", &self.up)
            .field("down", &self.down)
            .field("initial", &self.initial)
            .finish_non_exhaustive()
    }
}
