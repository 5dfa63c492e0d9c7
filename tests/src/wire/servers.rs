//! Two loopback HTTP servers that record what they get and answer from one list, in the order of sending.
//!
//! Owns the little HTTP that is needed: one request a connection, a body by its length. Judges nothing.

use super::{
    case::{Case, Origins},
    numbered,
};
use landfall_core::{Error, ErrorKind, Record, Result, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long the next answer waits for the client to be done with this one.
const GRACE: Duration = Duration::from_millis(500);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// `same` or `cross`.
    pub(super) server: &'static str,
    pub(super) method: String,
    /// As in the request line, still encoded.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Stage {
    replies: Mutex<Vec<Record>>,
    callback: Option<String>,
    received: Mutex<BTreeMap<usize, Received>>,
    done: watch::Sender<BTreeSet<usize>>,
}

/// Both servers of one case.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) origins: Origins,
    stage: Arc<Stage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Transport, "a loopback server cannot be started").caused_by(source)
}

impl Servers {
    /// Starts both on ports of their own. They end with the runtime.
    pub(super) async fn start(case: &Case) -> Result<Self> {
        let stage = Arc::new(Stage {
            replies: Mutex::default(),
            callback: case.callback.clone(),
            received: Mutex::default(),
            done: watch::Sender::new(BTreeSet::new()),
        });
        let mut origins = Vec::new();
        for server in ["same", "cross"] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            origins.push(format!("http://{}", listener.local_addr().map_err(failed)?));
            let stage = Arc::clone(&stage);
            drop(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let stage = Arc::clone(&stage);
                    drop(tokio::spawn(async move { drop(serve(stream, server, &stage).await) }));
                }
            }));
        }
        let cross = origins.pop().unwrap_or_default();
        let same = origins.pop().unwrap_or_default();
        Ok(Self { origins: Origins { same, cross }, stage })
    }

    /// What to answer, by the number of the request.
    pub(super) fn answer_with(&self, replies: Vec<Record>) {
        *lock(&self.stage.replies) = replies;
    }

    /// What came so far, in the order of sending.
    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.stage.received).values().cloned().collect()
    }
}

async fn serve(mut stream: TcpStream, server: &'static str, stage: &Stage) -> std::io::Result<()> {
    let Some(mut request) = read(&mut stream, server).await? else { return Ok(()) };
    let number = request.header(numbered::HEADER).and_then(|number| number.parse::<usize>().ok());
    let number = number.ok_or_else(|| std::io::Error::other("a request without a number"))?;
    request.headers.retain(|(name, _)| name != numbered::HEADER);
    let answer = stage.answer(number, &request);
    lock(&stage.received).insert(number, request);
    let done = || stage.done.send_if_modified(|done| done.insert(number));
    if matches!(answer, Answer::Never) {
        done();
        let mut rest = [0; 64];
        while stream.read(&mut rest).await? > 0 {}
        return Ok(());
    }
    let mut before = stage.done.subscribe();
    drop(before.wait_for(|done| (0..number).all(|earlier| done.contains(&earlier))).await);
    let result = match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await,
        Answer::Cut | Answer::Never => Ok(()),
    };
    // The client closes when it has the whole answer; only then the next one may go.
    drop(stream.shutdown().await);
    let mut rest = [0; 64];
    drop(tokio::time::timeout(GRACE, stream.read(&mut rest)).await);
    done();
    result
}

async fn read(stream: &mut TcpStream, server: &'static str) -> std::io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let got = stream.read(&mut chunk).await?;
        if got == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(chunk.get(..got).unwrap_or_default());
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Received { server, method, target, headers, body: bytes.split_off(end + 4) };
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while request.body.len() < length {
        let got = stream.read(&mut chunk).await?;
        if got == 0 {
            return Ok(None);
        }
        request.body.extend_from_slice(chunk.get(..got).unwrap_or_default());
    }
    Ok(Some(request))
}

enum Answer {
    Bytes(Vec<u8>),
    Cut,
    Never,
}

impl Stage {
    fn answer(&self, number: usize, request: &Received) -> Answer {
        let callback = self.callback_of(request);
        let replies = lock(&self.replies);
        let Some(reply) = replies.get(number) else {
            return Answer::Bytes(match callback {
                Some(name) => bytes(200, Some(SCRIPT), &format!("{name}([]);")),
                None => bytes(200, Some(JSON), "[]"),
            });
        };
        let flag = |name: &str| reply.get(name).is_some_and(Value::is_truthy);
        if flag("drop") {
            return Answer::Cut;
        }
        if flag("hang") {
            return Answer::Never;
        }
        let status = reply.get("status").and_then(Value::as_i64).and_then(|status| u16::try_from(status).ok());
        let name = callback.unwrap_or_default();
        let (kind, body) = if let Some(json) = reply.get("json") {
            (Some(JSON), json.to_json())
        } else if let Some(json) = reply.get("jsonp") {
            (Some(SCRIPT), format!("{name}({});", json.to_json()))
        } else {
            let body = reply.get("body").and_then(Value::as_str).unwrap_or_default();
            (None, body.replace("{callback}", &name))
        };
        let kind = match reply.get("type") {
            Some(Value::String(kind)) => Some(kind.as_str()),
            Some(_) => None,
            None => kind,
        };
        Answer::Bytes(bytes(status.unwrap_or(200), kind, &body))
    }

    /// The name of the callback that the answer has to call, if the request names one.
    fn callback_of(&self, request: &Received) -> Option<String> {
        let body = String::from_utf8_lossy(&request.body);
        let named = |name: &str| [request.target.as_str(), &body].iter().any(|text| text.contains(name));
        if let Some(name) = self.callback.as_deref().filter(|name| named(name)) {
            return Some(name.to_owned());
        }
        let generated = super::recording::generated_callback();
        let found = generated.find(&request.target).or_else(|| generated.find(&body));
        found.map(|found| found.as_str().to_owned()).or_else(|| self.callback.clone())
    }
}

const JSON: &str = "application/json; charset=utf-8";
const SCRIPT: &str = "application/javascript; charset=utf-8";

fn bytes(status: u16, kind: Option<&str>, body: &str) -> Vec<u8> {
    let body = if status == 204 { "" } else { body };
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n",
        landfall_transport::answer::reason(status)
    );
    if let Some(kind) = kind {
        head = format!("{head}Content-Type: {kind}\r\n");
    }
    if status != 204 {
        head = format!("{head}Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}
