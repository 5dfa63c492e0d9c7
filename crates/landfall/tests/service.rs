//! The products service and the table of the examples: an example is worth nothing if its parts are wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

#[path = "../examples/work_offline/service/mod.rs"]
mod service;
#[path = "../examples/work_offline/table.rs"]
mod table;

use landfall_core::Record;
use reqwest::{Client, Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use service::{Received, Service, Store};
use std::{fmt::Display, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

struct Bench {
    folder: TempDir,
    service: Service,
    client: Client,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let service = Service::start(&folder.path().join("products.db"), 0).await.unwrap();
        Self { folder, service, client: Client::new() }
    }

    fn store(&self) -> Store {
        Store::open(&self.folder.path().join("products.db")).unwrap()
    }

    fn ask(&self, method: Method, path: impl Display) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.service.url()))
    }

    async fn get(&self, path: &str) -> Value {
        json_of(self.ask(Method::GET, path)).await.1
    }

    fn json(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        self.ask(method, path).header(CONTENT_TYPE, "application/json").body(body.to_string())
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path).header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8").body(body)
    }
}

async fn text_of(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn json_of(request: RequestBuilder) -> (u16, Value) {
    let (status, text) = text_of(request).await;
    (
        status,
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")) },
    )
}

#[tokio::test]
async fn holds_the_seventy_seven_products() {
    let bench = Bench::new().await;
    let response = bench.ask(Method::GET, "/products").send().await.unwrap();
    assert_eq!(response.headers()["x-total-count"], "77");
    let products: Vec<Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(
        products[0].to_string(),
        r#"{"ProductID":1,"ProductName":"Chai","SupplierID":1,"CategoryID":1,"QuantityPerUnit":"10 boxes x 20 bags","UnitPrice":18,"UnitsInStock":39,"UnitsOnOrder":0,"ReorderLevel":10,"Discontinued":false}"#
    );
    assert_eq!(products[76]["ProductName"], "Original Frankfurter grüne Soße");
    // The well known sums of the sample data.
    let sum = |name: &str| products.iter().map(|product| product[name].as_f64().unwrap()).sum::<f64>();
    assert_eq!((products.len(), sum("UnitsInStock"), sum("UnitsOnOrder")), (77, 3119.0, 780.0));
    assert!((sum("UnitPrice") - 2222.71).abs() < 0.001);
    assert_eq!(products.iter().filter(|product| product["Discontinued"] == true).count(), 8);
}

#[tokio::test]
async fn rest_round_trip() {
    let bench = Bench::new().await;
    let page = bench.get("/products?skip=10&take=2&sort[0][field]=UnitPrice&sort[0][dir]=desc").await;
    assert_eq!(page.as_array().unwrap().len(), 2);
    assert!(page[0]["UnitPrice"].as_f64() >= page[1]["UnitPrice"].as_f64());
    assert_eq!(bench.get("/products?page=2&pageSize=20").await[0]["ProductID"], 21);
    assert_eq!(bench.get("/products/3").await["ProductName"], "Aniseed Syrup");

    let made = json_of(bench.json(Method::POST, "/products", &json!({"ProductName": "Mate", "UnitPrice": 4.5}))).await;
    assert_eq!((made.0, &made.1["ProductID"], &made.1["Discontinued"]), (201, &json!(78), &json!(false)));
    let patched = json_of(bench.json(Method::PATCH, "/products/78", &json!({"UnitsInStock": 3}))).await;
    assert_eq!((patched.0, &patched.1["UnitPrice"], &patched.1["UnitsInStock"]), (200, &json!(4.5), &json!(3)));
    let put = json_of(bench.json(Method::PUT, "/products/78", &json!({"ProductName": "Yerba", "ProductID": 1}))).await;
    assert_eq!((put.0, &put.1["ProductID"], &put.1["UnitPrice"]), (200, &json!(78), &Value::Null));
    assert_eq!(text_of(bench.ask(Method::DELETE, "/products/78")).await, (204, String::new()));
    assert_eq!(text_of(bench.ask(Method::GET, "/products/78")).await.0, 404);
    assert_eq!(text_of(bench.ask(Method::DELETE, "/products/78")).await.0, 404);
    assert_eq!(bench.get("/products/1").await["ProductName"], "Chai");

    for refused in [json!({"UnitPrice": 1}), json!({"ProductName": " "}), json!({"ProductName": "x", "UnitPrice": -1})]
    {
        assert_eq!(json_of(bench.json(Method::POST, "/products", &refused)).await.0, 400, "{refused}");
    }
    assert_eq!(text_of(bench.ask(Method::POST, "/products").body("{")).await.0, 400);
    assert_eq!(bench.store().products().unwrap().len(), 77);
}

#[tokio::test]
async fn kendo_by_form_and_json_with_models() {
    let bench = Bench::new().await;
    let page =
        json_of(bench.form("/kendo/read", &[("take", "5"), ("skip", "5"), ("page", "2"), ("pageSize", "5")])).await.1;
    assert_eq!((&page["Total"], &page["Data"][0]["ProductID"]), (&json!(77), &json!(6)));
    assert_eq!(bench.get("/kendo/read?bare=true").await.as_array().unwrap().len(), 77);

    let single = [("ProductID", "1"), ("ProductName", "Chai & more"), ("Discontinued", "true"), ("UnitPrice", "18.5")];
    let answered = json_of(bench.form("/kendo/update", &single)).await.1;
    assert_eq!(answered["Data"][0]["ProductName"], "Chai & more");
    assert_eq!(answered["Data"][0]["Discontinued"], true);

    let models = [("models[0][ProductID]", "2"), ("models[0][UnitPrice]", "20"), ("models[1][ProductID]", "3")];
    let answered = json_of(bench.form("/kendo/update", &models)).await.1;
    assert_eq!((&answered["Data"][0]["UnitPrice"], &answered["Data"][1]["ProductID"]), (&json!(20), &json!(3)));

    let text = json!([{"ProductName": "A"}, {"ProductName": "B"}]).to_string();
    let answered = json_of(bench.form("/kendo/create?bare=true", &[("models", &text)])).await.1;
    assert_eq!((&answered[0]["ProductID"], &answered[1]["ProductID"]), (&json!(78), &json!(79)));
    let answered =
        json_of(bench.json(Method::POST, "/kendo/destroy", &json!([{"ProductID": 78}, {"ProductID": 79}]))).await;
    assert_eq!((answered.0, &answered.1["Data"][1]["ProductName"]), (200, &json!("B")));

    // One bad record of a batch and none is changed.
    let batch = json!({"models": [{"ProductID": 1, "ProductName": "good"}, {"ProductID": 2, "UnitPrice": -1}]});
    let refused = json_of(bench.json(Method::POST, "/kendo/update", &batch)).await;
    assert_eq!((refused.0, &refused.1["Errors"]["UnitPrice"]["errors"][0]), (200, &json!("a price is not negative")));
    assert_eq!(bench.get("/products/1").await["ProductName"], "Chai & more");
    assert_eq!(json_of(bench.form("/kendo/update", &[("ProductID", "999")])).await.0, 404);
}

#[tokio::test]
async fn jsonp_wraps_and_writes() {
    let bench = Bench::new().await;
    let (status, text) = text_of(bench.ask(Method::GET, "/service/Products?callback=cb_1&take=1")).await;
    assert_eq!(status, 200);
    assert!(text.starts_with("cb_1([{\"ProductID\":1,") && text.ends_with("}])"), "{text}");

    let models =
        |models: &Value| url::form_urlencoded::byte_serialize(models.to_string().as_bytes()).collect::<String>();
    let path = format!("/service/products/Create?callback=$.x&models={}", models(&json!([{"ProductName": "Mate"}])));
    let (_, text) = text_of(bench.ask(Method::GET, path)).await;
    assert!(text.starts_with("$.x([{\"ProductID\":78,"), "{text}");
    let path = format!("/service/Products/Destroy?callback=x&models={}", models(&json!([{"ProductID": 78}])));
    assert_eq!(text_of(bench.ask(Method::GET, path)).await.0, 200);
    assert_eq!(bench.store().products().unwrap().len(), 77);

    for evil in ["alert(1)//", "", "1x", "a b"] {
        let path =
            format!("/service/Products/Create?callback={evil}&models={}", models(&json!([{"ProductName": "x"}])));
        assert_eq!(text_of(bench.ask(Method::GET, path)).await.0, 400, "{evil}");
    }
    assert_eq!(bench.store().products().unwrap().len(), 77);
}

#[tokio::test]
async fn a_key_is_honoured_once_and_across_restarts() {
    let bench = Bench::new().await;
    let mate = json!({"ProductName": "Mate"});
    let create =
        |bench: &Bench, body: &Value| bench.json(Method::POST, "/products", body).header("Idempotency-Key", "k1");
    let first = json_of(create(&bench, &mate)).await;
    assert_eq!(first.0, 201);
    assert_eq!(json_of(create(&bench, &mate)).await, first);
    assert_eq!(json_of(create(&bench, &json!({"ProductName": "Other"}))).await.0, 422);
    // A JSONP client makes up a new callback for each try; the change is the same.
    for callback in ["a", "b"] {
        let path = format!("/service/Products/Update?callback={callback}&_={callback}&models=[{{\"ProductID\":1}}]");
        let (status, text) = text_of(bench.ask(Method::GET, path).header("Idempotency-Key", "k2")).await;
        assert_eq!((status, text.starts_with(callback)), (200, true));
    }

    let Bench { folder, service, client } = bench;
    let (port, path) = (service.port(), folder.path().join("products.db"));
    service.stop().await.unwrap();
    let bench = Bench { service: Service::start(&path, port).await.unwrap(), folder, client };
    assert_eq!(json_of(create(&bench, &mate)).await, first);
    assert_eq!(bench.store().products().unwrap().len(), 78);
    let log: Vec<(String, u16, bool)> = bench
        .store()
        .received()
        .unwrap()
        .into_iter()
        .map(|line: Received| (line.method, line.status, line.replayed))
        .collect();
    let line = |method: &str, status, replayed| (method.to_owned(), status, replayed);
    assert_eq!(
        log,
        [
            line("POST", 201, false),
            line("POST", 201, true),
            line("POST", 422, true),
            line("GET", 200, false),
            line("GET", 200, true),
            line("POST", 201, true)
        ]
    );
    assert_eq!(bench.store().received().unwrap()[0].sent[0]["ProductName"], "Mate");
    assert_eq!(bench.store().received().unwrap()[0].key.as_deref(), Some("k1"));
}

#[tokio::test]
async fn a_stop_closes_the_port_and_cuts_connections() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("products.db");
    let service = Service::start(&path, 0).await.unwrap();
    let port = service.port();
    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    open.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    service.stop().await.unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(5), open.read_to_end(&mut Vec::new())).await;
    assert!(rest.is_ok(), "the connection is still open");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the port is still open");

    let service = Service::start(&path, port).await.unwrap();
    assert_eq!(service.port(), port);
    assert_eq!(text_of(Client::new().get(service.url())).await, (200, "ok".to_owned()));
}

#[test]
fn a_table_is_plain_text_off_a_terminal_and_coloured_on_one() {
    let rows = [
        Record::from_json(r#"{"ProductID":1,"ProductName":"Tee","__state__":"update"}"#).unwrap(),
        Record::from_json(r#"{"ProductID":2,"ProductName":null}"#).unwrap(),
        Record::from_json(r#"{"ProductID":10,"ProductName":"Knäckebröd","__state__":"destroy"}"#).unwrap(),
    ];
    let plain = table::render(&["ProductID", "ProductName"], &rows, table::Look::Plain);
    let expected = [
        "| state   | ProductID | ProductName |",
        "|---------|-----------|-------------|",
        "| update  |         1 | Tee         |",
        "|         |         2 |             |",
        "| destroy |        10 | Knäckebröd  |",
    ];
    assert_eq!(plain.lines().map(str::trim_end).collect::<Vec<_>>(), expected);
    let coloured = table::render(&["ProductID"], &rows, table::Look::Terminal);
    assert!(coloured.contains("\u{1b}[") && coloured.contains('│'), "{coloured}");
    assert!(!table::render(&["ProductID"], &rows[1..2], table::Look::Plain).contains("state"));
}
