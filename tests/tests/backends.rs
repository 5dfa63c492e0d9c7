//! The recipes of docs/backends.md: each stands here as it stands there, compiles, and sends what its service expects.
//!
//! Between `// recipe` and `// end` is the text of the page; a test holds the two together. The expected requests are
//! the shapes that the services' own documentation and encoders show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall::{Builder, DataSource, Direction, Filter, Group, Model, Schema, Sort};
use landfall_core::Record;
use landfall_storage_memory::MemoryStorage;
use landfall_tests::dialects::{CouchDb, Datasette};
use landfall_transport::{
    Result, Transport, Utc,
    conformance::{Loopback, Received, response},
    dialect::{
        kendo::{Kendo, ParameterMap, Settings},
        odata::OData,
        rest::Rest,
    },
};
use landfall_transport_http::{HttpBuilder, HttpTransport, reqwest};
use landfall_transport_jsonp::{JsonpConfig, JsonpTransport};
use std::sync::Arc;

/// A data source without its storage, and how its transport is built.
fn products(transport: impl Transport, schema: Schema, id: &str) -> Builder {
    // recipe
    DataSource::builder()
        .transport(transport)
        .schema(schema.with_model(Model::new().id(id)))
        .server_paging(true)
        .server_sorting(true)
        .server_filtering(true)
        .page_size(10)
    // end
}

fn json_server(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let transport = http.build(Rest::json_server("products"))?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn json_server_v1(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let transport = http.build(Rest::json_server_v1("products"))?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn datasette(http: HttpBuilder, token: &str) -> Result<(impl Transport, Schema)> {
    // recipe
    let dialect = Datasette { table: "shop/products", view: "shop/product_rows" };
    let transport = http.bearer(token).build(dialect)?;
    let schema = Schema::new().data("rows").total("count");
    // end
    Ok((transport, schema))
}

fn couchdb(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let transport = http.build(CouchDb { database: "shop" })?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn jsonp(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let service = JsonpConfig::new()
        .read("service/Products")
        .create("service/Products/Create")
        .update("service/Products/Update")
        .destroy("service/Products/Destroy");
    let transport = JsonpTransport::over(http.build_channel()?, service)?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn kendo_lists(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let write = |url: &str| Settings::url(url).method("POST").content_type("application/json").json();
    let service = Kendo::new()
        .read(Settings::url("core/products").json())
        .create(write("core/products/create"))
        .update(write("core/products/update"))
        .destroy(write("core/products/destroy"))
        .parameter_map(ParameterMap::models_array_body());
    let transport = http.build(service)?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn aspnet(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let post = |url: &str| Settings::url(url).method("POST").json();
    let service = Kendo::new()
        .read(post("products/Read"))
        .create(post("products/Create"))
        .update(post("products/Update"))
        .destroy(post("products/Destroy"))
        .parameter_map(ParameterMap::aspnet(Arc::new(Utc)));
    let transport = http.build(service)?;
    let schema = Schema::new().data("Data").total("Total").errors("Errors");
    // end
    Ok((transport, schema))
}

fn odata_v4(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let service = OData::v4("odata/Products").guid_keys();
    let transport = http.build(service)?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn odata_v4_batch(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let service = OData::v4("odata/Products").guid_keys().batch("odata/$batch");
    let transport = http.build(service)?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn odata_v2(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let service = OData::v2("odata/Products");
    let transport = http.build(service)?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

fn postgrest(http: HttpBuilder) -> Result<(impl Transport, Schema)> {
    // recipe
    let transport = http.build(Rest::postgrest("products"))?;
    let schema = Schema::new();
    // end
    Ok((transport, schema))
}

/// Text without the blanks that every line begins with.
fn outdented(lines: &[&str]) -> String {
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let margin = filled.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(margin..).unwrap_or_default()).collect();
    lines.join("\n").trim().to_owned()
}

/// What stands between two kinds of lines, each time.
fn between(text: &str, first: impl Fn(&str) -> bool, last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines() {
        match &mut open {
            Some(lines) if last(line) => {
                found.push(outdented(lines));
                open = None;
            }
            Some(lines) => lines.push(line),
            None if first(line) => open = Some(Vec::new()),
            None => {}
        }
    }
    assert!(open.is_none(), "something was opened and not closed");
    found
}

#[test]
fn the_page_shows_what_compiles_here() {
    let page = include_str!("../../docs/backends.md");
    let shown = between(page, |line| line == "```rust", |line| line == "```");
    let here = between(include_str!("backends.rs"), |line| line.trim() == "// recipe", |line| line.trim() == "// end");
    for recipe in &here {
        assert!(shown.contains(recipe), "docs/backends.md does not show:\n{recipe}");
    }
    for block in &shown {
        assert!(here.contains(block), "docs/backends.md shows what nobody compiles:\n{block}");
    }
}

/// A request in one line: what a form says with its escapes undone, the rest as it came.
fn line(request: &Received) -> String {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let form = request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let body = if form { decoded(&body.replace('+', " ")) } else { body };
    format!("{} {} {body}", request.method, decoded(&request.target)).trim().to_owned()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

/// A service that answers like this, and a channel to it.
struct Service {
    server: Loopback,
}

impl Service {
    fn new(read: &'static str) -> Self {
        let server = Loopback::start();
        server.push_bytes(response(200, &[("Content-Type", "application/json")], read.as_bytes()));
        Self { server }
    }

    fn http(&self) -> HttpBuilder {
        HttpTransport::builder().client(reqwest::Client::builder().no_proxy()).base_url(self.server.url())
    }

    fn lines(&self) -> Vec<String> {
        self.server.requests().iter().map(line).collect()
    }

    /// One read, the third page of ten, with an order and this filter.
    async fn read(&self, builder: Builder, filter: Filter) -> String {
        let sort = [Sort::new("Name", Direction::Asc), Sort::new("Price", Direction::Desc)];
        let source = builder.page(3).sort(sort).filter(filter).build().unwrap();
        let done = source.read().await;
        let lines = self.lines();
        assert!(!lines.is_empty(), "nothing was sent: {done:?}");
        lines.into_iter().next().unwrap()
    }

    /// An edit, a removal and a new record, each synced alone; the three requests.
    async fn write(&self, builder: Builder) -> Vec<String> {
        let source = builder.storage(MemoryStorage::new(), "products").build().unwrap();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "Name", "x").unwrap();
        drop(source.sync().await);
        source.remove(source.at(1).unwrap()).unwrap();
        drop(source.sync().await);
        source.add(Record::from([("Name", "new")])).unwrap();
        drop(source.sync().await);
        self.lines().into_iter().skip(1).collect()
    }
}

fn both() -> Filter {
    Filter::all([Filter::contains("Name", "O'Neil & co"), Filter::gte("Price", 3.5)])
}

#[tokio::test]
async fn json_server_is_asked_in_its_own_words() {
    let service = Service::new("[]");
    let (transport, schema) = json_server(service.http()).unwrap();
    let read = service.read(products(transport, schema, "ID"), both()).await;
    let expected =
        "GET /products?_page=3&_limit=10&_sort=Name,Price&_order=asc,desc&Name_like=O'Neil & co&Price_gte=3.5";
    assert_eq!(read, expected);

    let service = Service::new(r#"[{"ID":7,"Name":"a","Price":1},{"ID":8,"Name":"b","Price":2}]"#);
    let (transport, schema) = json_server(service.http()).unwrap();
    let expected = [r#"PATCH /products/7 {"Name":"x"}"#, "DELETE /products/8", r#"POST /products {"Name":"new"}"#];
    assert_eq!(service.write(products(transport, schema, "ID")).await, expected);
}

#[tokio::test]
async fn json_server_1_is_asked_in_its_own_words() {
    let service = Service::new(r#"{"data":[],"items":0}"#);
    let (transport, schema) = json_server_v1(service.http()).unwrap();
    let read = service.read(products(transport, schema, "ID"), both()).await;
    let expected = "GET /products?_page=3&_per_page=10&_sort=Name,-Price&Name:contains=O'Neil & co&Price:gte=3.5";
    assert_eq!(read, expected);
}

#[tokio::test]
async fn datasette_is_asked_in_its_own_words() {
    let service = Service::new(r#"{"rows":[],"count":0}"#);
    let (transport, schema) = datasette(service.http(), "t").unwrap();
    let source = products(transport, schema, "id").sort([Sort::new("Price", Direction::Desc)]).filter(both()).build();
    source.unwrap().read().await.unwrap();
    let expected = "GET /shop/product_rows.json?_shape=objects&_extra=count&_size=10&_next=0&_sort_desc=Price\
        &Name__contains=O'Neil & co&Price__gte=3.5";
    assert_eq!(service.lines(), [expected]);
    assert_eq!(service.server.requests()[0].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn couchdb_is_asked_in_its_own_words() {
    let service = Service::new(r#"{"docs":[]}"#);
    let (transport, schema) = couchdb(service.http()).unwrap();
    let read = service.read(products(transport, schema, "_id"), Filter::gte("Price", 3.5)).await;
    let expected = r#"POST /shop/_find {"selector":{"$and":[{"Price":{"$gte":3.5}}]},"sort":[{"Name":"asc"},{"Price":"desc"}],"limit":11,"skip":20}"#;
    assert_eq!(read, expected);

    let service =
        Service::new(r#"{"docs":[{"_id":"a/b","_rev":"1-x","Name":"a"},{"_id":"c","_rev":"2-y","Name":"b"}]}"#);
    let (transport, schema) = couchdb(service.http()).unwrap();
    for id in ["a/b", "c", "new"] {
        let answer = format!(r#"{{"ok":true,"id":"{id}","rev":"9-z"}}"#);
        service.server.push_bytes(response(201, &[("Content-Type", "application/json")], answer.as_bytes()));
    }
    let written = service.write(products(transport, schema, "_id")).await;
    assert_eq!(written[0], r#"PUT /shop/a/b {"_id":"a/b","_rev":"1-x","Name":"x"}"#);
    assert!(service.server.requests()[1].target.ends_with("/a%2Fb"));
    assert_eq!(written[1], "DELETE /shop/c?rev=2-y");
    let request = &service.server.requests()[3];
    let key = request.header("idempotency-key").unwrap();
    assert_eq!(written[2], format!(r#"PUT /shop/{key} {{"Name":"new"}}"#));
}

#[tokio::test]
async fn old_services_of_kendos_take_lists_by_jsonp() {
    let server = Loopback::start();
    let answer = |stream: &mut std::net::TcpStream, request: &Received| {
        let name = request.query("callback").unwrap();
        let text = format!(r#"{name}([{{"ID":7,"Name":"a"}},{{"ID":8,"Name":"b"}}]);"#);
        let bytes = response(200, &[("Content-Type", "application/javascript")], text.as_bytes());
        std::io::Write::write_all(stream, &bytes).unwrap();
    };
    for _ in 0..4 {
        server.push(answer);
    }
    let service = Service { server };
    let (transport, schema) = jsonp(service.http()).unwrap();
    let written = service.write(products(transport, schema, "ID").server_paging(false).batch(true)).await;
    let parts: Vec<Vec<&str>> = written.iter().map(|line| line.split(['?', '&']).collect()).collect();
    assert_eq!((parts[0][0], parts[0][2]), ("GET /service/Products/Update", r#"models=[{"ID":7,"Name":"x"}]"#));
    assert_eq!((parts[1][0], parts[1][2]), ("GET /service/Products/Destroy", r#"models=[{"ID":8,"Name":"b"}]"#));
    assert_eq!((parts[2][0], parts[2][2]), ("GET /service/Products/Create", r#"models=[{"Name":"new"}]"#));
    for part in parts {
        assert!(part[1].starts_with("callback=") && part[3].starts_with("_="), "{part:?}");
    }
}

#[tokio::test]
async fn newer_services_of_kendos_take_lists_as_bodies() {
    let service = Service::new(r#"[{"ID":7,"Name":"a"},{"ID":8,"Name":"b"}]"#);
    let (transport, schema) = kendo_lists(service.http()).unwrap();
    let expected = [
        r#"POST /core/products/update [{"ID":7,"Name":"x"}]"#,
        r#"POST /core/products/destroy [{"ID":8,"Name":"b"}]"#,
        r#"POST /core/products/create [{"Name":"new"}]"#,
    ];
    assert_eq!(service.write(products(transport, schema, "ID").batch(true)).await, expected);
}

#[tokio::test]
async fn aspnet_gets_the_vendors_own_texts() {
    let empty = r#"{"Data":[],"Total":0,"Errors":null}"#;
    let terms = |name: &str, filter: Filter| (name.to_owned(), filter);
    let cases = [
        terms("(Name~contains~'O''Neil & co'~and~Price~gte~3.5)", both()),
        terms(
            "(A~eq~true~or~(B~eq~null~and~C~isnull~undefined))",
            Filter::any([
                Filter::eq("A", true),
                Filter::all([Filter::eq("B", landfall_core::Value::Null), Filter::is_null("C")]),
            ]),
        ),
        terms(
            "At~lt~datetime'2024-02-29T13-05-09'",
            Filter::lt("At", landfall_core::Date::from_iso("2024-02-29T13:05:09.007Z").unwrap()),
        ),
    ];
    for (text, filter) in cases {
        let service = Service::new(empty);
        let (transport, schema) = aspnet(service.http()).unwrap();
        let read = service.read(products(transport, schema, "ID"), filter).await;
        let expected = format!("POST /products/Read page=3&pageSize=10&sort=Name-asc~Price-desc&filter={text}");
        assert_eq!(read, expected);
    }
    let service = Service::new(empty);
    let (transport, schema) = aspnet(service.http()).unwrap();
    let groups = [Group::desc("Cat"), Group::asc("B")];
    let grouped = products(transport, schema, "ID").server_paging(false).server_grouping(true).group(groups);
    drop(grouped.build().unwrap().read().await);
    assert_eq!(service.lines(), ["POST /products/Read group=Cat-desc~B-asc"]);

    let service = Service::new(r#"{"Data":[{"ID":7,"Name":"a"},{"ID":8,"Name":"b"}],"Total":2,"Errors":null}"#);
    let (transport, schema) = aspnet(service.http()).unwrap();
    let expected = [
        "POST /products/Update models[0].ID=7&models[0].Name=x",
        "POST /products/Destroy models[0].ID=8&models[0].Name=b",
        "POST /products/Create models[0].Name=new",
    ];
    assert_eq!(service.write(products(transport, schema, "ID").batch(true)).await, expected);
}

const GUIDS: [&str; 2] = ["00000000-0000-4000-8000-000000000007", "00000000-0000-4000-8000-000000000008"];
const ENTITIES: &str = r#"{"@odata.count":2,"value":[{"@odata.etag":"W/\"1\"","ID":"00000000-0000-4000-8000-000000000007","Name":"a"},{"ID":"00000000-0000-4000-8000-000000000008","Name":"b"}]}"#;

#[tokio::test]
async fn odata_4_is_asked_as_the_protocol_says() {
    let service = Service::new(r#"{"@odata.count":0,"value":[]}"#);
    let (transport, schema) = odata_v4(service.http()).unwrap();
    let read = service.read(products(transport, schema, "ID"), both()).await;
    let expected = "GET /odata/Products?$count=true&$top=10&$skip=20&$orderby=Name,Price desc\
        &$filter=(contains(Name,'O''Neil & co') and Price ge 3.5)";
    assert_eq!(read, expected);

    let service = Service::new(ENTITIES);
    let (transport, schema) = odata_v4(service.http()).unwrap();
    let expected = [
        format!(r#"PATCH /odata/Products({}) {{"Name":"x"}}"#, GUIDS[0]),
        format!("DELETE /odata/Products({})", GUIDS[1]),
        r#"POST /odata/Products {"Name":"new"}"#.to_owned(),
    ];
    assert_eq!(service.write(products(transport, schema, "ID")).await, expected);
    assert_eq!(service.server.requests()[1].header("if-match"), Some("W/\"1\""));
}

#[tokio::test]
async fn odata_4_takes_all_changes_in_one_batch() {
    let service = Service::new(ENTITIES);
    let (transport, schema) = odata_v4_batch(service.http()).unwrap();
    let written = service.write(products(transport, schema, "ID").batch(true)).await;
    let first: Vec<&str> = written[0].split("\r\n").collect();
    assert!(first[0].starts_with("POST /odata/$batch --sf_batch_"), "{first:?}");
    let update = format!("PATCH Products({}) HTTP/1.1", GUIDS[0]);
    assert!(first.contains(&update.as_str()) && first.contains(&"If-Match: W/\"1\""), "{first:?}");
}

#[tokio::test]
async fn odata_2_is_asked_as_the_protocol_says() {
    let service = Service::new(r#"{"d":{"results":[],"__count":"0"}}"#);
    let (transport, schema) = odata_v2(service.http()).unwrap();
    let read = service.read(products(transport, schema, "ID"), both()).await;
    let expected = "GET /odata/Products?$format=json&$inlinecount=allpages&$top=10&$skip=20&$orderby=Name,Price desc\
        &$filter=(substringof('O''Neil & co',Name) and Price ge 3.5)";
    assert_eq!(read, expected);
}

#[tokio::test]
async fn postgrest_is_asked_in_its_own_words() {
    let service = Service::new("[]");
    let (transport, schema) = postgrest(service.http()).unwrap();
    let read = service.read(products(transport, schema, "ID"), both()).await;
    let expected = "GET /products?limit=10&offset=20&order=Name.asc,Price.desc&Name=ilike.*O'Neil & co*&Price=gte.3.5";
    assert_eq!(read, expected);
    assert_eq!(service.server.requests()[0].header("prefer"), Some("count=exact"));

    let service = Service::new(r#"[{"ID":7,"Name":"a"},{"ID":8,"Name":"b"}]"#);
    let (transport, schema) = postgrest(service.http()).unwrap();
    let expected =
        [r#"PATCH /products?ID=eq.7 {"Name":"x"}"#, "DELETE /products?ID=eq.8", r#"POST /products {"Name":"new"}"#];
    assert_eq!(service.write(products(transport, schema, "ID")).await, expected);
}
