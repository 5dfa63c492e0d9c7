//! Cases about one key: loading, committing, removing, usage, reopening.

use super::{
    Place,
    rig::{KEY, assert_kind, changed, clear, meta, model, put, row, skip},
};
use crate::{ChangeKind, Delta, ErrorKind, StoredState};
use std::time::{Duration, Instant};

pub(super) fn absent_key_loads_empty(place: &Place) {
    let storage = place.handle();
    assert_eq!(storage.load(KEY), StoredState::default());
    assert_eq!(storage.usage(Some(KEY)), 0);
    assert_eq!(storage.usage(None), 0);
}

pub(super) fn load_creates_nothing(place: &Place) {
    let storage = place.handle();
    storage.load(KEY);
    storage.remove(KEY);
    assert_eq!(storage.keys(), [""; 0]);
    assert_kind(storage.try_commit(KEY, 1, &put([row(1, 1, "{}")])), &ErrorKind::Stale { current: 0 });
    assert_eq!(storage.keys(), [""; 0], "a refused commit creates nothing");
}

pub(super) fn commit_and_load_round_trip(place: &Place) {
    let storage = place.handle();
    let big = format!(r#"{{"text":"{}"}}"#, "Große Größe \u{1F6F3} ".repeat(60_000));
    let delta = Delta {
        meta: Some(r#"{"next":9,"name":"Größe"}"#.into()),
        ..put([
            row(1, 10, r#"{"id":1,"name":"Chai","price":18}"#),
            changed(2, 20, ChangeKind::Create, r#"{"id":0,"name":"neu"}"#, r#"{"op":"a-1"}"#),
            changed(3, 30, ChangeKind::Update, r#"{"id":3,"name":"Ærø"}"#, r#"{"base":{"id":3},"op":"a-2"}"#),
            changed(4, 40, ChangeKind::Destroy, r#"{"id":4}"#, r#"{"op":"a-3"}"#),
            row(5, 50, &big),
        ])
    };
    assert_eq!(storage.commit(KEY, 0, &delta), 1);
    assert_eq!(storage.load(KEY), model([&delta]));
    let without_bookkeeping = put([crate::StoredRow { change: None, ..delta.put[1].clone() }]);
    assert_eq!(storage.commit(KEY, 1, &without_bookkeeping), 2);
    assert_eq!(storage.load(KEY), model([&delta, &without_bookkeeping]));
    assert_eq!(storage.keys(), [KEY]);
}

pub(super) fn texts_survive_unchanged(place: &Place) {
    let storage = place.handle();
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let texts = [
        "{}",
        r#"{"b":1,"a":2,"b2":{"z":[],"y":{}}}"#,
        r#"{"n":9007199254740993,"f":1.0,"e":1e300,"small":0.1,"neg":-0}"#,
        r#"{"esc":"\"\\\/\b\f\n\r\t\u0000\u001f\ud83d\ude00"}"#,
        "{\"raw\":\"\u{7f}\u{2028}\u{2029}\u{feff}e\u{301}\u{e9}\"}",
        r#"{"quote":"'; drop table rows; --","crc":"00000000","record":{}}"#,
        r#"{"same":1,"same":2}"#,
        "{ \"spaced\" : [ 1 , 2 ] }",
        "{\n  \"lines\": 1,\r\n\t\"tab\": 2\n}",
        &deep,
    ];
    let rows: Vec<_> = texts
        .iter()
        .zip(1..)
        .map(|(text, id)| {
            changed(id, id * 8, ChangeKind::Update, text, texts[texts.len() - usize::try_from(id).unwrap()])
        })
        .collect();
    let delta = Delta { meta: Some(texts[8].into()), ..put(rows) };
    storage.commit(KEY, 0, &delta);
    let loaded = storage.load(KEY);
    for (row, text) in loaded.rows.iter().zip(texts) {
        assert_eq!(&*row.record, text);
    }
    assert_eq!(loaded, model([&delta]));
    if place.reopens {
        drop(storage);
        assert_eq!(place.handle().load(KEY), model([&delta]));
    }
}

pub(super) fn extreme_numbers_survive(place: &Place) {
    let storage = place.handle();
    let mut all = vec![put([
        row(0, 5, r#"{"id":0}"#),
        row(u64::MAX, 0, r#"{"id":1}"#),
        row(1 << 63, u64::MAX, r#"{"id":2}"#),
        row((1 << 53) + 1, (1 << 63) + 1, r#"{"id":3}"#),
    ])];
    storage.commit(KEY, 0, &all[0]);
    assert_eq!(storage.load(KEY), model(&all));
    all.push(Delta { delete: vec![u64::MAX], ..put([row(1 << 63, 1, r#"{"id":4}"#)]) });
    storage.commit(KEY, 1, &all[1]);
    assert_eq!(storage.load(KEY), model(&all));
}

pub(super) fn rows_come_in_order(place: &Place) {
    let storage = place.handle();
    let rows = [(5, 50), (1, 90), (9, 10), (4, 50), (2, 60), (8, 10)];
    let delta = put(rows.map(|(id, order)| row(id, order, &format!(r#"{{"id":{id}}}"#))));
    storage.commit(KEY, 0, &delta);
    let ids: Vec<_> = storage.load(KEY).rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [8, 9, 4, 5, 2, 1], "by order, then by id");
    // A row in the middle, and one that moves.
    storage.commit(KEY, 1, &put([row(3, 55, r#"{"id":3}"#), row(1, 1, r#"{"id":1}"#)]));
    let ids: Vec<_> = storage.load(KEY).rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [1, 8, 9, 4, 5, 3, 2]);
}

pub(super) fn every_kind_of_delta_follows_the_model(place: &Place) {
    let storage = place.handle();
    let base = Delta {
        clear: true,
        meta: Some(r#"{"meta":0}"#.into()),
        ..put((1..=6).map(|id| row(id, id * 10, &format!(r#"{{"id":{id}}}"#))))
    };
    let mut all: Vec<Delta> = Vec::new();
    for bits in 0..16_u32 {
        let delta = Delta {
            clear: bits & 1 != 0,
            delete: if bits & 2 != 0 { vec![2, 4, 77] } else { Vec::new() },
            put: if bits & 4 != 0 {
                vec![
                    changed(3, 5, ChangeKind::Update, r#"{"id":3,"new":true}"#, r#"{"op":"x"}"#),
                    changed(8, 35, ChangeKind::Create, r#"{"id":0}"#, r#"{"op":"y"}"#),
                ]
            } else {
                Vec::new()
            },
            meta: (bits & 8 != 0).then(|| format!(r#"{{"meta":{bits}}}"#).into()),
        };
        for delta in [base.clone(), delta] {
            let revision = all.len() as u64;
            assert_eq!(storage.commit(KEY, revision, &delta), revision + 1);
            all.push(delta);
            assert_eq!(storage.load(KEY), model(&all), "after delta number {bits}: {:?}", all.last());
        }
    }
    if place.reopens {
        drop(storage);
        assert_eq!(place.handle().load(KEY), model(&all));
    }
}

pub(super) fn deleted_and_put_again_in_one_commit(place: &Place) {
    let storage = place.handle();
    let all = [
        put([row(1, 10, r#"{"id":1}"#), row(2, 20, r#"{"id":2}"#)]),
        Delta { delete: vec![1, 2, 2], ..put([row(1, 30, r#"{"id":1,"again":true}"#)]) },
    ];
    storage.commit(KEY, 0, &all[0]);
    storage.commit(KEY, 1, &all[1]);
    assert_eq!(storage.load(KEY), model(&all), "rows are deleted first, then put");
    assert_eq!(storage.load(KEY).rows, [row(1, 30, r#"{"id":1,"again":true}"#)]);
}

pub(super) fn meta_is_kept_until_replaced(place: &Place) {
    let storage = place.handle();
    let meta_of = || storage.load(KEY).meta.as_deref().map(str::to_owned);
    storage.commit(KEY, 0, &meta(r#"{"a":1}"#));
    storage.commit(KEY, 1, &put([row(1, 1, r#"{"id":1}"#)]));
    assert_eq!(meta_of().as_deref(), Some(r#"{"a":1}"#));
    storage.commit(KEY, 2, &meta(r#"{"a":2}"#));
    assert_eq!(meta_of().as_deref(), Some(r#"{"a":2}"#));
    storage.commit(KEY, 3, &clear());
    assert_eq!(meta_of(), None);
    assert_eq!(storage.load(KEY), StoredState { revision: 4, ..StoredState::default() });
    assert_eq!(storage.keys(), [KEY], "an empty state is a state");
}

pub(super) fn an_empty_delta_makes_a_revision(place: &Place) {
    let storage = place.handle();
    assert_eq!(storage.commit(KEY, 0, &Delta::default()), 1);
    assert_eq!(storage.load(KEY), StoredState { revision: 1, ..StoredState::default() });
    storage.commit(KEY, 1, &put([row(1, 1, r#"{"id":1}"#)]));
    assert_eq!(storage.commit(KEY, 2, &Delta::default()), 3);
    assert_eq!(storage.load(KEY).rows, [row(1, 1, r#"{"id":1}"#)]);
}

pub(super) fn stale_commit_names_the_current_revision(place: &Place) {
    let storage = place.handle();
    let delta = put([row(1, 1, r#"{"id":1}"#)]);
    assert_kind(storage.try_commit(KEY, 5, &delta), &ErrorKind::Stale { current: 0 });
    storage.commit(KEY, 0, &delta);
    assert_kind(storage.try_commit(KEY, 0, &delta), &ErrorKind::Stale { current: 1 });
    storage.commit(KEY, 1, &delta);
    for wrong in [0, 1, 3, u64::MAX] {
        let error = assert_kind(storage.try_commit(KEY, wrong, &delta), &ErrorKind::Stale { current: 2 });
        assert!(error.is_retryable());
    }
    assert_eq!(storage.commit(KEY, 2, &delta), 3, "the handle goes on");
}

pub(super) fn stale_commit_changes_nothing(place: &Place) {
    let storage = place.handle();
    let delta = Delta { meta: Some(r#"{"m":1}"#.into()), ..put([row(1, 1, r#"{"id":1}"#), row(2, 2, r#"{"id":2}"#)]) };
    storage.commit(KEY, 0, &delta);
    let usage = storage.usage(Some(KEY));
    for refused in [
        clear(),
        meta(r#"{"m":2}"#),
        put([row(1, 9, r#"{"id":9}"#), row(3, 3, r#"{"id":3}"#)]),
        Delta { delete: vec![1], ..Delta::default() },
    ] {
        assert_kind(storage.try_commit(KEY, 0, &refused), &ErrorKind::Stale { current: 1 });
        assert_eq!(storage.load(KEY), model([&delta]));
        assert_eq!(storage.usage(Some(KEY)), usage);
    }
    if place.reopens {
        drop(storage);
        assert_eq!(place.handle().load(KEY), model([&delta]));
    }
}

pub(super) fn removed_key_starts_again(place: &Place) {
    let storage = place.handle();
    storage.commit(KEY, 0, &Delta { meta: Some("{}".into()), ..put([row(1, 1, r#"{"id":1}"#)]) });
    storage.commit(KEY, 1, &put([row(2, 2, r#"{"id":2}"#)]));
    storage.remove(KEY);
    assert_eq!(storage.load(KEY), StoredState::default());
    assert_eq!(storage.keys(), [""; 0]);
    assert_eq!(storage.usage(None), 0);
    assert_kind(storage.try_commit(KEY, 2, &clear()), &ErrorKind::Stale { current: 0 });
    let delta = put([row(3, 3, r#"{"id":3}"#)]);
    assert_eq!(storage.commit(KEY, 0, &delta), 1);
    assert_eq!(storage.load(KEY), model([&delta]));
    if place.reopens {
        storage.remove(KEY);
        drop(storage);
        let storage = place.handle();
        assert_eq!(storage.load(KEY), StoredState::default(), "removed stays removed");
        assert_eq!(storage.keys(), [""; 0]);
    }
}

pub(super) fn removing_an_absent_key_is_no_error(place: &Place) {
    let storage = place.handle();
    storage.remove(KEY);
    storage.commit(KEY, 0, &put([row(1, 1, "{}")]));
    storage.remove(KEY);
    storage.remove(KEY);
    assert_eq!(storage.load(KEY).revision, 0);
}

pub(super) fn usage_follows_what_is_kept(place: &Place) {
    let storage = place.handle();
    let text = |length: usize| format!(r#"{{"t":"{}"}}"#, "x".repeat(length));
    storage.commit(KEY, 0, &put([row(1, 1, &text(1_000)), row(2, 2, &text(1_000))]));
    let two = storage.usage(Some(KEY));
    assert!(two >= 2_000, "two rows of 1,000 bytes, {two} in use");
    storage.commit(KEY, 1, &Delta { delete: vec![1], ..Delta::default() });
    let one = storage.usage(Some(KEY));
    assert!((1_000..two).contains(&one), "one row of 1,000 bytes, {one} in use");
    storage.commit(KEY, 2, &put([row(2, 2, &text(10))]));
    let short = storage.usage(Some(KEY));
    assert!(short < one, "a shorter row, {short} in use");
    storage.commit(KEY, 3, &meta(&text(5_000)));
    assert!(storage.usage(Some(KEY)) >= 5_000 + 10);
    storage.commit(KEY, 4, &meta(&text(100)));
    let all = storage.usage(Some(KEY));
    assert!(all < 5_000, "the old document no longer counts, {all} in use");
    assert_eq!(storage.usage(None), all);
    if !storage.capability().one_key {
        storage.commit("other", 0, &put([row(1, 1, &text(300))]));
        let other = storage.usage(Some("other"));
        assert!(other >= 300);
        assert_eq!(storage.usage(Some(KEY)), all);
        assert_eq!(storage.usage(None), all + other);
        storage.remove("other");
        assert_eq!(storage.usage(None), all);
        assert_eq!(storage.usage(Some("other")), 0);
    }
    if place.reopens {
        drop(storage);
        let storage = place.handle();
        assert_eq!(storage.usage(Some(KEY)), all);
        assert_eq!(storage.usage(None), all);
    }
}

pub(super) fn handles_see_each_other(place: &Place) {
    let (one, two) = (place.handle(), place.handle());
    let first = put([row(1, 1, r#"{"by":"one"}"#)]);
    assert_eq!(one.commit(KEY, 0, &first), 1);
    assert_eq!(two.load(KEY), model([&first]));
    assert_eq!(two.keys(), [KEY]);
    assert_eq!(two.usage(None), one.usage(None));
    let second = put([row(2, 2, r#"{"by":"two"}"#)]);
    assert_kind(two.try_commit(KEY, 0, &second), &ErrorKind::Stale { current: 1 });
    assert_eq!(two.commit(KEY, 1, &second), 2);
    assert_kind(one.try_commit(KEY, 1, &first), &ErrorKind::Stale { current: 2 });
    assert_eq!(one.load(KEY), model([&first, &second]));
    assert_eq!(one.usage(Some(KEY)), two.usage(Some(KEY)));
    drop(one);
    assert_eq!(two.commit(KEY, 2, &clear()), 3, "the other handle is not needed");
    two.remove(KEY);
    let three = place.handle();
    assert_eq!(three.load(KEY), StoredState::default());
    assert_eq!(three.commit(KEY, 0, &first), 1);
    assert_eq!(two.load(KEY), model([&first]));
}

pub(super) fn reopening_keeps_everything(place: &Place) {
    if !place.reopens {
        return skip("the place cannot be opened again");
    }
    let mut all = Vec::new();
    for round in 0..12_u64 {
        let storage = place.handle();
        assert_eq!(storage.load(KEY), model(&all), "round {round}");
        for step in 0..4 {
            let delta = Delta {
                clear: round == 7 && step == 2,
                delete: vec![round],
                put: vec![
                    changed(round * 4 + step, 1_000 - round, ChangeKind::Create, r#"{"id":0}"#, r#"{"op":"o"}"#),
                    row(3, step, &format!(r#"{{"round":{round},"step":{step}}}"#)),
                ],
                meta: (step == 1).then(|| format!(r#"{{"round":{round}}}"#).into()),
            };
            storage.commit(KEY, round * 4 + step, &delta);
            all.push(delta);
        }
        // Every second time the first thing after opening is a commit, not a load.
        drop(storage);
        let storage = place.handle();
        if round % 2 == 1 {
            assert_kind(storage.try_commit(KEY, 0, &clear()), &ErrorKind::Stale { current: all.len() as u64 });
        }
        assert_eq!(storage.usage(Some(KEY)), storage.usage(None));
    }
    let storage = place.handle();
    assert_eq!(storage.load(KEY), model(&all));
    assert_eq!(storage.keys(), [KEY]);
}

/// Generous, so that only a wrong order of growth or a commit per row fails it, not a busy machine.
const QUICK: Duration = Duration::from_secs(30);

fn many(count: u64) -> Delta {
    let filler = "x".repeat(200);
    put((1..=count).map(|id| row(id, id << 20, &format!(r#"{{"id":{id},"name":"Product {id}","text":"{filler}"}}"#))))
}

pub(super) fn large_put_is_quick(place: &Place) {
    let storage = place.handle();
    let start = Instant::now();
    let first = many(20_000);
    storage.commit(KEY, 0, &first);
    let loaded = storage.load(KEY);
    assert_eq!(loaded, model([&first]));
    // A fresh read replaces everything.
    let second = Delta { clear: true, ..many(20_000) };
    storage.commit(KEY, 1, &second);
    assert_eq!(storage.load(KEY).rows.len(), 20_000);
    assert!(start.elapsed() < QUICK, "took {:?}", start.elapsed());
}

pub(super) fn small_commits_on_a_large_state_are_quick(place: &Place) {
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("an item storage writes whole states");
    }
    storage.commit(KEY, 0, &many(20_000));
    let start = Instant::now();
    for step in 0..200_u64 {
        let delta = Delta {
            delete: vec![step * 7 + 5],
            ..put([row(step * 90 + 1, step * 50, r#"{"id":1}"#), row(30_000 + step, 7, r#"{"id":0}"#)])
        };
        storage.commit(KEY, step + 1, &delta);
    }
    assert!(start.elapsed() < QUICK, "200 commits took {:?}", start.elapsed());
    assert_eq!(storage.load(KEY).revision, 201);
}
