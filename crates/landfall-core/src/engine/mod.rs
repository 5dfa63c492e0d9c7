//! The engine: a state machine without I/O.
//!
//! Commands and answers go in, steps come out ([`Step`]): events to fire, deltas to commit, requests to send, promises to
//! settle. Owns all state of a data source. Opens nothing, spawns nothing, reads no clock; it can be driven in a test
//! without a runtime.

mod accept;
mod adopt;
mod answer;
mod cancel;
mod change;
mod doubt;
mod edit;
mod event;
mod fail;
mod fresh;
mod gone;
mod groups;
mod handed;
mod heard;
mod hold;
mod identity;
mod inbox;
mod kendo;
mod local;
mod mark;
mod options;
mod overlay;
mod persist;
mod policy;
mod preview;
mod push;
mod read;
mod report;
mod resolve;
mod restore;
mod send;
mod state;
mod step;
mod sync;
mod table;
mod twin;

pub use change::{Failure, Standing, Theirs};
pub use event::{Action, Event, EventKind, Item};
pub use inbox::{ChangeInfo, Pending};
pub use local::{Shown, ShownGroup};
pub use options::{Doubt, Doubts, Environment, Offers, Options, Pauses};
pub use policy::{Policy, Try, Verdict, judge, settles};
pub use preview::Preview;
pub use read::Decoder;
pub use report::{ChangeOutcome, SyncProgress, SyncReport};
pub use resolve::Decision;
pub use state::QueryOptions;
pub use step::{Settled, Step, Steps, Then, Ticket};
pub use table::Uid;

use crate::{Delta, Error, Record, Result, Revision, StoredState, Text, Value, depth, record::Cell};
use change::Removed;
use gone::Gone;
use groups::GroupNode;
use handed::Handed;
use identity::{Identities, Names};
use local::Computed;
use overlay::Overlay;
use read::ReadQueue;
use restore::Restored;
use state::State;
use std::collections::{HashMap, HashSet};
use step::Cont;
use sync::SyncRun;
use table::Table;

/// The state of a data source and everything that changes it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name of its own")]
pub struct Engine {
    options: Options,
    env: Environment,
    state: State,
    table: Table,
    overlay: Overlay,
    removed: Gone,
    /// Pending changes of rows that the last read did not contain.
    parked: Gone,
    /// Rows that go to the end when everything is cancelled (R4.26, without a storage).
    appended: Vec<Uid>,
    /// With sorts in place over a storage: the order of the rows when they were last read or stored, to which cancelling
    /// goes back.
    stored_order: Option<Vec<Uid>>,
    /// The identities from here on are of rows that no sync has stored yet. Cancelling goes back to what is stored, and there
    /// no declared number or date is absent (R6.20).
    refill: Identities,
    groups: Option<Vec<GroupNode>>,
    /// The tree that cancelling goes back to.
    pristine_groups: Option<Vec<GroupNode>>,
    computed: Option<Computed>,
    /// The view as it follows edits, and the version of the table that it is right for.
    live: Option<(u64, crate::query::Live)>,
    /// The aggregates as last computed or answered; none when there is nothing to aggregate.
    gathered: Option<Record>,
    /// What is shown of them.
    aggregates: Record,
    total: Option<usize>,
    /// The total counts what passed a filter that was done here.
    filtered_total: bool,
    /// How many records the last read told of without showing them: the other pages (with `server_paging`).
    elsewhere: usize,
    online: bool,
    /// The data came from the storage while offline: operations of the server are done here (C32).
    from_store: bool,
    reads: ReadQueue,
    sync: Option<SyncRun>,
    /// The sync under way was cancelled: it sends nothing more.
    stopping: bool,
    waiting_syncs: Vec<(Ticket, sync::Mode)>,
    holds: hold::Holds,
    /// Records shown twice whose second row is on its way to the server: the first is to take it over.
    twins: Vec<(Uid, Uid)>,
    gate: bool,
    deferred: Vec<Cont>,
    /// The stored state was loaded; what it holds is shown, or hidden until the first read.
    loaded: bool,
    hidden: Option<Restored>,
    revision: Revision,
    /// Another program's state was taken in by the commit under way.
    adopted: bool,
    /// How many commits that did so were made.
    meetings: u64,
    /// How many of the commits that are not confirmed yet were handed out before that.
    outdated: usize,
    /// What is accepted and stored by the commit that takes it in, with the keys.
    laid: Vec<(Uid, Text)>,
    /// Items that were made and removed before the service knew of them: the commit that forgets them is under way.
    dropping: Vec<Removed>,
    snapshot_needed: bool,
    /// What the stored meta document says about rows that are sent, as of the last commit handed out.
    mark: Option<mark::Mark>,
    /// The rows were read from the server and are not stored yet.
    fresh_rows: bool,
    meta_dirty: bool,
    /// How many commits were handed out, to notice those that happened since a load.
    commits: u64,
    /// The commits that are not confirmed yet, in order: number, and whether each replaces everything.
    handed: Handed,
    /// What was taken back while an acceptance of it was being stored: not undone, should that fail.
    taken_back: HashSet<Uid>,
    /// A sync that begins when the commit of this number is confirmed, or has failed.
    behind: Option<(u64, Vec<Ticket>, sync::Mode)>,
    unstored: heard::Unstored,
    /// Somebody listens: events carry items.
    watch: bool,
    pushing: bool,
    /// Items by id, built when first asked for.
    ids: Option<HashMap<Text, Uid>>,
    identities: Identities,
    names: Names,
    number: u64,
}

impl Engine {
    /// Makes an engine. Reads nothing and fires nothing (R1.1).
    pub fn new(options: Options, env: Environment) -> Self {
        let identities = Identities::new(env.random());
        Self {
            state: State::new(&options),
            table: Table::default(),
            overlay: Overlay::default(),
            removed: Gone::default(),
            parked: Gone::default(),
            appended: Vec::new(),
            stored_order: None,
            refill: Identities::default(),
            groups: None,
            pristine_groups: None,
            computed: None,
            live: None,
            gathered: None,
            aggregates: Record::new(),
            total: options.total,
            filtered_total: false,
            elsewhere: 0,
            online: true,
            from_store: false,
            reads: ReadQueue::default(),
            sync: None,
            stopping: false,
            waiting_syncs: Vec::new(),
            holds: hold::Holds::default(),
            twins: Vec::new(),
            gate: false,
            deferred: Vec::new(),
            loaded: false,
            hidden: None,
            revision: 0,
            adopted: false,
            meetings: 0,
            outdated: 0,
            laid: Vec::new(),
            dropping: Vec::new(),
            snapshot_needed: false,
            mark: None,
            fresh_rows: false,
            meta_dirty: false,
            commits: 0,
            handed: Handed::default(),
            taken_back: HashSet::new(),
            behind: None,
            unstored: heard::Unstored::default(),
            watch: false,
            pushing: false,
            ids: None,
            identities,
            names: Names::default(),
            number: 0,
            options,
            env,
        }
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether events carry items and answers. Off while nobody listens, because it costs.
    pub fn watch(&mut self, on: bool) {
        self.watch = on;
    }

    // ---- going on

    /// Goes on where a step said so. `prevented`: a handler prevented the event just fired.
    pub fn resume(&mut self, then: Then, prevented: bool) -> Steps {
        match then.0 {
            Cont::ReadStarted(run) => self.read_started(run, prevented),
            Cont::ReadSend(run) => self.read_send(run),
            Cont::ReadApply(run, reply) => self.read_apply(run, *reply),
            Cont::ReadApplyOffline(run, state) => self.read_apply_offline(run, *state),
            Cont::LocalQuery(ticket, options) => self.finish_local_query(ticket, options, prevented),
            Cont::SyncStart(tickets, mode) => self.sync_start(tickets, mode),
            Cont::SyncBegin(tickets, mode) => self.sync_begin(tickets, mode),
            Cont::SyncNext => self.sync_next(),
            Cont::SyncFinish => self.sync_finish(),
            Cont::RestoreDone(ticket) => self.restore_done(ticket, Ok(())),
            Cont::SetData(ticket, records) => self.set_data(ticket, records),
            Cont::Decide(ticket, uid, decision) => self.decide(ticket, uid, *decision),
            // These go on with the outcome of a load or a commit.
            Cont::ReadLoadedOffline(_)
            | Cont::ReadReloaded(_)
            | Cont::ReadDone(_)
            | Cont::Restored(_)
            | Cont::SyncAccepted(_)
            | Cont::SyncOffline(_)
            | Cont::AckDone(_)
            | Cont::Stored(_)
            | Cont::Replaced(_)
            | Cont::Nothing => Steps::new(),
        }
    }

    /// Goes on after a load.
    pub fn loaded(&mut self, then: Then, state: Result<StoredState>) -> Steps {
        self.options.schema.tick(self.env.now());
        match then.0 {
            Cont::ReadLoadedOffline(run) => self.read_loaded(run, state),
            Cont::ReadReloaded(run) => match state {
                Ok(state) => self.read_apply_offline(run, state),
                Err(error) => self.read_refused(run, &error.during("read")),
            },
            Cont::Restored(inner) => self.restored(*inner, state),
            other => self.resume(Then(other), false),
        }
    }

    /// Goes on after a commit. A commit that found somebody else's revision is to be told to
    /// [`stale`](Self::stale) instead.
    pub fn committed(&mut self, then: Then, result: Result<Revision>) -> Steps {
        let handed = self.handed.pop();
        self.outdated = self.outdated.saturating_sub(1);
        let stored = result.map(|revision| self.revision = revision);
        if let (Some((number, whole)), Ok(())) = (handed, &stored) {
            self.unstored.stored(number, whole || self.adopted);
        }
        for (uid, key) in std::mem::take(&mut self.laid) {
            if let Some(accepted) = self.change_mut(uid).and_then(|change| change.accepted.as_mut())
                && stored.is_ok()
                && accepted.key == key
            {
                accepted.unstored = false;
                accepted.before = None;
            }
        }
        if std::mem::take(&mut self.adopted) {
            match &stored {
                Ok(()) => self.meetings += 1,
                // What was taken in is undone with what was to be stored: the next commit meets it anew.
                Err(_) => self.revision = self.revision.saturating_sub(1),
            }
        }
        self.fresh_rows &= stored.is_err();
        let mut steps = match then.0 {
            Cont::ReadDone(run) => self.read_done(run, &stored),
            Cont::SyncAccepted(plan) => self.sync_accepted(*plan, stored),
            Cont::SyncOffline(plan) => self.offline_accepted(*plan, stored),
            Cont::AckDone(slots) => self.ack_done(&slots, &stored),
            Cont::Stored(ticket) => self.stored(ticket, stored),
            Cont::Replaced(ticket) => self.replaced(ticket, stored),
            other => self.resume(Then(other), false),
        };
        steps.extend(handed.map(|(number, _)| self.begin_behind(number)).unwrap_or_default());
        steps
    }

    /// The stored state was replaced: what was accepted before is a draft again, and the new state is shown by the next
    /// read.
    fn replaced(&mut self, ticket: Ticket, stored: Result<()>) -> Steps {
        // What is stored still, and what was written since without looking at its mark, does not go together.
        self.snapshot_needed |= stored.is_err() && self.loaded;
        if stored.is_ok() {
            self.loaded = false;
            self.hidden = None;
            self.parked.clear();
            let gone = self.removed.iter_mut().map(|gone| &mut gone.change);
            for change in self.overlay.values_mut().chain(gone) {
                if change.accepted.take().is_some() || change.sent.as_ref().is_some_and(|sent| !sent.in_flight) {
                    change.draft = true;
                    change.sent.take_if(|sent| !sent.in_flight);
                }
            }
        }
        Steps::from([Step::Settle(ticket, stored.map(|()| Settled::Done))])
    }

    fn stored(&mut self, ticket: Option<Ticket>, stored: Result<()>) -> Steps {
        let mut steps = Steps::new();
        if let Err(error) = &stored {
            // Everything is written again with the next commit.
            self.snapshot_needed = true;
            let mut event = Event::new(EventKind::Error);
            event.error = Some(error.clone());
            steps.push_back(Step::Emit(event));
        }
        steps.extend(ticket.map(|ticket| Step::Settle(ticket, stored.map(|()| Settled::Done))));
        steps
    }

    /// The revision that the next commit builds on.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A commit was made: the next one builds on this revision.
    pub fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    // ---- restoring

    /// Shows what is stored, without a request (DESIGN section 8).
    pub fn restore(&mut self, ticket: Ticket) -> Steps {
        if !self.options.offline_storage {
            let error =
                Error::new(crate::ErrorKind::Config, "there is no offline storage to restore from").during("restore");
            return Steps::from([Step::Settle(ticket, Err(error))]);
        }
        if self.loaded {
            return Steps::from([Step::Run(Then(Cont::RestoreDone(ticket)))]);
        }
        Steps::from([Step::Load(Then(Cont::Restored(Box::new(Cont::RestoreDone(ticket)))))])
    }

    /// Whether the stored state is known, shown or not.
    pub fn is_restored(&self) -> bool {
        self.loaded
    }

    fn restored(&mut self, inner: Cont, state: Result<StoredState>) -> Steps {
        if !self.loaded {
            let decoded = state.and_then(|state| self.decode(&state).map(|restored| (state.revision, restored)));
            match decoded {
                Ok((revision, restored)) => {
                    self.loaded = true;
                    self.revision = revision;
                    self.avoid(&restored);
                    self.go_on_with(&restored);
                    self.hidden = Some(restored);
                }
                Err(error) => return self.not_restored(inner, error),
            }
        }
        self.resume(Then(inner), false)
    }

    fn not_restored(&mut self, inner: Cont, error: Error) -> Steps {
        match inner {
            Cont::ReadSend(run) => self.read_failed(run, &error.during("read")),
            Cont::SyncBegin(tickets, _) => self.fail_sync(tickets, &error.during("sync")),
            Cont::RestoreDone(ticket) => self.restore_done(ticket, Err(error)),
            Cont::SetData(ticket, _) => Steps::from([Step::Settle(ticket, Err(error.during("data")))]),
            _ => Steps::new(),
        }
    }

    fn restore_done(&mut self, ticket: Ticket, result: Result<()>) -> Steps {
        if let Err(error) = result {
            return Steps::from([Step::Settle(ticket, Err(error.during("restore")))]);
        }
        let shown = self.show_hidden();
        let mut steps = Steps::new();
        if shown {
            let mut change = Event::new(EventKind::Change);
            change.items = self.view_items();
            steps.push_back(Step::Emit(change));
        }
        steps.push_back(Step::Settle(ticket, Ok(Settled::Done)));
        steps
    }

    /// Shows what was loaded and not shown yet; drafts made before stay on top.
    fn show_hidden(&mut self) -> bool {
        let Some(hidden) = self.hidden.take() else { return false };
        if hidden.rows.is_empty() && hidden.removed.is_empty() {
            return false;
        }
        if self.table.len() > 0 || !self.removed.is_empty() {
            self.lay_drafts_over(hidden, false);
        } else {
            self.show(hidden);
            self.from_store = true;
        }
        true
    }

    // ---- connectivity

    /// Whether the data source is online. It is, at first.
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Goes online, which syncs, or offline (R6.36). Unchanged: nothing happens.
    pub fn set_online(&mut self, ticket: Ticket, online: bool) -> Steps {
        if self.online == online {
            return Steps::from([Step::Settle(ticket, Ok(Settled::Done))]);
        }
        self.online = online;
        if online { self.sync(ticket) } else { Steps::from([Step::Settle(ticket, Ok(Settled::Done))]) }
    }

    // ---- replacing data

    /// Replaces the data, as a read with these rows would; pending changes stay on top, pending removals stay (C38).
    #[doc(alias = "data")]
    pub fn set_data(&mut self, ticket: Ticket, records: Vec<Record>) -> Steps {
        let records = match depth::all_checked(records) {
            Ok(records) => records,
            Err(error) => return Steps::from([Step::Settle(ticket, Err(error.during("data")))]),
        };
        if self.options.offline_storage && !self.loaded {
            // Pending changes must be known before anything is put underneath them.
            return Steps::from([Step::Load(Then(Cont::Restored(Box::new(Cont::SetData(ticket, records)))))]);
        }
        let mut steps = Steps::from([Step::Emit(Event::new(EventKind::Reset))]);
        self.replace_rows(records);
        self.snapshot_needed = self.options.offline_storage;
        // Stored as given, before a sort in place (R4.32).
        let commit = self.commit(Delta::default(), Cont::Stored(Some(ticket)));
        self.sort_in_place();
        let mut change = Event::new(EventKind::Change);
        change.items = self.view_items();
        steps.push_back(Step::Emit(change));
        match commit {
            Some(step) => steps.push_back(step),
            None => steps.push_back(Step::Settle(ticket, Ok(Settled::Done))),
        }
        steps
    }

    /// Replaces the stored state by one in Kendo's form. Nothing is shown until the next read.
    ///
    /// # Errors
    /// `Config` without an offline storage; `Invalid` while a change is in doubt, unless `all` says to drop that too.
    #[doc(alias = "offlineData")]
    pub fn set_offline_data(&mut self, ticket: Ticket, state: &Value, all: bool) -> Result<Steps> {
        use crate::ErrorKind::{Config, Invalid};
        if !self.options.offline_storage {
            return Err(Error::new(Config, "there is no offline storage").during("offline_data"));
        }
        if !all && self.changes_in_doubt() > 0 {
            return Err(Error::new(
                Invalid,
                "a change is in doubt: its outcome on the server is unknown; sync first, or replace all",
            )
            .during("offline_data"));
        }
        let stored = StoredState::from_kendo(state)?;
        let delta = Delta { clear: true, delete: Vec::new(), put: stored.rows, meta: stored.meta };
        self.mark = None;
        self.commits += 1;
        self.handed.push(self.commits, false);
        Ok(Steps::from([Step::Commit(delta, Then(Cont::Replaced(ticket)))]))
    }

    // ---- small things

    fn next_uid(&mut self) -> Uid {
        self.identities.make()
    }

    fn reserve(&mut self, count: usize) -> u64 {
        self.identities.reserve(count)
    }

    /// Identities given from now on differ from those that are stored already.
    fn avoid(&mut self, restored: &Restored) {
        let rows = restored.rows.iter().map(|(row, _)| row.uid);
        self.identities.avoid(rows.chain(restored.removed.iter().map(|gone| gone.row.uid)));
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn random_number(&self) -> u64 {
        self.env.random() >> 11
    }

    /// A new idempotency key: a random UUID.
    fn new_key(&self) -> Text {
        let (high, low) = (self.env.random(), self.env.random());
        let high = (high & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        Text::from(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        ))
    }

    /// The value of the id field of a record.
    pub fn id_of(&self, record: &Record) -> Option<Value> {
        let field = self.options.schema.model()?.id_field()?;
        crate::Path::cell_named(field, record).to_value()
    }

    fn id_source(&self) -> Option<Text> {
        let model = self.options.schema.model()?;
        Some(Text::from(model.source_of(model.id_field()?)))
    }

    fn is_default_id(&self, id: Option<&Value>) -> bool {
        self.options.schema.model().is_some_and(|model| model.is_default_id(id))
    }

    /// The id that the service gave a record, if it did.
    fn given_id(&self, record: &Record) -> Option<Value> {
        self.id_of(record).filter(|id| !self.is_default_id(Some(id)))
    }

    /// Whether a record that came from the server counts as new (R2.18, C37).
    fn looks_new(&self, record: &Record) -> bool {
        self.options.schema.model().is_some() && self.is_default_id(self.id_of(record).as_ref())
    }

    /// As [`looks_new`](Self::looks_new) for many records: what the model says is asked once.
    fn newness(&self) -> impl Fn(&Record) -> bool + use<> {
        let model = self.options.schema.model();
        let ids = model.map(|model| (model.id_field().map(Text::from), model.default_id()));
        move |record| match &ids {
            None => false,
            Some((None, _)) => true,
            Some((Some(field), default)) => {
                let id = crate::Path::cell_named(field, record);
                matches!(id, Cell::Absent) || default.as_ref().is_some_and(|default| id.same(Cell::from(default)))
            }
        }
    }

    /// The item with this id; `2` and `"2"` are equal (R9.28).
    fn find_id(&mut self, id: &Value) -> Option<Uid> {
        if self.ids.is_none() {
            let mut ids = HashMap::with_capacity(self.table.len());
            for row in self.table.rows() {
                if let Some(id) = self.id_of(row.record) {
                    ids.entry(id.to_text()).or_insert(row.uid);
                }
            }
            self.ids = Some(ids);
        }
        self.ids.as_ref()?.get(id.to_text().as_str()).copied()
    }

    fn has_drafts(&self) -> bool {
        self.overlay.values().any(|change| change.draft || change.dirty)
            || self.removed.iter().any(|gone| gone.change.draft)
    }

    fn has_visible_removals(&self) -> bool {
        self.removed.iter().any(|gone| !gone.change.is_new() || gone.change.sent.is_some())
    }
}
