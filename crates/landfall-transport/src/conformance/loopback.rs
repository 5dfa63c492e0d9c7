//! A scripted server on loopback: plain sockets and threads, so that it can misbehave in ways that no HTTP library lets
//! a server misbehave.

use std::{
    collections::VecDeque,
    fmt,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

type Script = Box<dyn FnOnce(&mut TcpStream, &Received) + Send>;

/// A request as the server got it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Header names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The raw value of a parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// Bytes of an answer with its length, after which the connection closes.
pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\nConnection: close\r\n", crate::answer::reason(status));
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("writing to memory");
    }
    if status != 204 {
        write!(head, "Content-Length: {}\r\n", body.len()).expect("writing to memory");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A server on loopback that treats each request by the next script of its queue, one request per connection; with an
/// empty queue it answers 200 with `[]`. Ends when dropped.
pub struct Loopback {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    received: Mutex<Vec<Received>>,
    stopped: AtomicBool,
}

impl Loopback {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(stream, &shared));
                }
            })
        };
        Self { url: format!("http://{address}/"), address, shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Queues what happens to a request: the script gets the connection, and when it returns the connection is closed.
    pub fn push(&self, script: impl FnOnce(&mut TcpStream, &Received) + Send + 'static) {
        self.shared.scripts.lock().unwrap_or_else(PoisonError::into_inner).push_back(Box::new(script));
    }

    /// Queues an answer of exactly these bytes.
    pub fn push_bytes(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.push(move |stream, _| drop(std::io::Write::write_all(stream, &bytes)));
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections; it sees the flag and lets the port go.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").field("url", &self.url).finish_non_exhaustive()
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
    drop(stream.set_write_timeout(Some(Duration::from_secs(10))));
    let Some(received) = stream.try_clone().ok().and_then(|reader| receive(&mut BufReader::new(reader))) else {
        return;
    };
    shared.received.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
    let script = shared.scripts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    if let Some(script) = script {
        script(&mut stream, &received);
    } else {
        let bytes = response(200, &[("Content-Type", "application/json")], b"[]");
        drop(std::io::Write::write_all(&mut stream, &bytes));
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    // Reading what is left lets the other side see an end instead of a reset.
    drop(stream.set_read_timeout(Some(Duration::from_millis(100))));
    while matches!(stream.read(&mut [0; 4096]), Ok(read) if read > 0) {}
}

fn receive(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.trim_end().splitn(3, ' ');
    let mut received =
        Received { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Received::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        received.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = received.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    received.body = vec![0; length];
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}
