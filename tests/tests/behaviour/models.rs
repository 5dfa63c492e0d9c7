//! Models through the facade: defaults, parsing, editing, validation (reference 2).

use crate::help::{data, kind, online, record, rows, serving, value};
use landfall::{DataSource, Date, ErrorKind, Field, Model, Value};

fn typed() -> Model {
    Model::new()
        .id("id")
        .field(Field::new("id").number().editable(false))
        .field(Field::new("name").string().required())
        .field(Field::new("price").number().min(0.0).max(100.0))
        .field(Field::new("on").date())
}

/// At 2020-09-13T12:26:40Z.
fn source(rows: &str) -> DataSource {
    let builder = DataSource::builder().transport(serving(rows).build()).model(typed());
    builder.clock(|| Date::from_millis(1_600_000_000_000)).build().unwrap()
}

#[tokio::test]
async fn r2_31_edits_are_parsed_as_the_field_says() {
    let source = source(r#"[{"id":1}]"#);
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "price", "1,234.5").unwrap();
    source.set(&row, "name", 5).unwrap();
    source.set(&row, "on", "2020-01-02").unwrap();
    let row = source.at(0).unwrap();
    assert_eq!(row.get("price"), Some(&Value::from(1234.5)));
    assert_eq!(row.get("name"), Some(&Value::from("5")));
    assert_eq!(row.get("on"), Some(&Value::from(Date::from_millis(1_577_923_200_000))));
}

#[tokio::test]
async fn r2_40_a_time_without_a_day_takes_the_day_of_the_clock() {
    let source = source(r#"[{"id":1,"on":"17:30"},{"id":2,"on":"2020-01-02"}]"#);
    source.read().await.unwrap();
    let evening = Value::from(Date::from_millis(1_600_018_200_000));
    assert_eq!(source.at(0).unwrap().get("on"), Some(&evening), "in reads");
    source.set(source.at(1).unwrap(), "on", "17:30").unwrap();
    assert_eq!(source.at(1).unwrap().get("on"), Some(&evening), "in edits");
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(source.at(1).unwrap().get("on"), Some(&evening));
}

/// R0.24.
#[tokio::test]
async fn r2_11_r2_12_q26_new_items() {
    let source = source("[]");
    assert_eq!(
        source.wrap(record("{}")).unwrap().to_json(),
        r#"{"id":0,"name":"","price":0,"on":"2020-09-13T12:26:40.000Z"}"#
    );
    assert_eq!(source.wrap(record(r#"{"price":"5"}"#)).unwrap().to_json(), r#"{"price":"5","id":0}"#, "R2.13");
    let uid = source.add(record("{}")).unwrap();
    assert_eq!(source.is_new(source.item(uid).unwrap().record()), Some(true));
    assert_eq!(source.is_new(&record(r#"{"id":"0"}"#)), Some(false), "R2.17: strictly");
}

#[tokio::test]
async fn r2_46_fields_that_are_not_editable() {
    let source = source(r#"[{"id":1,"name":"a"}]"#);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "id", 9).unwrap();
    assert!(!source.has_changes());
    assert!(!source.is_editable("id") && source.is_editable("name") && source.is_editable("unknown"));
}

/// R0.12.
#[tokio::test]
async fn r2_23_q21_an_equal_value_is_no_change_and_a_part_of_one_is() {
    let source = online(&serving(r#"[{"id":1,"o":{"x":1,"y":2},"l":[1,2]}]"#).build());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "o", record(r#"{"y":2,"x":1}"#)).unwrap();
    source.set(&row, "l", value("[1,2]")).unwrap();
    assert!(!source.has_changes());
    source.set(&row, "o", record(r#"{"x":1}"#)).unwrap();
    assert!(source.has_changes());
    assert_eq!(data(&source), [r#"{"id":1,"o":{"x":1},"l":[1,2]}"#]);
}

#[tokio::test]
async fn q22_r2_26_a_change_inside_marks_the_record() {
    let source = online(&serving(r#"[{"id":1,"o":{"a":1},"l":[{"z":1}]}]"#).build());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "o.a", 2).unwrap();
    source.set(&row, "l[0].z", 2).unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"o":{"a":2},"l":[{"z":2}]}"#]);
    assert_eq!(source.updated().len(), 1);
    assert_eq!(kind(source.set(&row, "missing.a", 1)), ErrorKind::Invalid);
    source.edit_array(&row, "l", |items| items.push(Value::from(7))).unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"o":{"a":2},"l":[{"z":2},7]}"#]);
    assert_eq!(kind(source.edit_array(&row, "o", Vec::clear)), ErrorKind::Invalid);
}

/// R4.7.
#[tokio::test]
async fn q27_adding_nothing_adds_at_the_end() {
    let source = source(r#"[{"id":1,"name":"a"}]"#);
    source.read().await.unwrap();
    let uid = source.add(record("{}")).unwrap();
    assert_eq!(source.index_of(uid), Some(1));
}

#[test]
fn validation_is_asked_for_and_names_field_and_rule() {
    let broken = |row: &str| -> Vec<String> {
        let violations = typed().validate(&record(row));
        violations.iter().map(|one| format!("{}:{}", one.field.as_str(), one.rule)).collect()
    };
    assert_eq!(broken(r#"{"name":"a","price":5}"#), Vec::<String>::new());
    assert_eq!(broken(r#"{"name":"","price":-1}"#), ["name:required", "price:min"]);
    assert_eq!(broken(r#"{"price":101}"#), ["name:required", "price:max"]);
    let kendo = concat!(
        r#"{"id":"id","fields":{"mail":{"validation":"#,
        r#"{"required":{"message":"Mail!"},"pattern":"[^@]+@[^@]+"}}}}"#
    );
    let kendo = Model::from_value(&value(kendo)).unwrap();
    let told =
        |row: &str| -> Vec<String> { kendo.validate(&record(row)).iter().map(|one| one.message.clone()).collect() };
    assert_eq!(told(r#"{"mail":""}"#), ["Mail!"]);
    assert_eq!(told(r#"{"mail":"nobody"}"#), ["mail does not have the expected form"]);
    assert!(told(r#"{"mail":"a@b"}"#).is_empty());
}

#[tokio::test]
async fn typed_rows_write_only_what_differs() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Row {
        id: i64,
        name: String,
    }
    let server = serving(r#"[{"id":1,"name":"a","more":{"kept":true}}]"#).build();
    let source = DataSource::<Row>::typed().transport(server.clone()).model(Model::new().id("id")).build().unwrap();
    source.read().await.unwrap();
    source.edit(source.at(0).unwrap(), |row| row.name.push('!')).unwrap();
    assert_eq!(source.at(0).unwrap().value().unwrap().name, "a!");
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server), [r#"{"id":1,"name":"a!","more":{"kept":true}}"#]);
}

/// R2.42: an id that an answer takes away is none; R2.44, Q24: no member named `id` is made up or lost.
#[tokio::test]
async fn r2_1_r2_14_r2_15_the_id_and_the_member_of_its_name() {
    let server =
        landfall::transport::MockServer::builder().id("Key").rows([record(r#"{"Key":1,"id":"column"}"#)]).build();
    let source = DataSource::builder().transport(server.clone()).model(Model::new().id("Key")).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"Key":1,"id":"column"}"#], "another column may be named id");
    assert_eq!(source.wrap(record(r#"{"n":1}"#)).unwrap().to_json(), r#"{"n":1}"#, "no member is made for a Key");
    source.set(source.at(0).unwrap(), "id", "edited").unwrap();
    source.sync().await.unwrap();
    assert_eq!(rows(&server), [r#"{"Key":1,"id":"edited"}"#]);
    let named_id = online(&serving(r#"[{"id":null,"n":1}]"#).build());
    named_id.read().await.unwrap();
    assert_eq!(data(&named_id), [r#"{"id":null,"n":1}"#], "null stays null");
    assert_eq!(
        named_id.wrap(record(r#"{"n":1}"#)).unwrap().to_json(),
        r#"{"n":1,"id":""}"#,
        "at the end, with its default"
    );
}

#[tokio::test]
async fn r2_28_r2_30_a_path_is_read_safely_and_an_edit_is_told_of_by_the_data_source() {
    let source = online(&serving(r#"[{"id":1,"o":{"x":1},"n":null}]"#).build());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    let at = |path: &str| landfall_core::Path::parse(path).get(row.record()).map(Value::to_json);
    assert_eq!((at("o.x"), at("o.y.z"), at("n.x.y")), (Some("1".into()), None, Some("null".into())), "it ends at null");
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let inner = std::sync::Arc::clone(&heard);
    source.on(landfall::EventKind::Change, move |event| {
        let ids = event.items.iter().flatten().map(|item| item.record.get("id").unwrap().to_json());
        let action = event.action.map(|action| action.as_str().to_owned());
        inner.lock().unwrap().push((action, event.field.as_deref().map(str::to_owned), ids.collect::<String>()));
    });
    source.set(&row, "o.x", 2).unwrap();
    let told = (Some("itemchange".to_owned()), Some("o.x".to_owned()), "1".to_owned());
    assert_eq!(*heard.lock().unwrap(), [told]);
}
