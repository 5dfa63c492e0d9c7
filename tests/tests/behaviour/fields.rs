//! Fields, paths and parsing through the facade (reference 0.2, 2 and 3.2).

use crate::help::{data, ids, online, record, rows, sent, serving, value};
use landfall::{Aggregate, DataSource, ErrorKind, Field, Filter, Group, Model, Schema, Shown, Sort, Value};

/// A data source over these rows whose model declares these fields.
fn with(fields: &str, rows: &str) -> (DataSource, landfall::transport::MockServer) {
    let server = serving(rows).build();
    let options = record(&format!(r#"{{"schema":{{"model":{{"id":"id","fields":{fields}}}}}}}"#));
    let source = DataSource::builder().kendo(&options).unwrap().transport(server.clone()).build().unwrap();
    (source, server)
}

#[tokio::test]
async fn r2_4_r2_31_type_names_in_any_case() {
    let fields = r#"{"n":{"type":"NUMBER"},"b":{"type":"Boolean"},"s":{"type":"String"},"d":{"type":"DATE"}}"#;
    let (source, _) = with(fields, r#"[{"id":1,"n":"5","b":"true","s":7,"d":"2020-01-02"}]"#);
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"n":5,"b":true,"s":"7","d":"2020-01-02T00:00:00.000Z"}"#]);
}

#[tokio::test]
async fn r2_6_r2_36_r2_43_types_without_a_parser_keep_what_comes() {
    let fields = r#"{"o":{"type":"object"},"x":{"type":"money"},"y":{}}"#;
    let (source, server) = with(fields, r#"[{"id":1,"o":"5","x":"5","y":[1]}]"#);
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"o":"5","x":"5","y":[1]}"#]);
    source.set(source.at(0).unwrap(), "y", value("[1,2]")).unwrap();
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":1,"o":"5","x":"5","y":[1,2]}"#], "no bookkeeping of ours is sent");
}

#[tokio::test]
async fn r2_16_r2_20_r2_21_r2_22_what_makes_a_record_dirty() {
    let (source, _) = with(r#"{"id":{"type":"number"}}"#, r#"[{"id":1,"name":"a","list":[1],"o":{"x":{"y":1}}}]"#);
    source.read().await.unwrap();
    let uid = source.at(0).unwrap().uid();
    let fields = || source.changes().into_iter().flat_map(|change| change.fields).map(|f| f.to_string()).collect();
    source.set(uid, "name", "b").unwrap();
    source.set(uid, "name", "a").unwrap();
    assert_eq!(fields() as Vec<String>, ["name"], "setting a value back does not clean");
    source.edit_array(uid, "list", |list| list.push(2.into())).unwrap();
    source.set(uid, "o.x.y", 2).unwrap();
    let mut all: Vec<String> = fields();
    all.sort_unstable();
    assert_eq!(all, ["list", "name", "o.x.y"], "a path stays one name");
    assert_eq!(data(&source), [r#"{"id":1,"name":"a","list":[1,2],"o":{"x":{"y":2}}}"#]);
}

#[tokio::test]
async fn r0_7_r2_27_paths_with_indexes_and_quotes() {
    let (source, _) = with("{}", r#"[{"id":1,"q":[{"z":1},{"z":2}],"a b":{"c":3}}]"#);
    source.read().await.unwrap();
    let uid = source.at(0).unwrap().uid();
    source.set(uid, "q[1].z", 5).unwrap();
    source.set(uid, r#"["a b"].c"#, 6).unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"q":[{"z":1},{"z":5}],"a b":{"c":6}}"#]);
    assert!(source.has_changes());
}

#[tokio::test]
async fn r0_8_r0_9_r0_10_q34_paths_through_null_are_absent_everywhere() {
    let (source, _) = with("{}", r#"[{"id":1,"a":{"b":1}},{"id":2,"a":null},{"id":3},{"id":4,"a":{"b":0}}]"#);
    source.read().await.unwrap();
    source.filter(Filter::eq("a.b", 1)).await.unwrap();
    assert_eq!(ids(&source.rows()), ["1"]);
    source.filter(None).await.unwrap();
    source.sort([Sort::desc("a.b")]).await.unwrap();
    assert_eq!(ids(&source.rows()), ["1", "4", "2", "3"]);
    source.aggregate([Aggregate::sum("a.b"), Aggregate::count("a.b")]).await.unwrap();
    assert_eq!(source.aggregates().to_json(), r#"{"a.b":{"sum":1,"count":4}}"#);
    source.group([Group::asc("a.b")]).await.unwrap();
    let Shown::Groups(groups) = source.view() else { panic!("no groups") };
    assert_eq!(groups.len(), 4, "null and absent are two groups");
}

#[tokio::test]
async fn r0_11_r2_26_a_missing_parent_is_an_error_and_changes_nothing() {
    let (source, _) = with("{}", r#"[{"id":1,"o":null}]"#);
    source.read().await.unwrap();
    for path in ["o.x", "p.x"] {
        let error = source.set(source.at(0).unwrap(), path, 1).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{path}");
    }
    assert_eq!(data(&source), [r#"{"id":1,"o":null}"#]);
    assert!(!source.has_changes());
}

#[tokio::test]
async fn r0_12_r0_13_equal_values_are_no_change() {
    let (source, _) = with("{}", r#"[{"id":1,"o":{"x":1,"y":[1,2]},"n":0}]"#);
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "o", value(r#"{"x":1,"y":[1,2]}"#)).unwrap();
    source.set(&row, "n", 0).unwrap();
    assert!(!source.has_changes());
    source.set(&row, "n", "0").unwrap();
    assert!(source.has_changes(), "another type is another value");
}

#[tokio::test]
async fn r2_9_r2_29_a_declaration_may_be_of_a_path_or_of_another_name() {
    let (source, _) = with(
        r#"{"o.x":{"type":"number"},"label":{"field":"name","type":"string"}}"#,
        r#"[{"id":1,"o":{"x":1},"name":5}]"#,
    );
    source.read().await.unwrap();
    assert_eq!(source.at(0).unwrap().get("label"), Some(&Value::from("5")), "read from the member of that name");
    source.set(source.at(0).unwrap(), "o.x", "7").unwrap();
    assert_eq!(source.at(0).unwrap().get("o"), Some(&value(r#"{"x":7}"#)));
}

#[tokio::test]
async fn r2_18_r4_21_a_row_with_the_default_id_is_new_one_with_null_is_not() {
    let (source, server) =
        with(r#"{"id":{"type":"number"},"name":{}}"#, r#"[{"id":0,"name":"z"},{"id":1,"name":"a"}]"#);
    source.read().await.unwrap();
    assert_eq!(ids(&source.created()), ["0"]);
    assert!(source.has_changes(), "a fresh read may report changes");
    server.set_row(1, record(r#"{"id":null}"#));
    source.read().await.unwrap();
    assert_eq!(ids(&source.created()), ["0"], "null is not the default");
}

#[tokio::test]
async fn r2_19_q23_the_id_follows_its_field() {
    let server = landfall::transport::MockServer::builder().id("Key").rows([record(r#"{"Key":1,"n":"a"}"#)]).build();
    let source = DataSource::builder().transport(server).model(Model::new().id("Key")).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "Key", 5).unwrap();
    assert!(source.get(5).is_some() && source.get(1).is_none());
    assert_eq!(source.updated().len(), 1, "and it is an update still");
}

#[tokio::test]
async fn r2_24_r2_41_r2_46_the_server_may_change_what_the_program_may_not() {
    let server = serving(r#"[{"id":1,"name":"a","price":1}]"#).override_update(record(r#"{"price":9}"#)).build();
    let model = Model::new().id("id").field(Field::new("name")).field(Field::new("price").number().editable(false));
    let source = DataSource::builder().transport(server).model(model).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "price", 5).unwrap();
    assert!(!source.has_changes(), "ignored");
    source.set(source.at(0).unwrap(), "name", "b").unwrap();
    source.sync().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"b","price":9}"#]);
}

#[tokio::test]
async fn r3_10_r5_26_numbers_and_dates_that_nobody_has_are_null_after_an_answer() {
    let fields = r#"{"id":{"type":"number"},"s":{"type":"string"},"n":{"type":"number"},"d":{"type":"date"}}"#;
    let (source, server) = with(fields, r#"[{"id":1}]"#);
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"n":null,"d":null}"#], "as in a read");
    source.add(record(r#"{"s":"x"}"#)).unwrap();
    assert_eq!(data(&source)[1], r#"{"s":"x","id":0}"#, "R2.12: no defaults in a record that has something");
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"create {"s":"x","id":0}"#]);
    assert_eq!(data(&source)[1], r#"{"s":"x","id":2,"n":null,"d":null}"#);
    source.cancel_changes().unwrap();
    assert_eq!(data(&source).len(), 2, "R4.26: a synced record stays");
}

#[tokio::test]
async fn r3_1_r3_2_r3_6_members_of_an_answer_by_path() {
    let answer = r#"{"d":{"rows":[{"id":1}],"count":"12"},"meta":{"errors":null}}"#;
    let server = serving("[]").build();
    server.add_fault(landfall::transport::Fault::on(landfall_core::Operation::Read).reply(value(answer)));
    let options = record(
        r#"{"schema":{"data":"d.rows","total":"d.count","errors":"meta.errors","model":{"id":"id"}},"serverPaging":true}"#,
    );
    let source = DataSource::builder().kendo(&options).unwrap().transport(server).build().unwrap();
    source.read().await.unwrap();
    assert_eq!((ids(&source.data()), source.total()), (vec!["1".to_owned()], 12), "the total is of the whole answer");
}

#[tokio::test]
async fn r3_15_q17_inline_rows_with_renamed_fields_can_be_read_again() {
    let model = Model::new().id("id").field(Field::new("foo").from("Foo"));
    let source = DataSource::builder().data([record(r#"{"Foo":"a","id":1}"#)]).model(model).build().unwrap();
    for _ in 0..2 {
        source.read().await.unwrap();
        assert_eq!(data(&source), [r#"{"id":1,"foo":"a"}"#]);
    }
}

#[tokio::test]
async fn r3_19_q19_a_nested_source_gets_its_parent() {
    let server = serving("[]").build();
    let model = Model::new().id("id").field(Field::new("city").from("addr.city"));
    let source = DataSource::builder().transport(server.clone()).model(model).build().unwrap();
    source.read().await.unwrap();
    source.add(record(r#"{"city":"Q"}"#)).unwrap();
    source.sync().await.unwrap();
    assert_eq!(rows(&server), [r#"{"id":1,"addr":{"city":"Q"}}"#]);
}

#[tokio::test]
async fn r3_7_r5_24_answers_to_writes_are_mapped_as_reads_are() {
    let server = serving(r#"[{"id":1,"Foo":"a","N":"1"}]"#).override_update(record(r#"{"N":"7"}"#)).build();
    let model = Model::new().id("id").field(Field::new("foo").from("Foo")).field(Field::new("n").number().from("N"));
    let source = DataSource::builder().transport(server).model(model).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "foo", "b").unwrap();
    source.sync().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"foo":"b","n":7}"#]);
}

#[tokio::test]
async fn r2_45_without_a_model_records_are_what_they_are() {
    let server = serving(r#"[{"id":1,"n":"5"}]"#).build();
    let source = DataSource::builder().transport(server).schema(Schema::default()).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "n", "6").unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"n":"6"}"#]);
    assert!(!source.has_changes(), "R4.2: nothing is tracked");
    let source = online(&serving(r#"[{"id":1,"n":"5"}]"#).build());
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"n":"5"}"#], "R3.14: without fields nothing is parsed");
}
