//! The service's `SQLite` database: the products, the answers to seen idempotency keys, the log of write requests.
//!
//! A write request is one transaction: all its records, its key and its line in the log, or nothing. Knows no HTTP beyond
//! status numbers.

use super::Result;
use rusqlite::{
    Connection, OptionalExtension, Transaction, params, params_from_iter,
    types::{Value as Sql, ValueRef},
};
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Mutex, time::Duration};

/// A product as JSON members, in column order.
pub(crate) type Row = Map<String, Value>;

const SEED: &str = include_str!("products.json");

const TABLES: &str = r"
    CREATE TABLE products (
        ProductID INTEGER PRIMARY KEY AUTOINCREMENT,
        ProductName TEXT NOT NULL,
        SupplierID INTEGER,
        CategoryID INTEGER,
        QuantityPerUnit TEXT,
        UnitPrice REAL,
        UnitsInStock INTEGER,
        UnitsOnOrder INTEGER,
        ReorderLevel INTEGER,
        Discontinued INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE answers (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE TABLE received (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        key TEXT,
        sent TEXT NOT NULL,
        status INTEGER NOT NULL,
        replayed INTEGER NOT NULL
    );
    PRAGMA user_version = 1;
";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Integer,
    Real,
    Boolean,
}

const COLUMNS: [(&str, Kind); 9] = [
    ("ProductName", Kind::Text),
    ("SupplierID", Kind::Integer),
    ("CategoryID", Kind::Integer),
    ("QuantityPerUnit", Kind::Text),
    ("UnitPrice", Kind::Real),
    ("UnitsInStock", Kind::Integer),
    ("UnitsOnOrder", Kind::Integer),
    ("ReorderLevel", Kind::Integer),
    ("Discontinued", Kind::Boolean),
];

const SELECT: &str = "SELECT ProductID, ProductName, SupplierID, CategoryID, QuantityPerUnit, UnitPrice, UnitsInStock, \
                      UnitsOnOrder, ReorderLevel, Discontinued FROM products";

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    /// Changes the members that were sent.
    Update,
    /// Members that were not sent become empty.
    Replace,
    Destroy,
}

/// How answers are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One record as it is (a list if several were sent); nothing after a destroy.
    Record,
    /// `{"Data": [...]}`
    Envelope,
    /// `[...]`
    List,
}

/// A write request, understood.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) key: Option<&'a str>,
    /// Equal for equal requests: tells a repeated request from a key used twice.
    pub(super) fingerprint: String,
    pub(super) change: Change,
    pub(super) rows: Vec<Row>,
    pub(super) shape: Shape,
}

/// An answer before it becomes HTTP; a null body is none.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// Which rows, in which order.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) skip: u32,
    pub(super) take: Option<u32>,
    /// Field and direction (`desc`, else ascending).
    pub(super) sort: Vec<(String, String)>,
}

/// A refused request.
#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    field: Option<&'static str>,
    message: String,
}

impl Failure {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, field: None, message: message.into() }
    }

    fn of(field: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, field: Some(field), message: message.into() }
    }

    pub(super) fn answer(&self, shape: Shape) -> Answer {
        if shape == Shape::Record {
            return Answer { status: self.status, body: json!({"error": self.message, "field": self.field}) };
        }
        // As ASP.NET answers a Kendo grid: a refused record is an answer of status 200 with Errors.
        let field = self.field.unwrap_or_default();
        let status = if self.field.is_some() { 200 } else { self.status };
        Answer { status, body: json!({"Errors": {field: {"errors": [self.message]}}}) }
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(cause: E) -> Self {
        Self::new(500, cause.into().to_string())
    }
}

/// One line of the log: a write request that reached the service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Received {
    /// The HTTP method.
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// The idempotency key, if it had one.
    pub(crate) key: Option<String>,
    /// The records as they were sent.
    pub(crate) sent: Vec<Row>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// Whether the answer was that of an earlier request with the same key, and nothing was changed.
    pub(crate) replayed: bool,
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Connection>);

impl Store {
    /// Opens the database; makes and fills it if it is new.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let transaction = connection.transaction()?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            transaction.execute_batch(TABLES)?;
            for product in serde_json::from_str::<Vec<Row>>(SEED)? {
                insert(&transaction, &product).map_err(|failure| failure.message)?;
            }
        }
        transaction.commit()?;
        Ok(Self(Mutex::new(connection)))
    }

    /// All products, by id.
    pub(crate) fn products(&self) -> Result<Vec<Row>> {
        Ok(self.list(&Page::default()).map_err(|failure| failure.message)?.0)
    }

    /// The write requests so far, oldest first.
    pub(crate) fn received(&self) -> Result<Vec<Received>> {
        let connection = self.0.lock().map_err(|poisoned| poisoned.to_string())?;
        let mut statement =
            connection.prepare("SELECT method, path, key, sent, status, replayed FROM received ORDER BY number")?;
        let mut rows = statement.query([])?;
        let mut received = Vec::new();
        while let Some(row) = rows.next()? {
            received.push(Received {
                method: row.get(0)?,
                path: row.get(1)?,
                key: row.get(2)?,
                sent: serde_json::from_str(&row.get::<_, String>(3)?)?,
                status: row.get(4)?,
                replayed: row.get(5)?,
            });
        }
        Ok(received)
    }

    /// A page of products and the number of all.
    pub(super) fn list(&self, page: &Page) -> Result<(Vec<Row>, u32), Failure> {
        let mut order = Vec::new();
        for (field, direction) in &page.sort {
            if field != "ProductID" && !COLUMNS.iter().any(|(name, _)| name == field) {
                return Err(Failure::new(400, format!("there is no column {field}")));
            }
            order.push(format!("{field} {}, ", if direction == "desc" { "DESC" } else { "ASC" }));
        }
        let sql = format!("{SELECT} ORDER BY {}ProductID LIMIT ?1 OFFSET ?2", order.concat());
        let connection = self.0.lock().map_err(|poisoned| poisoned.to_string())?;
        let total = connection.query_row("SELECT count(*) FROM products", [], |row| row.get::<_, u32>(0))?;
        let take = page.take.map_or(-1, i64::from);
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![take, page.skip], to_row)?.collect::<rusqlite::Result<_>>()?;
        Ok((rows, total))
    }

    /// One product.
    pub(super) fn one(&self, id: i64) -> Result<Row, Failure> {
        one(&*self.0.lock().map_err(|poisoned| poisoned.to_string())?, id)
    }

    /// Does a write request, or gives the answer that the same request got before.
    pub(super) fn write(&self, write: &Write<'_>) -> Result<Answer, Failure> {
        let mut connection = self.0.lock().map_err(|poisoned| poisoned.to_string())?;
        let mut transaction = connection.transaction()?;
        let (answer, replayed) = match seen(&transaction, write)? {
            Some(answer) => (answer, true),
            None => (apply(&mut transaction, write)?, false),
        };
        transaction.execute(
            "INSERT INTO received (method, path, key, sent, status, replayed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![write.method, write.path, write.key, json!(write.rows).to_string(), answer.status, replayed],
        )?;
        transaction.commit()?;
        Ok(answer)
    }
}

/// The answer to an earlier request with this key.
fn seen(transaction: &Transaction<'_>, write: &Write<'_>) -> Result<Option<Answer>, Failure> {
    let Some(key) = write.key else { return Ok(None) };
    let first = transaction
        .query_row("SELECT fingerprint, status, body FROM answers WHERE key = ?1", [key], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u16>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((fingerprint, status, body)) = first else { return Ok(None) };
    if fingerprint != write.fingerprint {
        let failure = Failure::new(422, "this idempotency key was used for another request");
        return Ok(Some(failure.answer(write.shape)));
    }
    Ok(Some(Answer { status, body: serde_json::from_str(&body)? }))
}

/// Does the write: all records or none. Remembers the answer under the key.
fn apply(transaction: &mut Transaction<'_>, write: &Write<'_>) -> Result<Answer, Failure> {
    let savepoint = transaction.savepoint()?;
    let done: Result<Vec<Row>, Failure> =
        write.rows.iter().map(|row| apply_one(&savepoint, write.change, row)).collect();
    let answer = match done {
        Ok(rows) => {
            savepoint.commit()?;
            success(write, rows)
        }
        Err(failure) if failure.status >= 500 => return Err(failure),
        Err(failure) => {
            savepoint.finish()?;
            failure.answer(write.shape)
        }
    };
    if let Some(key) = write.key {
        transaction.execute(
            "INSERT INTO answers (key, fingerprint, status, body) VALUES (?1, ?2, ?3, ?4)",
            params![key, write.fingerprint, answer.status, answer.body.to_string()],
        )?;
    }
    Ok(answer)
}

fn success(write: &Write<'_>, mut rows: Vec<Row>) -> Answer {
    match write.shape {
        Shape::Envelope => Answer { status: 200, body: json!({"Data": rows}) },
        Shape::List => Answer { status: 200, body: json!(rows) },
        Shape::Record if write.change == Change::Destroy => Answer { status: 204, body: Value::Null },
        Shape::Record => {
            let status = if write.change == Change::Create { 201 } else { 200 };
            let body = if rows.len() == 1 { json!(rows.pop()) } else { json!(rows) };
            Answer { status, body }
        }
    }
}

/// Changes one product; gives it as it is now, or as it was if it is gone.
fn apply_one(connection: &Connection, change: Change, row: &Row) -> Result<Row, Failure> {
    if change == Change::Create {
        let id = insert(connection, row)?;
        return one(connection, id);
    }
    let Some(Sql::Integer(id)) = row.get("ProductID").and_then(|id| column(Kind::Integer, id)) else {
        return Err(Failure::new(400, "a ProductID is needed"));
    };
    let before = one(connection, id)?;
    if change == Change::Destroy {
        connection.execute("DELETE FROM products WHERE ProductID = ?1", [id])?;
        return Ok(before);
    }
    let columns = columns(row, change == Change::Replace)?;
    if !columns.is_empty() {
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let sql = format!("UPDATE products SET {} WHERE ProductID = ?", names.join(", "));
        let values = columns.into_iter().map(|(_, value)| value).chain([Sql::Integer(id)]);
        connection.execute(&sql, params_from_iter(values))?;
    }
    one(connection, id)
}

fn insert(connection: &Connection, row: &Row) -> Result<i64, Failure> {
    let columns = columns(row, true)?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT INTO products ({}) VALUES ({marks})", names.join(", "));
    connection.execute(&sql, params_from_iter(columns.into_iter().map(|(_, value)| value)))?;
    Ok(connection.last_insert_rowid())
}

fn one(connection: &Connection, id: i64) -> Result<Row, Failure> {
    connection
        .query_row(&format!("{SELECT} WHERE ProductID = ?1"), [id], to_row)
        .optional()?
        .ok_or_else(|| Failure::new(404, format!("there is no product {id}")))
}

/// The columns that the record has; all of them if it is a whole one.
fn columns(row: &Row, whole: bool) -> Result<Vec<(&'static str, Sql)>, Failure> {
    let mut columns = Vec::new();
    for (name, kind) in COLUMNS {
        let value = match row.get(name) {
            Some(value) => column(kind, value).ok_or_else(|| Failure::of(name, format!("{value} does not fit")))?,
            None if whole && kind == Kind::Boolean => Sql::Integer(0),
            None if whole => Sql::Null,
            None => continue,
        };
        match (name, &value) {
            ("ProductName", Sql::Null) => return Err(Failure::of(name, "a product needs a name")),
            ("ProductName", Sql::Text(text)) if text.trim().is_empty() => {
                return Err(Failure::of(name, "a product needs a name"));
            }
            ("UnitPrice", Sql::Real(price)) if *price < 0.0 => {
                return Err(Failure::of(name, "a price is not negative"));
            }
            ("Discontinued", Sql::Null) => columns.push((name, Sql::Integer(0))),
            _ => columns.push((name, value)),
        }
    }
    Ok(columns)
}

/// JSON, or the text of a form field, as a column of this kind.
fn column(kind: Kind, value: &Value) -> Option<Sql> {
    Some(match (kind, value) {
        (_, Value::Null) => Sql::Null,
        (Kind::Text, Value::String(text)) => Sql::Text(text.clone()),
        (_, Value::String(text)) if text.is_empty() => Sql::Null,
        (Kind::Integer, Value::String(text)) => Sql::Integer(text.parse().ok()?),
        (Kind::Integer, Value::Number(number)) => Sql::Integer(number.as_i64()?),
        (Kind::Real, Value::String(text)) => Sql::Real(text.parse().ok()?),
        (Kind::Real, Value::Number(number)) => Sql::Real(number.as_f64()?),
        (Kind::Boolean, Value::String(text)) => Sql::Integer(i64::from(text.parse::<bool>().ok()?)),
        (Kind::Boolean, Value::Bool(on)) => Sql::Integer(i64::from(*on)),
        _ => return None,
    })
}

fn to_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut product = Row::new();
    product.insert("ProductID".to_owned(), json!(row.get::<_, i64>(0)?));
    for (index, (name, kind)) in (1..).zip(COLUMNS) {
        let value = match row.get_ref(index)? {
            ValueRef::Integer(number) if kind == Kind::Boolean => json!(number != 0),
            ValueRef::Integer(number) => json!(number),
            ValueRef::Real(number) => whole_number(number).map_or_else(|| json!(number), |whole| json!(whole)),
            ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
            _ => Value::Null,
        };
        product.insert(name.to_owned(), value);
    }
    Ok(product)
}

/// 18 instead of 18.0, as JavaScript writes it.
fn whole_number(number: f64) -> Option<i64> {
    if number.fract() == 0.0 { format!("{number:.0}").parse().ok() } else { None }
}
