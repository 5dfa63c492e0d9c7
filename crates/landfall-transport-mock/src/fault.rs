//! Faults: which request goes wrong, and how. Owns the matching; carries nothing out.

use landfall_core::{Operation, Text, Value};
use std::time::Duration;

/// One way in which the server misbehaves.
///
/// By default a fault takes the next matching request and is then spent.
///
/// ```
/// use landfall_core::Operation;
/// use landfall_transport_mock::Fault;
///
/// let second_update_conflicts = Fault::on(Operation::Update).nth(2).fail(409);
/// let create_arrives_but_no_answer_comes = Fault::on(Operation::Create).lost();
/// let three_refused_connections = Fault::any().times(3).refused();
/// # let _ = (second_update_conflicts, create_arrives_but_no_answer_comes, three_refused_connections);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    pub(crate) operation: Option<Operation>,
    pub(crate) nth: Option<u64>,
    pub(crate) left: u64,
    pub(crate) answer: Answer,
    pub(crate) apply: Option<bool>,
    pub(crate) latency: Option<Duration>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Option<Value>,
}

/// What the client gets to see.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// What the operation itself gives: only the latency of the fault counts.
    Normal,
    Fail(u16),
    Errors(Value),
    Reply(Value),
    Empty,
    Lost,
    TimedOut,
    Refused,
    Unreadable(Text),
}

impl Fault {
    fn new(operation: Option<Operation>) -> Self {
        Self {
            operation,
            nth: None,
            left: 1,
            answer: Answer::Fail(500),
            apply: None,
            latency: None,
            retry_after: None,
            body: None,
        }
    }

    /// A fault of requests of this operation. Until told otherwise they fail with status 500.
    pub fn on(operation: Operation) -> Self {
        Self::new(Some(operation))
    }

    /// A fault of requests of any operation. Until told otherwise they fail with status 500.
    pub fn any() -> Self {
        Self::new(None)
    }

    /// Takes only the nth request of its operation, counted from 1 since the server was made.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// How many requests it takes before it is spent. Default: 1. [`u64::MAX`] means for ever.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.left = times;
        self
    }

    /// The request fails with this HTTP status. 502 and 504 say that it may have been applied, all others that it was
    /// not.
    #[must_use]
    pub fn fail(mut self, status: u16) -> Self {
        self.answer = Answer::Fail(status);
        self
    }

    /// The pause that a failure asks for (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The decoded error body that comes with a failing status.
    #[must_use]
    pub fn saying(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The reply is a success that holds only these errors, in the member set by
    /// [`errors_field`](crate::MockServerBuilder::errors_field).
    #[must_use]
    pub fn errors(mut self, errors: impl Into<Value>) -> Self {
        self.answer = Answer::Errors(errors.into());
        self
    }

    /// The reply is a success with this very body.
    #[must_use]
    pub fn reply(mut self, body: impl Into<Value>) -> Self {
        self.answer = Answer::Reply(body.into());
        self
    }

    /// The reply is a success without a body.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.answer = Answer::Empty;
        self
    }

    /// The request arrives and is carried out, but the connection breaks before the answer comes back: a `Transport`
    /// error that may have been applied.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.answer = Answer::Lost;
        self
    }

    /// The request arrives and is carried out, but the client's time is up: a `TimedOut` error that may have been
    /// applied.
    #[must_use]
    pub fn timed_out(mut self) -> Self {
        self.answer = Answer::TimedOut;
        self
    }

    /// The connection is refused: a `Transport` error that was not applied.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.answer = Answer::Refused;
        self
    }

    /// The request is carried out, and the answer is a success with these undecoded bytes, which need not be JSON.
    #[must_use]
    pub fn unreadable(mut self, body: impl Into<Text>) -> Self {
        self.answer = Answer::Unreadable(body.into());
        self
    }

    /// Nothing goes wrong; the answer only takes this long. Use [`latency`](Self::latency) to delay another fault.
    #[must_use]
    pub fn slow(mut self, latency: Duration) -> Self {
        self.answer = Answer::Normal;
        self.latency = Some(latency);
        self
    }

    /// Whether a write is carried out before the fault's answer is given. Default: yes for [`lost`](Self::lost),
    /// [`timed_out`](Self::timed_out) and [`unreadable`](Self::unreadable), no for all others. A refused connection
    /// carries nothing out whatever is said here.
    #[must_use]
    pub fn apply(mut self, apply: bool) -> Self {
        self.apply = Some(apply);
        self
    }

    /// How long this fault's answer takes, instead of the server's latency.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Whether this is the fault of the `count`th request of an operation.
    pub(crate) fn matches(&self, operation: Operation, count: u64) -> bool {
        self.operation.is_none_or(|own| own == operation) && self.left > 0 && self.nth.is_none_or(|nth| nth == count)
    }

    /// Takes one request.
    pub(crate) fn spend(&mut self) {
        if self.left != u64::MAX {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Whether a write is carried out nevertheless.
    pub(crate) fn applies(&self) -> bool {
        match self.answer {
            Answer::Normal => true,
            Answer::Refused => false,
            Answer::Lost | Answer::TimedOut | Answer::Unreadable(_) => self.apply.unwrap_or(true),
            Answer::Fail(_) | Answer::Errors(_) | Answer::Reply(_) | Answer::Empty => self.apply.unwrap_or(false),
        }
    }
}
