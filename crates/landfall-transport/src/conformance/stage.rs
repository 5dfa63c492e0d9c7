//! What a case needs: a transport, and a service behind it that behaves as told.

use super::loopback::{Loopback, Received, response};
use crate::Transport;
use landfall_core::Value;
use std::{
    fmt,
    future::Future,
    io::{Read, Write},
    net::TcpStream,
    pin::{Pin, pin},
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

/// How the service is to treat the next request that it gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// Answers with this status, these headers and this value (`None`: no body).
    Answer(u16, Vec<(String, String)>, Option<Value>),
    /// Answers 200 with a web page.
    WebPage,
    /// Answers 200 with a text that begins like data and is none.
    BrokenData,
    /// Takes the request and cuts the connection before any answer.
    CutBeforeAnswer,
    /// Cuts the connection in the middle of an answer's body.
    CutInBody,
    /// Takes the request and says nothing. The stage's transport must give up within a second.
    Silence,
    /// Is not there at all, for this and every later request.
    Gone,
    /// As `Answer` with 200 and this value, but only after [`Stage::release`].
    Held(Value),
}

impl Behaviour {
    /// An answer with a body and without further headers.
    pub fn answer(status: u16, body: Value) -> Self {
        Self::Answer(status, Vec::new(), Some(body))
    }
}

/// A fresh service for one case, and a transport that talks to it. The transport offers read, create, update and destroy.
pub trait Stage: Send + Sync {
    /// The transport under test; the same each time.
    fn transport(&self) -> Arc<dyn Transport>;

    /// A transport to the same service that offers `read` alone, if one can be made.
    fn read_only_transport(&self) -> Option<Arc<dyn Transport>> {
        None
    }

    /// Queues how the service treats a request. Gives `false` if the service cannot do that.
    fn arm(&self, behaviour: Behaviour) -> bool;

    /// How many requests have reached the service.
    fn seen(&self) -> usize;

    /// Lets every held answer go, now and from now on.
    fn release(&self);

    /// Drives a future to its end; with whatever runtime the transport needs.
    fn run(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        block_on(future);
    }
}

type Inside = Box<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync>;
type Make = Box<dyn Fn(&str) -> Arc<dyn Transport> + Send + Sync>;

/// A [`Stage`] for transports over HTTP: a scripted server on loopback.
pub struct LoopbackStage {
    server: Mutex<Option<Loopback>>,
    transport: Arc<dyn Transport>,
    read_only: Option<Arc<dyn Transport>>,
    seen_before: Mutex<usize>,
    gate: Arc<Gate>,
    wrapped: bool,
    inside: Option<Inside>,
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Duration::from_secs(10);
        drop(self.changed.wait_timeout_while(open, limit, |open| !*open));
    }

    fn release(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl LoopbackStage {
    /// A server, and the transport that `make` builds for its URL (`http://127.0.0.1:PORT/`). The transport has to time
    /// out in less than a second.
    pub fn new(make: impl Fn(&str) -> Arc<dyn Transport> + Send + Sync + 'static) -> Self {
        let make: Make = Box::new(make);
        let server = Loopback::start();
        let transport = make(server.url());
        Self {
            server: Mutex::new(Some(server)),
            transport,
            read_only: None,
            seen_before: Mutex::new(0),
            gate: Arc::default(),
            wrapped: false,
            inside: None,
        }
    }

    /// Also makes a transport that offers `read` alone.
    #[must_use]
    pub fn read_only(mut self, make: impl Fn(&str) -> Arc<dyn Transport>) -> Self {
        let url = self.server.lock().unwrap().as_ref().map(|server| server.url().to_owned()).unwrap_or_default();
        self.read_only = Some(make(&url));
        self
    }

    /// Wraps every value in the call of the request's parameter `callback` (JSONP).
    #[must_use]
    pub fn wrapped(mut self) -> Self {
        self.wrapped = true;
        self
    }

    /// Drives futures by `run`, such as a runtime's `block_on`.
    #[must_use]
    pub fn inside(
        mut self,
        run: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync + 'static,
    ) -> Self {
        self.inside = Some(Box::new(run));
        self
    }
}

fn body(received: &Received, value: &Value, wrapped: bool) -> String {
    let json = value.to_json();
    match received.query("callback") {
        Some(name) if wrapped => format!("{name}({json});"),
        _ => json,
    }
}

impl Stage for LoopbackStage {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    fn read_only_transport(&self) -> Option<Arc<dyn Transport>> {
        self.read_only.clone()
    }

    fn arm(&self, behaviour: Behaviour) -> bool {
        let mut slot = self.server.lock().unwrap();
        let Some(server) = slot.as_ref() else { return false };
        let wrapped = self.wrapped;
        let send = move |stream: &mut TcpStream, bytes: &[u8]| drop(stream.write_all(bytes));
        match behaviour {
            Behaviour::Answer(status, headers, value) => server.push(move |stream, received| {
                let mut headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                headers.push(("Content-Type", if wrapped { "application/javascript" } else { "application/json" }));
                // What a service says about a failure it says in plain JSON.
                let text = value.as_ref().map(|value| body(received, value, wrapped && status < 300));
                send(stream, &response(status, &headers, text.unwrap_or_default().as_bytes()));
            }),
            Behaviour::WebPage => server.push(move |stream, _| {
                let page = b"<!doctype html><title>Log in</title>";
                send(stream, &response(200, &[("Content-Type", "text/html; charset=utf-8")], page));
            }),
            Behaviour::BrokenData => server.push(move |stream, received| {
                let text = body(received, &Value::array([]), wrapped).replace("[]", "[{\"id\":1,]");
                send(stream, &response(200, &[("Content-Type", "application/json")], text.as_bytes()));
            }),
            Behaviour::CutBeforeAnswer => server.push(|_, _| {}),
            Behaviour::CutInBody => server.push(move |stream, _| {
                send(
                    stream,
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[{\"id\":1}",
                );
            }),
            Behaviour::Silence => server.push(|stream, _| {
                // Until the other side hangs up.
                drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
                drop(stream.read(&mut [0; 16]));
            }),
            Behaviour::Held(value) => {
                let gate = Arc::clone(&self.gate);
                server.push(move |stream, received| {
                    gate.wait();
                    let text = body(received, &value, wrapped);
                    send(stream, &response(200, &[("Content-Type", "application/json")], text.as_bytes()));
                });
            }
            Behaviour::Gone => {
                *self.seen_before.lock().unwrap() += server.requests().len();
                *slot = None;
            }
        }
        true
    }

    fn seen(&self) -> usize {
        let now = self.server.lock().unwrap().as_ref().map_or(0, |server| server.requests().len());
        *self.seen_before.lock().unwrap() + now
    }

    fn release(&self) {
        self.gate.release();
    }

    fn run(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        match &self.inside {
            Some(inside) => inside(future),
            None => block_on(future),
        }
    }
}

impl fmt::Debug for LoopbackStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackStage").field("transport", &self.transport).finish_non_exhaustive()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, without a runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// Polls a future once; within a runtime's context.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Drives two futures side by side.
pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(cx)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
