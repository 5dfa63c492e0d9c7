//! The round trip, the same for every server: read page by page as the server orders and filters, edit offline, restart,
//! come back, sync. And the quarrel: what happens when somebody else was faster.

use landfall::{Builder, DataSource, Direction, Filter, Model, Schema, Sort, Standing};
use landfall_core::{Record, Value};
use landfall_storage_sqlite::SqliteStorage;
use landfall_transport::Transport;
use std::path::Path;

/// The rows that each server starts with, their ids as numbers.
pub(crate) const ROWS: &str = r#"[{"id":1,"name":"Chai","price":18},{"id":2,"name":"Chang","price":19.5},{"id":3,"name":"Aniseed","price":10},{"id":4,"name":"Tofu","price":23.25},{"id":5,"name":"Pavlova","price":17.45}]"#;

/// How a server differs from the others in what the trip can see.
#[derive(Clone, Copy)]
pub(crate) struct Trip {
    /// The id of the row with this number.
    pub(crate) id: fn(i64) -> Value,
    /// The member that holds it.
    pub(crate) id_field: &'static str,
    /// The total after the first page, the second, and at the end.
    pub(crate) totals: [usize; 3],
}

pub(crate) fn integer(number: i64) -> Value {
    number.into()
}

pub(crate) fn text(number: i64) -> Value {
    number.to_string().into()
}

fn names(source: &DataSource) -> Vec<String> {
    source.data().iter().map(|item| String::from(item.get("name").unwrap().to_text())).collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

impl Trip {
    /// The starting rows with this server's ids.
    pub(crate) fn rows(&self) -> Vec<Record> {
        let rows = Value::from_json(ROWS).unwrap();
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
        rows.map(|row| self.row(row.get("id").and_then(Value::as_i64).map(self.id).unwrap(), &row)).collect()
    }

    fn row(&self, id: Value, row: &Record) -> Record {
        let members = ["name", "price"].map(|name| (name, row.get(name).cloned().unwrap()));
        std::iter::once((self.id_field, id)).chain(members).collect()
    }

    /// A data source on this storage: the dearest products from 15 up, two a page, as the server says.
    pub(crate) fn source(&self, transport: impl Transport, schema: Schema, storage: &Path) -> Builder {
        DataSource::builder()
            .transport(transport)
            .schema(schema.with_model(Model::new().id(self.id_field)))
            .storage(SqliteStorage::open(storage).unwrap(), "products")
            .server_paging(true)
            .server_sorting(true)
            .server_filtering(true)
            .page_size(2)
            .sort([Sort::new("price", Direction::Desc)])
            .filter(Filter::gte("price", 15))
    }

    /// The whole round trip. Gives the id of the record that was created.
    pub(crate) fn there_and_back(&self, open: impl Fn(&Path) -> DataSource) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("offline.db");
        block_on(async {
            let products = open(&storage);
            products.read().await.unwrap();
            assert_eq!((names(&products), products.total()), (vec!["Tofu".into(), "Chang".into()], self.totals[0]));
            products.page(2).await.unwrap();
            assert_eq!((names(&products), products.total()), (vec!["Chai".into(), "Pavlova".into()], self.totals[1]));

            products.online(false).await.unwrap();
            let (chai, pavlova) = (products.at(0).unwrap(), products.at(1).unwrap());
            products.set(&chai, "price", 18.5).unwrap();
            products.remove(&pavlova).unwrap();
            products.add(Record::from([("name", Value::from("Mishi")), ("price", 97.into())])).unwrap();
            let report = products.sync().await.unwrap();
            assert_eq!(report.stored, 3);
        });
        // The program ends here; another one begins.
        block_on(async {
            let products = open(&storage);
            assert!(!products.has_changes());
            products.restore().await.unwrap();
            assert_eq!(products.pending().len(), 3);
            let report = products.sync().await.unwrap();
            assert!(report.is_success(), "{report:?}");
            assert_eq!(report.done(), 3);
            assert!(!products.has_changes() && products.pending().is_empty());

            products.read().await.unwrap();
            assert_eq!((names(&products), products.total()), (vec!["Mishi".into(), "Tofu".into()], self.totals[2]));
            let created = products.at(0).unwrap().get(self.id_field).cloned().expect("the server gave an id");
            assert!(!created.is_null());
            created
        })
    }

    /// The rows that the server must hold after the round trip.
    pub(crate) fn check(&self, held: &Value, created: &Value) {
        let mut expected: Vec<Record> = self.rows();
        expected.retain(|row| row.get("name").and_then(Value::as_str) != Some("Pavlova"));
        expected[0].set("price", 18.5);
        expected.push(Record::from([(self.id_field, created.clone()), ("name", "Mishi".into()), ("price", 97.into())]));
        let by_name = |rows: Vec<Record>| {
            let mut rows: Vec<String> = rows.into_iter().map(|row| Value::from(row).to_json()).collect();
            rows.sort();
            rows
        };
        let held = held.as_array().unwrap().iter().map(|row| row.as_object().unwrap());
        let held = held.map(|row| self.row(row.get(self.id_field).cloned().unwrap(), row)).collect();
        assert_eq!(by_name(held), by_name(expected));
    }

    /// Tofu gets dearer here, offline, while somebody else renames it. The server refuses what is based on an old
    /// version; nobody's change is lost: the next read brings theirs, and the edit goes on top of it.
    pub(crate) fn quarrel(&self, open: impl Fn(&Path) -> DataSource, elsewhere: impl FnOnce(), refusal: u16) {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("offline.db");
        block_on(async {
            let products = open(&storage);
            products.read().await.unwrap();
            products.online(false).await.unwrap();
            let tofu = products.get((self.id)(4)).unwrap();
            products.set(&tofu, "price", 25).unwrap();
            products.sync().await.unwrap();
        });
        elsewhere();
        block_on(async {
            let products = open(&storage);
            products.restore().await.unwrap();
            let report = products.sync().await.unwrap();
            let failure = report.failures().next().expect("the server knows a newer version");
            assert_eq!(failure.result.as_ref().unwrap_err().status(), Some(refusal), "{failure:?}");
            let pending = products.pending();
            assert_eq!(pending.len(), 1);
            assert_eq!(pending[0].standing, Standing::Quarantined);

            products.read().await.unwrap();
            let tofu = products.get((self.id)(4)).unwrap();
            assert_eq!(tofu.get("name").unwrap().as_str(), Some("Tofu of elsewhere"));
            assert_eq!(tofu.get("price").unwrap().to_text().as_str(), "25");
            let report = products.sync().await.unwrap();
            assert!(report.is_success(), "{report:?}");
            assert!(products.pending().is_empty());
        });
    }
}
