//! Cases about calls that overlap, and about futures that are dropped half way.

use super::{
    Place,
    rig::{Handle, KEY, model, put, row, skip},
    wait::{block_on, poll_once},
};
use crate::{Delta, ErrorKind, Revision, StoredState};
use std::{collections::BTreeSet, thread};

/// Polls a future up to `times` times, giving other threads room in between, then drops it.
fn poll_and_drop<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>, times: usize) -> Option<T> {
    for _ in 0..times {
        if let Some(output) = poll_once(future.as_mut()) {
            return Some(output);
        }
        thread::sleep(std::time::Duration::from_micros(200));
    }
    None
}

pub(super) fn dropped_futures_leave_old_or_new(place: &Place) {
    let storage = place.handle();
    let mut state = StoredState::default();
    for round in 0..40_u64 {
        let delta = Delta {
            meta: Some(format!(r#"{{"round":{round}}}"#).into()),
            ..put([row(round % 5, 1, &format!(r#"{{"round":{round}}}"#)), row(100 + round, 2, r#"{"id":0}"#)])
        };
        let times = usize::try_from(round % 4).unwrap();
        let outcome = poll_and_drop(storage.0.commit(KEY, state.revision, delta.clone()), times);
        let mut new = state.clone();
        new.apply(&delta, state.revision + 1);
        let found = storage.load(KEY);
        if let Some(revision) = outcome {
            assert_eq!(revision.unwrap(), new.revision);
            assert_eq!(found, new);
        } else {
            // The job may still be under way in a storage that loads without waiting for it; a commit settles that.
            let settled = storage.try_commit(KEY, found.revision, &Delta::default());
            match settled {
                Ok(revision) => assert_eq!(revision, found.revision + 1),
                Err(error) => assert_eq!(error.kind(), &ErrorKind::Stale { current: new.revision }, "{error:?}"),
            }
        }
        let found = storage.load(KEY);
        let (old, new) = ((&state.meta, &state.rows), (&new.meta, &new.rows));
        assert!((&found.meta, &found.rows) == old || (&found.meta, &found.rows) == new, "round {round}: {found:?}");
        state = found;
    }
    assert_eq!(storage.commit(KEY, state.revision, &Delta::default()), state.revision + 1);
}

pub(super) fn dropped_loads_and_removals_harm_nothing(place: &Place) {
    let storage = place.handle();
    let delta = put([row(1, 1, r#"{"id":1}"#)]);
    for round in 0..12_usize {
        storage.commit(KEY, 0, &delta);
        drop(poll_and_drop(storage.0.load(KEY), round % 3));
        drop(poll_and_drop(storage.0.keys(), round % 3));
        drop(poll_and_drop(storage.0.usage(None), round % 3));
        assert_eq!(storage.load(KEY), model([&delta]));
        drop(poll_and_drop(storage.0.remove(KEY), round % 3));
        let found = storage.load(KEY);
        assert!(found == StoredState::default() || found == model([&delta]), "{found:?}");
        storage.remove(KEY);
        assert_eq!(storage.load(KEY), StoredState::default());
    }
}

/// Commits again and again until it won `wins` times; gives the revisions that it made.
fn contend(storage: &Handle, wins: u64, writer: u64) -> Vec<Revision> {
    let mut made = Vec::new();
    let mut expected = 0;
    while (made.len() as u64) < wins {
        let id = writer * 1_000 + made.len() as u64;
        match storage.try_commit(KEY, expected, &put([row(id, id, &format!(r#"{{"writer":{writer}}}"#))])) {
            Ok(revision) => {
                assert_eq!(revision, expected + 1);
                made.push(revision);
                expected = revision;
            }
            Err(error) => match *error.kind() {
                ErrorKind::Stale { current } => {
                    assert_ne!(current, expected, "stale, yet current");
                    expected = current;
                }
                // Another writer holds the store longer than the storage waits: allowed, and to be tried again.
                ErrorKind::Locked => {}
                _ => panic!("{error:?}"),
            },
        }
    }
    made
}

fn one_winner(handles: Vec<Handle>, wins: u64) {
    let last = handles[0].clone();
    let count = handles.len() as u64;
    let made: Vec<Vec<Revision>> = thread::scope(|scope| {
        let writers: Vec<_> =
            handles.into_iter().zip(0..).map(|(handle, n)| scope.spawn(move || contend(&handle, wins, n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let distinct: BTreeSet<Revision> = made.iter().flatten().copied().collect();
    assert_eq!(distinct.into_iter().collect::<Vec<_>>(), (1..=count * wins).collect::<Vec<_>>());
    let state = last.load(KEY);
    assert_eq!(state.revision, count * wins);
    assert_eq!(state.rows.len() as u64, count * wins, "every winner's row is there");
}

pub(super) fn one_winner_per_revision(place: &Place) {
    let storage = place.handle();
    one_winner(vec![storage; 4], 25);
}

pub(super) fn handles_and_threads_lose_nothing(place: &Place) {
    one_winner((0..4).map(|_| place.handle()).collect(), 15);
}

pub(super) fn keys_commit_side_by_side(place: &Place) {
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("the storage keeps one key only");
    }
    thread::scope(|scope| {
        for n in 0..4 {
            let storage = &storage;
            scope.spawn(move || {
                let key = format!("key {n}");
                for step in 0..20 {
                    assert_eq!(storage.commit(&key, step, &put([row(step, step, r#"{"id":1}"#)])), step + 1);
                    assert_eq!(storage.load(&key).rows.len() as u64, step + 1);
                }
            });
        }
    });
    assert_eq!(storage.keys(), ["key 0", "key 1", "key 2", "key 3"]);
    // Several commits in flight at once, from one thread, on one key: they happen in order.
    let commits: Vec<_> = (20..30).map(|step| storage.0.commit("key 0", step, put([row(step, 0, "{}")]))).collect();
    let mut commits: Vec<_> = commits.into_iter().collect();
    let mut ready = Vec::new();
    for commit in &mut commits {
        ready.push(poll_once(commit.as_mut()));
    }
    for ((commit, ready), step) in commits.into_iter().zip(ready).zip(20..) {
        let revision = match ready {
            Some(done) => done,
            None => block_on(commit),
        };
        assert_eq!(revision.unwrap(), step + 1);
    }
}
