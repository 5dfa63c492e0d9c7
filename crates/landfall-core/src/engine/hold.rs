//! Waiting: for a login, for the pause that the service asked for, for the end of a back-off.
//!
//! Owns when something may be sent, and what is sent by itself. Measures by the clock that knows no jumps
//! ([`super::Environment`]); whoever drives the engine asks it when to come back.

use super::{
    Engine, Steps,
    change::{Change, Failure, Sent, Standing},
    policy::Verdict,
    step::Ticket,
    sync::{Mode, Plan},
    table::Uid,
};
use crate::Error;
use std::{collections::HashSet, time::Duration};

/// What the whole queue waits for.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// A login: the refusal, and the number of the last request sent before it came.
    login: Option<(Error, u64)>,
    /// A pause that the service asked for: the refusal, and when it ends.
    pause: Option<(Error, Duration)>,
    /// Syncs that began by themselves and sent nothing, in a row, and when the next one may.
    idle_runs: u32,
    not_before: Duration,
}

impl Engine {
    /// What keeps the queue from being sent now, as the error that says so.
    pub(super) fn held(&self) -> Option<&Error> {
        if !self.options.offline_storage {
            return None;
        }
        let now = self.env.elapsed();
        let pause = self.holds.pause.as_ref().filter(|(_, until)| *until > now).map(|(error, _)| error);
        self.holds.login.as_ref().map(|(error, _)| error).or(pause)
    }

    /// What a change that was not sent because of a hold says of it.
    pub(super) fn held_failure(&self) -> Option<Failure> {
        let error = self.held()?;
        let login = self.holds.login.is_some();
        let until = self.holds.pause.as_ref().map(|(_, until)| *until).filter(|_| !login);
        let wait = until.map(|until| until.saturating_sub(self.env.elapsed()));
        let verdict = if login { Verdict::HoldForLogin } else { Verdict::HoldForRate };
        Some(Failure { verdict, at: Some(self.env.now()), wait, due: until, ..Failure::from(error) })
    }

    /// Takes a failure that holds the queue in.
    pub(super) fn hold(&mut self, verdict: Verdict, error: &Error) {
        match verdict {
            Verdict::HoldForLogin => self.holds.login = Some((error.clone(), self.number)),
            Verdict::HoldForRate => {
                let asked = error.retry_after().unwrap_or(self.options.pauses.first);
                if asked > self.options.pauses.longest_hold {
                    return;
                }
                let until = self.env.elapsed().saturating_add(asked);
                if self.holds.pause.as_ref().is_none_or(|(_, known)| *known < until) {
                    self.holds.pause = Some((error.clone(), until));
                }
            }
            _ => {}
        }
    }

    /// An explicit sync asks the service again, and with it the token hook; a pause that was asked for stands.
    pub(super) fn try_login(&mut self) {
        self.holds.login = None;
    }

    /// A request that was sent after the login was asked for got through: what was held goes.
    pub(super) fn let_in(&mut self, request: u64) -> Steps {
        match &self.holds.login {
            Some((_, asked)) if request > *asked => {
                self.holds.login = None;
                if self.options.auto_sync || self.options.pauses.background {
                    return self.request_sync(0, Mode::Due);
                }
                Steps::new()
            }
            _ => Steps::new(),
        }
    }

    /// Ends every hold and back-off and sends what is pending, without drafts and without what was refused for good: the
    /// user has logged in, or the service is known to be back.
    pub fn resume_held(&mut self, ticket: Ticket) -> Steps {
        self.holds = Holds::default();
        self.request_sync(ticket, Mode::Pending)
    }

    /// What a failed try leaves in the change.
    pub(super) fn failure(&self, error: &Error, verdict: Verdict, attempts: u32, sent: &Sent) -> Failure {
        let pauses = &self.options.pauses;
        let wait = match verdict {
            Verdict::HoldForRate => Some(error.retry_after().unwrap_or(pauses.first).min(pauses.longest_hold)),
            Verdict::Retry | Verdict::InDoubt => {
                // What travelled together waits together.
                let random = sent.batch.map_or_else(|| self.env.random(), mixed);
                let asked = error.retry_after().unwrap_or_default().min(pauses.longest_hold);
                Some(self.back_off(attempts.saturating_add(sent.asked), random).max(asked))
            }
            _ => None,
        };
        let due = wait.map(|wait| self.env.elapsed().saturating_add(wait));
        Failure { verdict, at: Some(self.env.now()), wait, due, ..Failure::from(error) }
    }

    /// A random part of a ceiling that doubles with each try.
    fn back_off(&self, attempts: u32, random: u64) -> Duration {
        let pauses = &self.options.pauses;
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = pauses.first.saturating_mul(doubled).min(pauses.longest);
        let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(random % (millis + 1))
    }

    /// When a stored wait is over. Time that passed while the program did not run counts, as far as the clock can be
    /// believed; it never makes the wait longer.
    pub(super) fn due_of(&self, failure: &Failure) -> Option<Duration> {
        let wait = failure.wait?;
        let since = failure.at.map_or(0, |at| self.env.now().millis().saturating_sub(at.millis()));
        let passed = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        Some(self.env.elapsed().saturating_add(wait.saturating_sub(passed)))
    }

    /// Whether a sync of this kind sends the change.
    fn wants(&self, uid: Uid, change: &Change, mode: Mode) -> bool {
        let standing = match (&change.sent, &change.accepted) {
            (Some(_), _) => Standing::InDoubt,
            (None, Some(accepted)) => accepted.standing,
            (None, None) => return false,
        };
        let is_due = || change.failure().and_then(|failure| failure.due).is_none_or(|due| due <= self.env.elapsed());
        match mode {
            Mode::Explicit => true,
            Mode::Only(only) => only == uid,
            _ if standing == Standing::Quarantined || self.asks(change) => false,
            Mode::Pending => true,
            Mode::Due => is_due(),
            // An edit takes what failed along, as in Kendo, where nobody else looks after that.
            Mode::Auto => !(self.options.pauses.background || standing == Standing::Held) || is_due(),
        }
    }

    /// The frozen requests of several rows that a sync of this kind sends: whole, or not at all.
    pub(super) fn wanted_batches(&self, mode: Mode) -> HashSet<u64> {
        self.all_changes()
            .filter_map(|(uid, change)| Some((uid, change, change.sent.as_ref()?.batch?)))
            .filter(|(uid, change, _)| self.wants(*uid, change, mode))
            .map(|(_, _, batch)| batch)
            .collect()
    }

    /// Whether a sync of this kind sends the change, with those that it travels with.
    pub(super) fn goes(&self, uid: Uid, change: &Change, plan: &Plan) -> bool {
        match change.sent.as_ref().and_then(|sent| sent.batch) {
            Some(batch) => plan.batches.contains(&batch),
            None => self.wants(uid, change, plan.mode),
        }
    }

    // ---- by itself

    /// How long to wait until something is to be sent by itself; `None` while nothing is, or something is under way.
    /// Ask again after every call. Always `None` unless [`Pauses::background`](super::Pauses::background) is on.
    pub fn next_retry(&self) -> Option<Duration> {
        let ready = self.options.pauses.background
            && self.options.offline_storage
            && self.online
            && self.loaded
            && self.hidden.is_none()
            && self.holds.login.is_none()
            && self.is_idle();
        if !ready {
            return None;
        }
        let due = self
            .all_changes()
            .map(|(_, change)| change)
            .filter(|change| change.sent.is_some() || change.accepted.is_some())
            .filter(|change| match (&change.sent, &change.accepted) {
                (Some(_), _) => !self.asks(change),
                (None, accepted) => accepted.as_ref().is_some_and(|own| own.standing != Standing::Quarantined),
            })
            .map(|change| change.failure().and_then(|failure| failure.due).unwrap_or_default())
            .min()?;
        let pause = self.holds.pause.as_ref().map_or(Duration::ZERO, |(_, until)| *until);
        Some(due.max(pause).max(self.holds.not_before).saturating_sub(self.env.elapsed()))
    }

    /// Sends what is due by now. A wait that [`next_retry`](Self::next_retry) gave is over.
    pub fn retry_due(&mut self) -> Steps {
        if self.next_retry().is_none_or(|wait| wait > Duration::ZERO) {
            return Steps::new();
        }
        // A sync that cannot even start must not be started again at once.
        self.holds.idle_runs = self.holds.idle_runs.saturating_add(1);
        let pause = self.back_off(self.holds.idle_runs, u64::MAX / 2);
        self.holds.not_before = self.env.elapsed().saturating_add(pause.max(Duration::from_millis(10)));
        self.request_sync(0, Mode::Due)
    }

    /// Whether a request of the sync under way may be tried once more; counts it.
    pub fn may_try_again(&mut self) -> bool {
        if self.stopping || !self.online || self.holds.login.is_some() && self.options.offline_storage {
            return false;
        }
        let budget = self.options.pauses.budget;
        let Some(run) = &mut self.sync else { return true };
        if budget.is_some_and(|budget| run.spent >= budget) {
            return false;
        }
        run.spent += 1;
        true
    }

    /// A request went out: the next sync may begin by itself when it is due.
    pub(super) fn went_out(&mut self) {
        self.holds.idle_runs = 0;
        self.holds.not_before = Duration::ZERO;
    }
}

/// Spreads the bits of a number.
fn mixed(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
