//! A web server that keeps an offline state for each visitor, as long as the visit lasts.
//!
//! Run it with `cargo run --example web_sessions`. It serves two visitors, shows that they do not see each other's work, and
//! ends.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use landfall::{
    DataSource, Error, ErrorKind, Model, Record,
    storage::{SessionConfig, SessionStore},
    transport::MockServer,
};
use std::time::Duration;

/// What all requests share: the visitors' states, and the service that the products come from.
#[derive(Clone)]
struct App {
    sessions: SessionStore,
    service: MockServer,
}

impl App {
    /// The data source of the visitor who sent this request. It finds what earlier requests of the visit left.
    async fn products(&self, headers: &HeaderMap) -> landfall::Result<DataSource> {
        let products: DataSource = DataSource::builder()
            .storage(self.sessions.session(session_id(headers)?)?, "products")
            .transport(self.service.clone())
            .model(Model::new().id("ProductID"))
            .build()?;
        products.restore().await?;
        if products.is_empty() {
            // The first request of this visit.
            products.fetch().await?;
        }
        products.online(false).await?;
        Ok(products)
    }
}

/// The id of the visit. In a real server it comes from the session layer of the web framework, which makes ids that nobody can
/// guess and signs or encrypts the cookie.
fn session_id(headers: &HeaderMap) -> landfall::Result<&str> {
    headers
        .get("cookie")
        .and_then(|cookie| cookie.to_str().ok()?.strip_prefix("session="))
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "no session cookie"))
}

type Answer = Result<String, (StatusCode, String)>;

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: Error) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

async fn list(State(app): State<App>, headers: HeaderMap) -> Answer {
    let products = app.products(&headers).await.map_err(failed)?;
    Ok(products.offline_data().await.map_err(failed)?.to_json())
}

async fn rename(State(app): State<App>, headers: HeaderMap, Path((id, name)): Path<(i64, String)>) -> Answer {
    let products = app.products(&headers).await.map_err(failed)?;
    let product = products.get(id).ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
    products.set(&product, "ProductName", name).map_err(failed)?;
    products.sync().await.map_err(failed)?;
    Ok("kept for this visit".to_owned())
}

async fn publish(State(app): State<App>, headers: HeaderMap) -> Answer {
    let products = app.products(&headers).await.map_err(failed)?;
    let report = products.online(true).await.map_err(failed)?;
    Ok(format!("{} sent", report.done()))
}

async fn leave(State(app): State<App>, headers: HeaderMap) -> Answer {
    let ended = app.sessions.end(session_id(&headers).map_err(failed)?);
    Ok(if ended { "goodbye" } else { "who are you?" }.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let row = Record::from_json(r#"{"ProductID":1,"ProductName":"Chai"}"#)?;
    let app = App {
        sessions: SessionStore::new(SessionConfig::new().idle_timeout(Duration::from_secs(20 * 60))),
        service: MockServer::builder().id("ProductID").row(row).build(),
    };
    let routes = Router::new()
        .route("/products", get(list))
        .route("/products/{id}/rename/{name}", post(rename))
        .route("/publish", post(publish))
        .route("/leave", post(leave))
        .with_state(app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("serving {url}");
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    let browser = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |method: reqwest::Method, path: &str, visitor: &str| -> Result<String, reqwest::Error> {
        let request = browser.request(method, format!("{url}{path}")).header("cookie", format!("session={visitor}"));
        let text = request.send().await?.error_for_status()?.text().await?;
        println!("{visitor:>5}: {path:<24} {text}");
        Ok(text)
    };
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);

    // Ann changes a product. Bob does not see that, and neither does the service.
    assert_eq!(ask(get.clone(), "/products", "ann").await?, r#"[{"ProductID":1,"ProductName":"Chai"}]"#);
    ask(post.clone(), "/products/1/rename/Tea", "ann").await?;
    let hers = ask(get.clone(), "/products", "ann").await?;
    assert_eq!(hers, r#"[{"ProductID":1,"ProductName":"Tea","__state__":"update"}]"#);
    assert_eq!(ask(get.clone(), "/products", "bob").await?, r#"[{"ProductID":1,"ProductName":"Chai"}]"#);
    assert_eq!(app.service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Chai"}"#);

    // When she is done, her changes are sent.
    assert_eq!(ask(post.clone(), "/publish", "ann").await?, "1 sent");
    assert_eq!(app.service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Tea"}"#);

    // A visit that ends takes its state along.
    assert_eq!(app.sessions.len(), 2);
    ask(post.clone(), "/leave", "ann").await?;
    assert_eq!(app.sessions.len(), 1);
    assert_eq!(ask(get, "/products", "ann").await?, r#"[{"ProductID":1,"ProductName":"Tea"}]"#);
    server.abort();
    Ok(())
}
