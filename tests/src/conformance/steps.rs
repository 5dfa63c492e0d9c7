//! Steps: what each one calls, and what the data source then looks like.
//!
//! The only place that touches the facade. Repairs nothing and retries nothing.

use super::{
    scenario::{Scenario, Shown, Step, wrong},
    trace::{self, Group as TraceGroup, Node, Object},
    world::{NOW, World},
};
use landfall::{
    Aggregate, DataSource, Event, EventKind, Filter, Group, Operation, QueryOptions, ShownGroup, Sort, Uid,
};
use landfall_core::{Error, ErrorKind, Record, Result, Text, Value};
use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How long a data source may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call returned.
    Ok,
    /// The promise resolved.
    Resolved,
    /// The promise rejected.
    Rejected,
    /// The promise never settled.
    Pending,
    /// The promise resolved because a handler prevented the request.
    Prevented,
    /// The call itself failed.
    Thrown,
    /// There is no such row.
    NoTarget,
}

impl Outcome {
    /// The word that traces use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Resolved => "resolved",
            Self::Rejected => "rejected",
            Self::Pending => "pending",
            Self::Prevented => "prevented",
            Self::Thrown => "thrown",
            Self::NoTarget => "no-target",
        }
    }
}

type Promise = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A step that was begun.
pub struct Started {
    /// What it gave back, if it gives something.
    pub value: Option<Value>,
    outcome: Outcome,
    promise: Option<Promise>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("value", &self.value).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl Started {
    fn now(outcome: Outcome) -> Self {
        Self { value: None, outcome, promise: None }
    }

    fn ok() -> Self {
        Self::now(Outcome::Ok)
    }

    fn giving(value: Option<Value>) -> Self {
        Self { value, ..Self::ok() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a call hands its end over")]
    fn called<T>(result: Result<T>) -> Self {
        Self::now(if result.is_ok() { Outcome::Ok } else { Outcome::Thrown })
    }

    fn promised(promise: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self { value: None, outcome: Outcome::Pending, promise: Some(Box::pin(promise)) }
    }

    /// How it went, after everything has settled.
    pub fn outcome(mut self) -> Outcome {
        let Some(promise) = self.promise.as_mut() else { return self.outcome };
        match promise.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Outcome::Pending,
        }
    }
}

fn outcome_of(result: &Result<landfall::Outcome>) -> Outcome {
    match result {
        Ok(landfall::Outcome::Completed) => Outcome::Resolved,
        Ok(landfall::Outcome::Prevented) => Outcome::Prevented,
        Err(_) => Outcome::Rejected,
    }
}

/// What the handlers saw, and what they are to prevent.
#[derive(Debug, Default)]
struct Heard {
    events: Vec<Value>,
    prevent: HashMap<EventKind, u64>,
}

/// The data source of a scenario, observed.
#[derive(Debug)]
pub struct Subject {
    source: DataSource,
    heard: Arc<Mutex<Heard>>,
    id: Text,
}

const HEARD: [(&str, EventKind); 6] = [
    ("requestStart", EventKind::RequestStart),
    ("requestEnd", EventKind::RequestEnd),
    ("change", EventKind::Change),
    ("sync", EventKind::Sync),
    ("error", EventKind::Error),
    ("push", EventKind::Push),
];

impl Subject {
    /// Makes the data source of a scenario in its world.
    ///
    /// # Errors
    /// When the options do not make sense.
    pub fn open(scenario: &Scenario, world: &World) -> Result<Self> {
        let mut builder = DataSource::builder().kendo(&scenario.options)?.clock(|| NOW);
        if let Some(server) = &world.server {
            builder = builder.transport(server.clone());
        } else if let Some(rows) = scenario.options.get("data").and_then(Value::as_array) {
            builder = builder.data_values(rows)?;
        }
        if let Some((key, _)) = scenario.offline_key()
            && let Some(storage) = world.storage(&key)
        {
            builder = builder.storage(storage, key.as_str());
        }
        let source = builder.build()?;
        let id = model_id(scenario).unwrap_or_else(|| Text::from("id"));
        let heard = Arc::new(Mutex::new(Heard::default()));
        for (name, kind) in HEARD {
            let (heard, id) = (Arc::clone(&heard), id.clone());
            source.on(kind, move |event: &Event| {
                let told = told(name, event, &id);
                let mut heard = lock(&heard);
                heard.events.push(told);
                if let Some(left) = heard.prevent.get_mut(&kind).filter(|left| **left > 0) {
                    *left -= 1;
                    event.prevent_default();
                }
            });
        }
        Ok(Self { source, heard, id })
    }

    /// Waits until nothing is under way, letting held replies go in the order of their requests.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when the data source does not come to rest.
    pub async fn settle(&self, world: &World) -> Result<()> {
        let rest = async {
            loop {
                let idle = tokio::time::timeout(Duration::from_millis(1), self.source.idle()).await.is_ok();
                let released = world.server.as_ref().is_some_and(landfall_transport_mock::MockServer::release_next);
                if idle && !released {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, rest).await.map_err(|elapsed| {
            Error::new(ErrorKind::TimedOut, "the data source did not come to rest").caused_by(elapsed)
        })
    }

    /// The events since the last call.
    pub fn take_events(&self, shown: &Shown) -> Vec<Value> {
        let raw = shown.has("rawState");
        let mut events = std::mem::take(&mut lock(&self.heard).events);
        for event in &mut events {
            if let (false, Value::Object(event)) = (shown.has("responses"), &mut *event) {
                event.remove("response");
            }
            *event = trace::canonical(event, raw);
        }
        events
    }

    fn target(&self, step: &Step) -> Result<Option<Uid>> {
        let target = step.need_object("target")?;
        let (how, what) = target.iter().next().ok_or_else(|| wrong("target"))?;
        let place = || what.as_i64().and_then(|place| usize::try_from(place).ok()).ok_or_else(|| wrong("target"));
        Ok(match how {
            "at" => self.source.at(place()?).map(|item| item.uid()),
            "view" => self.source.view().flat().get(place()?).map(|item| item.uid),
            "destroyed" => self.source.destroyed().get(place()?).map(landfall::Entry::uid),
            "id" => {
                let same = |record: &Record| {
                    record.get(&self.id).is_some_and(|id| !id.is_null() && id.to_text() == what.to_text())
                };
                self.source.data().into_iter().find(|item| same(item.record())).map(|item| item.uid())
            }
            _ => return Err(wrong("target")),
        })
    }

    /// Begins a step.
    ///
    /// # Errors
    /// When the step cannot be performed at all; how a call went is an outcome.
    pub async fn start(&mut self, scenario: &Scenario, world: &World, step: &Step) -> Result<Started> {
        if let Some(done) = around(world, step).await? {
            return Ok(done);
        }
        match step.what.as_str() {
            "reopen" => {
                *self = Self::open(scenario, world)?;
                Ok(Started::ok())
            }
            "prevent" => {
                let name = step.need_text("event")?;
                let kind = HEARD.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
                let times = step.get("times").and_then(Value::as_i64).and_then(|times| u64::try_from(times).ok());
                *lock(&self.heard).prevent.entry(kind.ok_or_else(|| wrong("event"))?).or_default() +=
                    times.unwrap_or(1);
                Ok(Started::ok())
            }
            "read" | "fetch" | "query" | "online" | "sync" => self.promise(step),
            "filter" | "sort" | "group" | "aggregate" | "page" | "pageSize" | "next" | "prev" => self.query(step),
            "set" | "arrayPush" | "arrayRemove" | "remove" | "indexOf" | "editable" => self.row(step),
            "cancelChanges" if step.get("target").is_some() => self.row(step),
            _ => self.whole(step).await,
        }
    }

    /// Steps that give a promise.
    fn promise(&self, step: &Step) -> Result<Started> {
        let plain =
            |operation: Operation<landfall::Outcome>| Started::promised(async move { outcome_of(&operation.await) });
        let source = &self.source;
        Ok(match step.what.as_str() {
            "read" => match step.get("data") {
                Some(_) => plain(source.read_with(step.need_object("data")?.clone())),
                None => plain(source.read()),
            },
            "fetch" => plain(source.fetch()),
            "query" => match QueryOptions::from_kendo(step.need_object("options")?) {
                Ok(options) => plain(source.query(options)),
                Err(_) => Started::now(Outcome::Thrown),
            },
            "online" => {
                let operation = source.online(step.need_bool("value")?);
                Started::promised(async move { synced(&operation.await) })
            }
            _ => {
                let operation = source.sync();
                Started::promised(async move { synced(&operation.await) })
            }
        })
    }

    /// Steps that change the query and give no promise.
    fn query(&self, step: &Step) -> Result<Started> {
        let source = &self.source;
        let options = match step.get("options") {
            Some(_) => Some(QueryOptions::from_kendo(step.need_object("options")?)?),
            None => None,
        };
        let begun = match step.what.as_str() {
            "filter" => Filter::from_value(step.need("value")?).map(|value| drop(source.filter(value))),
            "sort" => Sort::list_from_value(step.need("value")?).map(|value| drop(source.sort(value))),
            "group" => Group::list_from_value(step.need("value")?).map(|value| drop(source.group(value))),
            "aggregate" => Aggregate::list_from_value(step.need("value")?).map(|value| drop(source.aggregate(value))),
            "page" => {
                // Pages are counted from 1 here and cannot be negative at all.
                let page = step.need("value")?.as_i64().ok_or_else(|| wrong("value"))?.max(0);
                drop(source.page(usize::try_from(page).unwrap_or_default()));
                Ok(())
            }
            "pageSize" => {
                drop(source.page_size(step.need_count("value")?));
                Ok(())
            }
            turn => {
                let (page, operation) = match (turn, options) {
                    ("next", None) => source.next_page(),
                    ("next", Some(options)) => source.next_page_with(options),
                    (_, None) => source.previous_page(),
                    (_, Some(options)) => source.previous_page_with(options),
                };
                drop(operation);
                return Ok(Started::giving(page.map(Value::from)));
            }
        };
        Ok(Started::called(begun))
    }

    /// Steps about one row.
    fn row(&self, step: &Step) -> Result<Started> {
        let source = &self.source;
        let target = self.target(step)?;
        if step.what == "indexOf" {
            let place = target.and_then(|uid| source.index_of(uid));
            return Ok(Started::giving(Some(place.map_or(Value::from(-1), Value::from))));
        }
        let Some(uid) = target else { return Ok(Started::now(Outcome::NoTarget)) };
        Ok(match step.what.as_str() {
            "set" => {
                let mut values: Vec<(&str, &Value)> = match step.get("values") {
                    Some(_) => step.need_object("values")?.iter().collect(),
                    None => vec![(step.need_text("field")?, step.need("value")?)],
                };
                values.sort_unstable_by_key(|(name, _)| *name);
                Started::called(
                    values.into_iter().try_for_each(|(name, value)| source.set_undeclared(uid, name, value.clone())),
                )
            }
            "arrayPush" => {
                let value = step.need("value")?.clone();
                Started::called(source.edit_array(uid, step.need_text("field")?, |items| items.push(value)))
            }
            "arrayRemove" => {
                let index = step.need_count("index")?;
                Started::called(source.edit_array(uid, step.need_text("field")?, |items| {
                    if index < items.len() {
                        items.remove(index);
                    }
                }))
            }
            "remove" => Started::called(source.remove(uid)),
            "editable" => Started::giving(Some(Value::from(source.is_editable(step.need_text("field")?)))),
            _ => Started::called(source.cancel_changes_of(uid)),
        })
    }

    /// Steps about the whole data source.
    async fn whole(&self, step: &Step) -> Result<Started> {
        let source = &self.source;
        Ok(match step.what.as_str() {
            "add" => Started::called(source.add(step.need_object("row")?.clone())),
            "insert" => {
                let index = if step.get("index").is_some() { step.need_count("index")? } else { 0 };
                Started::called(source.insert(index, step.need_object("row")?.clone()))
            }
            "cancelChanges" => Started::called(source.cancel_changes()),
            "pushCreate" => Started::called(source.push_create(step.need_rows("items")?)),
            "pushUpdate" => Started::called(source.push_update(step.need_rows("items")?)),
            "pushDestroy" => Started::called(source.push_destroy(step.need_rows("items")?)),
            "pushInsert" => {
                let index = if step.get("index").is_some() { step.need_count("index")? } else { 0 };
                Started::called(source.push_insert(index, step.need_rows("items")?))
            }
            "data" => {
                drop(source.set_data(step.need_rows("rows")?)?);
                Started::ok()
            }
            "offlineData" => match step.get("rows") {
                Some(rows) => {
                    drop(source.set_offline_data(rows));
                    Started::ok()
                }
                None if source.has_offline_storage() => {
                    Started::giving(Some(trace::stored(&source.offline_data().await?)))
                }
                None => Started::giving(Some(Value::Null)),
            },
            "get" => {
                let item = source.get(step.need("id")?.clone());
                Started::giving(Some(item.map_or(Value::Null, |item| item.record().clone().into())))
            }
            "total" => Started::giving(Some(Value::from(source.total()))),
            "new" => {
                let given = if step.get("row").is_some() { step.need_object("row")?.clone() } else { Record::new() };
                let row = source.wrap(given)?;
                let mut out = Object::new();
                out.put_some("isNew", source.is_new(&row));
                out.put_some("id", row.get(&self.id).cloned());
                out.put("row", row);
                Started::giving(Some(out.into()))
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "unknown step")),
        })
    }

    /// Writes down what the data source looks like.
    ///
    /// # Errors
    /// When the offline data cannot be read.
    pub async fn observe(&self, shown: &Shown, out: &mut Object) -> Result<()> {
        let source = &self.source;
        let raw = shown.has("rawState");
        let query = source.query_state();
        let paged = query.take.is_some();
        let ids =
            |items: Vec<landfall::Entry>| items.iter().map(|item| id_of(item.record(), &self.id)).collect::<Vec<_>>();
        let put = |out: &mut Object, key: &str, wanted: bool, value: &dyn Fn() -> Value| {
            if wanted && shown.has(key) {
                out.put(key, value());
            }
        };
        put(out, "online", true, &|| source.is_online().into());
        put(out, "total", true, &|| source.total().into());
        if shown.has("page") && paged {
            out.put_some("page", query.page);
        }
        put(out, "pageSize", paged, &|| query.take.into());
        put(out, "totalPages", paged, &|| source.total_pages().into());
        put(out, "hasChanges", true, &|| source.has_changes().into());
        let items = source.data();
        if shown.has("data") {
            let rows = || Value::array(items.iter().map(|item| trace::canonical_record(item.record(), raw).into()));
            out.put(
                "data",
                source.data_groups().map_or_else(rows, |groups| trace::reduced(&trace::canonical(&groups, raw))),
            );
        }
        if shown.has("changes") {
            let changes = source.changes().into_iter().map(|info| {
                let mut one = Object::new();
                one.put("at", info.at);
                one.put("isNew", info.is_new);
                one.put("dirty", info.dirty);
                let mut fields = info.fields;
                fields.sort_unstable();
                one.put_list("fields", fields.into_iter().map(Value::from).collect());
                one.into()
            });
            out.put_list("changes", changes.collect());
        }
        if shown.has("view") {
            let positions: HashMap<Uid, usize> = items.iter().enumerate().map(|(at, item)| (item.uid(), at)).collect();
            out.put("view", trace::view(&nodes(source.view()), &positions, raw));
        }
        if shown.has("destroyed") {
            out.put_list("destroyed", ids(source.destroyed()));
        }
        let aggregates = source.aggregates();
        put(out, "aggregates", !aggregates.is_empty(), &|| trace::canonical_record(&aggregates, raw).into());
        if shown.has("offlineData") {
            let data =
                if source.has_offline_storage() { trace::stored(&source.offline_data().await?) } else { Value::Null };
            out.put("offlineData", data);
        }
        put(out, "descriptors", true, &|| descriptors(&query));
        put(out, "created", true, &|| ids(source.created()).into());
        put(out, "updated", true, &|| ids(source.updated()).into());
        Ok(())
    }
}

/// Steps that concern the world and not the data source.
async fn around(world: &World, step: &Step) -> Result<Option<Started>> {
    if step.what == "storage" {
        world.store(step.need_text("key")?, step.get("value")).await?;
        return Ok(Some(Started::ok()));
    }
    let server = || world.server.as_ref().ok_or_else(|| wrong("server"));
    match step.what.as_str() {
        "server" => server()?.set_down(step.need_bool("down")?),
        "serverSet" => server()?.set_row(step.need("id")?.clone(), step.need_object("values")?.clone()),
        "serverRemove" => drop(server()?.remove_row(step.need("id")?.clone())),
        "fault" => server()?.add_fault_value(&step.given.clone().into())?,
        _ => return Ok(None),
    }
    Ok(Some(Started::ok()))
}

fn synced(result: &Result<landfall::SyncReport>) -> Outcome {
    match result {
        Ok(report) if report.is_success() => Outcome::Resolved,
        _ => Outcome::Rejected,
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn model_id(scenario: &Scenario) -> Option<Text> {
    let model = scenario.options.get("schema")?.as_object()?.get("model")?.as_object()?;
    model.get("id")?.as_str().map(Text::from)
}

fn id_of(record: &Record, id: &str) -> Value {
    record.get(id).cloned().unwrap_or_default()
}

fn told(name: &str, event: &Event, id: &str) -> Value {
    let ids = |items: &Vec<landfall::Item>| items.iter().map(|item| id_of(&item.record, id)).collect::<Vec<_>>();
    let mut out = Object::new();
    out.put("event", name);
    match event.kind {
        EventKind::RequestStart | EventKind::RequestEnd | EventKind::Push => {
            out.put_some("op", event.operation.map(landfall_core::Operation::as_str));
            out.put_some("response", event.response.clone());
            out.put_some("ids", event.items.as_ref().filter(|_| event.kind == EventKind::Push).map(ids));
        }
        EventKind::Change => {
            out.put_some("action", event.action.map(landfall_core::Action::as_str));
            out.put_some("field", event.field.clone());
            out.put_some("index", event.index);
            out.put_some("ids", event.items.as_ref().map(ids));
            out.put_list("changed", event.changed.as_ref().map(ids).unwrap_or_default());
        }
        EventKind::Error => {
            if let Some(error) = &event.error {
                match error.kind() {
                    ErrorKind::Status(status) => {
                        out.put("kind", "transport");
                        out.put("status", *status);
                    }
                    ErrorKind::Rejected => {
                        out.put("kind", "custom");
                        out.put_some("errors", error.body().cloned());
                    }
                    other => out.put("kind", format!("{other:?}").to_lowercase()),
                }
            }
        }
        _ => {}
    }
    out.into()
}

fn nodes(shown: landfall::Shown) -> Vec<Node<Uid>> {
    match shown {
        landfall::Shown::Rows(items) => items.into_iter().map(|item| Node::Row(item.uid, item.record)).collect(),
        landfall::Shown::Groups(groups) => groups.into_iter().map(|group| Node::Group(group_of(group))).collect(),
        _ => Vec::new(),
    }
}

fn group_of(group: ShownGroup) -> TraceGroup<Uid> {
    TraceGroup {
        field: Text::from(group.field),
        value: group.value,
        has_subgroups: group.has_subgroups,
        aggregates: group.aggregates,
        items: nodes(group.items),
    }
}

fn descriptors(query: &QueryOptions) -> Value {
    let mut out = Object::new();
    let list = |items: Vec<Value>| items.iter().map(|item| trace::canonical(item, true)).collect::<Vec<_>>();
    let as_named = |name: &str| name.to_owned();
    let listed = |value: Value| list(value.as_array().unwrap_or_default().to_vec());
    out.put_list("sort", listed(Sort::list_to_value(query.sort.as_deref().unwrap_or_default(), &as_named)));
    // One without filters is none.
    let filter = query.filter.as_ref().map(|filter| trace::canonical(&filter.to_value(&as_named), true));
    let empty = |filter: &Value| {
        let filters = filter.as_object().and_then(|group| group.get("filters"));
        filters.and_then(Value::as_array).is_some_and(<[Value]>::is_empty)
    };
    out.put_some("filter", filter.filter(|filter| !empty(filter)));
    out.put_list("group", listed(Group::list_to_value(query.group.as_deref().unwrap_or_default(), &as_named)));
    out.put_list(
        "aggregate",
        listed(Aggregate::list_to_value(query.aggregate.as_deref().unwrap_or_default(), &as_named)),
    );
    if let Some(take) = query.take {
        out.put("take", take);
        out.put_some("skip", query.skip);
    }
    out.into()
}
