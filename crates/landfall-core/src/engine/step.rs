//! What the engine asks of its driver, in order.
//!
//! A call of the engine gives a list of steps. Whoever called performs them one after another, outside every lock:
//! fires events, hands storage and transport work to the driver, settles promises; and asks the engine to go on
//! ([`super::Engine::resume`]) where a step says so.

use super::{event::Event, read::ReadRun, report::SyncReport, sync::Plan};
use crate::{Delta, Reply, Request, Result, StoredState};
use std::collections::VecDeque;

/// A promise that the driver settles.
pub type Ticket = u64;

/// The steps of one call, to be performed in order.
pub type Steps = VecDeque<Step>;

/// How a promise ends well.
#[derive(Debug)]
#[non_exhaustive]
pub enum Settled {
    /// Done.
    Done,
    /// A handler prevented it; nothing was done.
    Prevented,
    /// A sync ended; failures of single changes are in the report.
    Synced(SyncReport),
}

/// One step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// Fire an event.
    Emit(Event),
    /// Fire an event, then go on; tell whether a handler prevented it.
    EmitThen(Event, Then),
    /// Go on.
    Run(Then),
    /// Load the stored state, then go on.
    Load(Then),
    /// Commit a delta durably, then go on.
    Commit(Delta, Then),
    /// Send a request. Poll it once before the next step is performed; feed the outcome to
    /// [`super::Engine::answered`]: a failure that is ready at once before the next step, an answer later.
    Send(u64, Request),
    /// Find out what the server has, and feed that to [`super::Engine::looked_up`]. Only where
    /// [`Doubts::looks_up`](super::Doubts::looks_up) says that it is possible.
    LookUp(u64, Box<crate::LookUp>),
    /// Settle a promise.
    Settle(Ticket, Result<Settled>),
}

/// Where the engine goes on. Opaque.
#[derive(Debug)]
pub struct Then(pub(crate) Cont);

impl Then {
    /// Whether the commit replaces whatever is stored, also what somebody else stored meanwhile.
    pub fn overrules(&self) -> bool {
        matches!(self.0, Cont::Replaced(_))
    }
}

#[derive(Debug)]
pub(crate) enum Cont {
    ReadStarted(ReadRun),
    ReadSend(ReadRun),
    ReadLoadedOffline(ReadRun),
    ReadReloaded(ReadRun),
    ReadApply(ReadRun, Box<Result<Reply>>),
    ReadApplyOffline(ReadRun, Box<StoredState>),
    ReadDone(ReadRun),
    LocalQuery(Ticket, Option<Box<super::state::QueryOptions>>),
    Restored(Box<Cont>),
    RestoreDone(Ticket),
    SyncStart(Vec<Ticket>, super::sync::Mode),
    SyncBegin(Vec<Ticket>, super::sync::Mode),
    SyncAccepted(Box<Plan>),
    SyncNext,
    SyncOffline(Box<Plan>),
    AckDone(Vec<usize>),
    SyncFinish,
    Stored(Option<Ticket>),
    Replaced(Ticket),
    SetData(Ticket, Vec<crate::Record>),
    Decide(Ticket, super::table::Uid, Box<super::resolve::Decision>),
    Nothing,
}
