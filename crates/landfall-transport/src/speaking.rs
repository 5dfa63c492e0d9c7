//! A transport made of a dialect and a channel.
//!
//! Owns the order of the steps (spell, send, judge, read) and catches panics of user code. Knows no convention.

use crate::{
    Channel, Dialect, ErrorKind, Found, LookUp, Operation, Reply, Request, Result, Surroundings, Transport, answer,
    caught::{caught, caught_in},
};
use async_trait::async_trait;

/// A [`Transport`] that speaks a dialect over a channel.
#[derive(Clone, Debug)]
pub struct DialectTransport<D, C> {
    dialect: D,
    channel: C,
}

impl<D: Dialect, C: Channel> DialectTransport<D, C> {
    /// Puts the two together.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the dialect's configuration is not usable ([`Dialect::check`]).
    pub fn new(dialect: D, channel: C) -> Result<Self> {
        dialect.check()?;
        Ok(Self { dialect, channel })
    }

    /// The dialect.
    pub const fn dialect(&self) -> &D {
        &self.dialect
    }

    /// The channel.
    pub const fn channel(&self) -> &C {
        &self.channel
    }
}

#[async_trait]
impl<D: Dialect, C: Channel> Transport for DialectTransport<D, C> {
    async fn send(&self, request: Request) -> Result<Reply> {
        let name = request.operation.as_str();
        if !self.dialect.offers(request.operation) {
            return Err(crate::Error::new(
                ErrorKind::Unsupported,
                "the transport does not offer this operation; configure it",
            )
            .during(name));
        }
        let spelled = {
            let around = Surroundings::now(self.channel.base());
            caught("spelling a request", || self.dialect.request(&request, &around))
                .and_then(|spelled| spelled)
                .map_err(|error| error.during(name))?
        };
        let Some(sent) = spelled else { return Ok(Reply::empty()) };
        // Channels run user code too. One that knows that nothing was sent when it panicked says so itself.
        let exchanged = caught_in("exchanging a request", self.channel.exchange(&sent)).await;
        let exchanged = exchanged.unwrap_or_else(|panic| Err(panic.applied(answer::doubt(&sent))));
        let reply = exchanged.map_err(|error| error.during(name))?;
        let status = reply.status;
        let read = caught("reading an answer", || {
            if reply.is_success() {
                self.dialect.answer(&request, &sent, reply)
            } else {
                Err(self.dialect.failure(&request, &sent, &reply))
            }
        });
        read.unwrap_or_else(|panic| Err(panic.applied(answer::doubt(&sent)))).map_err(|error| {
            let error = error.during(name);
            // The status of an error is known; that of an answer that could not be read would be lost.
            if error.status().is_some() { error } else { error.with("status", status.to_string()) }
        })
    }

    fn offers(&self, operation: Operation) -> bool {
        self.dialect.offers(operation)
    }

    async fn look_up(&self, ask: LookUp) -> Result<Found> {
        let spelled = {
            let around = Surroundings::now(self.channel.base());
            caught("spelling a request", || self.dialect.look_up(&ask, &around)).and_then(|spelled| spelled)
        };
        let Some(sent) = spelled.map_err(|error| error.during("look up"))? else { return Ok(Found::Unknown) };
        let exchanged = caught_in("exchanging a request", self.channel.exchange(&sent)).await;
        let reply = exchanged.and_then(|reply| reply).map_err(|error| error.during("look up"))?;
        let read = caught("reading an answer", || self.dialect.found(&ask, &sent, reply)).and_then(|read| read);
        read.map_err(|error| error.during("look up"))
    }

    fn looks_up(&self) -> bool {
        self.dialect.looks_up()
    }

    fn sends_keys(&self) -> bool {
        self.channel.sends_keys()
    }
}
