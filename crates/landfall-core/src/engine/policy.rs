//! The failure policy: what a failed try means for the change, as one table, and what may be put in front of it.
//!
//! Owns the verdicts. Never acts on one.

use super::change::Standing;
use crate::{ChangeKind, Error, ErrorKind, Value};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// What follows from a failed try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Sent again by the next sync, or by itself after a back-off where that is switched on.
    #[default]
    Retry,
    /// The whole queue waits for a login. The try does not count.
    HoldForLogin,
    /// The whole queue waits for the pause that the service asked for. The try does not count.
    HoldForRate,
    /// The service holds another version. Offered again by an explicit sync only, or settled in the inbox.
    Conflict,
    /// Refused for good. Offered again by an explicit sync only, or settled in the inbox.
    Quarantine,
    /// Perhaps applied: settled before anything else of the record is sent.
    InDoubt,
    /// The service has what was wanted.
    Done,
}

impl Verdict {
    /// One word or two, as stored: `retry`, `login`, `rate`, `conflict`, `quarantine`, `in doubt`, `done`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::HoldForLogin => "login",
            Self::HoldForRate => "rate",
            Self::Conflict => "conflict",
            Self::Quarantine => "quarantine",
            Self::InDoubt => "in doubt",
            Self::Done => "done",
        }
    }

    pub(crate) fn from_marker(text: &str) -> Option<Self> {
        use Verdict::{Conflict, Done, HoldForLogin, HoldForRate, InDoubt, Quarantine, Retry};
        [Retry, HoldForLogin, HoldForRate, Conflict, Quarantine, InDoubt, Done]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }

    pub(crate) const fn standing(self) -> Standing {
        match self {
            Self::HoldForLogin | Self::HoldForRate => Standing::Held,
            Self::Quarantine | Self::Conflict => Standing::Quarantined,
            Self::InDoubt => Standing::InDoubt,
            Self::Retry | Self::Done => Standing::Queued,
        }
    }

    pub(crate) const fn holds(self) -> bool {
        matches!(self, Self::HoldForLogin | Self::HoldForRate)
    }
}

/// A try that failed: all that a policy may look at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Try<'a> {
    /// What was to be done.
    pub kind: ChangeKind,
    /// The failure: status ([`Error::status`]), headers ([`Error::header`], [`Error::retry_after`]), what the service said
    /// ([`Error::body`]), or what the transport says of it ([`Error::kind`], [`Error::may_have_been_applied`]).
    pub error: &'a Error,
    /// How often the change was tried, this try included; those that met a hold left out.
    pub attempts: u32,
    /// Whether the outcome of an earlier try is unknown.
    pub in_doubt: bool,
}

/// Judges a failed try. The table:
///
/// | failure | verdict |
/// |---|---|
/// | 404, 410 on destroy | done (C50) |
/// | a time-out, a cut connection, an unreadable 2xx, 502, 504, a redirect of a write: perhaps applied | in doubt |
/// | 401, 407 | hold for login |
/// | 429, 503 with `Retry-After` | hold for rate |
/// | 409 with `Retry-After`, or with a problem type that speaks of idempotency | retry: the first try is still being worked on |
/// | 409, 412; 410 on update; an answer about another record | conflict |
/// | 408, 425, 429, 500, 503, other 5xx, a refused connection, 1xx and 3xx, anything else | retry |
/// | 400, 402 to 406, 411, 413 to 424, 426 and all other 4xx; errors in a 2xx, an answer too large | quarantine |
///
/// A change that is in doubt already stays in doubt, whatever the failure, unless the answer settles it: a
/// service that is busy or asks for a login says nothing about the first try.
pub fn judge(tried: &Try<'_>) -> Verdict {
    let error = tried.error;
    match error.kind() {
        ErrorKind::Status(404 | 410) if tried.kind == ChangeKind::Destroy => Verdict::Done,
        _ if error.may_have_been_applied() => Verdict::InDoubt,
        ErrorKind::Status(code) => match code {
            401 | 407 => Verdict::HoldForLogin,
            429 | 503 if error.retry_after().is_some() => Verdict::HoldForRate,
            409 if is_still_worked_on(error) => Verdict::Retry,
            409 | 412 => Verdict::Conflict,
            410 if tried.kind == ChangeKind::Update => Verdict::Conflict,
            408 | 425 | 429 => Verdict::Retry,
            502 | 504 => Verdict::InDoubt,
            400..=499 => Verdict::Quarantine,
            _ => Verdict::Retry,
        },
        ErrorKind::Conflict => Verdict::Conflict,
        ErrorKind::Rejected | ErrorKind::Validation | ErrorKind::Undecodable | ErrorKind::Limit => Verdict::Quarantine,
        _ => Verdict::Retry,
    }
}

/// A 409 that means: the first request with this key has not been answered yet.
fn is_still_worked_on(error: &Error) -> bool {
    let names_idempotency = |body: &Value| {
        let kind = body.as_object().and_then(|body| body.get("type")).and_then(Value::as_str);
        kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("idempoten"))
    };
    error.retry_after().is_some() || error.body().is_some_and(names_idempotency)
}

/// Whether a failure of a repeated request tells how the first try ended: the service looked at the request itself and
/// refused it. Answers that come from what stands before the service (log-in, rate limits, locks, a first try that is
/// still being worked on) do not.
pub fn settles(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Status(code) => {
            (400..500).contains(code) && !matches!(code, 401 | 403 | 407 | 408 | 409 | 412 | 421 | 423 | 425 | 429)
        }
        ErrorKind::Rejected => !error.may_have_been_applied(),
        _ => false,
    }
}

type Judge = dyn Fn(&Try<'_>) -> Option<Verdict> + Send + Sync;

/// What a data source thinks of failures: a function that is asked first, and the table of [`judge`] for all that it
/// says nothing about.
///
/// ```
/// use landfall_core::{Policy, Verdict};
/// // This service says 403 when the session has ended, and 423 while somebody edits the record.
/// let policy = Policy::new(|tried| match tried.error.status() {
///     Some(403) => Some(Verdict::HoldForLogin),
///     Some(423) if tried.attempts < 5 => Some(Verdict::Retry),
///     _ => None,
/// });
/// # drop(policy);
/// ```
#[derive(Clone, Default)]
pub struct Policy(Option<Arc<Judge>>);

impl Policy {
    /// Asks this function first; `None` leaves the failure to the table. It is called while the data source is locked: calls
    /// of it from here fail with `Callback`, or panic where they give no error. One that panics has said nothing.
    pub fn new(judge: impl Fn(&Try<'_>) -> Option<Verdict> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(judge)))
    }

    /// The verdict of a failed try. A change in doubt stays so unless the function or the failure settles it.
    pub fn judge(&self, tried: &Try<'_>) -> Verdict {
        self.verdicts(tried).0
    }

    /// Whether the function has a word on this failure.
    fn says(&self, tried: &Try<'_>) -> Option<Verdict> {
        self.0.as_ref().and_then(|own| catch_unwind(AssertUnwindSafe(|| own(tried))).ok().flatten())
    }

    /// What becomes of the change, and what of the queue.
    pub(crate) fn verdicts(&self, tried: &Try<'_>) -> (Verdict, Verdict) {
        match self.says(tried) {
            Some(verdict) if tried.in_doubt && verdict.holds() => (Verdict::InDoubt, verdict),
            Some(verdict) => (verdict, verdict),
            None => {
                let verdict = judge(tried);
                let doubt = tried.in_doubt && verdict != Verdict::Done && !settles(tried.error);
                (if doubt { Verdict::InDoubt } else { verdict }, verdict)
            }
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Policy(own, then the table)" } else { "Policy(the table)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Applied;
    use std::time::Duration;

    fn status(code: u16) -> Error {
        Error::new(ErrorKind::Status(code), "")
    }

    fn verdict(kind: ChangeKind, error: &Error) -> Verdict {
        judge(&Try { kind, error, attempts: 1, in_doubt: false })
    }

    #[test]
    fn every_status_has_a_verdict() {
        use Verdict::{Conflict, Done, HoldForLogin, HoldForRate, InDoubt, Quarantine, Retry};
        for kind in [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy] {
            for code in 100..=599 {
                let expected = match (code, kind) {
                    (404 | 410, ChangeKind::Destroy) => Done,
                    (409 | 412, _) | (410, ChangeKind::Update) => Conflict,
                    (401 | 407, _) => HoldForLogin,
                    (408 | 425 | 429, _) => Retry,
                    (502 | 504, _) => InDoubt,
                    (400..=499, _) => Quarantine,
                    _ => Retry,
                };
                assert_eq!(verdict(kind, &status(code)), expected, "{kind} {code}");
                let paused = match (code, expected) {
                    (429 | 503, _) => HoldForRate,
                    (409, _) => Retry,
                    (_, other) => other,
                };
                let asking = status(code).retry_after_of(Duration::from_secs(1));
                assert_eq!(verdict(kind, &asking), paused, "{kind} {code} with Retry-After");
            }
        }
    }

    #[test]
    fn failures_without_a_status() {
        for (kind, verdict_of, doubted) in [
            (ErrorKind::Transport, Verdict::Retry, Verdict::InDoubt),
            (ErrorKind::TimedOut, Verdict::Retry, Verdict::InDoubt),
            (ErrorKind::Offline, Verdict::Retry, Verdict::InDoubt),
            (ErrorKind::Undecodable, Verdict::Quarantine, Verdict::InDoubt),
            (ErrorKind::Rejected, Verdict::Quarantine, Verdict::InDoubt),
            (ErrorKind::Conflict, Verdict::Conflict, Verdict::InDoubt),
            (ErrorKind::Limit, Verdict::Quarantine, Verdict::InDoubt),
            (ErrorKind::Redirect, Verdict::Retry, Verdict::InDoubt),
        ] {
            let error = Error::new(kind, "");
            assert_eq!(verdict(ChangeKind::Update, &error), verdict_of, "{error}");
            assert_eq!(verdict(ChangeKind::Update, &error.clone().applied(Applied::Maybe)), doubted, "{error}");
        }
    }

    #[test]
    fn a_first_try_that_is_still_worked_on_is_no_conflict() {
        let problem = Value::from_json(r#"{"type":"https://x/problems/idempotency-key-in-use"}"#).unwrap();
        assert_eq!(verdict(ChangeKind::Create, &status(409).saying(problem)), Verdict::Retry);
        let other = Value::from_json(r#"{"type":"https://x/problems/edited"}"#).unwrap();
        assert_eq!(verdict(ChangeKind::Create, &status(409).saying(other)), Verdict::Conflict);
    }

    #[test]
    fn a_doubt_is_ended_by_what_settles_it_only() {
        let policy = Policy::default();
        for (code, of_change, of_queue) in [
            (401, Verdict::InDoubt, Verdict::HoldForLogin),
            (409, Verdict::InDoubt, Verdict::Conflict),
            (503, Verdict::InDoubt, Verdict::Retry),
            (400, Verdict::Quarantine, Verdict::Quarantine),
            (422, Verdict::Quarantine, Verdict::Quarantine),
        ] {
            let error = status(code);
            let tried = Try { kind: ChangeKind::Update, error: &error, attempts: 2, in_doubt: true };
            assert_eq!(policy.verdicts(&tried), (of_change, of_queue), "{code}");
        }
    }

    #[test]
    fn an_own_function_comes_first_and_one_that_panics_has_said_nothing() {
        let policy = Policy::new(|tried| match tried.error.status() {
            Some(403) => Some(Verdict::HoldForLogin),
            Some(418) => panic!("on purpose"),
            _ => None,
        });
        let of = |code| {
            let error = status(code);
            policy.judge(&Try { kind: ChangeKind::Update, error: &error, attempts: 1, in_doubt: false })
        };
        assert_eq!((of(403), of(418), of(500)), (Verdict::HoldForLogin, Verdict::Quarantine, Verdict::Retry));
    }
}
