//! Cases about keys: any text is a key, and no two of them share anything.

use super::{
    Place,
    rig::{Handle, KEY, assert_kind, clear, model, put, row, skip},
};
use crate::{Delta, ErrorKind};

/// Keys that file systems, SQL, shells and Unicode trip over.
fn nasty() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a",
        "A",
        "aa",
        "aA",
        "products",
        "Products",
        "PRODUCTS",
        "products ",
        " products",
        "products.",
        ".products",
        ".",
        "..",
        "...",
        "../x",
        "..\\x",
        "/",
        "//",
        "/etc/passwd",
        "C:\\x",
        "a/b",
        "a\\b",
        "a:b",
        "a_b",
        "a-b",
        "a%2fb",
        "a%2Fb",
        "%",
        "%%",
        "%61",
        "-",
        "--",
        "-rf",
        "--help",
        "~",
        "~root",
        "$HOME",
        "*",
        "?",
        "|",
        "<",
        ">",
        "\"",
        "'",
        "`",
        ";",
        "&",
        "#",
        "CON",
        "con",
        "con.txt",
        "Con",
        "PRN",
        "AUX",
        "NUL",
        "nul",
        "COM1",
        "com1.json",
        "LPT9",
        "'; drop table states; --",
        "\" or 1=1",
        "\0",
        "a\0",
        "a\0b",
        "a\0c",
        "\n",
        "\r\n",
        "\t",
        "a\nb",
        "\u{1b}[31m",
        "\u{e9}",
        "e\u{301}",
        "\u{c9}",
        "\u{212b}",
        "\u{c5}",
        "A\u{30a}",
        "\u{df}",
        "ss",
        "\u{17f}",
        "s",
        "\u{131}",
        "i",
        "\u{130}",
        "\u{fb01}",
        "fi",
        "\u{200b}",
        "\u{feff}",
        "\u{202e}abc",
        "\u{ff0f}",
        "日本語",
        "🛳",
        "🛳️",
        "lock",
        ".lock",
        "landfall.lock",
        "tmp",
        "x.tmp",
        "x.jsonl",
        "x.jsonl.tmp",
        "sqlite_master",
        "states",
        "null",
        "0",
        "00",
        "1",
        "true",
        "{}",
        "[]",
        "__landfall",
        "__state__",
        "__proto__",
    ]
    .map(str::to_owned)
    .to_vec();
    let long = "long-key-".repeat(40);
    keys.extend([
        long.clone(),
        format!("{long}1"),
        format!("{long}2"),
        long.to_uppercase(),
        "Ä".repeat(200),
        format!("{}Ö", "Ä".repeat(199)),
        "/".repeat(300),
        "x".repeat(255),
        "x".repeat(256),
        "x".repeat(20_000),
        "\u{0}".repeat(400),
    ]);
    keys.extend((1..32_u8).map(|byte| format!("control {}", char::from(byte))));
    keys
}

fn fill(storage: &Handle, keys: &[String]) {
    for (key, n) in keys.iter().zip(1..) {
        assert_eq!(storage.commit(key, 0, &put([row(n, n, &format!(r#"{{"n":{n}}}"#))])), 1, "key {key:?}");
    }
}

fn check(storage: &Handle, keys: &[String]) {
    for (key, n) in keys.iter().zip(1..) {
        assert_eq!(storage.load(key), model([&put([row(n, n, &format!(r#"{{"n":{n}}}"#))])]), "key {key:?}");
    }
    let mut sorted = keys.to_vec();
    sorted.sort();
    assert_eq!(storage.keys(), sorted);
}

pub(super) fn empty_key_is_refused(place: &Place) {
    let storage = place.handle();
    assert_kind(storage.try_load(""), &ErrorKind::Config);
    assert_kind(storage.try_commit("", 0, &clear()), &ErrorKind::Config);
    assert_kind(storage.try_remove(""), &ErrorKind::Config);
    assert_kind(storage.try_usage(Some("")), &ErrorKind::Config);
    assert_eq!(storage.keys(), [""; 0]);
    assert_eq!(storage.commit(KEY, 0, &Delta::default()), 1, "the handle goes on");
}

pub(super) fn nasty_keys_never_collide(place: &Place) {
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("the storage keeps one key only");
    }
    let keys = nasty();
    fill(&storage, &keys);
    check(&storage, &keys);
    // Every second one goes; its neighbours stay.
    for key in keys.iter().step_by(2) {
        storage.remove(key);
    }
    for (key, n) in keys.iter().zip(0..) {
        assert_eq!(storage.load(key).revision, n % 2, "key {key:?}");
    }
}

pub(super) fn nasty_keys_survive_reopening(place: &Place) {
    if !place.reopens {
        return skip("the place cannot be opened again");
    }
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("the storage keeps one key only");
    }
    let keys = nasty();
    fill(&storage, &keys);
    drop(storage);
    let storage = place.handle();
    check(&storage, &keys);
    for key in &keys {
        assert_kind(storage.try_commit(key, 0, &clear()), &ErrorKind::Stale { current: 1 });
    }
}

pub(super) fn keys_are_sorted(place: &Place) {
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("the storage keeps one key only");
    }
    for key in ["b", "ä", "a", "Z", "aa", "10", "9", "🛳"] {
        storage.commit(key, 0, &Delta::default());
    }
    assert_eq!(storage.keys(), ["10", "9", "Z", "a", "aa", "b", "ä", "🛳"]);
    storage.remove("a");
    assert_eq!(storage.keys(), ["10", "9", "Z", "aa", "b", "ä", "🛳"]);
}

pub(super) fn keys_do_not_touch_each_other(place: &Place) {
    let storage = place.handle();
    if storage.capability().one_key {
        return skip("the storage keeps one key only");
    }
    // The same row ids under every key.
    let first = put([row(1, 1, r#"{"k":"x"}"#), row(2, 2, r#"{"k":"x"}"#)]);
    let second = put([row(1, 1, r#"{"k":"y"}"#), row(2, 2, r#"{"k":"y"}"#)]);
    storage.commit("x", 0, &first);
    storage.commit("y", 0, &second);
    storage.commit("x", 1, &Delta { delete: vec![1], ..Delta::default() });
    assert_eq!(storage.load("y"), model([&second]));
    storage.commit("x", 2, &clear());
    assert_eq!(storage.load("y"), model([&second]));
    storage.remove("x");
    assert_eq!(storage.load("y"), model([&second]));
    assert_eq!(storage.commit("y", 1, &Delta::default()), 2);
}

pub(super) fn a_second_key_is_refused_where_there_is_one(place: &Place) {
    let storage = place.handle();
    if !storage.capability().one_key {
        return skip("the storage keeps many keys");
    }
    storage.commit(KEY, 0, &put([row(1, 1, r#"{"id":1}"#)]));
    assert_kind(storage.try_load("other"), &ErrorKind::Unsupported);
    assert_kind(storage.try_commit("other", 0, &clear()), &ErrorKind::Unsupported);
    assert_kind(storage.try_remove("other"), &ErrorKind::Unsupported);
    assert_eq!(storage.load(KEY).rows.len(), 1);
    assert_eq!(storage.keys(), [KEY]);
}
