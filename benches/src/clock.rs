//! Wall time and CPU time of the process, and its resident memory.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// A clock that runs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Instant,
    cpu: Duration,
}

/// What a clock showed.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Seconds that went by.
    pub wall: f64,
    /// Seconds of all threads of the process on a processor.
    pub cpu: f64,
}

impl Clock {
    /// Starts a clock.
    pub fn start() -> Self {
        let cpu = cpu();
        Self { wall: Instant::now(), cpu }
    }

    /// Reads it.
    pub fn read(&self) -> Time {
        let wall = self.wall.elapsed();
        Time { wall: wall.as_secs_f64(), cpu: cpu().saturating_sub(self.cpu).as_secs_f64() }
    }
}

fn cpu() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(tv_nsec).unwrap_or(0))
}

/// Bytes of resident memory of this process; 0 where the system does not tell.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
