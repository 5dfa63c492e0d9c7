//! How sessions begin, live and end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_storage::{Delta, ErrorKind, Storage, StoredRow, conformance::block_on};
use landfall_storage_session::{SessionConfig, SessionStorage, SessionStore};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
    fn config(&self) -> SessionConfig {
        let clock = self.clone();
        SessionConfig::new().clock(move || *clock.0.lock().unwrap())
    }
}

fn put(text: &str) -> Delta {
    let row = StoredRow { id: 1, order: 1, state: None, record: text.into(), change: None };
    Delta { put: vec![row], ..Delta::default() }
}

fn text(session: &SessionStorage, key: &str) -> Option<String> {
    block_on(session.load(key)).unwrap().rows.first().map(|row| row.record.to_string())
}

#[track_caller]
fn assert_closed(session: &SessionStorage) {
    assert!(!session.is_live());
    for kind in [
        block_on(session.load("k")).unwrap_err().kind(),
        block_on(session.commit("k", 0, put("{}"))).unwrap_err().kind(),
        block_on(session.remove("k")).unwrap_err().kind(),
        block_on(session.keys()).unwrap_err().kind(),
        block_on(session.usage(None)).unwrap_err().kind(),
    ] {
        assert_eq!(kind, &ErrorKind::Closed);
    }
}

#[test]
fn sessions_side_by_side_never_see_each_other() {
    let store = SessionStore::default();
    let visitors: Vec<_> = (0..50).map(|n| store.session(&format!("visitor {n}")).unwrap()).collect();
    std::thread::scope(|scope| {
        for (n, session) in visitors.iter().enumerate() {
            scope.spawn(move || block_on(session.commit("cart", 0, put(&format!(r#"{{"n":{n}}}"#)))).unwrap());
        }
    });
    for (n, session) in visitors.iter().enumerate() {
        assert_eq!(text(session, "cart").unwrap(), format!(r#"{{"n":{n}}}"#));
        assert_eq!(block_on(session.keys()).unwrap(), ["cart"]);
        assert_eq!(block_on(session.usage(None)).unwrap(), format!(r#"{{"n":{n}}}"#).len() as u64);
    }
    assert_eq!(store.len(), 50);
}

#[test]
fn ending_takes_the_states_and_closes_the_handles() {
    let store = SessionStore::default();
    let (one, two) = (store.session("a").unwrap(), store.session("a").unwrap());
    let other = store.session("b").unwrap();
    block_on(one.commit("k", 0, put(r#"{"by":"one"}"#))).unwrap();
    block_on(other.commit("k", 0, put(r#"{"by":"other"}"#))).unwrap();
    assert!(store.end("a"));
    assert!(!store.end("a"), "only once");
    assert!(!store.end("nobody"));
    assert_closed(&one);
    assert_closed(&two);
    assert_eq!(text(&other, "k").unwrap(), r#"{"by":"other"}"#);
    // The same id again is a new session, and not the old handles'.
    let again = store.session("a").unwrap();
    assert_eq!(text(&again, "k"), None);
    block_on(again.commit("k", 0, put(r#"{"by":"again"}"#))).unwrap();
    assert_closed(&one);
}

#[test]
fn the_idle_time_out_is_20_minutes_and_restarted_by_use() {
    let clock = Clock::new();
    let store = SessionStore::new(clock.config());
    let session = store.session("a").unwrap();
    block_on(session.commit("k", 0, put("{}"))).unwrap();
    for _ in 0..5 {
        clock.advance(19 * MINUTE);
        assert_eq!(text(&session, "k").unwrap(), "{}");
        clock.advance(20 * MINUTE);
        // A handle asked for is a use as well.
        store.session("a").unwrap();
    }
    clock.advance(20 * MINUTE);
    assert!(session.is_live(), "asking is no use");
    clock.advance(Duration::from_secs(1));
    assert_closed(&session);
    assert_eq!(store.len(), 0);
    assert_eq!(text(&store.session("a").unwrap(), "k"), None, "a new session under the old id is empty");
}

#[test]
fn the_time_out_can_be_set() {
    let clock = Clock::new();
    let short = SessionStore::new(clock.config().idle_timeout(MINUTE));
    let endless = SessionStore::new(clock.config().idle_timeout(Duration::MAX));
    let (a, b) = (short.session("a").unwrap(), endless.session("b").unwrap());
    clock.advance(2 * MINUTE);
    assert_closed(&a);
    clock.advance(100_000 * MINUTE);
    assert!(b.is_live());
}

#[test]
fn sweeping_ends_the_idle_ones_only() {
    let clock = Clock::new();
    let store = SessionStore::new(clock.config());
    let sessions: Vec<_> = (0..10).map(|n| store.session(&n.to_string()).unwrap()).collect();
    assert_eq!(store.sweep(), 0);
    clock.advance(15 * MINUTE);
    for session in &sessions[..4] {
        block_on(session.keys()).unwrap();
    }
    clock.advance(15 * MINUTE);
    assert_eq!(store.sweep(), 6);
    assert_eq!(store.sweep(), 0);
    assert_eq!(store.len(), 4);
    assert!(sessions[..4].iter().all(SessionStorage::is_live));
    sessions[4..].iter().for_each(assert_closed);
}

#[test]
fn an_empty_id_is_refused_and_no_id_is_printed() {
    let store = SessionStore::default();
    assert_eq!(store.session("").unwrap_err().kind(), &ErrorKind::Config);
    let session = store.session("s3cret").unwrap();
    store.end("s3cret");
    let error = block_on(session.load("k")).unwrap_err();
    for text in [format!("{session:?}"), format!("{store:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}
