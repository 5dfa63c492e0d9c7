//! What is changed, what is sent for it and what the server announces (reference 4 and 5.2).

use crate::help::{Log, data, ids, kept, online, record, rows, sent, stored, three, value};
use landfall::{
    ChangeKind, DataSource, Filter, Model, Sort,
    storage::MemoryStorage,
    transport::{Fault, Operation, ReplyStyle},
};

#[tokio::test]
async fn r4_1_r4_2_r4_3_lists_of_changes_in_data_order_and_in_the_order_of_removal() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.add(record(r#"{"name":"y"}"#)).unwrap();
    source.insert(0, record(r#"{"name":"x"}"#)).unwrap();
    source.set(source.get(3).unwrap(), "name", "C").unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    let names = |list: Vec<landfall::Entry>| {
        list.iter().map(|row| row.get("name").unwrap().to_text().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(source.created()), ["x", "y"]);
    assert_eq!(names(source.updated()), ["A", "C"]);
    source.remove(source.get(3).unwrap()).unwrap();
    source.remove(source.get(1).unwrap()).unwrap();
    assert_eq!(names(source.destroyed()), ["C", "A"]);
    assert!(source.updated().is_empty());
}

#[tokio::test]
async fn r5_1_r5_3_r5_4_r5_8_everything_is_sent_kind_by_kind_and_whole() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.set(source.get(2).unwrap(), "name", "B").unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    source.add(record(r#"{"name":"y"}"#)).unwrap();
    source.insert(0, record(r#"{"name":"x"}"#)).unwrap();
    sent(&server);
    source.sync().await.unwrap();
    assert_eq!(
        sent(&server),
        [
            r#"create {"name":"x","id":""}"#,
            r#"create {"name":"y","id":""}"#,
            r#"update {"id":1,"name":"A"}"#,
            r#"update {"id":2,"name":"B"}"#,
            r#"destroy {"id":3,"name":"c"}"#,
        ]
    );
}

#[tokio::test]
async fn r4_12_r4_14_a_removal_carries_the_edited_values_and_one_of_a_new_item_nothing() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.get(2).unwrap(), "name", "B").unwrap();
    source.remove(source.get(2).unwrap()).unwrap();
    let uid = source.add(record("{}")).unwrap();
    source.remove(uid).unwrap();
    assert!(source.remove(uid).is_err(), "R4.13: it is gone");
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"destroy {"id":2,"name":"B"}"#]);
}

#[tokio::test]
async fn r4_8_r4_9_r4_10_adding_tells_where_and_counts() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let log = Log::of(&source);
    source.insert(1, record(r#"{"name":"x"}"#)).unwrap();
    assert_eq!((log.take().as_str(), source.total()), ("change:add", 4));
    assert_eq!(data(&source)[1], r#"{"name":"x","id":""}"#, "given members, then the id");
    source.add(record("{}")).unwrap();
    assert_eq!(data(&source)[4], r#"{"id":""}"#, "all defaults");
}

#[tokio::test]
async fn r4_30_local_queries_leave_drafts_alone() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "z").unwrap();
    source.add(record(r#"{"name":"y"}"#)).unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.sort([Sort::desc("name")]).await.unwrap();
    source.filter(Filter::neq("name", "b")).await.unwrap();
    source.page_size(1).await.unwrap();
    source.fetch().await.unwrap();
    assert_eq!((source.updated().len(), source.created().len(), source.destroyed().len()), (1, 1, 1));
    assert_eq!(ids(&source.rows()), ["1"]);
}

#[tokio::test]
async fn r4_29_r6_26_r6_30_an_offline_read_drops_drafts_and_keeps_what_was_accepted() {
    let source = kept(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    source.remove(source.get(2).unwrap()).unwrap();
    source.sync().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "draft").unwrap();
    source.add(record(r#"{"name":"draft"}"#)).unwrap();
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"id":3,"name":"c"}"#]);
    assert_eq!((ids(&source.updated()), ids(&source.destroyed())), (vec!["1".into()], vec!["2".into()]));
    assert_eq!(source.total(), 2);
    assert_eq!(
        stored(&source).await,
        r#"[{"id":1,"name":"A","__state__":"update"},{"id":3,"name":"c"},{"id":2,"name":"b","__state__":"destroy"}]"#,
        "R6.12 to R6.14: rows in data order, removals in theirs"
    );
}

#[tokio::test]
async fn r4_37_r4_38_r4_40_r4_42_what_the_server_announces() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.push_create([record(r#"{"id":9,"name":"x"}"#)]).unwrap();
    source.push_insert(0, [record(r#"{"id":8,"name":"y"}"#)]).unwrap();
    source.push_update([record(r#"{"id":"1","name":"A"}"#), record(r#"{"id":7,"name":"z"}"#)]).unwrap();
    assert_eq!(ids(&source.data()), ["8", r#""1""#, "2", "3", "9", "7"], "found by an id that is equal as text");
    assert!(!source.has_changes(), "what the server says is no change");
    let log = Log::of(&source);
    source.push_destroy([record(r#"{"id":77}"#)]).unwrap();
    assert_eq!(log.take(), "", "nobody knows it");
    source.push_destroy([record(r#"{"id":9}"#), record(r#"{"id":8}"#)]).unwrap();
    assert_eq!(log.take(), "change:remove push:destroy");
    source.cancel_changes().unwrap();
    assert_eq!(ids(&source.data()), [r#""1""#, "2", "3", "7"], "pushed rows are not cancelled");
}

#[tokio::test]
async fn r5_17_r5_19_r5_20_r5_22_what_an_answer_settles() {
    let server =
        three().reply(ChangeKind::Update, ReplyStyle::Empty).reply(ChangeKind::Destroy, ReplyStyle::Empty).build();
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    source.remove(source.get(2).unwrap()).unwrap();
    source.add(record(r#"{"name":"x"}"#)).unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert!(!source.has_changes(), "no body: accepted as sent");
    source.set(source.get(1).unwrap(), "name", "again").unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"id":3,"name":"c"}"#, r#"{"name":"x","id":4}"#]);
    assert_eq!(rows(&server).len(), 3);
}

#[tokio::test]
async fn r5_32_a_word_in_place_of_a_record_says_that_the_write_was_done() {
    let server = three().fault(Fault::on(Operation::Update).reply("ok")).build();
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#, "not a member for each letter");
    assert!(!source.has_changes());
}

#[tokio::test]
async fn r6_20_r6_22_cancelling_goes_back_to_what_a_sync_stored_numbers_filled_in() {
    let options = value(r#"{"id":"id","fields":{"id":{"type":"number"},"name":{},"n":{"type":"number"}}}"#);
    let server = three().build();
    let model = Model::from_value(&options).unwrap();
    let builder = DataSource::builder().transport(server).model(model);
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.add(record(r#"{"name":"x"}"#)).unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source).len(), 3, "never stored");
    source.add(record(r#"{"name":"x"}"#)).unwrap();
    source.sync().await.unwrap();
    source.set(source.at(3).unwrap(), "name", "y").unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[3], r#"{"name":"x","id":0,"n":null}"#);
    assert_eq!(source.pending().len(), 1);
}

#[tokio::test]
async fn r7_64_c22_a_sync_before_any_read_leaves_the_total_a_number() {
    let source = online(&three().build());
    source.sync().await.unwrap();
    source.add(record(r#"{"name":"x"}"#)).unwrap();
    assert_eq!((source.len(), source.total()), (1, 1), "Kendo's is not a number from then on");
}

#[tokio::test]
async fn r9_15_r9_16_r9_23_r9_24_q58_sizes_and_places() {
    let source = online(&three().build());
    assert_eq!(source.total_pages(), 0);
    source.read().await.unwrap();
    assert_eq!(source.total_pages(), 1, "without a size all is one page");
    source.query(landfall::QueryOptions::new().page(2).page_size(2)).await.unwrap();
    let state = source.query_state();
    assert_eq!((state.skip, state.take, state.page), (Some(2), Some(2), Some(2)));
    source.page_size(0).await.unwrap();
    assert_eq!(source.total_pages(), 1, "a size of 0 does not page");
}
