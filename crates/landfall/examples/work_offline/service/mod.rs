//! A products service like the one a program would meet: HTTP on loopback, its state in an `SQLite` database.
//!
//! Owns the address, the routes and a real stop: the port is closed and connections are cut. What it stores and what it
//! received is in `store`, how requests are read is in `input`.
//!
//! | family | end points |
//! |---|---|
//! | REST | `GET POST /products`, `GET PUT PATCH DELETE /products/{id}`; total in `X-Total-Count` |
//! | Kendo | `/kendo/read`, `/kendo/create`, `/kendo/update`, `/kendo/destroy` by GET or POST, form or JSON, one record or `models`; `{"Data", "Total"}`, or bare lists with `?bare=true` |
//! | JSONP | `/service/Products`, `/Create`, `/Update`, `/Destroy` with `callback=` and `models=` |
#![allow(dead_code, reason = "each example uses the part that it needs")]

mod input;
mod store;

#[allow(unused_imports, reason = "each example uses the part that it needs")]
pub(crate) use store::{Received, Row, Store};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path as Segment, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use input::Input;
use serde_json::{Value, json};
use std::{error::Error, future::IntoFuture, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};
use store::{Answer, Change, Failure, Shape, Write};
use tokio::{net::TcpListener, runtime};

/// The result of everything here that can fail.
pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A running service. Runs on a runtime of its own, so that [`stop`](Self::stop) cuts everything at once.
#[derive(Debug)]
pub(crate) struct Service {
    port: u16,
    runtime: Option<runtime::Runtime>,
}

impl Service {
    /// Starts over the database (made and filled with the 77 products if new) on this port of 127.0.0.1; 0 takes a free one.
    pub(crate) async fn start(database: &Path, port: u16) -> Result<Self> {
        let store = Arc::new(Store::open(database)?);
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut running = Self { port, runtime: Some(runtime) };
        let Some(runtime) = &running.runtime else { return Err("no runtime".into()) };
        let listener = runtime.spawn(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).await??;
        let port = listener.local_addr()?.port();
        runtime.spawn(axum::serve(listener, routes(store)).into_future());
        running.port = port;
        Ok(running)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops: the port is closed and every connection is cut when this returns.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(runtime) = self.runtime.take() {
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await?;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Shared = State<Arc<Store>>;

fn routes(store: Arc<Store>) -> Router {
    Router::new()
        .route("/", get("ok"))
        .route("/products", get(rest_list).post(rest_create))
        .route("/products/{id}", get(rest_one).put(rest_change).patch(rest_change).delete(rest_change))
        .route("/kendo/{operation}", any(kendo))
        .route("/service/{products}", get(jsonp_read))
        .route("/service/{products}/{operation}", get(jsonp_write))
        .layer(DefaultBodyLimit::max(16 * 1024 * 1024))
        .with_state(store)
}

/// One request, taken apart.
struct Call {
    method: Method,
    uri: Uri,
    key: Option<String>,
    body: Bytes,
    input: Input,
}

impl Call {
    async fn of(request: Request) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 16 * 1024 * 1024)
            .await
            .map_err(|cause| Failure::new(400, format!("the body did not arrive: {cause}")))?;
        let text = |name: header::HeaderName| header_text(&parts.headers, name.as_str());
        let input = Input::parse(parts.uri.query(), text(header::CONTENT_TYPE).as_deref(), &body)?;
        let key = header_text(&parts.headers, "idempotency-key");
        Ok(Self { method: parts.method, uri: parts.uri, key, body, input })
    }

    fn write(&self, change: Change, rows: Vec<Row>, shape: Shape) -> Write<'_> {
        Write {
            method: self.method.as_str(),
            path: self.uri.path(),
            key: self.key.as_deref(),
            fingerprint: format!(
                "{} {} {} {}",
                self.method,
                self.uri.path(),
                self.input.query_without_wrapping(),
                String::from_utf8_lossy(&self.body)
            ),
            change,
            rows,
            shape,
        }
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn rest_list(State(store): Shared, request: Request) -> Result<Response, Failure> {
    let call = Call::of(request).await?;
    let (rows, total) = store.list(&call.input.page()?)?;
    let mut response = answer(Answer { status: 200, body: json!(rows) });
    response.headers_mut().insert("x-total-count", HeaderValue::from(total));
    Ok(response)
}

async fn rest_one(State(store): Shared, Segment(id): Segment<i64>) -> Result<Response, Failure> {
    Ok(answer(Answer { status: 200, body: json!(store.one(id)?) }))
}

async fn rest_create(State(store): Shared, request: Request) -> Result<Response, Failure> {
    let call = Call::of(request).await?;
    Ok(answer(store.write(&call.write(Change::Create, call.input.rows()?, Shape::Record))?))
}

async fn rest_change(State(store): Shared, Segment(id): Segment<i64>, request: Request) -> Result<Response, Failure> {
    let call = Call::of(request).await?;
    let change = match call.method {
        Method::DELETE => Change::Destroy,
        Method::PUT => Change::Replace,
        _ => Change::Update,
    };
    let mut row = if change == Change::Destroy { Row::new() } else { call.input.row()? };
    row.insert("ProductID".to_owned(), json!(id));
    Ok(answer(store.write(&call.write(change, vec![row], Shape::Record))?))
}

async fn kendo(
    State(store): Shared,
    Segment(operation): Segment<String>,
    request: Request,
) -> Result<Response, Failure> {
    let call = Call::of(request).await?;
    let bare = call.input.text("bare").as_deref() == Some("true");
    if operation == "read" {
        let (rows, total) = store.list(&call.input.page()?)?;
        let body = if bare { json!(rows) } else { json!({"Data": rows, "Total": total}) };
        return Ok(answer(Answer { status: 200, body }));
    }
    let shape = if bare { Shape::List } else { Shape::Envelope };
    Ok(answer(store.write(&call.write(change(&operation)?, call.input.rows()?, shape))?))
}

async fn jsonp_read(
    State(store): Shared,
    Segment(name): Segment<String>,
    request: Request,
) -> Result<Response, Failure> {
    named_products(&name)?;
    let call = Call::of(request).await?;
    let (rows, _total) = store.list(&call.input.page()?)?;
    wrapped(&call, Answer { status: 200, body: json!(rows) })
}

async fn jsonp_write(
    State(store): Shared,
    Segment((name, operation)): Segment<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    named_products(&name)?;
    let call = Call::of(request).await?;
    call.input.callback()?;
    let answered = store.write(&call.write(change(&operation)?, call.input.rows()?, Shape::List))?;
    wrapped(&call, answered)
}

fn named_products(name: &str) -> Result<(), Failure> {
    if name.eq_ignore_ascii_case("products") { Ok(()) } else { Err(Failure::new(404, "only products are here")) }
}

fn change(operation: &str) -> Result<Change, Failure> {
    match operation.to_ascii_lowercase().as_str() {
        "create" => Ok(Change::Create),
        "update" => Ok(Change::Update),
        "destroy" => Ok(Change::Destroy),
        _ => Err(Failure::new(404, "read, create, update or destroy")),
    }
}

/// The answer as a call of the callback, if one was asked for.
fn wrapped(call: &Call, answered: Answer) -> Result<Response, Failure> {
    let Some(callback) = call.input.callback()? else { return Ok(answer(answered)) };
    let script = format!("{callback}({})", answered.body);
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    Ok((status(answered.status), headers, script).into_response())
}

fn answer(answered: Answer) -> Response {
    if answered.body == Value::Null {
        return status(answered.status).into_response();
    }
    (status(answered.status), axum::Json(answered.body)).into_response()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        answer(self.answer(Shape::Record))
    }
}
