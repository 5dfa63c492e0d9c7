//! Datasette: a SQLite database as a JSON API, with one address per operation.

use landfall_core::{Record, Value};
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer, form,
};

/// Datasette's JSON API: a dialect written outside of landfall.
///
/// Tables are paged by key there and views by offset, so the data source reads a view and writes the table.
#[derive(Clone, Debug)]
pub struct Datasette {
    /// The table that is written.
    pub table: &'static str,
    /// The view of it that is read.
    pub view: &'static str,
}

impl Datasette {
    fn query(params: &Record) -> Result<String> {
        let mut query = vec!["_shape=objects".to_owned(), "_extra=count".to_owned()];
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        if let Some(size) = number("take") {
            query.push(format!("_size={size}&_next={}", number("skip").unwrap_or(0)));
        }
        for term in params.get("sort").and_then(Value::as_array).unwrap_or_default() {
            let term = term.as_object().cloned().unwrap_or_default();
            let descending = term.get("dir").and_then(Value::as_str) == Some("desc");
            let field = term.get("field").map(Value::to_text).unwrap_or_default();
            query.push(format!("{}={}", if descending { "_sort_desc" } else { "_sort" }, form::component(&field)));
        }
        let filters = params.get("filter").and_then(Value::as_object).and_then(|group| group.get("filters"));
        for term in filters.and_then(Value::as_array).unwrap_or_default() {
            let term = term.as_object().cloned().unwrap_or_default();
            let text = |name: &str| term.get(name).map(Value::to_text).unwrap_or_default();
            let operator = match text("operator").as_str() {
                "eq" => "exact".to_owned(),
                "neq" => "not".to_owned(),
                known @ ("gt" | "gte" | "lt" | "lte" | "contains" | "startswith" | "endswith") => known.to_owned(),
                other => return Err(Error::new(ErrorKind::Unsupported, "no such filter here").with("operator", other)),
            };
            query.push(format!("{}__{operator}={}", form::component(&text("field")), form::component(&text("value"))));
        }
        Ok(query.join("&"))
    }
}

impl Dialect for Datasette {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }

    fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let operation = request.operation;
        if operation == Operation::Read {
            let url = format!("{}.json?{}", self.view, Self::query(&request.params)?);
            return Ok(Some(WireRequest::new(operation, "GET", url)));
        }
        let [row] = request.rows.as_slice() else {
            return Err(Error::new(ErrorKind::Unsupported, "one record a request"));
        };
        let id = row.id.as_ref().map(Value::to_text).unwrap_or_default();
        let (url, name, members) = match operation {
            Operation::Create => {
                // The id is the server's to give.
                let given = row.record.iter().filter(|(name, _)| request.id_field.as_deref() != Some(*name));
                let members = given.map(|(name, value)| (name, value.clone())).collect();
                (format!("{}/-/insert", self.table), "row", members)
            }
            Operation::Update => {
                let changed = row.changed.iter().filter_map(|name| Some((name, row.record.get(name)?.clone())));
                (format!("{}/{}/-/update", self.table, form::component(&id)), "update", changed.collect())
            }
            _ => (format!("{}/{}/-/delete", self.table, form::component(&id)), "row", Record::new()),
        };
        let mut body = Record::new();
        if operation != Operation::Destroy {
            body.set(name, members);
            body.set("return", true);
        }
        let mut sent = WireRequest::new(operation, "POST", url).with_header("Content-Type", "application/json");
        sent.key.clone_from(&request.key);
        Ok(Some(sent.with_body(Value::from(body).to_json())))
    }

    fn answer(&self, _request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        Ok(Reply::with_body(answer::json(sent, &reply)?))
    }
}
