//! The transport contract of [landfall](https://docs.rs/landfall): the trait that every transport fulfils, the dialects
//! that spell requests and read answers, and the conformance kit.
//!
//! - [`Transport`] carries a [`Request`] of the engine and gives a [`Reply`].
//! - [`Dialect`] says how requests are spelled and answers read ([`kendo`](dialect::kendo), [`rest`](dialect::rest),
//!   [`odata`](dialect::odata), or one of yours); [`Channel`] says how they travel; [`DialectTransport`] is a transport
//!   made of the two. Channels live in crates of their own.
//! - [`FnTransport`] makes a transport of closures, [`Cached`] remembers answered reads.
//!
//! Nothing in this crate opens a connection.
//!
//! # Features
//!
//! - `xml`: answers in XML are read, into the object form that schemas of the type `xml` expect; without it they are text.
//! - `conformance`: the test kit for transports, `transport_conformance!`, and a scripted loopback server (std only).
#![forbid(unsafe_code)]

pub mod answer;
mod cached;
mod caught;
mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dates;
pub mod dialect;
mod fns;
pub mod form;
pub mod jsonp;
pub mod origin;
mod speaking;
pub mod template;
mod transport;
mod wire;
#[cfg(feature = "xml")]
pub mod xml;

pub use cached::Cached;
pub use caught::{caught, caught_in};
pub use channel::Channel;
pub use dates::{Dates, Utc, Zone, local_iso};
pub use dialect::{Dialect, Surroundings};
pub use fns::{FnTransport, IntoReply, from_fns};
pub use landfall_core::{
    Applied, Body, Error, ErrorKind, Found, LookUp, Operation, OutgoingRow, Reply, Request, Result, Text,
};
pub use speaking::DialectTransport;
pub use transport::Transport;
pub use url;
pub use wire::{DataType, WireReply, WireRequest};
