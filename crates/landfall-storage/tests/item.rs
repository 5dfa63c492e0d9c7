//! Item storages: the conformance kit on the adapter, and what whole texts make different.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_storage::{
    ChangeKind, Delta, Error, ErrorKind, ItemAdapter, ItemStorage, Result, Storage, StoredRow, StoredState,
    conformance::{Place, block_on},
    item_storage, storage_conformance,
};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

/// A place for a text, like an entry of `localStorage`.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<String>>>);

impl Slot {
    fn holding(text: &str) -> Self {
        Self(Arc::new(Mutex::new(Some(text.to_owned()))))
    }
    fn text(&self) -> String {
        self.0.lock().unwrap().clone().unwrap()
    }
}

impl ItemStorage for Slot {
    fn get_item(&self) -> Result<Option<String>> {
        Ok(self.0.lock().unwrap().clone())
    }
    fn set_item(&self, item: &str) -> Result<()> {
        *self.0.lock().unwrap() = Some(item.to_owned());
        Ok(())
    }
}

storage_conformance!(adapter: || Place::of_clones(ItemAdapter::new(Slot::default())));

fn row(id: u64, record: &str) -> StoredRow {
    StoredRow { id, order: id << 20, state: None, record: record.into(), change: None }
}

fn changed(id: u64, state: ChangeKind, record: &str, change: &str) -> StoredRow {
    StoredRow { state: Some(state), change: Some(change.into()), ..row(id, record) }
}

fn put(rows: impl IntoIterator<Item = StoredRow>) -> Delta {
    Delta { put: rows.into_iter().collect(), ..Delta::default() }
}

fn load(storage: &impl Storage) -> StoredState {
    block_on(storage.load("products")).unwrap()
}

fn commit(storage: &impl Storage, expected: u64, delta: Delta) -> Result<u64> {
    block_on(storage.commit("products", expected, delta))
}

#[test]
fn the_text_is_kendos_with_bookkeeping_on_changed_rows_only() {
    let slot = Slot::default();
    let storage = ItemAdapter::new(slot.clone());
    let rows = [
        row(1, r#"{"id":1,"foo":"a"}"#),
        changed(2, ChangeKind::Update, r#"{"id":2,"foo":"x"}"#, r#"{"seq":1,"base":{"id":2,"foo":"b"}}"#),
        changed(3, ChangeKind::Destroy, r#"{"id":3}"#, r#"{"seq":2}"#),
        changed(4, ChangeKind::Create, r#"{"id":0,"foo":"new"}"#, r#"{"seq":3}"#),
    ];
    commit(&storage, 0, put(rows)).unwrap();
    let expected = concat!(
        r#"[{"id":1,"foo":"a"},"#,
        r#"{"id":2,"foo":"x","__state__":"update","__landfall":{"seq":1,"base":{"id":2,"foo":"b"},"id":2}},"#,
        r#"{"id":0,"foo":"new","__state__":"create","__landfall":{"seq":3,"id":4}},"#,
        r#"{"id":3,"__state__":"destroy","__landfall":{"seq":2,"id":3}}]"#
    );
    assert_eq!(slot.text(), expected);
    // Another adapter on the same text finds the same records, states and bookkeeping.
    let again = load(&ItemAdapter::new(slot));
    let mut told: Vec<_> = again.rows.iter().map(|row| (&*row.record, row.state, row.change.as_deref())).collect();
    told.sort_by_key(|(record, ..)| *record);
    assert_eq!(
        told,
        [
            (r#"{"id":0,"foo":"new"}"#, Some(ChangeKind::Create), Some(r#"{"seq":3}"#)),
            (r#"{"id":1,"foo":"a"}"#, None, None),
            (r#"{"id":2,"foo":"x"}"#, Some(ChangeKind::Update), Some(r#"{"seq":1,"base":{"id":2,"foo":"b"}}"#)),
            (r#"{"id":3}"#, Some(ChangeKind::Destroy), Some(r#"{"seq":2}"#)),
        ]
    );
}

#[test]
fn rows_keep_apart_whatever_the_order_was() {
    // Changed rows bring their numbers, and the others must not get the same ones.
    let slot = Slot::default();
    let rows = [
        StoredRow { order: 1, ..changed(9, ChangeKind::Update, r#"{"id":9}"#, r#"{"seq":1}"#) },
        StoredRow { order: 2, ..row(5, r#"{"id":5}"#) },
        StoredRow { order: 3, ..changed(1, ChangeKind::Update, r#"{"id":1}"#, r#"{"seq":2}"#) },
        StoredRow { order: 4, ..row(7, r#"{"id":7}"#) },
        StoredRow { order: 5, ..changed(2, ChangeKind::Create, r#"{"id":0}"#, r#"{"seq":3}"#) },
    ];
    commit(&ItemAdapter::new(slot.clone()), 0, put(rows)).unwrap();
    let storage = ItemAdapter::new(slot);
    let state = load(&storage);
    let mut ids: Vec<u64> = state.rows.iter().map(|row| row.id).collect();
    assert_eq!(
        state.rows.iter().map(|row| &*row.record).collect::<Vec<_>>().join(""),
        r#"{"id":9}{"id":5}{"id":1}{"id":7}{"id":0}"#
    );
    assert_eq!((ids[0], ids[2], ids[4]), (9, 1, 2));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "{ids:?}");
    // So a change of one row is a change of that row only.
    let second = StoredRow { record: r#"{"id":5,"new":true}"#.into(), ..state.rows[1].clone() };
    commit(&storage, state.revision, put([second])).unwrap();
    let told = load(&storage).rows.iter().map(|row| row.record.to_string()).collect::<String>();
    assert_eq!(told, r#"{"id":9}{"id":5,"new":true}{"id":1}{"id":7}{"id":0}"#);
}

#[test]
fn what_kendo_stored_can_be_read() {
    // The full example of R6.15.
    let storage = ItemAdapter::new(Slot::holding(
        r#"[{"id":1,"d":"2020-01-02T03:04:05.000Z","uid":"U","__state__":"update","Foo":"x"},
            {"id":0,"uid":"U","__state__":"create","Foo":"new"},
            {"id":2,"d":null,"__state__":"destroy","Foo":"b"}]"#,
    ));
    let state = load(&storage);
    assert_eq!(state.revision, 1);
    let told: Vec<_> = state.rows.iter().map(|row| (row.state.unwrap().as_str(), &*row.record)).collect();
    assert_eq!(
        told,
        [
            ("update", r#"{"id":1,"d":"2020-01-02T03:04:05.000Z","Foo":"x"}"#),
            ("create", r#"{"id":0,"Foo":"new"}"#),
            ("destroy", r#"{"id":2,"d":null,"Foo":"b"}"#),
        ]
    );
    assert_eq!(block_on(storage.keys()).unwrap(), ["products"]);
}

#[test]
fn somebody_elses_write_is_stale_and_not_overwritten() {
    let slot = Slot::default();
    let (one, two) = (ItemAdapter::new(slot.clone()), ItemAdapter::new(slot.clone()));
    commit(&one, 0, put([row(1, r#"{"id":1}"#)])).unwrap();
    assert_eq!(load(&two).rows.len(), 1);
    commit(&two, 1, put([row(2, r#"{"id":2}"#)])).unwrap();
    let text = slot.text();
    let error = commit(&one, 1, put([row(3, r#"{"id":3}"#)])).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Stale { current: 2 });
    assert_eq!(slot.text(), text, "nothing was written");
    assert_eq!(load(&one).rows.len(), 2);
    commit(&one, 2, put([row(3, r#"{"id":3}"#)])).unwrap();
    assert_eq!(load(&two).rows.len(), 3);
    // Emptied by somebody else.
    *slot.0.lock().unwrap() = None;
    assert_eq!(commit(&two, 3, put([row(4, "{}")])).unwrap_err().kind(), &ErrorKind::Stale { current: 0 });
    assert_eq!(load(&two), StoredState::default());
}

#[test]
fn a_store_that_writes_json_its_own_way_is_not_stale() {
    let slot = Slot::default();
    let (get, set) = (slot.clone(), slot.clone());
    let storage = item_storage(
        move || get.get_item(),
        move |text| {
            let pretty = text.replace(':', " : ").replace(',', " ,\n");
            set.set_item(&pretty)
        },
    );
    for revision in 0..4 {
        assert_eq!(commit(&storage, revision, put([row(revision, r#"{"id":1,"b":2}"#)])).unwrap(), revision + 1);
    }
    assert!(slot.text().contains('\n'));
}

#[test]
fn what_is_no_json_is_kept_until_removed() {
    let slot = Slot::holding("{oops");
    let storage = ItemAdapter::new(slot.clone());
    assert_eq!(block_on(storage.load("products")).unwrap_err().kind(), &ErrorKind::Corrupt);
    assert_eq!(commit(&storage, 0, put([row(1, "{}")])).unwrap_err().kind(), &ErrorKind::Corrupt);
    assert_eq!(slot.text(), "{oops");
    block_on(storage.remove("products")).unwrap();
    assert_eq!(slot.text(), "[]");
    assert_eq!(load(&storage), StoredState::default());
    assert_eq!(commit(&storage, 0, put([row(1, "{}")])).unwrap(), 1);
}

#[test]
fn any_json_is_kept_verbatim() {
    // R6.3: the state need not be an array.
    for text in [r#"{"foo":"foo"}"#, "42", r#"[1,"two"]"#] {
        let slot = Slot::holding(text);
        let storage = ItemAdapter::new(slot.clone());
        let state = load(&storage);
        assert_eq!((state.revision, state.rows.len()), (1, 0));
        commit(&storage, 1, Delta::default()).unwrap();
        assert_eq!(slot.text(), text);
    }
}

#[test]
fn panics_and_errors_of_the_functions_leave_the_old_state() {
    let slot = Slot::default();
    let mood = Arc::new(Mutex::new("good"));
    let (get, set, of_get, of_set) = (slot.clone(), slot.clone(), Arc::clone(&mood), Arc::clone(&mood));
    let storage = item_storage(
        move || match *of_get.lock().unwrap() {
            "get fails" => Err(Error::new(ErrorKind::Locked, "later")),
            _ => get.get_item(),
        },
        move |text| {
            let mood = *of_set.lock().unwrap();
            match mood {
                "set panics" => std::panic::panic_any(7),
                "full" => Err(Error::from(ErrorKind::QuotaExceeded { used: 1, limit: 2, needed: 3 })),
                "fails half way" => {
                    set.set_item(&text[..text.len() / 2]).unwrap();
                    Err(Error::new(ErrorKind::Storage, "cable pulled"))
                }
                _ => set.set_item(text),
            }
        },
    );
    commit(&storage, 0, put([row(1, r#"{"id":1}"#)])).unwrap();
    let before = load(&storage);
    let try_in = |name: &'static str| {
        *mood.lock().unwrap() = name;
        let error = commit(&storage, 1, put([row(2, r#"{"id":2}"#)])).unwrap_err();
        *mood.lock().unwrap() = "good";
        error
    };
    let error = try_in("set panics");
    assert_eq!((error.kind(), error.operation()), (&ErrorKind::Callback, "commit"));
    assert_eq!(load(&storage), before);
    assert_eq!(try_in("full").kind(), &ErrorKind::QuotaExceeded { used: 1, limit: 2, needed: 3 });
    assert_eq!(try_in("get fails").kind(), &ErrorKind::Locked);
    assert_eq!(load(&storage), before);
    // Not atomic: a text that was cut is damaged, and said to be.
    assert_eq!(try_in("fails half way").kind(), &ErrorKind::Storage);
    assert_eq!(block_on(storage.load("products")).unwrap_err().kind(), &ErrorKind::Corrupt);
    slot.set_item(r#"[{"id":1}]"#).unwrap();
    assert_eq!(load(&storage).rows.len(), 1);
}

#[test]
fn a_panic_while_reading_is_a_callback_error() {
    let storage = item_storage(|| -> Result<_, Infallible> { panic!("no reading today") }, |_| Ok::<_, Infallible>(()));
    let error = block_on(storage.load("products")).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Callback);
    assert!(error.to_string().contains("no reading today"), "{error}");
}

#[test]
fn foreign_errors_become_sources_and_missing_files_are_no_items() {
    let storage = item_storage(
        || Err(io::Error::from(io::ErrorKind::NotFound)),
        |_| Err(io::Error::new(io::ErrorKind::TimedOut, "the share is away")),
    );
    assert_eq!(load(&storage), StoredState::default());
    let error = commit(&storage, 0, put([row(1, "{}")])).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Storage);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the share is away");
}

#[test]
fn it_says_what_it_can_promise() {
    let capability = ItemAdapter::new(Slot::default()).capability();
    assert!(!capability.durable && !capability.atomic && !capability.shared && capability.one_key);
}
