//! Whether the service can be reached: by hand, from events, or by asking a URL.
//!
//! Owns the up/down state with its reason in words, and the tasks that keep it. Never touches a data source:
//! [`follow`] hands each change to whoever wants it.
//!
//! | source | made by |
//! |---|---|
//! | by hand | [`Connectivity::manual`] |
//! | any stream of up/down | [`Connectivity::from_events`], [`Connectivity::from_events_starting`] |
//! | a URL, asked again and again | [`Polling::new`] (feature `transport-http`) |
//! | any other question | [`Polling::of`] with a [`Probe`] |
//! | the operating system's events | `OsEvents` (feature `connectivity-os`), alone or as hints of a polling |
//!
//! ```
//! use landfall::connectivity::Connectivity;
//!
//! let (switch, connectivity) = Connectivity::manual(true);
//! assert!(connectivity.is_online());
//! switch.set_because(false, "flight mode");
//! assert_eq!(connectivity.state().to_string(), "offline: flight mode");
//! ```
//!
//! # Limitations
//!
//! "Online" means that the last evidence was good. The next request may still fail; the data source keeps what it
//! could not send either way.

mod events;
mod follow;
mod handle;
#[cfg(feature = "transport-http")]
mod http;
#[cfg(feature = "connectivity-os")]
mod os;
mod poller;
mod polling;
mod probe;
mod schedule;
mod state;
mod tally;

pub use follow::follow;
pub use handle::{Changes, Connectivity, Switch};
#[cfg(feature = "transport-http")]
pub use http::HttpProbe;
#[cfg(feature = "connectivity-os")]
pub use os::OsEvents;
pub use polling::Polling;
pub use probe::{Evidence, Probe};
pub use state::State;
