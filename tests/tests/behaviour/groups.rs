//! Groups that the server makes (R4.33-R4.36, R6.17, R10.1-R10.4).

use crate::help::{Log, ids, model, record, rows, sent, serving, stored, value, view};
use landfall::{
    Builder, DataSource, Field, Group, Model, Shown, ShownGroup, Value,
    storage::MemoryStorage,
    transport::{MockServer, Operation},
};

fn server() -> MockServer {
    serving(r#"[{"id":1,"kind":"a"},{"id":2,"kind":"a"},{"id":3,"kind":"b"}]"#).grouping(true).build()
}

fn grouped(server: &MockServer) -> Builder {
    DataSource::builder().transport(server.clone()).model(model()).server_grouping(true).group([Group::new("kind")])
}

/// `a:1,2 b:3`.
fn shown(source: &DataSource) -> String {
    let Shown::Groups(groups) = source.view() else { panic!("no groups") };
    let text = |value: &Value| value.to_text().as_str().to_owned();
    let items = |shown: &Shown| -> Vec<String> {
        shown.flat().iter().map(|item| text(item.record.get("id").unwrap_or(&Value::Null))).collect()
    };
    let group =
        |group: &ShownGroup| format!("{}:{}", text(group.value.as_ref().unwrap()), items(&group.items).join(","));
    groups.iter().map(group).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn r4_33_r10_1_r10_3_groups_come_from_the_server_and_leaves_are_items() {
    let server = server();
    let source = grouped(&server).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(server.requests()[0].data.to_json(), r#"{"group":[{"field":"kind","dir":"asc"}]}"#);
    assert_eq!(shown(&source), "a:1,2 b:3");
    assert_eq!(source.total(), 2, "C33: the groups");
    assert_eq!(source.rows().len(), 3, "flat");
    source.set(source.get(3).unwrap(), "kind", "a").unwrap();
    assert_eq!(shown(&source), "a:1,2 b:3", "R4.35: it stays where it is");
    assert_eq!(source.updated().len(), 1);
}

#[tokio::test]
async fn r4_34_a_new_item_has_a_group_of_its_own() {
    let server = server();
    let source = grouped(&server).build().unwrap();
    source.read().await.unwrap();
    source.insert(1, record(r#"{"kind":"a"}"#)).unwrap();
    assert_eq!(shown(&source), "a:1,2 a: b:3");
    let groups = source.data_groups().unwrap();
    let group = groups.as_array().unwrap()[1].as_object().unwrap().clone();
    assert_eq!(group.get("value"), Some(&Value::from("a")));
    assert_eq!(group.get("field"), Some(&Value::from("kind")));
    assert_eq!(group.get("items"), Some(&value(r#"[{"kind":"a","id":""}]"#)));
    assert_eq!(group.get("hasSubgroups"), Some(&Value::from(false)));
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server).len(), 4);
}

#[tokio::test]
async fn r4_16_v17_a_group_without_items_goes_away() {
    let server = server();
    let source = grouped(&server).build().unwrap();
    source.read().await.unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    assert_eq!(shown(&source), "a:1,2");
    assert_eq!(ids(&source.destroyed()), ["3"]);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server).len(), 2);
}

#[tokio::test]
async fn r4_36_cancelling_restores_the_groups_and_reads_again() {
    let server = server();
    let source = grouped(&server).build().unwrap();
    source.read().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "x").unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.insert(0, record(r#"{"kind":"z"}"#)).unwrap();
    server.set_row(9, record(r#"{"kind":"c"}"#));
    let log = Log::of(&source);
    source.cancel_changes().unwrap();
    assert_eq!(shown(&source), "a:1,2 b:3");
    source.idle().await.unwrap();
    assert_eq!(server.count(Operation::Read), 2);
    assert_eq!(log.take(), "change start:read progress reset end:read change");
    assert_eq!(shown(&source), "a:1,2 b:3 c:9");
    assert!(!source.has_changes());
}

/// R6.18.
#[tokio::test]
async fn r6_17_groups_are_stored_and_come_back_offline() {
    let server = server();
    let storage = MemoryStorage::new();
    let source = grouped(&server).storage(storage.clone(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.get(1).unwrap(), "name", "x").unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.sync().await.unwrap();
    let state = value(&stored(&source).await);
    let entries = state.as_array().unwrap();
    assert_eq!(entries.len(), 2, "a group, and the removal at the top");
    assert_eq!(entries[1].to_json(), r#"{"id":3,"kind":"b","__state__":"destroy"}"#);
    let leaves = entries[0].as_object().unwrap().get("items").unwrap().to_json();
    assert_eq!(leaves, r#"[{"id":1,"kind":"a","name":"x","__state__":"update"},{"id":2,"kind":"a"}]"#);
    drop(source);

    let source = grouped(&server).storage(storage, "rows").build().unwrap();
    source.online(false).await.unwrap();
    source.read().await.unwrap();
    assert_eq!(shown(&source), "a:1,2");
    sent(&server);
    assert!(source.online(true).await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"kind":"a","name":"x"}"#, r#"destroy {"id":3,"kind":"b"}"#]);
}

#[tokio::test]
async fn g4_fresh_groups_go_underneath_pending_changes() {
    let server = server();
    let source = grouped(&server).storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.get(1).unwrap(), "name", "x").unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.sync().await.unwrap();
    server.set_down(true);
    source.online(true).await.unwrap();
    server.set_down(false);
    server.set_row(2, record(r#"{"name":"server"}"#));
    source.read().await.unwrap();
    assert_eq!(shown(&source), "a:1,2");
    assert_eq!(source.get(1).unwrap().to_json(), r#"{"id":1,"kind":"a","name":"x"}"#);
    assert_eq!(source.get(2).unwrap().to_json(), r#"{"id":2,"kind":"a","name":"server"}"#);
    assert!(source.sync().await.unwrap().is_success());
    assert!(!source.has_changes());
}

#[tokio::test]
async fn r3_16_r7_68_fields_and_values_of_groups_are_the_models() {
    let server = serving(r#"[{"ID":"1","Kind":"5"}]"#).id("ID").grouping(true).build();
    let model = Model::new()
        .id("id")
        .field(Field::new("id").number().from("ID"))
        .field(Field::new("kind").number().from("Kind"));
    let builder = DataSource::builder().transport(server.clone()).model(model);
    let source: DataSource = builder.server_grouping(true).group([Group::new("kind")]).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(server.requests()[0].data.to_json(), r#"{"group":[{"field":"Kind","dir":"asc"}]}"#);
    let groups = source.data_groups().unwrap();
    let group = groups.as_array().unwrap()[0].as_object().unwrap().clone();
    assert_eq!(group.get("field").unwrap().to_json(), r#""kind""#);
    assert_eq!(group.get("value").unwrap().to_json(), "5");
    assert_eq!(view(&source), [r#"{"id":1,"kind":5}"#]);
}

#[tokio::test]
async fn r10_2_without_a_group_the_rows_are_rows() {
    let builder = DataSource::builder().transport(server()).model(model());
    let source = builder.server_grouping(true).build().unwrap();
    source.read().await.unwrap();
    assert!(matches!(source.view(), Shown::Rows(items) if items.len() == 3));
    source.group([Group::new("kind")]).await.unwrap();
    assert_eq!(shown(&source), "a:1,2 b:3");
    source.group([]).await.unwrap();
    assert!(matches!(source.view(), Shown::Rows(_)));
}
