//! What a failure means, and when a change that failed goes again: holds, back-off, budgets (I14, I21, I22).

use crate::help::{Log, calm, data, failures, kept, keys, model, record, rows, sent, three};
use landfall::{
    Builder, DataSource, Date, Error, ErrorKind, Standing, Verdict,
    storage::{MemoryStorage, item_storage},
    transport::{Fault, MockServer, Operation},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

fn building(server: &MockServer, storage: &MemoryStorage) -> Builder {
    DataSource::builder().transport(server.clone()).model(model()).storage(storage.clone(), "rows")
}

fn login() -> Fault {
    Fault::on(Operation::Update).fail(401)
}

fn busy(secs: u64) -> Fault {
    Fault::on(Operation::Update).fail(429).retry_after(Duration::from_secs(secs))
}

/// Edits the three rows.
fn edit_all(source: &DataSource, value: &str) {
    for row in source.data() {
        source.set(&row, "name", value).unwrap();
    }
}

fn standings(source: &DataSource) -> Vec<(Standing, u32)> {
    source.pending().iter().map(|pending| (pending.standing, pending.attempts)).collect()
}

#[tokio::test]
async fn i22_a_401_holds_the_queue_and_burns_no_attempts() {
    let server = three().fault(login()).build();
    let source = building(&server, &MemoryStorage::new()).max_in_flight(1).build().unwrap();
    source.read().await.unwrap();
    edit_all(&source, "x");
    sent(&server);
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Status(401), ErrorKind::Status(401), ErrorKind::Status(401)]);
    assert_eq!(sent(&server).len(), 1, "the others were not sent");
    assert_eq!(standings(&source), [(Standing::Held, 0), (Standing::Held, 0), (Standing::Held, 0)]);
    assert_eq!(source.pending()[0].failure.as_ref().unwrap().verdict, Verdict::HoldForLogin);
    assert!(source.sync().await.unwrap().is_success(), "an explicit sync asks again");
    assert!(source.pending().is_empty() && !source.has_changes());
}

#[tokio::test]
async fn i22_an_automatic_sync_stores_edits_and_sends_nothing_while_a_login_is_waited_for() {
    let server = three().fault(login()).build();
    let storage = MemoryStorage::new();
    let source = building(&server, &storage).auto_sync(true).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.idle().await.unwrap();
    sent(&server);
    let log = Log::of(&source);
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    source.idle().await.unwrap();
    assert_eq!(log.take(), "change:sync", "accepted and shown, not sent");
    assert_eq!(sent(&server), [""; 0]);
    assert_eq!(standings(&source), [(Standing::Held, 0), (Standing::Held, 0)]);

    drop(source);
    let source = building(&server, &storage).auto_sync(true).build().unwrap();
    source.restore().await.unwrap();
    assert_eq!(standings(&source), [(Standing::Held, 0), (Standing::Held, 0)], "the hold is stored");
    assert!(source.resume().await.unwrap().is_success());
    assert_eq!(rows(&server)[..2], [r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"B"}"#]);
}

#[tokio::test]
async fn i22_what_waits_for_a_login_goes_once_a_read_got_through() {
    let server = three().fault(login()).build();
    let source = building(&server, &MemoryStorage::new()).auto_sync(true).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.idle().await.unwrap();
    assert_eq!(standings(&source), [(Standing::Held, 0)]);
    source.read().await.unwrap();
    source.idle().await.unwrap();
    assert!(source.pending().is_empty());
    assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#);
}

#[tokio::test]
async fn i22_resume_sends_what_was_held_and_no_drafts() {
    let server = three().fault(login()).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.set(source.at(1).unwrap(), "name", "draft").unwrap();
    sent(&server);
    let report = source.resume().await.unwrap();
    assert_eq!(report.done(), 1);
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
    assert_eq!(data(&source)[1], r#"{"id":2,"name":"draft"}"#);
    assert!(source.has_changes());
}

#[tokio::test(start_paused = true)]
async fn i22_a_pause_that_the_service_asks_for_is_a_floor_between_syncs() {
    for status in [429, 503] {
        let fault = Fault::on(Operation::Update).fail(status).retry_after(Duration::from_secs(60));
        let server = three().fault(fault).build();
        let source = building(&server, &MemoryStorage::new()).max_in_flight(1).build().unwrap();
        source.read().await.unwrap();
        edit_all(&source, "x");
        sent(&server);
        assert_eq!(source.sync().await.unwrap().failures().count(), 3);
        assert_eq!(sent(&server).len(), 1);
        let pending = source.pending();
        assert_eq!((pending[0].standing, pending[0].attempts), (Standing::Held, 0));
        let failure = pending[0].failure.as_ref().unwrap();
        assert_eq!((failure.verdict, failure.wait), (Verdict::HoldForRate, Some(Duration::from_secs(60))));
        assert_eq!(pending[0].retry_at().unwrap().millis() - failure.at.unwrap().millis(), 60_000);

        tokio::time::advance(Duration::from_secs(59)).await;
        let report = source.sync().await.unwrap();
        assert_eq!(failures(&report), vec![ErrorKind::Status(status); 3], "also an explicit one");
        assert_eq!(sent(&server), [""; 0]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(source.sync().await.unwrap().is_success());
        assert_eq!(sent(&server).len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn i22_a_pause_beyond_the_cap_holds_its_own_change_only() {
    let server = three().fault(busy(1_000_000_000)).build();
    let source = building(&server, &MemoryStorage::new()).max_in_flight(1).retry_in_background(true);
    let source = source.max_hold(Duration::from_secs(90)).build().unwrap();
    source.read().await.unwrap();
    edit_all(&source, "x");
    assert_eq!(source.sync().await.unwrap().done(), 2);
    assert_eq!(source.pending()[0].failure.as_ref().unwrap().wait, Some(Duration::from_secs(90)));
    tokio::time::sleep(Duration::from_secs(89)).await;
    assert_eq!(source.pending().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(source.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn i22_in_the_background_what_failed_goes_again_after_a_back_off_that_grows() {
    let server = three().fault(Fault::on(Operation::Update).times(6).fail(503)).build();
    let source = building(&server, &MemoryStorage::new()).retry_in_background(true);
    let source = source.background_backoff(Duration::from_secs(10), Duration::from_secs(40)).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    let mut keys_seen = keys(&server);
    let mut pauses = Vec::new();
    let mut last = tokio::time::Instant::now();
    while !source.pending().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let new = keys(&server);
        if !new.is_empty() {
            pauses.push(last.elapsed());
            last = tokio::time::Instant::now();
            keys_seen.extend(new);
        }
    }
    assert_eq!(keys_seen.len(), 7, "tried until it got through, and not once more");
    assert!(keys_seen.iter().all(|key| *key == keys_seen[0]), "with its key");
    for (pause, ceiling) in pauses.iter().zip([10, 20, 40, 40, 40, 40]) {
        assert!(*pause <= Duration::from_secs(ceiling) + Duration::from_millis(20), "{pauses:?}");
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(keys(&server).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn i22_the_background_keeps_holds_and_leaves_what_was_refused_and_what_is_a_draft() {
    let server = three().build();
    let source = building(&server, &MemoryStorage::new()).max_in_flight(1).retry_in_background(true).build().unwrap();
    source.read().await.unwrap();
    server.add_fault(Fault::on(Operation::Update).fail(422));
    server.add_fault(busy(100));
    edit_all(&source, "x");
    source.sync().await.unwrap();
    source.set(source.at(2).unwrap(), "name", "draft").unwrap();
    assert_eq!(sent(&server).len(), 2);
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert_eq!(sent(&server), [""; 0]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(sent(&server), [r#"update {"id":2,"name":"x"}"#, r#"update {"id":3,"name":"x"}"#]);
    assert_eq!(standings(&source), [(Standing::Quarantined, 1)]);
    assert_eq!(data(&source)[2], r#"{"id":3,"name":"draft"}"#);

    server.add_fault(login());
    source.sync().await.unwrap();
    sent(&server);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(sent(&server), [""; 0], "a login is waited for, however long");
}

#[tokio::test(start_paused = true)]
async fn i22_the_background_is_off_by_default_sends_nothing_offline_and_ends_with_the_data_source() {
    for (background, offline, dropped) in [(false, false, false), (true, true, false), (true, false, true)] {
        let server = three().fault(Fault::on(Operation::Update).fail(503)).build();
        let source = building(&server, &MemoryStorage::new()).retry_in_background(background).build().unwrap();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.sync().await.unwrap();
        sent(&server);
        if offline {
            source.online(false).await.unwrap();
        }
        let keep = (!dropped).then_some(source);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(sent(&server), [""; 0]);
        drop(keep);
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_restart_goes_on_in_the_background_and_keeps_the_rest_of_a_pause() {
    let server = three().fault(busy(100)).build();
    let storage = MemoryStorage::new();
    let clock = Arc::new(AtomicI64::new(1_000_000));
    let with_clock = |storage: &MemoryStorage| {
        let clock = Arc::clone(&clock);
        building(&server, storage)
            .retry_in_background(true)
            .clock(move || Date::from_millis(clock.load(Ordering::Relaxed)))
            .build()
            .unwrap()
    };
    let source = with_clock(&storage);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    sent(&server);
    drop(source);

    // Sixty seconds later.
    clock.fetch_add(60_000, Ordering::Relaxed);
    let source = with_clock(&storage);
    source.restore().await.unwrap();
    assert_eq!(source.pending()[0].retry_at(), Some(Date::from_millis(1_100_000)));
    tokio::time::sleep(Duration::from_secs(39)).await;
    assert_eq!(sent(&server), [""; 0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
    assert!(source.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn i21_a_clock_that_jumps_makes_no_wait_longer_and_no_sync_hot() {
    for jump in [-2_000_000_000_000, 250_000_000_000_000] {
        let server = three().fault(busy(100)).build();
        let storage = MemoryStorage::new();
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let build = || {
            let clock = Arc::clone(&clock);
            let builder = building(&server, &storage).retry_in_background(true);
            builder.clock(move || Date::from_millis(clock.load(Ordering::Relaxed))).build().unwrap()
        };
        let source = build();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.sync().await.unwrap();
        sent(&server);
        clock.fetch_add(jump, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(99)).await;
        assert_eq!(sent(&server), [""; 0], "while it runs, the set clock does not matter");
        drop(source);
        let source = build();
        source.restore().await.unwrap();
        tokio::time::sleep(Duration::from_secs(101)).await;
        assert_eq!(sent(&server).len(), 1, "after a restart the wait is as long as it was at most");
        assert!(source.pending().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn i22_a_storage_that_is_full_makes_no_hot_loop() {
    let server = three().fault(Fault::on(Operation::Update).fail(503)).build();
    let (full, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let (is_full, counted) = (Arc::clone(&full), Arc::clone(&writes));
    let kept = std::sync::Mutex::new(None);
    let kept = Arc::new(kept);
    let found = Arc::clone(&kept);
    let storage = item_storage(
        move || Ok::<_, Error>(found.lock().unwrap().clone()),
        move |value: &str| {
            counted.fetch_add(1, Ordering::Relaxed);
            if is_full.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::QuotaExceeded { used: 1, limit: 1, needed: 1 }, ""));
            }
            *kept.lock().unwrap() = Some(value.to_owned());
            Ok(())
        },
    );
    let source = DataSource::builder().transport(server.clone()).model(model()).retry_in_background(true);
    let source = source.storage(storage, "rows").build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    full.store(true, Ordering::Relaxed);
    writes.store(0, Ordering::Relaxed);
    sent(&server);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(sent(&server), [""; 0], "nothing is sent that is not stored before");
    let tried = writes.load(Ordering::Relaxed);
    assert!((1..30).contains(&tried), "{tried}");
    full.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(source.pending().is_empty());
}

#[tokio::test]
async fn i22_a_budget_ends_a_sync_and_the_next_one_goes_on_with_what_was_tried_least() {
    let server = three().fault(Fault::on(Operation::Update).times(2).fail(500)).build();
    let source = building(&server, &MemoryStorage::new()).sync_budget(2).build().unwrap();
    source.read().await.unwrap();
    edit_all(&source, "x");
    sent(&server);
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Status(500), ErrorKind::Status(500), ErrorKind::Limit]);
    assert_eq!(standings(&source), [(Standing::Queued, 1), (Standing::Queued, 1), (Standing::Queued, 0)]);
    sent(&server);
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":3,"name":"x"}"#, r#"update {"id":1,"name":"x"}"#]);
    assert!(source.sync().await.unwrap().is_success());
    assert!(source.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn i22_further_tries_of_a_call_count_towards_the_budget() {
    let server = three().fault(Fault::on(Operation::Update).times(99).fail(503)).build();
    let source = building(&server, &MemoryStorage::new()).sync_budget(4).retries(50).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    sent(&server);
    source.sync().await.unwrap();
    assert_eq!(sent(&server).len(), 4);
}

#[tokio::test]
async fn a_failure_policy_of_ones_own_comes_before_the_table() {
    let server = three().fault(Fault::on(Operation::Update).fail(403)).build();
    let builder = building(&server, &MemoryStorage::new()).max_in_flight(1);
    let source = builder
        .failure_policy(|tried| (tried.error.status() == Some(403)).then_some(Verdict::HoldForLogin))
        .build()
        .unwrap();
    source.read().await.unwrap();
    edit_all(&source, "x");
    source.sync().await.unwrap();
    assert_eq!(standings(&source), [(Standing::Held, 0), (Standing::Held, 0), (Standing::Held, 0)]);
    server.add_fault(Fault::on(Operation::Update).fail(500));
    assert_eq!(source.sync().await.unwrap().done(), 2, "the rest is the table's");
    assert_eq!(standings(&source), [(Standing::Queued, 1)]);

    let server = three().fault(Fault::on(Operation::Update).fail(418)).build();
    let done = building(&server, &MemoryStorage::new()).failure_policy(|_| Some(Verdict::Done)).build().unwrap();
    done.read().await.unwrap();
    done.set(done.at(0).unwrap(), "name", "A").unwrap();
    assert!(done.sync().await.unwrap().is_success());
    assert!(done.pending().is_empty());
}

#[tokio::test]
async fn without_a_storage_nothing_is_held() {
    let server = three().fault(login()).build();
    let source = DataSource::builder().transport(server.clone()).model(model()).max_in_flight(1).build().unwrap();
    source.read().await.unwrap();
    edit_all(&source, "x");
    assert_eq!(source.sync().await.unwrap().done(), 2);
}

#[tokio::test]
async fn i10_the_try_that_a_crash_cuts_short_is_counted() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    server.set_holding(true);
    let sync = source.sync();
    crate::help::held(&server, 2).await;
    drop((sync, source));
    calm().await;
    server.set_holding(false);
    let source = kept(&server, storage);
    source.restore().await.unwrap();
    assert_eq!(standings(&source), [(Standing::InDoubt, 1), (Standing::InDoubt, 1)]);
    assert!(source.sync().await.unwrap().is_success());
}
