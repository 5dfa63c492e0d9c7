//! What is stored: files of the file storage, rows that the engine reads, texts of item storages.

use super::{Bytes, disk::Disk, sequences::Client};
use landfall_core::{ChangeKind, Delta, ErrorKind, StoredRow, StoredState, Value};
use landfall_storage::{ItemAdapter, ItemStorage, Storage, conformance::block_on};
use landfall_storage_file::{FileConfig, FileStorage};
use std::sync::{Arc, Mutex, PoisonError};

const FILE: &str = "k.jsonl";

/// A file of arbitrary bytes, or of arbitrary lines with right checksums: opened as a state that a commit builds on, or a
/// typed error that leaves the bytes as they are. Never an empty state in place of one.
pub(super) fn file_bytes(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let sealed = input.flag();
    let mut file = Vec::new();
    if sealed {
        file.extend_from_slice(&seal(
            br#"{"landfall":"state","format":1,"key":"k","revision":1,"rows":1,"meta":false"#,
        ));
        for line in input.rest().split(|byte| *byte == b'\n') {
            file.extend_from_slice(&seal(line));
        }
    } else {
        file.extend_from_slice(input.rest());
    }
    let disk = Disk::default();
    disk.files().insert(FILE.to_owned(), file.clone());
    let open = || FileStorage::open_on(Arc::new(disk.clone()), "dir", FileConfig::new());
    let Ok(storage) = open() else {
        assert_eq!(disk.files().get(FILE), Some(&file), "an error keeps the bytes");
        return;
    };
    match block_on(storage.load("k")) {
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat), "{error:?}");
            assert_eq!(disk.files().get(FILE), Some(&file), "an error keeps the bytes");
            let row = StoredRow { id: 1, order: 1, state: None, record: "{}".into(), change: None };
            let commit = Delta { put: vec![row], ..Delta::default() };
            assert!(block_on(storage.commit("k", 0, commit)).is_err(), "nothing builds on what cannot be read");
            assert_eq!(disk.files().get(FILE), Some(&file), "an error keeps the bytes");
        }
        Ok(state) => {
            assert!(state.rows.is_sorted_by_key(|row| (row.order, row.id)), "{state:?}");
            assert_ne!(state.revision, 0, "a state, or an error");
            if state.revision == u64::MAX {
                return;
            }
            let row = StoredRow { id: 7, order: 7, state: None, record: r#"{"a":1}"#.into(), change: None };
            let delta = Delta { put: vec![row], delete: vec![3], ..Delta::default() };
            let mut expected = state.clone();
            let revision = block_on(storage.commit("k", state.revision, delta.clone())).unwrap();
            expected.apply(&delta, revision);
            drop(storage);
            let again = block_on(open().unwrap().load("k")).unwrap();
            assert_eq!(again, expected, "what was committed is found");
        }
    }
}

/// A line as the file storage closes it.
fn seal(body: &[u8]) -> Vec<u8> {
    let mut line = body.to_vec();
    line.extend_from_slice(format!(",\"crc\":\"{:08x}\"}}\n", crc(body)).as_bytes());
    line
}

/// CRC-32, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Rows whose texts are arbitrary JSON objects, restored by an engine: a typed error, or a state that can be edited, stored,
/// restored and synced.
pub(super) fn stored_rows(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let batch = input.flag();
    let mut state = StoredState { revision: 1, ..StoredState::default() };
    for _ in 0..input.below(6) {
        let head = input.byte();
        let marker = [None, Some(ChangeKind::Create), Some(ChangeKind::Update), Some(ChangeKind::Destroy)];
        let record = text_of(&mut input);
        let change = (head & 4 == 4).then(|| Arc::from(text_of(&mut input)));
        let id = u64::from(head >> 5) + 1;
        if state.rows.iter().all(|row| row.id != id) {
            let order = u64::from(head & 16) + id;
            let row = StoredRow { id, order, state: marker[usize::from(head & 3)], record: Arc::from(record), change };
            state.rows.push(row);
        }
    }
    state.rows.sort_by_key(|row| (row.order, row.id));
    state.meta = input.flag().then(|| Arc::from(text_of(&mut input)));
    let before = state.clone();
    let mut client = Client::new(state, batch);
    if let Err(error) = client.restore() {
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat), "{error:?}");
        assert_eq!(client.store, before, "what cannot be read is kept");
        return;
    }
    client.play(&mut input);
}

/// Mostly what the bytes say; else a change that looks like one of ours with something of the bytes in it.
fn text_of(input: &mut Bytes<'_>) -> String {
    let form = input.below(6);
    let text = input.text();
    let text = if Value::from_json(&text).is_ok() { text } else { Value::from(text).to_json() };
    let object = if text.starts_with('{') { text.clone() } else { format!(r#"{{"id":1,"a":{text}}}"#) };
    match form {
        0 | 1 => text,
        2 => object,
        3 => format!(r#"{{"accepted":true,"key":"k1","base":{object},"changed":["a"],"offline":{{"kind":"update"}}}}"#),
        4 => format!(
            r#"{{"accepted":true,"key":"k2","base":{object},"changed":["a"],"attempts":{text},"standing":{text},"error":{object}}}"#
        ),
        _ => format!(
            r#"{{"seq":{text},"key":"k3","accepted":true,"sent":{{"kind":"create","record":{object},"key":"k4","doubt":true,"changed":{text}}}}}"#
        ),
    }
}

#[derive(Clone, Default)]
struct Item(Arc<Mutex<Option<String>>>);

impl ItemStorage for Item {
    fn get_item(&self) -> landfall_core::Result<Option<String>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
    fn set_item(&self, item: &str) -> landfall_core::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(item.to_owned());
        Ok(())
    }
}

/// The text of an item storage, as somebody else may have written it: a typed error that keeps it, or a state that an
/// engine can go on with and that comes back as it was written.
pub(super) fn item_text(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let batch = input.flag();
    let length = usize::from(input.byte()) * 8;
    let text = String::from_utf8_lossy(input.take(length)).into_owned();
    let item = Item(Arc::new(Mutex::new(Some(text.clone()))));
    let storage = ItemAdapter::new(item.clone());
    let state = match block_on(storage.load("k")) {
        Ok(state) => state,
        Err(error) => {
            assert_eq!(error.kind(), &ErrorKind::Corrupt, "{error:?}");
            assert_eq!(item.get_item().unwrap().as_deref(), Some(text.as_str()), "what cannot be read is kept");
            return;
        }
    };
    // Written and read again it says the same.
    let value = state.to_kendo(true).expect("what was read can be written");
    let again = StoredState::from_kendo(&value).unwrap();
    assert_eq!(again.to_kendo(true).unwrap(), value, "{text}");
    let mut client = Client::new(state, batch);
    client.restore().expect("what the adapter reads, the engine reads");
    client.play(&mut input);
    let value = client.store.to_kendo(true).expect("what the engine stores can be written");
    let text = value.to_json();
    let read = Value::from_json(&text).expect("what is written is JSON that can be read");
    let again = StoredState::from_kendo(&read).unwrap();
    let mut other = Client::new(again, batch);
    other.restore().expect("and the engine reads it again");
    assert_eq!(other.shown(), client.restored_again().shown(), "{text}");
}
