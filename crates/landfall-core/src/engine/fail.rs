//! What becomes of changes whose try failed: each keeps its error, and waits as the failure policy says.
//!
//! Owns the outcome of failures. What a failure means is said in `policy`, how long it holds in `hold`.

use super::{
    Engine, Step, Steps,
    change::{Accepted, Failure, Journey, Sent, Standing, Theirs},
    event::{Event, EventKind},
    heard::Said,
    policy::{Try, Verdict},
    report::ChangeOutcome,
    table::Uid,
};
use crate::{ChangeKind, Delta, Error, Operation, Record, Reply};

impl Engine {
    /// A request failed, and with it the changes that travelled in it.
    pub(super) fn refuse(&mut self, at: usize, error: &Error) -> Steps {
        let Some((operation, uids, id, journey)) =
            self.slot(at).map(|slot| (slot.operation, slot.uids.clone(), slot.id, slot.journey.clone()))
        else {
            return Steps::new();
        };
        let error = error.clone().during(operation.as_str());
        if self.done_already(operation, &uids, &error) {
            return self.accept_reply(at, &Reply::empty());
        }
        let mut delta = Delta::default();
        let outcomes = self.fail_together(operation, (&uids, &journey), &error, &mut delta);
        let mut end = Event::new(EventKind::RequestEnd);
        end.request = Some(id);
        let mut steps = Steps::from([Step::Emit(end)]);
        if uids.is_empty() || !outcomes.is_empty() {
            let mut event = Event::new(EventKind::Error);
            event.error = Some(error);
            steps.push_back(Step::Emit(event));
        }
        if let Some(slot) = self.slot(at) {
            slot.outcomes = outcomes;
        }
        steps.extend(self.ask_for_theirs(&uids));
        steps.extend(self.store_answer(at, delta));
        steps
    }

    /// Whether a failure says that its one record needs nothing more. Of several records it may mean any.
    pub(super) fn done_already(&self, operation: Operation, uids: &[Uid], error: &Error) -> bool {
        let ([uid], Ok(kind)) = (uids, ChangeKind::try_from(operation)) else { return false };
        self.verdicts(*uid, kind, error).0 == Verdict::Done
    }

    /// What travelled in one request failed with it. Where that says that nothing more is needed, of several it may mean
    /// any: none was applied, and each is sent again at once, alone; so is what was refused, where batches are split. Gives
    /// the outcomes of the others.
    pub(super) fn fail_together(
        &mut self,
        operation: Operation,
        (uids, journey): (&[Uid], &Journey),
        error: &Error,
        delta: &mut Delta,
    ) -> Vec<ChangeOutcome> {
        let mut outcomes = Vec::with_capacity(uids.len());
        for uid in uids {
            if !self.waits_for(*uid, journey) {
                continue;
            }
            let Some(kind) = self.change(*uid).and_then(|change| Some(change.sent.as_ref()?.kind)) else { continue };
            if let Some(sent) = self.change_mut(*uid).and_then(|change| change.sent.as_mut()) {
                sent.together = uids.len() > 1;
            }
            let mut verdicts = self.verdicts(*uid, kind, error);
            if operation == Operation::Submit && verdicts.0 == Verdict::Done {
                // The address of everything says nothing about one record.
                verdicts = (Verdict::Quarantine, Verdict::Quarantine);
            }
            let Some(outcome) = self.fail_as(*uid, error, verdicts, None, delta) else { continue };
            // Without a storage a failure has become a draft, unless it was kept to be sent again.
            let again = uids.len() > 1
                && self.change(*uid).and_then(|change| change.accepted.as_ref()).is_some_and(|own| {
                    own.kind == kind && own.failure.as_ref().is_some_and(|failure| self.is_split(failure))
                });
            match &mut self.sync {
                Some(run) if again => run.follow.push(*uid),
                _ => outcomes.push(outcome),
            }
        }
        outcomes
    }

    /// Whether what failed so in company is sent again at once, alone.
    fn is_split(&self, failure: &Failure) -> bool {
        failure.together
            && (failure.verdict == Verdict::Done || self.options.split_refused_batches && failure.in_company())
    }

    /// What the failure policy says of a failed try: for the change, and for the queue.
    pub(super) fn verdicts(&self, uid: Uid, kind: ChangeKind, error: &Error) -> (Verdict, Verdict) {
        let sent = self.change(uid).and_then(|change| change.sent.as_ref());
        let attempts = sent.map_or(0, |sent| sent.attempts);
        let in_doubt = sent.is_some_and(|sent| sent.in_doubt);
        self.options.policy.verdicts(&Try { kind, error, attempts, in_doubt })
    }

    /// What a refusal says of the server's version: a record of the same id in its body, as the schema reads it or as it
    /// is.
    fn theirs_in(&self, error: &Error, sent: &Sent) -> Theirs {
        if error.status() == Some(410) {
            return Theirs::Gone;
        }
        let Some(id) = self.given_id(&sent.record) else { return Theirs::Unknown };
        let Some(body) = error.body() else { return Theirs::Unknown };
        let read = self.options.schema.write_answer(Some(body.clone())).ok();
        let rows = read.and_then(|answer| answer.rows).unwrap_or_default();
        let same = |row: &Record| self.id_of(row).is_some_and(|other| other.to_text() == id.to_text());
        let row = rows.into_iter().find(same);
        row.map_or(Theirs::Unknown, Theirs::Record)
    }

    /// A request failed: what travelled in it stays, as far as nobody has settled it since.
    pub(super) fn fail_all(
        &mut self,
        uids: &[Uid],
        journey: &Journey,
        error: &Error,
        delta: &mut Delta,
    ) -> Vec<ChangeOutcome> {
        let mut outcomes = Vec::with_capacity(uids.len());
        for uid in uids {
            if self.waits_for(*uid, journey) {
                outcomes.extend(self.fail(*uid, error, delta));
            }
        }
        outcomes
    }

    /// One change failed: it stays, with its error.
    pub(super) fn fail(&mut self, uid: Uid, error: &Error, delta: &mut Delta) -> Option<ChangeOutcome> {
        let kind = self.change(uid)?.sent.as_ref()?.kind;
        let verdicts = self.verdicts(uid, kind, error);
        self.fail_as(uid, error, verdicts, None, delta)
    }

    /// As [`fail`](Self::fail), with what it means for the change and for the queue, and what the server has where that is
    /// known.
    pub(super) fn fail_as(
        &mut self,
        uid: Uid,
        error: &Error,
        (verdict, of_queue): (Verdict, Verdict),
        theirs: Option<Theirs>,
        delta: &mut Delta,
    ) -> Option<ChangeOutcome> {
        let storage = self.options.offline_storage;
        let shown = self.table.get(uid).map(|row| row.record.clone());
        self.hold(of_queue, error);
        let mut sent = self.change_mut(uid)?.sent.take()?;
        if of_queue.holds() {
            // A try that met a hold burns nothing.
            sent.attempts = sent.attempts.saturating_sub(1);
        }
        // What the service did not look at stays frozen where another program may be sending it as well.
        if storage && matches!(verdict, Verdict::Quarantine | Verdict::Conflict) {
            let (error, theirs, together) = (error.clone(), theirs.clone(), sent.together);
            let said = Said::Failed { error, verdict, theirs, together };
            self.unstored.note(uid, &sent.key, said);
        }
        let mut failure = self.failure(error, verdict, sent.attempts, &sent);
        failure.together = std::mem::take(&mut sent.together);
        let again = self.is_split(&failure);
        let standing = if failure.in_company() { Standing::Queued } else { verdict.standing() };
        if verdict == Verdict::Conflict {
            failure.theirs = theirs.unwrap_or_else(|| self.theirs_in(error, &sent));
        }
        // The key of a batch is the batch's.
        let key = if sent.batch.is_none() { sent.key.clone() } else { self.new_key() };
        let change = self.change_mut(uid)?;
        let outcome = ChangeOutcome { uid, kind: sent.kind, record: sent.record.clone(), result: Err(error.clone()) };
        change.tried = sent.batch.is_none().then(|| (sent.record.clone(), sent.kind, sent.key.clone()));
        if storage && verdict == Verdict::InDoubt {
            // Frozen until its outcome is known; the accepted copy is the same body and goes with it.
            if let Some(accepted) = &mut change.accepted
                && sent.is_of(accepted)
            {
                accepted.standing = Standing::InDoubt;
                accepted.attempts = sent.attempts;
                accepted.failure = Some(failure.clone());
            }
            change.sent = Some(Sent { in_doubt: true, in_flight: false, failure: Some(failure), ..sent });
        } else if storage {
            let created = sent.kind == ChangeKind::Create;
            if created && change.accepted.as_ref().is_some_and(|accepted| accepted.kind == ChangeKind::Destroy) {
                // Never made there, and removed here meanwhile: nothing is left but a draft that brought it back.
                if shown.is_some() {
                    change.accepted = None;
                    change.draft = true;
                }
                self.removed.remove(uid);
                self.parked.remove(uid);
                delta.delete.push(uid.0);
                return Some(outcome);
            }
            if let Some(accepted) = &mut change.accepted {
                if created && accepted.kind == ChangeKind::Update {
                    accepted.kind = ChangeKind::Create;
                }
                accepted.standing = standing;
                accepted.attempts = sent.attempts;
                accepted.failure = Some(failure);
            } else {
                change.accepted = Some(Accepted {
                    kind: sent.kind,
                    record: sent.record,
                    key,
                    changed: sent.changed,
                    offline: None,
                    standing,
                    attempts: sent.attempts,
                    failure: Some(failure),
                    unstored: false,
                    before: None,
                });
            }
        } else if again && let Some(accepted) = change.accepted.as_mut().filter(|accepted| sent.is_of(accepted)) {
            // Sent again at once, alone.
            accepted.failure = Some(failure);
            return Some(outcome);
        } else {
            // Without a storage a failure stays a draft, and a read drops drafts.
            change.accepted = None;
            change.draft = true;
            self.parked.remove(uid);
            return Some(outcome);
        }
        if let (Some(shown), Some(below)) = (shown, change.below())
            && storage
            && *below == shown
        {
            change.draft = false;
        }
        let change = self.change(uid)?.clone();
        delta.put.extend(self.encode_layers(uid, self.order_of(uid), &change));
        Some(outcome)
    }
}
