//! Edits made while requests are under way (Q1b, G5), and answers that say little or the wrong thing.

use crate::help::{
    Log, calm, data, failures, held, ids, kept, keys, model, online, record, rows, sent, serving, stored, three, value,
};
use landfall::{
    ChangeKind, DataSource, ErrorKind, Field, Record, Schema, Standing, Text, Value,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation, ReplyStyle},
};

/// Both without and with an offline storage.
async fn both(server: impl Fn() -> MockServer, test: impl AsyncFn(MockServer, DataSource)) {
    let plain = server();
    test(plain.clone(), online(&plain)).await;
    let storing = server();
    test(storing.clone(), kept(&storing, MemoryStorage::new())).await;
}

/// R5.42.
#[tokio::test]
async fn g5_q1b_an_edit_while_an_update_is_under_way_survives_field_by_field() {
    for style in [ReplyStyle::Echo, ReplyStyle::Id, ReplyStyle::Empty] {
        let server = || {
            serving(r#"[{"id":1,"name":"a","price":1,"server":0}]"#)
                .reply(ChangeKind::Update, style)
                .override_update(record(r#"{"server":7}"#))
                .build()
        };
        both(server, async |server, source| {
            source.read().await.unwrap();
            let row = source.at(0).unwrap();
            source.set(&row, "name", "A").unwrap();
            source.set(&row, "price", 2).unwrap();
            server.take_requests();
            server.set_holding(true);
            let sync = source.sync();
            held(&server, 1).await;
            source.set(&row, "name", "B").unwrap();
            server.set_holding(false);
            assert!(sync.await.unwrap().is_success());
            let seven = if style == ReplyStyle::Echo { 7 } else { 0 };
            assert_eq!(data(&source), [format!(r#"{{"id":1,"name":"B","price":2,"server":{seven}}}"#)]);
            assert_eq!(ids(&source.updated()), ["1"]);
            let changes = source.changes();
            assert_eq!(changes[0].fields.iter().map(Text::as_str).collect::<Vec<_>>(), ["name"]);
            source.sync().await.unwrap();
            assert_eq!(
                sent(&server),
                [
                    r#"update {"id":1,"name":"A","price":2,"server":0}"#.to_owned(),
                    format!(r#"update {{"id":1,"name":"B","price":2,"server":{seven}}}"#),
                ]
            );
            assert!(!source.has_changes());
        })
        .await;
    }
}

#[tokio::test]
async fn g5_an_edit_while_a_create_is_under_way_becomes_an_update() {
    both(
        || serving("[]").build(),
        async |server, source| {
            source.read().await.unwrap();
            let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
            server.take_requests();
            server.set_holding(true);
            let sync = source.sync();
            held(&server, 1).await;
            source.set(uid, "name", "N").unwrap();
            server.set_holding(false);
            sync.await.unwrap();
            assert_eq!(source.item(uid).unwrap().to_json(), r#"{"name":"N","id":1}"#);
            assert!(source.created().is_empty());
            assert_eq!(ids(&source.updated()), ["1"]);
            source.sync().await.unwrap();
            assert_eq!(sent(&server), [r#"create {"name":"n","id":""}"#, r#"update {"name":"N","id":1}"#]);
            assert_eq!(rows(&server), [r#"{"name":"N","id":1}"#]);
        },
    )
    .await;
}

#[tokio::test]
async fn g5_a_record_removed_while_its_create_is_under_way_is_destroyed_afterwards() {
    both(
        || serving("[]").build(),
        async |server, source| {
            source.read().await.unwrap();
            let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
            server.take_requests();
            server.set_holding(true);
            let sync = source.sync();
            held(&server, 1).await;
            source.remove(uid).unwrap();
            server.set_holding(false);
            sync.await.unwrap();
            assert!(source.is_empty() && source.has_changes());
            source.sync().await.unwrap();
            assert_eq!(sent(&server), [r#"create {"name":"n","id":""}"#, r#"destroy {"name":"n","id":1}"#]);
            assert!(rows(&server).is_empty() && !source.has_changes());
        },
    )
    .await;
}

#[tokio::test]
async fn g5_a_record_removed_while_its_update_is_under_way_is_destroyed_afterwards() {
    both(
        || three().build(),
        async |server, source| {
            source.read().await.unwrap();
            let row = source.at(0).unwrap();
            source.set(&row, "name", "A").unwrap();
            server.take_requests();
            server.set_holding(true);
            let sync = source.sync();
            held(&server, 1).await;
            source.remove(&row).unwrap();
            server.set_holding(false);
            sync.await.unwrap();
            assert_eq!((source.len(), ids(&source.destroyed())), (2, vec!["1".to_owned()]));
            source.sync().await.unwrap();
            assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#, r#"destroy {"id":1,"name":"A"}"#]);
        },
    )
    .await;
}

/// R5.20, R5.37, R5.43.
#[tokio::test]
async fn c03_q15_removals_made_while_one_is_under_way_are_not_forgotten() {
    both(
        || three().build(),
        async |server, source| {
            source.read().await.unwrap();
            source.remove(source.at(0).unwrap()).unwrap();
            server.set_holding(true);
            let sync = source.sync();
            held(&server, 1).await;
            source.remove(source.at(0).unwrap()).unwrap();
            server.set_holding(false);
            sync.await.unwrap();
            assert_eq!(ids(&source.destroyed()), ["2"]);
            source.sync().await.unwrap();
            assert_eq!(rows(&server), [r#"{"id":3,"name":"c"}"#]);
        },
    )
    .await;
}

/// R5.41.
#[tokio::test]
async fn c02_a_second_sync_waits_and_sends_what_is_left() {
    both(
        || three().build(),
        async |server, source| {
            source.read().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            server.take_requests();
            server.set_holding(true);
            let first = source.sync();
            held(&server, 1).await;
            source.set(source.at(1).unwrap(), "name", "B").unwrap();
            let second = source.sync();
            calm().await;
            assert_eq!(server.held(), 1);
            server.set_holding(false);
            assert_eq!(first.await.unwrap().done(), 1);
            assert_eq!(second.await.unwrap().done(), 1);
            assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#, r#"update {"id":2,"name":"B"}"#]);
        },
    )
    .await;
}

/// R5.1.
#[tokio::test]
async fn g9_a_dropped_promise_stops_nothing() {
    both(
        || three().build(),
        async |server, source| {
            drop(source.read());
            source.idle().await.unwrap();
            assert_eq!(source.len(), 3);
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            drop(source.sync());
            source.idle().await.unwrap();
            assert!(!source.has_changes());
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
        },
    )
    .await;
}

#[tokio::test]
async fn at_most_so_many_requests_are_under_way() {
    let server = serving("[]").holding(true).build();
    let source = DataSource::builder().transport(server.clone()).model(model()).max_in_flight(2).build().unwrap();
    for _ in 0..5 {
        source.add(record(r#"{"name":"n"}"#)).unwrap();
    }
    let sync = source.sync();
    held(&server, 2).await;
    calm().await;
    assert_eq!(server.held(), 2);
    server.release_next();
    calm().await;
    assert_eq!((server.held(), server.count(Operation::Create)), (2, 3));
    server.set_holding(false);
    assert_eq!(sync.await.unwrap().done(), 5);
}

#[tokio::test]
async fn r5_44_g4_a_read_while_a_sync_is_under_way_loses_nothing() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.remove(source.at(2).unwrap()).unwrap();
    server.set_holding(true);
    let sync = source.sync();
    held(&server, 3).await;
    let read = source.read();
    held(&server, 4).await;
    server.release_at(3);
    read.await.unwrap();
    server.set_holding(false);
    assert!(sync.await.unwrap().is_success());
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"b"}"#, r#"{"name":"n","id":4}"#]);
    assert!(!source.has_changes() && source.pending().is_empty());
    assert_eq!(source.total(), 3);
}

// ---- answers that say little

/// R5.26.
#[tokio::test]
async fn r5_25_c06_q6_a_short_answer_changes_only_what_it_says() {
    let server = || {
        serving(r#"[{"id":1,"name":"a","price":5}]"#)
            .fault(Fault::on(Operation::Update).reply(value(r#"{"id":1,"price":6}"#)))
            .fault(Fault::on(Operation::Create).reply(value(r#"{"id":9}"#)))
            .build()
    };
    let declared =
        model().field(Field::new("id").number()).field(Field::new("name").string()).field(Field::new("price").number());
    for model in [model(), declared] {
        let source = DataSource::builder().transport(server()).model(model).build().unwrap();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.add(record(r#"{"name":"n","price":1}"#)).unwrap();
        assert!(source.sync().await.unwrap().is_success());
        assert_eq!(data(&source), [r#"{"id":1,"name":"A","price":6}"#, r#"{"name":"n","price":1,"id":9}"#]);
        source.set(source.at(0).unwrap(), "name", "B").unwrap();
        source.cancel_changes().unwrap();
        assert_eq!(data(&source)[0], r#"{"id":1,"name":"A","price":6}"#, "C07: as acknowledged");
    }
}

#[tokio::test]
async fn r5_23_v16_an_answer_replaces_members_as_a_whole() {
    let server = serving(r#"[{"id":1,"o":{"a":1,"b":2},"arr":[1,2],"n":5,"k":"keep"}]"#)
        .fault(Fault::on(Operation::Update).reply(value(r#"{"id":1,"o":{"a":9},"arr":[3],"n":null}"#)))
        .build();
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "n", 6).unwrap();
    source.sync().await.unwrap();
    let answered = r#"{"id":1,"o":{"a":9},"arr":[3],"n":null,"k":"keep"}"#;
    assert_eq!(data(&source), [answered]);
    source.set(source.at(0).unwrap(), "k", "x").unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source), [answered], "there is one base, not a second one that is merged more deeply");
}

/// R5.31.
#[tokio::test]
async fn c08_q11_a_create_answered_without_an_id_fails_and_stays_new() {
    both(
        || serving("[]").reply(ChangeKind::Create, ReplyStyle::Empty).build(),
        async |server, source| {
            source.read().await.unwrap();
            source.add(record(r#"{"name":"n"}"#)).unwrap();
            let report = source.sync().await.unwrap();
            assert_eq!(failures(&report), [ErrorKind::Rejected]);
            assert_eq!(source.created().len(), 1);
            let first = keys(&server);
            source.sync().await.unwrap();
            assert_eq!(keys(&server), first, "the same key");
            assert_eq!(rows(&server).len(), 1, "so the service does not make it twice");
        },
    )
    .await;
}

/// R4.11, R6.44.
#[tokio::test]
async fn c46_q20_a_create_with_an_id_of_its_own_needs_no_id_in_the_answer() {
    let server = serving("[]").fault(Fault::on(Operation::Create).reply(value("null"))).build();
    let source = online(&server);
    source.read().await.unwrap();
    source.add(record(r#"{"id":"k-1","name":"n"}"#)).unwrap();
    assert_eq!(source.created().len(), 1);
    assert!(source.sync().await.unwrap().is_success());
    assert!(!source.has_changes());
}

// ---- batches

fn batched(server: &MockServer) -> DataSource {
    DataSource::builder().transport(server.clone()).model(model()).batch(true).build().unwrap()
}

#[tokio::test]
async fn r5_5_r5_10_one_request_a_kind_only_when_there_is_something() {
    let server = three().build();
    let source = batched(&server);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    source.remove(source.at(2).unwrap()).unwrap();
    source.sync().await.unwrap();
    let updates = r#"update {"models":[{"id":1,"name":"A"},{"id":2,"name":"B"}]}"#;
    assert_eq!(sent(&server), [updates, r#"destroy {"models":[{"id":3,"name":"c"}]}"#]);
}

/// R5.21.
#[tokio::test]
async fn q12_a_batch_answered_in_another_order_is_matched_by_id() {
    let answer = r#"[{"id":2,"name":"two"},{"id":1,"name":"one"}]"#;
    let server = three().fault(Fault::on(Operation::Update).reply(value(answer))).build();
    let source = batched(&server);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(data(&source)[..2], [r#"{"id":1,"name":"one"}"#, r#"{"id":2,"name":"two"}"#]);
}

/// R5.21.
#[tokio::test]
async fn q12_an_answer_that_names_another_record_is_a_conflict() {
    let answer = r#"{"id":9,"name":"x"}"#;
    both(
        || three().fault(Fault::on(Operation::Update).reply(value(answer))).build(),
        async |_, source| {
            source.read().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            let report = source.sync().await.unwrap();
            assert_eq!(failures(&report), [ErrorKind::Conflict]);
            assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#);
            assert!(source.has_changes());
        },
    )
    .await;
}

#[tokio::test]
async fn r5_30_v7_more_answers_than_records_are_ignored() {
    let answer = r#"[{"id":1,"name":"one"},{"id":2,"name":"two"},{"id":3,"name":"three"}]"#;
    let source = batched(&three().fault(Fault::on(Operation::Update).reply(value(answer))).build());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(data(&source), [r#"{"id":1,"name":"one"}"#, r#"{"id":2,"name":"two"}"#, r#"{"id":3,"name":"c"}"#]);
}

/// R5.29.
#[tokio::test]
async fn c45_q11_creates_without_an_answer_fail_and_the_others_are_done() {
    let source = batched(&serving("[]").fault(Fault::on(Operation::Create).reply(value(r#"[{"id":5}]"#))).build());
    source.read().await.unwrap();
    source.add(record(r#"{"name":"x"}"#)).unwrap();
    source.add(record(r#"{"name":"y"}"#)).unwrap();
    let report = source.sync().await.unwrap();
    assert_eq!((report.done(), failures(&report)), (1, vec![ErrorKind::Rejected]));
    assert_eq!(data(&source), [r#"{"name":"x","id":5}"#, r#"{"name":"y","id":""}"#]);
    assert_eq!(source.created().len(), 1);
}

#[tokio::test]
async fn r3_21_serialize_shapes_the_models_of_a_batch() {
    let server = three().build();
    let schema = Schema::new()
        .with_model(model())
        .serialize_with(|records| Value::from(Record::from([("count", records.len())])));
    let source: DataSource =
        DataSource::builder().transport(server.clone()).schema(schema).batch(true).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    drop(source.sync().await);
    assert_eq!(sent(&server), [r#"update {"models":{"count":1}}"#]);
}

// ---- one request for all

#[tokio::test]
async fn r5_6_v6_submit_sends_all_in_one_request() {
    let server = three().submit(true).build();
    let source = batched(&server);
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    let log = Log::of(&source);
    assert!(source.sync().await.unwrap().is_success());
    let all = concat!(
        r#"submit {"created":[{"name":"n","id":""}],"updated":[{"id":1,"name":"A"}],"#,
        r#""destroyed":[{"id":2,"name":"b"}]}"#
    );
    assert_eq!(sent(&server), [all]);
    assert_eq!(log.take(), "start:submit progress end:create end:update end:destroy change:sync sync");
    assert_eq!(rows(&server), [r#"{"id":1,"name":"A"}"#, r#"{"id":3,"name":"c"}"#, r#"{"name":"n","id":4}"#]);
    assert!(!source.has_changes());
}

#[tokio::test]
async fn r5_6_one_submit_a_sync_also_of_nothing_and_none_without_batch() {
    let server = three().submit(true).build();
    batched(&server).sync().await.unwrap();
    assert_eq!(sent(&server), [r#"submit {"created":[],"updated":[],"destroyed":[]}"#]);
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
}

#[tokio::test]
async fn r5_35_a_failed_submit_fails_all_with_one_error() {
    let source = batched(&three().submit(true).fault(Fault::on(Operation::Submit).fail(500)).build());
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    let log = Log::of(&source);
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Status(500), ErrorKind::Status(500)]);
    assert_eq!(log.take(), "start:submit progress end error");
    assert!(source.sync().await.unwrap().is_success());
}

#[tokio::test]
async fn i10_a_submit_in_doubt_is_repeated_as_it_was_and_later_edits_follow_in_another() {
    let server = three().submit(true).fault(Fault::on(Operation::Submit).lost()).build();
    let builder = DataSource::builder().transport(server.clone()).model(model()).batch(true);
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    assert!(source.pending().iter().all(|pending| pending.standing == Standing::InDoubt));
    let first = sent(&server);
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    source.set(source.at(0).unwrap(), "name", "AA").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    let then = sent(&server);
    assert_eq!(then[0], first[0]);
    assert_eq!(
        rows(&server),
        [r#"{"id":1,"name":"AA"}"#, r#"{"id":2,"name":"B"}"#, r#"{"id":3,"name":"c"}"#, r#"{"name":"n","id":4}"#]
    );
    assert!(source.pending().is_empty() && !source.has_changes());
    assert!(!stored(&source).await.contains("__state__"));
}
