//! The failure policy: what a failed try means for the change, as one table.

use super::change::Standing;
use crate::{ChangeKind, Error, ErrorKind};

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Sent again by the next sync.
    Retry,
    /// Waits for a login or for the pause the server asked for.
    Hold,
    /// Refused for good, or in conflict: only an explicit sync offers it again.
    Quarantine,
    /// Perhaps applied: repeated as it was, with its key.
    InDoubt,
    /// The server has what was wanted.
    Done,
}

/// Judges a failure. The defaults, by status:
///
/// | failure | verdict |
/// |---|---|
/// | 404, 410 on destroy | done (C50) |
/// | 401, 407; 429 and 503 with `Retry-After` | hold |
/// | 409 with `Retry-After` | retry: the first try is still being worked on |
/// | 502, 504, time-out, cut connection, unreadable 2xx | in doubt |
/// | 408, 425, 429, 500, 503, refused connection | retry |
/// | 400, 402, 403, 404, 405, 406, 409 to 418, 422, 423, 428, 431, 451, other 4xx, errors in a 2xx | quarantine |
/// | other 5xx, anything else | retry |
///
/// A change that is in doubt already stays in doubt, whatever the failure, unless the answer settles it: a
/// server that is busy or asks for a login says nothing about the first try.
pub fn judge(kind: ChangeKind, error: &Error) -> Verdict {
    match error.kind() {
        ErrorKind::Status(404 | 410) if kind == ChangeKind::Destroy => Verdict::Done,
        _ if error.may_have_been_applied() => Verdict::InDoubt,
        ErrorKind::Status(401 | 407) => Verdict::Hold,
        ErrorKind::Status(429 | 503) if error.retry_after().is_some() => Verdict::Hold,
        ErrorKind::Status(409) if error.retry_after().is_some() => Verdict::Retry,
        ErrorKind::Status(502 | 504) => Verdict::InDoubt,
        ErrorKind::Status(code @ 400..=499) if !matches!(code, 408 | 425 | 429) => Verdict::Quarantine,
        ErrorKind::Rejected
        | ErrorKind::Conflict
        | ErrorKind::Validation
        | ErrorKind::Undecodable
        | ErrorKind::Limit => Verdict::Quarantine,
        _ => Verdict::Retry,
    }
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

impl Verdict {
    pub(crate) fn standing(self) -> Standing {
        match self {
            Self::Hold => Standing::Held,
            Self::Quarantine => Standing::Quarantined,
            Self::InDoubt => Standing::InDoubt,
            Self::Retry | Self::Done => Standing::Queued,
        }
    }
}
