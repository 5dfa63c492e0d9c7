//! Connectivity: switch, events, polling on a paused clock, and one real server that goes down and comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use async_trait::async_trait;
use futures_core::Stream;
use landfall::connectivity::{Connectivity, Evidence, Polling, Probe, follow};
use landfall_core::ErrorKind;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// A stream from a channel.
struct Events(mpsc::UnboundedReceiver<bool>);

impl Stream for Events {
    type Item = bool;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<bool>> {
        self.0.poll_recv(context)
    }
}

fn events() -> (mpsc::UnboundedSender<bool>, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Events(receiver))
}

/// A probe that plays a script, one letter a probe: `+` up, `-` down, `?` no answer, `!` a panic. The last one repeats.
#[derive(Clone, Debug)]
struct Script(Arc<Mutex<Played>>);

#[derive(Debug)]
struct Played {
    letters: VecDeque<char>,
    start: Instant,
    asked: Vec<Duration>,
}

impl Script {
    fn new(letters: &str) -> Self {
        let played = Played { letters: letters.chars().collect(), start: Instant::now(), asked: Vec::new() };
        Self(Arc::new(Mutex::new(played)))
    }

    /// When it was asked, in milliseconds since the start.
    fn asked(&self) -> Vec<u128> {
        self.0.lock().unwrap().asked.iter().map(Duration::as_millis).collect()
    }

    fn then(&self, letters: &str) {
        self.0.lock().unwrap().letters = letters.chars().collect();
    }
}

#[async_trait]
impl Probe for Script {
    async fn probe(&self) -> Evidence {
        let letter = {
            let mut played = self.0.lock().unwrap();
            let now = played.start.elapsed();
            played.asked.push(now);
            if played.letters.len() > 1 { played.letters.pop_front().unwrap() } else { played.letters[0] }
        };
        match letter {
            '+' => Evidence::up("fine"),
            '-' => Evidence::down("refused"),
            '?' => std::future::pending().await,
            other => panic!("{other}"),
        }
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn a_switch_tells_everybody_and_keeps_the_moment() {
    let (switch, connectivity) = Connectivity::manual(true);
    let mut changes = connectivity.changes();
    assert_eq!(changes.next().await.unwrap().to_string(), "online: set by hand");

    switch.set_because(false, "flight mode");
    let down = changes.next().await.unwrap();
    assert_eq!((down.online, &*down.reason), (false, "flight mode"));
    assert!(!connectivity.is_online());
    assert_eq!(&*connectivity.clone().reason(), "flight mode");

    switch.set_because(false, "still in the air");
    let still = changes.next().await.unwrap();
    assert_eq!((&*still.reason, still.since), ("still in the air", down.since));

    // Saying the same again is no change, and without a switch there will be none.
    switch.set_because(false, "still in the air");
    drop(switch);
    assert_eq!(changes.next().await, None);
    assert_eq!(changes.next().await, None);
    assert!(!connectivity.is_online());
}

#[tokio::test]
async fn the_first_event_is_the_initial_state() {
    let (sender, stream) = events();
    sender.send(false).unwrap();
    let connectivity = Connectivity::from_events(stream).await.unwrap();
    assert!(!connectivity.is_online());
    let mut changes = connectivity.changes();
    changes.next().await.unwrap();
    sender.send(true).unwrap();
    assert_eq!(changes.next().await.unwrap().to_string(), "online: an event said up");

    // The end of the events leaves the last state standing.
    drop(sender);
    assert_eq!(changes.next().await, None);
    assert!(connectivity.is_online());
}

#[tokio::test]
async fn events_with_an_explicit_initial_state() {
    let (sender, stream) = events();
    let connectivity = Connectivity::from_events_starting(false, stream).unwrap();
    assert_eq!(connectivity.settled().await.to_string(), "offline: the initial state");
    sender.send(true).unwrap();
    let mut changes = connectivity.changes();
    while !changes.next().await.unwrap().online {}
    // The task behind it, and with it the stream, goes with the last handle.
    drop(connectivity);
    assert!(!sender.is_closed());
    drop(changes);
    timeout(seconds(5), sender.closed()).await.unwrap();
}

#[tokio::test]
async fn events_that_never_come_are_a_mistake() {
    let (sender, stream) = events();
    drop(sender);
    assert_eq!(*Connectivity::from_events(stream).await.unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn outside_a_runtime_is_a_typed_error() {
    let (_sender, stream) = events();
    assert_eq!(*Connectivity::from_events_starting(true, stream).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(*Polling::of(Unasked).start().unwrap_err().kind(), ErrorKind::Config);
}

/// A probe that nobody may ask.
#[derive(Debug)]
struct Unasked;

#[async_trait]
impl Probe for Unasked {
    async fn probe(&self) -> Evidence {
        panic!("asked although never started")
    }
}

#[tokio::test(start_paused = true)]
async fn polls_every_five_seconds_while_up() {
    let script = Script::new("+");
    let connectivity = Polling::of(script.clone()).start().unwrap();
    assert_eq!(&*connectivity.reason(), "assumed, the first probe is under way");
    assert_eq!(connectivity.settled().await.to_string(), "online: fine");
    sleep(seconds(16)).await;
    assert_eq!(script.asked(), [0, 5000, 10000, 15000]);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_decides_alone() {
    let connectivity = Polling::of(Script::new("-")).start().unwrap();
    assert!(connectivity.is_online());
    assert_eq!(connectivity.settled().await.to_string(), "offline: refused");
}

#[tokio::test(start_paused = true)]
async fn one_lost_probe_is_no_outage_two_are() {
    let script = Script::new("+-+--");
    let connectivity = Polling::of(script.clone()).jitter(0.0).start().unwrap();
    let mut changes = connectivity.changes();
    assert!(changes.next().await.unwrap().online);
    while changes.next().await.unwrap().online {}
    // The doubt is settled a second later, not five.
    assert_eq!(script.asked(), [0, 5000, 6000, 11000, 12000]);
    assert_eq!(&*connectivity.reason(), "refused");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_down_and_shrink_when_up() {
    let script = Script::new("-");
    let connectivity = Polling::of(script.clone()).jitter(0.0).longest_pause(seconds(15)).start().unwrap();
    sleep(seconds(50)).await;
    assert_eq!(script.asked(), [0, 5000, 15000, 30000, 45000]);
    assert!(!connectivity.is_online());
    script.then("+");
    sleep(seconds(16)).await;
    assert!(connectivity.is_online());
    assert_eq!(script.asked()[5..], [60000, 65000]);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_the_pauses_only() {
    let script = Script::new("-");
    let _connectivity = Polling::of(script.clone()).jitter(0.5).longest_pause(seconds(5)).start().unwrap();
    sleep(seconds(500)).await;
    let asked = script.asked();
    let pauses: Vec<u128> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| (2500..=5001).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().any(|pause| *pause < 4900), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_and_a_panic_are_down() {
    let connectivity = Polling::of(Script::new("?")).timeout(Duration::from_millis(1500)).start().unwrap();
    let asked = Instant::now();
    assert_eq!(connectivity.settled().await.to_string(), "offline: no answer within 1500 ms");
    assert_eq!(asked.elapsed().as_millis() / 10, 150);

    let connectivity = Polling::of(Script::new("!+")).start().unwrap();
    assert_eq!(connectivity.settled().await.to_string(), "offline: the probe panicked");
    assert!(connectivity.probe_now().await.online);
}

#[tokio::test(start_paused = true)]
async fn asking_now_asks_now() {
    let script = Script::new("+");
    let connectivity = Polling::of(script.clone()).down_after(1, 1).start().unwrap();
    connectivity.settled().await;
    script.then("-");
    assert!(!connectivity.probe_now().await.online);
    assert_eq!(script.asked(), [0, 0]);
    // Many who ask together share a probe: those that come while one is under way get the next.
    script.then("+");
    let (a, b) = (connectivity.clone(), connectivity.clone());
    let (a, b) = (tokio::spawn(async move { a.probe_now().await }), tokio::spawn(async move { b.probe_now().await }));
    assert!(a.await.unwrap().online && b.await.unwrap().online);
    assert!(script.asked().len() <= 4);
    // A switch has nobody to ask.
    assert!(!Connectivity::manual(false).1.probe_now().await.online);
}

#[tokio::test(start_paused = true)]
async fn a_hint_wakes_and_the_probe_decides() {
    let script = Script::new("+");
    let (hint, stream) = events();
    let connectivity = Polling::of(script.clone()).hints(stream).start().unwrap();
    connectivity.settled().await;
    sleep(seconds(1)).await;
    hint.send(false).unwrap();
    sleep(seconds(1)).await;
    assert_eq!(script.asked(), [0, 1000]);
    assert!(connectivity.is_online(), "the hint said offline, the probe did not");
    drop(hint);
    sleep(seconds(5)).await;
    assert_eq!(script.asked(), [0, 1000, 6000]);
}

#[tokio::test(start_paused = true)]
async fn stops_with_the_last_handle() {
    let script = Script::new("+");
    let connectivity = Polling::of(script.clone()).start().unwrap();
    let (clone, changes) = (connectivity.clone(), connectivity.changes());
    connectivity.settled().await;
    drop((connectivity, clone));
    sleep(seconds(6)).await;
    assert_eq!(script.asked().len(), 2, "a stream of changes is a handle too");
    drop(changes);
    sleep(seconds(60)).await;
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_refused_at_the_start() {
    for polling in [
        Polling::of(Unasked).interval(Duration::ZERO),
        Polling::of(Unasked).timeout(Duration::ZERO),
        Polling::of(Unasked).jitter(1.5),
        Polling::of(Unasked).up_after(0, 3),
        Polling::of(Unasked).down_after(4, 3),
    ] {
        let error = polling.start().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Config, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn following_starts_settled_and_reports_flips_only() {
    let script = Script::new("--+");
    let connectivity = Polling::of(script.clone()).jitter(0.0).start().unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let following = tokio::spawn(follow(connectivity, move |state| {
        let sender = sender.clone();
        async move { sender.send(state.online).unwrap() }
    }));
    assert_eq!(seen.recv().await, Some(false), "not the assumption before the first probe");
    assert_eq!(seen.recv().await, Some(true));
    assert_eq!(script.asked(), [0, 5000, 15000]);
    sleep(seconds(20)).await;
    assert!(seen.try_recv().is_err());
    following.abort();
    assert_eq!(seen.recv().await, None);
    let asked = script.asked().len();
    sleep(seconds(60)).await;
    assert_eq!(script.asked().len(), asked, "the polling went with the follower");
}

#[cfg(feature = "transport-http")]
mod http {
    use super::*;
    use landfall::connectivity::HttpProbe;
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
    };

    /// A server that gives the same bytes to every request, until it is aborted.
    async fn serve(at: SocketAddr, answer: &'static str) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(reply(stream, answer).await);
            }
        });
        (at, task)
    }

    async fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        Ok(())
    }

    async fn reply(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
        read_request(&mut stream).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
    const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

    async fn ask(answer: &'static str, with: impl FnOnce(HttpProbe) -> HttpProbe) -> Evidence {
        let (at, task) = serve(FREE, answer).await;
        let evidence = with(HttpProbe::new(format!("http://{at}/health?token=secret")).unwrap()).probe().await;
        task.abort();
        evidence
    }

    #[tokio::test]
    async fn a_real_server_goes_down_and_comes_back() {
        let (at, task) = serve(FREE, FINE).await;
        let fast = Duration::from_millis(20);
        let polling = Polling::new(format!("http://{at}/")).interval(fast).longest_pause(fast);
        let connectivity = polling.start().unwrap();
        let mut changes = connectivity.changes();
        assert_eq!(connectivity.settled().await.to_string(), "online: the service answers");
        assert!(changes.next().await.unwrap().online);

        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let down = timeout(seconds(20), async {
            loop {
                let state = changes.next().await.unwrap();
                if !state.online {
                    break state;
                }
            }
        });
        assert!(down.await.unwrap().reason.starts_with("cannot connect"));

        let (_, task) = serve(at, FINE).await;
        timeout(seconds(20), async { while !changes.next().await.unwrap().online {} }).await.unwrap();
        task.abort();
    }

    #[tokio::test]
    async fn status_body_and_redirect_decide() {
        assert_eq!(ask(FINE, |probe| probe).await, Evidence::up("the service answers"));
        assert!(ask(FINE, |probe| probe.body(|body| body == b"ok")).await.is_up());
        assert!(!ask(FINE, |probe| probe.body(|body| body == b"pong")).await.is_up());

        let broken = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(ask(broken, |probe| probe).await, Evidence::down("the service answered with status 503"));
        let login = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert!(!ask(login, |probe| probe).await.is_up());
        assert!(ask(login, |probe| probe.status(|status| status < 500)).await.is_up());

        let portal = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let evidence = ask(portal, |probe| probe.status(|_| true)).await;
        assert_eq!(evidence, Evidence::down("redirected elsewhere (a login page of the network?)"));
        let circle = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert!(!ask(circle, |probe| probe).await.is_up());

        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\nConnection: close\r\n\r\nok";
        assert!(!ask(cut, |probe| probe).await.is_up());
        assert!(!ask("", |probe| probe).await.is_up());
    }

    #[tokio::test]
    async fn a_long_body_is_not_read_to_its_end() {
        let endless = TcpListener::bind(FREE).await.unwrap();
        let url = format!("http://{}/", endless.local_addr().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = endless.accept().await.unwrap();
                read_request(&mut stream).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await.unwrap();
                while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
            }
        });
        let limit = seconds(20);
        let probe = HttpProbe::new(&url).unwrap();
        assert!(timeout(limit, probe.probe()).await.unwrap().is_up());
        let evidence = timeout(limit, probe.body(|_| true).probe()).await.unwrap();
        assert_eq!(evidence, Evidence::down("the answer is longer than a probe reads"));
        task.abort();
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_refused_and_secrets_stay_out_of_debug() {
        for url in ["", "/", "ftp://localhost/", "http://"] {
            assert_eq!(*Polling::new(url).start().unwrap_err().kind(), ErrorKind::Config, "{url}");
        }
        let probe = HttpProbe::new("http://user:word@localhost/a?token=secret").unwrap();
        let debug = format!("{probe:?}");
        assert!(!debug.contains("secret") && !debug.contains("word"), "{debug}");
    }
}

#[cfg(feature = "connectivity-os")]
#[tokio::test]
async fn the_operating_system_says_something_at_once_and_hints_wake() {
    use landfall::connectivity::OsEvents;
    let events = match OsEvents::new() {
        Ok(events) => events,
        // Some sandboxes let nobody listen; the typed error is then what is promised.
        Err(error) => return assert_eq!(*error.kind(), ErrorKind::Unsupported),
    };
    let connectivity = timeout(seconds(10), Connectivity::from_events(events)).await.unwrap().unwrap();
    assert!(connectivity.reason().starts_with("an event said"));

    // Its first item is a hint already: two probes without any waiting in between.
    let script = Script::new("+");
    let polling = Polling::of(script.clone()).interval(seconds(3600)).hints_of_os();
    let connectivity = polling.start().unwrap();
    connectivity.settled().await;
    timeout(seconds(10), async {
        while script.asked().len() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
