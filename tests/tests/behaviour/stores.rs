//! Storages: two data sources, full ones, no id field, and what opening refuses (reference 6; G8, G10).

use crate::help::{Log, data, failures, ids, kept, kind, model, record, rows, sent, serving, stored, three, value};
use landfall::{
    DataSource, ErrorKind, EventKind, Model, Schema, Sort, Standing, Value,
    storage::{Delta, MemoryStorage, QuotaStorage, Storage},
    transport::{Fault, Operation, Wrap},
};

#[tokio::test]
async fn g10_two_data_sources_on_one_key_keep_both_pending_changes() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
    one.read().await.unwrap();
    two.read().await.unwrap();
    for (source, at, name) in [(&one, 0, "one"), (&two, 1, "two")] {
        source.online(false).await.unwrap();
        source.set(source.at(at).unwrap(), "name", name).unwrap();
        source.add(record(&format!(r#"{{"name":"new {name}"}}"#))).unwrap();
        source.sync().await.unwrap();
    }
    drop((one, two));
    let third = kept(&server, storage);
    third.restore().await.unwrap();
    let mut names: Vec<String> =
        third.data().iter().map(|row| row.get("name").unwrap().to_text().as_str().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["c", "new one", "new two", "one", "two"]);
    sent(&server);
    assert!(third.sync().await.unwrap().is_success());
    assert_eq!(sent(&server).len(), 4);
    assert_eq!(rows(&server).len(), 5);
}

/// Each reads, goes offline and has a draft of its own field of the first row.
async fn edit_left_and_right(one: &DataSource, two: &DataSource) {
    for (source, field) in [(one, "left"), (two, "right")] {
        source.read().await.unwrap();
        source.online(false).await.unwrap();
        source.set(source.at(0).unwrap(), field, true).unwrap();
    }
}

#[tokio::test]
async fn g10_two_edits_of_one_record_meet_field_by_field() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
    edit_left_and_right(&one, &two).await;
    one.sync().await.unwrap();
    two.sync().await.unwrap();
    drop((one, two));
    let third = kept(&server, storage);
    assert!(third.sync().await.unwrap().is_success());
    let row = server.row(1).unwrap();
    assert_eq!((row.get("left"), row.get("right")), (Some(&Value::from(true)), Some(&Value::from(true))));
}

#[tokio::test]
async fn g10_a_read_does_not_set_back_what_the_other_stored_later() {
    let server = three().fault(Fault::on(Operation::Update).times(1).fail(500)).build();
    let storage = MemoryStorage::new();
    let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
    one.read().await.unwrap();
    one.set(one.at(0).unwrap(), "name", "one").unwrap();
    assert!(!one.sync().await.unwrap().is_success());
    two.online(false).await.unwrap();
    two.read().await.unwrap();
    assert_eq!(two.data()[0].get("name"), Some(&"one".into()));
    two.set(two.at(0).unwrap(), "name", "two").unwrap();
    two.sync().await.unwrap();
    // The first one still holds its own edit as pending; the commit of what it reads meets the second one's.
    one.read().await.unwrap();
    assert_eq!(one.data()[0].get("name"), Some(&"two".into()));
    assert!(one.sync().await.unwrap().is_success());
    assert_eq!(server.row(1).unwrap().get("name"), Some(&"two".into()));
}

#[tokio::test]
async fn g10_a_draft_does_not_take_the_others_pending_change_away() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
    edit_left_and_right(&one, &two).await;
    one.sync().await.unwrap();
    // A commit that says nothing of the record that the second one has a draft of.
    two.push_update([record(r#"{"id":3,"name":"pushed"}"#)]).unwrap();
    two.idle().await.unwrap();
    let third = kept(&server, storage);
    third.restore().await.unwrap();
    let pending = third.pending();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].record.get("left"), Some(&Value::from(true)));
    two.sync().await.unwrap();
    drop(two);
    one.online(true).await.unwrap();
    let row = server.row(1).unwrap();
    assert_eq!((row.get("left"), row.get("right")), (Some(&Value::from(true)), Some(&Value::from(true))));
}

/// Cancelling takes back what this program accepted, not what the other one accepted below it.
#[tokio::test]
async fn g10_cancelling_an_edit_over_the_others_leaves_the_others() {
    let server = three().fault(Fault::on(Operation::Update).fail(400)).build();
    let storage = MemoryStorage::new();
    let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
    edit_left_and_right(&one, &two).await;
    one.sync().await.unwrap();
    assert!(!two.online(true).await.unwrap().is_success());
    two.cancel_changes().unwrap();
    assert_eq!(two.data()[0].get("left"), Some(&Value::from(true)));
    assert_eq!(two.data()[0].get("right"), None);
    assert!(two.sync().await.unwrap().is_success());
    assert_eq!(server.row(1).unwrap().get("left"), Some(&Value::from(true)));
}

/// What one program took back, all at once or in the inbox, is not brought back by a commit of the other one that it meets.
#[tokio::test]
async fn g10_what_was_taken_back_stays_so_when_the_others_commit_is_met() {
    for in_inbox in [false, true] {
        let server = three().build();
        let storage = MemoryStorage::new();
        let (one, two) = (kept(&server, storage.clone()), kept(&server, storage.clone()));
        one.read().await.unwrap();
        one.add(record(r#"{"name":"new"}"#)).unwrap();
        one.set(one.at(0).unwrap(), "name", "A").unwrap();
        server.set_down(true);
        assert!(!one.sync().await.unwrap().is_success());
        two.online(false).await.unwrap();
        two.read().await.unwrap();
        two.push_update([record(r#"{"id":3,"name":"pushed"}"#)]).unwrap();
        two.idle().await.unwrap();
        if in_inbox {
            for pending in one.pending() {
                one.discard(pending.uid).await.unwrap();
            }
        } else {
            one.cancel_changes().unwrap();
        }
        server.set_down(false);
        sent(&server);
        assert!(one.sync().await.unwrap().is_success());
        assert!(sent(&server).is_empty());
        let whole = [r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#, r#"{"id":3,"name":"pushed"}"#];
        assert_eq!(data(&one), whole, "in the inbox: {in_inbox}");
        assert_eq!(stored(&one).await, format!("[{}]", whole.join(",")));
    }
}

#[tokio::test]
async fn a_first_look_shows_the_page_and_what_waits_before_the_rest() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let before = kept(&server, storage.clone());
    before.read().await.unwrap();
    before.online(false).await.unwrap();
    before.set(before.at(1).unwrap(), "name", "B").unwrap();
    before.remove(before.at(0).unwrap()).unwrap();
    before.add(record(r#"{"name":"new"}"#)).unwrap();
    before.sync().await.unwrap();
    drop(before);
    let open = |paged: bool, sorted: bool| -> DataSource {
        let mut builder = DataSource::builder().transport(server.clone()).model(model());
        if paged {
            builder = builder.page_size(1).page(2);
        }
        if sorted {
            builder = builder.sort([Sort::asc("name")]);
        }
        builder.storage(storage.clone(), "rows").build().unwrap()
    };
    for (paged, sorted, shown) in [(false, false, 3), (true, false, 1), (true, true, 0)] {
        let source = open(paged, sorted);
        let (show, seen) = std::sync::mpsc::channel();
        let weak = source.downgrade();
        let all = source.restore_with(move |first| {
            // Nothing is shown yet, and the data source may be used.
            let source = weak.upgrade().unwrap();
            drop(show.send((first, source.data().len())));
        });
        all.await.unwrap();
        let (first, then) = seen.recv().unwrap();
        assert_eq!(then, 0);
        assert_eq!(first.total, source.total());
        let pending = |pending: &[landfall::Pending]| -> Vec<_> {
            pending
                .iter()
                .map(|one| (one.uid, one.kind, one.record.clone(), one.base.clone(), one.key.clone()))
                .collect()
        };
        assert_eq!(pending(&first.pending), pending(&source.pending()));
        assert_eq!(first.pending.len(), 3);
        assert_eq!(first.rows.len(), shown);
        if !sorted {
            let view: Vec<_> = source.view().flat().into_iter().map(|row| row.record).collect();
            assert_eq!(first.rows, view);
        }
        // Once everything is known there is nothing to wait for.
        source.restore_with(|_| panic!("asked for too late")).await.unwrap();
    }
    // A panic is told, and does not hold up the rest.
    let source = open(false, false);
    let errors = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&errors);
    source.on(EventKind::Error, move |event| {
        told.lock().unwrap().extend(event.error.as_ref().map(|error| error.kind().clone()));
    });
    source.restore_with(|_| panic!("not shown")).await.unwrap();
    assert_eq!(source.total(), 3);
    assert_eq!(*errors.lock().unwrap(), [ErrorKind::Callback]);
}

#[tokio::test]
async fn r6_52_two_keys_are_apart() {
    let storage = MemoryStorage::new();
    let server = three().build();
    let open = |key: &str| -> DataSource {
        let builder = DataSource::builder().transport(server.clone()).model(model());
        builder.storage(storage.clone(), key).build().unwrap()
    };
    let (one, two) = (open("one"), open("two"));
    one.read().await.unwrap();
    two.read().await.unwrap();
    one.online(false).await.unwrap();
    one.set(one.at(0).unwrap(), "name", "A").unwrap();
    one.sync().await.unwrap();
    assert!(stored(&one).await.contains("__state__"));
    assert!(!stored(&two).await.contains("__state__"));
    assert_eq!(storage.keys().await.unwrap().len(), 2);
    let all = storage.usage(None).await.unwrap();
    assert_eq!(one.storage_usage().await.unwrap() + two.storage_usage().await.unwrap(), all);
}

fn small() -> QuotaStorage<MemoryStorage> {
    QuotaStorage::new(MemoryStorage::new(), 400)
}

#[tokio::test]
async fn r6_48_v15_g8_a_full_storage_leaves_drafts_and_the_old_state() {
    let source = kept(&three().build(), small());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    let before = stored(&source).await;
    let row = source.at(0).unwrap();
    source.set(&row, "name", "x".repeat(1000)).unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    let log = Log::of(&source);
    assert!(matches!(source.sync().await.unwrap_err().kind(), ErrorKind::QuotaExceeded { limit: 400, .. }));
    assert_eq!(log.take(), "");
    assert_eq!(stored(&source).await, before);
    assert!(source.has_changes());
    assert_eq!(source.item(&row).unwrap().get("name").unwrap().as_str().unwrap().len(), 1000, "the draft is there");
    assert!(source.pending().is_empty());

    source.set(&row, "name", "A").unwrap();
    source.sync().await.unwrap();
    assert_eq!(
        stored(&source).await,
        r#"[{"id":1,"name":"A","__state__":"update"},{"id":3,"name":"c"},{"id":2,"name":"b","__state__":"destroy"}]"#
    );
}

#[tokio::test]
async fn g8_a_full_storage_stops_an_online_sync_before_anything_is_sent() {
    let server = three().build();
    let source = kept(&server, small());
    source.read().await.unwrap();
    let before = stored(&source).await;
    source.set(source.at(0).unwrap(), "name", "x".repeat(1000)).unwrap();
    sent(&server);
    assert!(matches!(source.sync().await.unwrap_err().kind(), ErrorKind::QuotaExceeded { .. }));
    assert!(sent(&server).is_empty());
    assert_eq!(stored(&source).await, before);
    source.cancel_changes().unwrap();
    assert!(!source.has_changes());
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert!(source.sync().await.unwrap().is_success());
}

#[tokio::test]
async fn g8_a_read_that_does_not_fit_shows_its_rows_and_keeps_the_old_state() {
    let server = three().build();
    let source = kept(&server, small());
    source.read().await.unwrap();
    let before = stored(&source).await;
    server.set_row(1, [("name", "x".repeat(1000))]);
    assert!(matches!(source.read().await.unwrap_err().kind(), ErrorKind::QuotaExceeded { .. }));
    assert_eq!(source.at(0).unwrap().get("name").unwrap().as_str().unwrap().len(), 1000);
    assert_eq!(stored(&source).await, before);
    server.set_row(1, [("name", "short")]);
    source.read().await.unwrap();
    assert!(stored(&source).await.contains("short"), "the queue goes on");
}

/// R5.46.
#[tokio::test]
async fn c15_q4_without_an_id_field_the_storage_is_a_read_cache() {
    let server = three().build();
    for model in [None, Some(Model::new())] {
        let mut builder = DataSource::builder().transport(server.clone()).storage(MemoryStorage::new(), "rows");
        if let Some(model) = model {
            builder = builder.model(model);
        }
        let source = builder.build().unwrap();
        source.read().await.unwrap();
        let before = stored(&source).await;
        source.online(false).await.unwrap();
        source.read().await.unwrap();
        assert_eq!(source.len(), 3);
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        assert_eq!(kind(source.sync().await), ErrorKind::Config);
        assert_eq!(stored(&source).await, before);
    }
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    assert_eq!(kind(DataSource::builder().storage(MemoryStorage::new(), "").build()), ErrorKind::Config);
    assert_eq!(kind(DataSource::builder().offline_storage("").build()), ErrorKind::Config);
}

#[test]
fn building_outside_a_runtime_is_refused() {
    let error = DataSource::builder().build().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert!(error.to_string().contains("blocking"), "{error}");
}

#[tokio::test]
async fn r6_9_r6_10_r6_11_what_is_written_and_what_is_not() {
    let source = kept(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    let fetched = stored(&source).await;
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.online(false).await.unwrap();
    source.sort([Sort::desc("name")]).await.unwrap();
    assert_eq!(stored(&source).await, fetched, "drafts are not stored");
    source.sync().await.unwrap();
    assert_ne!(stored(&source).await, fetched);
}

/// R4.38, R4.44.
#[tokio::test]
async fn q13_c21_what_the_server_pushes_is_stored_at_once_underneath() {
    let source = kept(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.push_update([record(r#"{"id":1,"name":"pushed","more":1}"#)]).unwrap();
    source.push_create([record(r#"{"id":9}"#)]).unwrap();
    source.idle().await.unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A","more":1}"#, "the edit stays on top");
    assert_eq!(
        stored(&source).await,
        r#"[{"id":1,"name":"A","more":1,"__state__":"update"},{"id":2,"name":"b"},{"id":3,"name":"c"},{"id":9}]"#
    );
}

/// R6.26.
#[tokio::test]
async fn r6_28_r6_29_v14_a_state_in_kendos_form() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    let state = concat!(
        r#"[{"id":1,"__state__":"update"},{"id":2,"__state__":"destroy"},"#,
        r#"{"id":"","__state__":"create"},{"id":4,"__state__":"weird"}]"#
    );
    source.set_offline_data(&value(state)).await.unwrap();
    assert!(source.is_empty(), "shown by the next read");
    source.online(false).await.unwrap();
    source.read().await.unwrap();
    assert_eq!(ids(&source.data()), ["1", "\"\"", "4"]);
    assert_eq!(ids(&source.updated()), ["1"]);
    assert_eq!(source.created().len(), 1);
    assert_eq!(ids(&source.destroyed()), ["2"]);
    assert_eq!(source.total(), 3);
    sent(&server);
    source.online(true).await.unwrap();
    assert_eq!(sent(&server), [r#"create {"id":""}"#, r#"update {"id":1}"#, r#"destroy {"id":2}"#]);
}

/// R6.25.
#[tokio::test]
async fn q0_c09_what_is_stored_is_never_unwrapped() {
    let server = three().wrap(Wrap::data("rows")).build();
    let schema = Schema::new().data("rows").with_model(model());
    let builder = DataSource::builder().transport(server).schema(schema);
    let source: DataSource = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.read().await.unwrap();
    assert_eq!((source.len(), source.total(), source.updated().len()), (3, 3, 1));
    assert!(source.online(true).await.unwrap().is_success());
}

#[tokio::test]
async fn g4_a_record_that_is_gone_from_a_full_read_is_a_conflict_and_stays_pending() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    server.set_down(true);
    source.online(true).await.unwrap();
    server.set_down(false);
    server.remove_row(1);
    source.read().await.unwrap();
    assert_eq!(source.len(), 2);
    let pending = source.pending();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].standing, Standing::Quarantined);
    assert!(pending[0].failure.as_ref().unwrap().message.contains("conflict"));
    assert!(source.has_changes());
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Status(404)], "an explicit sync offers it");
    assert_eq!(source.pending().len(), 1);
}

#[tokio::test]
async fn unknown_members_order_and_large_numbers_survive_storing() {
    let row = r#"{"z":1,"id":9007199254740993,"a":{"y":[1,{"x":null}]},"b":1.5}"#;
    let source = kept(&serving(&format!("[{row}]")).build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.read().await.unwrap();
    assert_eq!(data(&source), [row]);
}

/// G8: what a newer program stored is neither read wrongly nor written over, whatever is called.
#[tokio::test]
async fn g8_a_state_of_a_newer_format_is_refused_and_kept() {
    let storage = MemoryStorage::new();
    let server = three().build();
    let before = kept(&server, storage.clone());
    before.read().await.unwrap();
    before.online(false).await.unwrap();
    before.set(before.at(0).unwrap(), "name", "A").unwrap();
    before.sync().await.unwrap();
    drop(before);
    let known = storage.load("rows").await.unwrap().revision;
    let meta = Some(r#"{"format":99,"more":[]}"#.into());
    storage.commit("rows", known, Delta { meta, ..Delta::default() }).await.unwrap();
    let newer = storage.load("rows").await.unwrap();
    let source = kept(&server, storage.clone());
    assert_eq!(kind(source.restore().await), ErrorKind::NewerFormat);
    assert_eq!(kind(source.sync().await), ErrorKind::NewerFormat);
    drop(source.read().await);
    if let Some(row) = source.at(0) {
        source.set(row, "name", "B").unwrap();
    }
    drop(source.add(record(r#"{"name":"n"}"#)));
    drop(source.sync().await);
    drop(source.online(false).await);
    drop(source.sync().await);
    drop(source.push_update([record(r#"{"id":2,"name":"pushed"}"#)]));
    source.idle().await.unwrap();
    assert_eq!(storage.load("rows").await.unwrap(), newer);
    assert_eq!(
        server.count(Operation::Update) + server.count(Operation::Create),
        0,
        "nothing that is not stored is sent"
    );
}
