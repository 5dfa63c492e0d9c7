//! Dialects: how operations and queries are spelled in requests, and how answers are read.
//!
//! Owns the trait and the dialects that come with landfall. Never sends anything.

pub mod kendo;
pub mod odata;
pub mod rest;

use crate::{Found, LookUp, Operation, Reply, Request, Result, WireReply, WireRequest, answer};
use std::{
    fmt::Debug,
    hash::{BuildHasher, Hasher},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use url::Url;

/// How a service wants to be spoken to. Implement it for a service of your own; nothing here is private to landfall.
///
/// A dialect is a pure translation: what it needs of the outside is in [`Surroundings`].
///
/// ```
/// use landfall_transport::{Dialect, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer};
///
/// /// One document, read as a whole.
/// #[derive(Debug)]
/// struct OneFile;
///
/// impl Dialect for OneFile {
///     fn offers(&self, operation: Operation) -> bool {
///         operation == Operation::Read
///     }
///     fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
///         Ok(Some(WireRequest::new(request.operation, "GET", "products.json")))
///     }
///     fn answer(&self, _request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
///         Ok(Reply::with_body(answer::json(sent, &reply)?))
///     }
/// }
/// ```
pub trait Dialect: Debug + Send + Sync + 'static {
    /// Whether the operation is configured.
    fn offers(&self, operation: Operation) -> bool;

    /// Spells a request. `None`: there is nothing to send, and that is a success. The idempotency key of a write belongs
    /// into [`WireRequest::key`]; the channel knows its header.
    ///
    /// # Errors
    /// `Unsupported` for what the service's convention cannot say, `Invalid` for values that must not be sent,
    /// `Config`. Nothing was sent then.
    fn request(&self, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>>;

    /// Reads an answer of success (status 200 to 299).
    ///
    /// # Errors
    /// `Undecodable` when it is not what the convention says, `Rejected`. For writes such an error says that the
    /// request may have been applied.
    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply>;

    /// Reads any other answer. The default is [`answer::failure`]: the status, what the server said, `Retry-After`.
    fn failure(&self, _request: &Request, sent: &WireRequest, reply: &WireReply) -> crate::Error {
        answer::failure(sent, reply)
    }

    /// Spells the question what the service has of a changed record. `None`: the convention has no such question, or not
    /// for this record. Default: none.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    fn look_up(&self, _ask: &LookUp, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        Ok(None)
    }

    /// Whether [`look_up`](Self::look_up) may ever spell something. Default: no.
    fn looks_up(&self) -> bool {
        false
    }

    /// Reads the answer to a look-up. The default takes 404 and 410 for "no such record" where it was asked for by its id,
    /// and reads any success as an answer to a read: a record, or a list of one or none.
    ///
    /// # Errors
    /// As [`answer`](Self::answer) and [`failure`](Self::failure).
    fn found(&self, ask: &LookUp, sent: &WireRequest, reply: WireReply) -> Result<Found> {
        let read = Request::read(landfall_core::Record::new());
        if matches!(reply.status, 404 | 410) && ask.id().is_some() {
            return Ok(Found::Missing);
        }
        if !reply.is_success() {
            return Err(self.failure(&read, sent, &reply));
        }
        Ok(answer::found(self.answer(&read, sent, reply)?.body.decode()?))
    }

    /// Checks the configuration, once, when a transport is built.
    ///
    /// # Errors
    /// `Config`, naming what to change.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Dialect + ?Sized> Dialect for $pointer<T> {
            fn offers(&self, operation: Operation) -> bool {
                (**self).offers(operation)
            }
            fn request(&self, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
                (**self).request(request, around)
            }
            fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
                (**self).answer(request, sent, reply)
            }
            fn failure(&self, request: &Request, sent: &WireRequest, reply: &WireReply) -> crate::Error {
                (**self).failure(request, sent, reply)
            }
            fn look_up(&self, ask: &LookUp, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
                (**self).look_up(ask, around)
            }
            fn looks_up(&self) -> bool {
                (**self).looks_up()
            }
            fn found(&self, ask: &LookUp, sent: &WireRequest, reply: WireReply) -> Result<Found> {
                (**self).found(ask, sent, reply)
            }
            fn check(&self) -> Result<()> {
                (**self).check()
            }
        }
    )*};
}
forward!(Arc, Box);

/// What a dialect may know of the place it speaks from: the base address, the time, and a number nobody can guess.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    base: Option<&'a Url>,
    stamp: u64,
    nonce: u64,
}

impl<'a> Surroundings<'a> {
    /// As given; for tests and for channels with clocks of their own. `stamp` is milliseconds since 1970.
    pub const fn new(base: Option<&'a Url>, stamp: u64, nonce: u64) -> Self {
        Self { base, stamp, nonce }
    }

    /// With the system's clock and a fresh number.
    pub fn now(base: Option<&'a Url>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The standard library keys every such hasher freshly from the system's randomness.
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u128(since.as_nanos());
        Self { base, stamp: u64::try_from(since.as_millis()).unwrap_or_default(), nonce: hasher.finish() }
    }

    /// What relative URLs resolve against.
    pub const fn base(&self) -> Option<&'a Url> {
        self.base
    }

    /// Milliseconds since 1970; for cache stamps.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// A number for names that must not clash (boundaries, callbacks). Different for each `salt`.
    pub const fn nonce(&self, salt: u64) -> u64 {
        // SplitMix64's finaliser spreads the salt over all bits.
        let mut z = self.nonce.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether a URL leads to another origin than the base's. Without a base every URL does.
    pub fn is_foreign(&self, url: &str) -> bool {
        let Some(base) = self.base else { return true };
        base.join(url).map_or(true, |target| !crate::origin::same_origin(base, &target))
    }
}
