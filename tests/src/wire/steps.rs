//! Steps of a case: what each one calls, what was heard, and what the data source then holds.
//!
//! The only place that touches the facade.

use super::{
    case::{Case, Script, wrong},
    functions::{self, Named},
    numbered::Numbered,
    servers::Servers,
    zones::Iana,
};
use landfall::{
    Aggregate, DataSource, Event, EventKind, Filter, Group, QueryOptions, Shown, Sort, Uid, storage::MemoryStorage,
};
use landfall_core::{Error, ErrorKind, Record, Result, Schema, Value};
use landfall_transport::{Cached, DataType, DialectTransport, dialect::kendo::Kendo};
use landfall_transport_http::{HttpChannel, reqwest};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The data source of a case, observed.
#[derive(Debug)]
pub(super) struct Subject {
    source: DataSource,
    heard: Arc<Mutex<Vec<Value>>>,
    channel: Numbered<HttpChannel>,
    /// Filters are the server's, operators that only it knows included.
    server_filtering: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subject {
    /// Makes the data source of a case.
    pub(super) fn open(case: &Case, script: &Script, servers: &Servers) -> Result<Self> {
        let options = &script.options;
        let zone = Iana::named(&case.zone)?;
        let channel = HttpChannel::builder()
            .client(reqwest::Client::builder().no_proxy())
            .base_url(format!("{}/app/", servers.origins.same))
            .build_channel()?;
        let channel = Numbered::new(channel);
        let kind = options.get("type").and_then(Value::as_str);
        let transport = options.get("transport").ok_or_else(|| wrong("transport"))?;
        let kendo = Kendo::from_options(transport, kind, Some(Arc::new(zone.clone())), &Named)?;
        let transport = DialectTransport::new(kendo.clone(), channel.clone())?;

        let mut schema = Schema::from_kendo(options)?.with_zone(zone.of_local_times());
        let parse = options.get("schema").and_then(Value::as_object).and_then(|schema| schema.get("parse"));
        if let Some(parse) = parse {
            schema = schema.parse(functions::parse(parse)?);
        }
        let mut builder = DataSource::builder().kendo(options)?.schema(schema);
        builder = if kendo.wants_read_cache() {
            builder.transport(Cached::new(transport).keyed_by(move |request| kendo.read_key(request)))
        } else {
            builder.transport(transport)
        };
        if let Some(key) = options.get("offlineStorage").and_then(Value::as_str) {
            builder = builder.storage(MemoryStorage::new(), key);
        }
        let source = builder.build()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kinds =
            [EventKind::RequestStart, EventKind::RequestEnd, EventKind::Error, EventKind::Change, EventKind::Sync];
        for kind in kinds {
            let (heard, channel) = (Arc::clone(&heard), channel.clone());
            source.on(kind, move |event: &Event| lock(&heard).push(told(event, &channel)));
        }
        let server_filtering = options.get("serverFiltering").is_some_and(Value::is_truthy);
        Ok(Self { source, heard, channel, server_filtering })
    }

    /// Plays a step to its end and gives its recording.
    pub(super) async fn play(&self, step: &Record) -> Result<Value> {
        let before = self.channel.count();
        let op = step.get("op").and_then(Value::as_str).ok_or_else(|| wrong("op"))?;
        let promise = tokio::time::timeout(PATIENCE, async {
            let promise = self.call(op, step).await?;
            self.source.idle().await.map(|()| promise)
        });
        let promise = promise.await.map_err(|elapsed| {
            Error::new(ErrorKind::TimedOut, "a step does not end").with("op", op).caused_by(elapsed)
        })??;
        Ok(Record::from([
            ("op", Value::from(op)),
            ("promise", promise.into()),
            ("requests", (self.channel.count() - before).into()),
        ])
        .into())
    }

    async fn call(&self, op: &str, step: &Record) -> Result<&'static str> {
        let source = &self.source;
        let none = Record::new();
        let object = |name: &str| step.get(name).and_then(Value::as_object);
        let count = |name: &'static str| {
            let number = step.get(name).and_then(Value::as_i64).unwrap_or(0).max(0);
            usize::try_from(number).map_err(|source| wrong(name).caused_by(source))
        };
        let value = step.get("value").unwrap_or(&Value::Null);
        Ok(match op {
            "read" => settled(&source.read_with(object("data").unwrap_or(&none).clone()).await),
            "fetch" => settled(&source.fetch().await),
            "query" => {
                let options = object("options").unwrap_or(&none);
                let query = if self.server_filtering {
                    QueryOptions::from_kendo_for_server(options)?
                } else {
                    QueryOptions::from_kendo(options)?
                };
                settled(&source.query(query).await)
            }
            "sync" => synced(&source.sync().await),
            "online" => synced(&source.online(value.as_bool().ok_or_else(|| wrong("value"))?).await),
            "page" => without(source.page(count("value")?)),
            "pageSize" => without(source.page_size(count("value")?)),
            "next" => without(source.next_page()),
            "prev" => without(source.previous_page()),
            "sort" => without(source.sort(Sort::list_from_value(value)?)),
            "filter" if self.server_filtering => without(source.filter(Filter::from_value_for_server(value)?)),
            "filter" => without(source.filter(Filter::from_value(value)?)),
            "group" => without(source.group(Group::list_from_value(value)?)),
            "aggregate" => without(source.aggregate(Aggregate::list_from_value(value)?)),
            "add" => called(&source.add(object("row").ok_or_else(|| wrong("row"))?.clone())),
            "insert" => called(&source.insert(count("index")?, object("row").ok_or_else(|| wrong("row"))?.clone())),
            "set" => {
                let uid = self.target(step)?;
                let values = object("values").ok_or_else(|| wrong("values"))?;
                let mut set = values.iter().map(|(name, value)| source.set_undeclared(uid, name, value.clone()));
                called(&set.try_for_each(|set| set))
            }
            "remove" => called(&source.remove(self.target(step)?)),
            "cancelChanges" => called(&source.cancel_changes()),
            _ => return Err(Error::new(ErrorKind::Unsupported, "no step of the format").with("op", op)),
        })
    }

    fn target(&self, step: &Record) -> Result<Uid> {
        let found = match (step.get("id"), step.get("index").and_then(Value::as_i64)) {
            (Some(id), _) => self.source.get(id.clone()),
            (None, Some(index)) => usize::try_from(index).ok().and_then(|index| self.source.at(index)),
            (None, None) => return Err(wrong("id")),
        };
        found.map(|item| item.uid()).ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such row"))
    }

    /// What was heard since the start.
    pub(super) fn events(&self) -> Vec<Value> {
        lock(&self.heard).clone()
    }

    /// What the data source holds in the end.
    pub(super) fn last(&self) -> Value {
        let source = &self.source;
        let query = source.query_state();
        let rows = || Value::array(source.data().into_iter().map(|item| Value::from(item.record().clone())));
        let mut pending = Record::new();
        for (kind, count) in [
            ("created", source.created().len()),
            ("updated", source.updated().len()),
            ("destroyed", source.destroyed().len()),
        ] {
            pending.set(kind, count);
        }
        let mut out = Record::from([
            ("total", Value::from(source.total())),
            ("data", source.data_groups().unwrap_or_else(rows)),
            ("hasChanges", source.has_changes().into()),
            ("pending", pending.into()),
        ]);
        if query.aggregate.as_ref().is_some_and(|list| !list.is_empty()) {
            out.set("aggregates", source.aggregates());
        }
        if query.group.as_ref().is_some_and(|list| !list.is_empty()) {
            out.set("view", shown(source.view()));
        }
        out.into()
    }
}

fn shown(view: Shown) -> Value {
    match view {
        Shown::Rows(items) => Value::array(items.into_iter().map(|item| Value::from(item.record))),
        Shown::Groups(groups) => Value::array(groups.into_iter().map(|group| {
            Record::from([
                ("field", Value::from(group.field)),
                ("value", group.value.into()),
                ("hasSubgroups", group.has_subgroups.into()),
                ("aggregates", group.aggregates.into()),
                ("items", shown(group.items)),
            ])
            .into()
        })),
        _ => Value::Null,
    }
}

/// Of a call whose promise nobody sees.
fn without<T>(operation: T) -> &'static str {
    drop(operation);
    "none"
}

fn called<T>(result: &Result<T>) -> &'static str {
    if result.is_ok() { "none" } else { "threw" }
}

fn settled(result: &Result<landfall::Outcome>) -> &'static str {
    if result.is_ok() { "resolved" } else { "rejected" }
}

fn synced(result: &Result<landfall::SyncReport>) -> &'static str {
    match result {
        Ok(report) if report.is_success() => "resolved",
        _ => "rejected",
    }
}

/// The word for what an answer is.
fn kind_of(response: Option<&Value>) -> &'static str {
    match response {
        None => "absent",
        Some(Value::Null) => "null",
        Some(Value::Array(_)) => "array",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "text",
        Some(_) => "object",
    }
}

fn told(event: &Event, channel: &Numbered<HttpChannel>) -> Value {
    let mut out = Record::new();
    match event.kind {
        EventKind::RequestStart | EventKind::RequestEnd => {
            let start = event.kind == EventKind::RequestStart;
            out.set("event", if start { "requestStart" } else { "requestEnd" });
            if let Some(operation) = event.operation {
                out.set("type", operation.as_str());
            }
            if !start {
                out.set("response", kind_of(event.response.as_ref()));
            }
        }
        EventKind::Change => {
            out.set("event", "change");
            if let Some(action) = event.action {
                out.set("action", action.as_str());
            }
        }
        EventKind::Sync => drop(out.set("event", "sync")),
        _ => {
            out.set("event", "error");
            if let Some(error) = &event.error {
                blame(&mut out, error, channel);
            }
        }
    }
    out.into()
}

/// An error in the words of the recordings.
fn blame(out: &mut Record, error: &Error, channel: &Numbered<HttpChannel>) {
    let mut say = |status: &str, http: Value, thrown: Value| {
        out.set("status", status);
        out.set("httpStatus", http);
        out.set("thrown", thrown);
    };
    match error.kind() {
        ErrorKind::Status(status) => say("error", (*status).into(), error.message().into()),
        ErrorKind::TimedOut => say("timeout", 0.into(), "timeout".into()),
        ErrorKind::Transport => say("error", 0.into(), "".into()),
        ErrorKind::Undecodable => {
            let status =
                error.context().find(|(name, _)| *name == "status").and_then(|(_, status)| status.parse().ok());
            // JSON is parsed by the browser, XML and scripts are judged by jQuery.
            let judged =
                channel.expected(error.operation()) == Some(DataType::Jsonp) || error.message().contains("XML");
            let kind = if judged { "Error" } else { "SyntaxError" };
            say("parsererror", status.unwrap_or(200_u16).into(), Record::from([("kind", kind)]).into());
        }
        ErrorKind::Rejected => {
            say("customerror", Value::Null, "custom error".into());
            if let Some(errors) = error.body() {
                out.set("errors", errors.clone());
            }
        }
        other => say("error", 0.into(), format!("{other:?}: {}", error.message()).into()),
    }
}
