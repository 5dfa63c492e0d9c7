//! The rows and what requests do to them. Owns reading, writing, sorting and grouping; knows no faults and no waiting.

use crate::{
    json::{plain_record, put},
    options::{Options, ReplyStyle},
};
use landfall_core::{Body, ChangeKind, Record, Reply, Text, Value};
use std::{cmp::Ordering, collections::HashMap};

/// Members of incoming rows that belong to the client alone.
const IGNORED: [&str; 2] = ["uid", "__state__"];

/// From how many rows in one batch on their ids are looked up in a map.
const INDEX_FROM: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) rows: Vec<Record>,
    pub(crate) next_id: i64,
}

/// An update or destroy named a row that the server does not have.
#[derive(Debug)]
pub(crate) struct NoSuchRow;

impl Model {
    /// The position of the row with this id; numbers and their text are the same id, null is none.
    pub(crate) fn find(&self, options: &Options, id: &Value) -> Option<usize> {
        let wanted = key_of(Some(id))?;
        self.rows.iter().position(|row| key_of(row.get(&options.id)).as_ref() == Some(&wanted))
    }

    // ---- reading

    pub(crate) fn read(&self, options: &Options, params: &Record) -> Body {
        let total = self.rows.len();
        let mut rows = self.rows.clone();
        if options.sorting {
            let by = sorts(params.get("sort"));
            rows.sort_by(|a, b| {
                let orders = by.iter().map(|(field, descending)| {
                    let order = compare(a.get(field), b.get(field));
                    if *descending { order.reverse() } else { order }
                });
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            });
        }
        let by = sorts(params.get("group"));
        if options.grouping && !by.is_empty() {
            return Self::grouped(options, &group(rows, &by), total);
        }
        if let (true, Some(take)) = (options.paging, params.get("take").and_then(whole)) {
            let skip = params.get("skip").and_then(whole).unwrap_or(0);
            rows = rows.into_iter().skip(skip).take(take).collect();
        }
        Self::wrapped(options, rows.into_iter().map(Value::from).collect::<Vec<_>>().into(), total)
    }

    fn wrapped(options: &Options, rows: Value, total: usize) -> Body {
        let Some(wrap) = &options.wrap else { return rows.into() };
        let mut body = Record::new();
        put(&mut body, &wrap.data, rows);
        if let Some(path) = &wrap.total {
            put(&mut body, path, Value::from(total));
        }
        for (name, value) in options.members.iter() {
            body.set(name, value.clone());
        }
        body.into()
    }

    fn grouped(options: &Options, groups: &Value, total: usize) -> Body {
        let Some((wrap, path)) = options.wrap.as_ref().and_then(|wrap| Some((wrap, wrap.groups.as_ref()?))) else {
            return groups.clone().into();
        };
        let mut body = Record::new();
        put(&mut body, path, groups.clone());
        if let Some(path) = &wrap.total {
            put(&mut body, path, Value::from(total));
        }
        for (name, value) in options.members.iter() {
            body.set(name, value.clone());
        }
        body.into()
    }

    // ---- writing

    /// Carries a write out, or changes nothing when a row is missing. Gives the rows to answer with.
    pub(crate) fn write(
        &mut self,
        options: &Options,
        kind: ChangeKind,
        rows: &[Record],
    ) -> Result<Vec<Record>, NoSuchRow> {
        if kind == ChangeKind::Create {
            return Ok(rows.iter().map(|row| self.create(options, row)).collect());
        }
        let places = self.places(options, rows)?;
        let mut done = Vec::with_capacity(rows.len());
        for (row, place) in rows.iter().zip(&places) {
            done.push(match kind {
                ChangeKind::Update => self.update(options, *place, row),
                _ => self.rows.get(*place).cloned().unwrap_or_default(),
            });
        }
        if kind == ChangeKind::Destroy {
            let mut at = 0_usize;
            let gone: std::collections::HashSet<usize> = places.into_iter().collect();
            self.rows.retain(|_| {
                at += 1;
                !gone.contains(&(at - 1))
            });
        }
        Ok(done)
    }

    /// Where the rows with the ids of these rows stand.
    fn places(&self, options: &Options, rows: &[Record]) -> Result<Vec<usize>, NoSuchRow> {
        let ids = rows.iter().map(|row| key_of(row.get(&options.id)).ok_or(NoSuchRow));
        if rows.len() < INDEX_FROM {
            let find = |id: Text| self.rows.iter().position(|row| key_of(row.get(&options.id)).as_ref() == Some(&id));
            return ids.map(|id| id.and_then(|id| find(id).ok_or(NoSuchRow))).collect();
        }
        let mut index = HashMap::with_capacity(self.rows.len());
        for (place, row) in self.rows.iter().enumerate() {
            if let Some(id) = key_of(row.get(&options.id)) {
                index.entry(id).or_insert(place);
            }
        }
        ids.map(|id| id.and_then(|id| index.get(&id).copied().ok_or(NoSuchRow))).collect()
    }

    fn create(&mut self, options: &Options, incoming: &Record) -> Record {
        let mut row = incoming_row(incoming);
        row.set(&options.id, options.id_value(self.next_id));
        self.next_id = self.next_id.saturating_add(1);
        finish(options, &options.override_create, &mut row);
        self.rows.push(row.clone());
        row
    }

    fn update(&mut self, options: &Options, place: usize, incoming: &Record) -> Record {
        let Some(row) = self.rows.get_mut(place) else { return Record::new() };
        for (name, value) in incoming_row(incoming).iter() {
            row.set(name, value.clone());
        }
        finish(options, &options.override_update, row);
        row.clone()
    }

    /// The body that answers a write.
    pub(crate) fn written(options: &Options, kind: ChangeKind, batch: bool, rows: Vec<Record>) -> Body {
        let row_of = |row: Record| match options.style(kind) {
            ReplyStyle::Id => Value::from(
                row.get(&options.id).map(|id| Record::from([(&options.id, id.clone())])).unwrap_or_default(),
            ),
            ReplyStyle::Echo | ReplyStyle::Empty => Value::from(row),
        };
        if options.style(kind) == ReplyStyle::Empty {
            return Body::Empty;
        }
        let mut rows: Vec<Value> = rows.into_iter().map(row_of).collect();
        if let (Some(wrap), true) = (&options.wrap, options.wrap_writes) {
            let mut body = Record::new();
            put(&mut body, &wrap.data, rows.into());
            return body.into();
        }
        if batch || options.array_replies || rows.len() != 1 {
            return Value::from(rows).into();
        }
        rows.pop().unwrap_or_default().into()
    }

    /// Carries out all pending changes of a submit, kind by kind.
    pub(crate) fn submit(&mut self, options: &Options, data: &Record) -> (Reply, bool) {
        let mut reply = Reply::empty();
        let mut some = false;
        for (kind, member) in
            [(ChangeKind::Create, "created"), (ChangeKind::Update, "updated"), (ChangeKind::Destroy, "destroyed")]
        {
            let rows = crate::json::records(data.get(member));
            if rows.is_empty() {
                continue;
            }
            let result = self.write(options, kind, &rows);
            some |= result.is_ok();
            let part = result
                .map(|rows| Self::written(options, kind, true, rows))
                .map_err(|NoSuchRow| crate::server::status(404, "there is no row of this id"));
            reply.parts.push((kind, part));
        }
        (reply, some)
    }
}

/// The text that two ids share exactly when they are the same.
fn key_of(id: Option<&Value>) -> Option<Text> {
    id.filter(|id| !id.is_null()).map(Value::to_text)
}

fn incoming_row(incoming: &Record) -> Record {
    let mut row = plain_record(incoming.clone());
    for name in IGNORED {
        row.remove(name);
    }
    row
}

/// What the server itself writes into a row.
fn finish(options: &Options, members: &Record, row: &mut Record) {
    for (name, value) in members.iter() {
        row.set(name, value.clone());
    }
    if let Some(counter) = &options.counter {
        let next = match row.get(counter).and_then(Value::as_number) {
            None => Value::from(1),
            Some(number) => number
                .as_i64()
                .and_then(|count| count.checked_add(1))
                .map_or_else(|| Value::from(number.as_f64() + 1.0), Value::from),
        };
        row.set(counter, next);
    }
}

/// The fields of sort or group descriptors, and whether each goes down.
fn sorts(descriptors: Option<&Value>) -> Vec<(Text, bool)> {
    let list = match descriptors {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).cloned().collect(),
        Some(Value::Object(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let field = |one: &Record| one.get("field").and_then(Value::as_str).map(Text::from);
    let down = |one: &Record| one.get("dir").and_then(Value::as_str) == Some("desc");
    list.iter().filter_map(|one| Some((field(one)?, down(one)))).collect()
}

/// JavaScript's `<` on numbers, truth values and texts by code unit; nothing and null come first.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let a = a.filter(|value| !value.is_null());
    let b = b.filter(|value| !value.is_null());
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(Value::String(a)), Some(Value::String(b))) => a.encode_utf16().cmp(b.encode_utf16()),
        (Some(a), Some(b)) => number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        Value::Null | Value::Date(_) | Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}

fn whole(value: &Value) -> Option<usize> {
    value.as_i64().and_then(|number| usize::try_from(number).ok())
}

fn group(rows: Vec<Record>, by: &[(Text, bool)]) -> Value {
    let Some(((field, descending), rest)) = by.split_first() else {
        return rows.into_iter().map(Value::from).collect::<Vec<_>>().into();
    };
    let mut groups: Vec<(Value, Vec<Record>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let value = row.get(field).cloned().unwrap_or_default();
        let at = *known.entry(value.to_json()).or_insert_with(|| {
            groups.push((value, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, items)) = groups.get_mut(at) {
            items.push(row);
        }
    }
    groups.sort_by(|(a, _), (b, _)| compare(Some(a), Some(b)));
    if *descending {
        groups.reverse();
    }
    let built = groups.into_iter().map(|(value, items)| {
        let mut one = Record::new();
        one.set("field", field);
        one.set("value", value);
        one.set("hasSubgroups", !rest.is_empty());
        one.set("aggregates", Record::new());
        one.set("items", group(items, rest));
        Value::from(one)
    });
    built.collect::<Vec<_>>().into()
}
