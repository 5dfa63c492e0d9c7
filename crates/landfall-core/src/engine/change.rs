//! The overlay: what differs from the server's last word, row by row.
//!
//! A changed row has up to four versions, from the bottom: the **base** (what the server last said), what was **sent**
//! and not answered yet, what `sync()` has **accepted**, and the **draft** the program sees (the record in the table).
//! Owns these layers. Never does I/O and never decides when something is sent.

use super::{policy::Verdict, table::Row};
use crate::{ChangeKind, Date, Error, Record, Text, Value, depth};
use std::time::Duration;

/// Where a pending change stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// Waits for the next sync.
    #[default]
    Queued,
    /// Sent, and no usable answer came back: repeated as it was, with its key, until the outcome is known.
    InDoubt,
    /// Waits for something: a login, a pause the server asked for, a record it depends on.
    Held,
    /// Refused for good or in conflict: sent again only by an explicit `sync()` or `online(true)`, or settled in the inbox.
    Quarantined,
}

impl Standing {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InDoubt => "in doubt",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
        }
    }

    pub(crate) fn from_marker(text: &str) -> Self {
        match text {
            "in doubt" => Self::InDoubt,
            "held" => Self::Held,
            "quarantined" => Self::Quarantined,
            _ => Self::Queued,
        }
    }
}

/// What the server has in place of what was sent, where a conflict says so.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Theirs {
    /// Nobody has said.
    #[default]
    Unknown,
    /// The record is gone.
    Gone,
    /// This version.
    Record(Record),
}

impl Theirs {
    /// The server's version, if it has one and it is known.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Unknown | Self::Gone => None,
        }
    }
}

/// How much of what a server says is kept with a change, in bytes of JSON.
const EXCERPT: usize = 4096;

/// Why a try failed, in a form that can be stored.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// One line.
    pub message: String,
    /// The HTTP status, if the server answered with one.
    pub status: Option<u16>,
    /// What the server said, if it said something; its beginning, as a text, where that is longer than 4 KiB.
    pub body: Option<Value>,
    /// What the failure policy made of it.
    pub verdict: Verdict,
    /// When, by the clock of the data source.
    pub at: Option<Date>,
    /// How long the change waits from then on: a pause that the server asked for, or a back-off.
    pub wait: Option<Duration>,
    /// Of a conflict: what the server has.
    pub theirs: Theirs,
    /// When the wait is over, on the engine's clock that knows no jumps.
    pub(crate) due: Option<Duration>,
    /// The request held other changes as well: nobody knows which was meant.
    pub(crate) together: bool,
}

impl Failure {
    /// Whether a request that held other changes as well was refused with a 4xx: which of them was meant is not known, and
    /// none was applied. Such a change is not counted as refused; it is sent alone by the next sync of any kind, at once where
    /// the data source [splits](super::Options::split_refused_batches) refused batches.
    pub fn in_company(&self) -> bool {
        self.together
            && matches!(self.verdict, Verdict::Quarantine | Verdict::Conflict)
            && self.status.is_some_and(|status| (400..500).contains(&status))
    }

    /// When the change may be sent again, if it waits; by the clock that [`at`](Self::at) goes by.
    pub fn retry_at(&self) -> Option<Date> {
        let wait = i64::try_from(self.wait?.as_millis()).unwrap_or(i64::MAX);
        Some(Date::from_millis(self.at?.millis().saturating_add(wait)))
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { message: error.to_string(), status: error.status(), body: error.body().map(excerpt), ..Self::default() }
    }
}

/// What is kept of what a server said.
fn excerpt(body: &Value) -> Value {
    if depth::is_deeper(body, depth::DEEPEST) {
        return "a value that is nested too deep to be kept".into();
    }
    let text = body.to_json();
    if text.len() <= EXCERPT {
        return body.clone();
    }
    let end = (0..=EXCERPT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().into()
}

/// A body on its way: frozen until its outcome is known.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a try, each with a name of its own")]
pub(crate) struct Sent {
    pub(crate) kind: ChangeKind,
    pub(crate) record: Record,
    pub(crate) key: Text,
    pub(crate) changed: Vec<Text>,
    /// The outcome of an earlier try is unknown.
    pub(crate) in_doubt: bool,
    /// A request with this body is under way now.
    pub(crate) in_flight: bool,
    /// It was read from the storage: another program may have thought better of it since, so that it is stored once more
    /// before it is sent.
    pub(crate) loaded: bool,
    /// Fresh rows came meanwhile: they may hold the record that this body creates.
    pub(crate) read_since: bool,
    /// Several frozen bodies that travelled in one batch share this number and travel together again.
    pub(crate) batch: Option<u64>,
    /// Its place among them.
    pub(crate) place: u32,
    pub(crate) attempts: u32,
    /// How often it was looked up in vain, and whether nobody could tell.
    pub(crate) asked: u32,
    pub(crate) unknown: bool,
    /// The try that is about to be made is counted already: the commit before it stored that.
    pub(crate) counted: bool,
    /// The request that failed held other changes as well.
    pub(crate) together: bool,
    pub(crate) failure: Option<Failure>,
}

/// The request that a body travels in: the batch, or the key where it travels alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journey {
    batch: Option<u64>,
    key: Text,
}

impl Sent {
    pub(crate) fn journey(&self) -> Journey {
        Journey { batch: self.batch, key: self.key.clone() }
    }

    /// Whether this travels in that request. Another program may have put another body in place of the one that went out.
    pub(crate) fn is_on(&self, journey: &Journey) -> bool {
        self.batch == journey.batch && (self.batch.is_some() || self.key == journey.key)
    }

    /// Whether this is what was accepted last, so that nothing waits behind it.
    pub(crate) fn is_of(&self, accepted: &Accepted) -> bool {
        self.kind == accepted.kind && self.record == accepted.record
    }
}

/// A change that `sync()` has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) kind: ChangeKind,
    pub(crate) record: Record,
    pub(crate) key: Text,
    /// The fields that the program changed since the base.
    pub(crate) changed: Vec<Text>,
    /// Kind and values as they were accepted while offline: where cancelling goes back to.
    pub(crate) offline: Option<Box<(ChangeKind, Record)>>,
    pub(crate) standing: Standing,
    pub(crate) attempts: u32,
    pub(crate) failure: Option<Failure>,
    /// Not known to be stored yet: the commit that stores it is under way.
    pub(crate) unstored: bool,
    /// While it is not: what was stored before it.
    pub(crate) before: Option<Record>,
}

impl Accepted {
    /// A removal that is not stored yet.
    pub(crate) fn removal(record: &Record, key: Text) -> Self {
        Self {
            kind: ChangeKind::Destroy,
            record: record.clone(),
            key,
            changed: Vec::new(),
            offline: None,
            standing: Standing::Queued,
            attempts: 0,
            failure: None,
            unstored: true,
            before: Some(record.clone()),
        }
    }

    /// Puts what was changed since the old base on top of a new one. Another body gets another key.
    /// `sent` is the body of a request before this change whose outcome is open.
    pub(crate) fn rebase(&mut self, was: &Record, sent: Option<&Record>, base: &Record, key: Text) {
        if let Some(offline) = &mut self.offline {
            offline.1 = carry_over_both(was, sent, &offline.1, base);
        }
        let record = carry_over_both(was, sent, &self.record, base);
        if record != self.record {
            self.record = record;
            self.key = key;
        }
    }
}

/// All that is known about a changed row.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a row, each with a name of its own")]
pub(crate) struct Change {
    /// The server's last version; none for a record the server does not know.
    pub(crate) base: Option<Record>,
    pub(crate) sent: Option<Sent>,
    pub(crate) accepted: Option<Accepted>,
    /// The record in the table (or its absence) differs from what is below.
    pub(crate) draft: bool,
    /// The record was added here and the server has not confirmed it.
    pub(crate) added: bool,
    /// The record came from the server looking new (its id is the default id, R2.18).
    pub(crate) looks_new: bool,
    /// Another program's removal of the record is done, and here is a draft of it: nothing is stored of it until it is
    /// accepted.
    pub(crate) unlisted: bool,
    /// Kendo's `dirty` and `dirtyFields`: edits since the last load.
    pub(crate) dirty: bool,
    pub(crate) fields: Vec<Text>,
    /// All fields changed since the base, for partial updates and merging.
    pub(crate) changed: Vec<Text>,
    /// The key and body of a failed try, so that an unchanged body keeps its key.
    pub(crate) tried: Option<(Record, ChangeKind, Text)>,
}

impl Change {
    pub(crate) fn is_new(&self) -> bool {
        self.added || self.looks_new
    }

    /// Whether the record was sent as a new one, and nothing was heard of it.
    pub(crate) fn is_created_unheard(&self) -> bool {
        self.base.is_none() && self.sent.is_some()
    }

    /// What a change that was accepted once is by now: the service may have come to know the record since, or have said that it
    /// does not; and what is on its way keeps its kind.
    pub(crate) fn kind_now(&self, kind: ChangeKind, record: &Record) -> ChangeKind {
        match &self.sent {
            Some(sent)
                if (sent.kind == ChangeKind::Destroy) == (kind == ChangeKind::Destroy) && sent.record == *record =>
            {
                sent.kind
            }
            _ if kind == ChangeKind::Destroy => kind,
            None if self.is_new() => ChangeKind::Create,
            _ => ChangeKind::Update,
        }
    }

    pub(crate) fn note(&mut self, field: &str) {
        self.dirty = true;
        self.draft = true;
        for list in [&mut self.fields, &mut self.changed] {
            if !list.iter().any(|known| known.as_str() == field) {
                list.push(Text::from(field));
            }
        }
    }

    /// Whether the storage holds all there is to say: an accepted change, and no draft on top of it.
    pub(crate) fn is_stored_as_accepted(&self) -> bool {
        !self.draft && self.accepted.as_ref().is_some_and(|accepted| !accepted.unstored)
    }

    /// Whether the change goes in a request of its own where others share one: the service refused it in company, where
    /// nobody knows which record was meant, or more than once.
    pub(crate) fn goes_alone(&self) -> bool {
        let (None, Some(accepted)) = (&self.sent, &self.accepted) else { return false };
        accepted.failure.as_ref().is_some_and(|failure| {
            matches!(failure.verdict, Verdict::Done | Verdict::Quarantine | Verdict::Conflict)
                && (failure.together || accepted.attempts > 1)
        })
    }

    pub(crate) fn is_sent_as_loaded(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.loaded)
    }

    /// Whether anything is left to remember.
    pub(crate) fn is_idle(&self) -> bool {
        self.sent.is_none()
            && self.accepted.is_none()
            && !self.draft
            && !self.added
            && !self.looks_new
            && !self.dirty
            && self.fields.is_empty()
    }

    /// The version below the draft: accepted, else in doubt, else base.
    pub(crate) fn below(&self) -> Option<&Record> {
        match (&self.accepted, &self.sent) {
            (Some(accepted), _) => Some(&accepted.record),
            (None, Some(sent)) => Some(&sent.record),
            (None, None) => self.base.as_ref(),
        }
    }

    /// Why the change that would be sent next failed last, if it did.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match (&self.sent, &self.accepted) {
            (Some(sent), _) => sent.failure.as_ref(),
            (None, Some(accepted)) => accepted.failure.as_ref(),
            (None, None) => None,
        }
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.in_flight)
    }
}

/// A row that was removed and whose removal the server has not confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Removed {
    pub(crate) row: Row,
    pub(crate) change: Change,
}

/// The members of `now` that differ from `was`: what an edit since then changed.
pub(crate) fn difference(was: &Record, now: &Record) -> Vec<Text> {
    if was.same(now) {
        return Vec::new();
    }
    let mut names: Vec<Text> =
        now.iter().filter(|(name, value)| was.get(name) != Some(value)).map(|(name, _)| Text::from(name)).collect();
    names.extend(was.iter().filter(|(name, _)| !now.contains(name)).map(|(name, _)| Text::from(name)));
    names
}

/// Puts the difference between `was` and `now` on top of `target`.
pub(crate) fn carry_over(was: &Record, now: &Record, target: &Record) -> Record {
    carry_over_both(was, None, now, target)
}

/// As [`carry_over`], and what differs from `sent`, a body that the server may have or not: a value that was set back to what
/// it was before that request is a change, too.
pub(crate) fn carry_over_both(was: &Record, sent: Option<&Record>, now: &Record, target: &Record) -> Record {
    let mut out = target.clone();
    let mut names = difference(was, now);
    names.extend(sent.into_iter().flat_map(|sent| difference(sent, now)));
    for name in names {
        match now.get(&name) {
            Some(value) => {
                out.set(&name, value.clone());
            }
            None => {
                out.remove(&name);
            }
        }
    }
    out
}
