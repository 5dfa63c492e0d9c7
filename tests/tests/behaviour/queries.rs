//! Queries through the facade: paging, totals, server flags offline, names that are not known (reference 7.7, 7.8, 9.2).

use crate::help::{data, ids, kept, kind, model, online, record, serving, three, value, view};
use landfall::{
    Aggregate, DataSource, ErrorKind, Field, Filter, Group, Model, QueryOptions, Record, Schema, Shown, Sort, Value,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation},
};

fn numbered(count: i64) -> MockServer {
    let rows: Vec<String> = (1..=count).map(|id| format!(r#"{{"id":{id},"odd":{}}}"#, id % 2 == 1)).collect();
    serving(&format!("[{}]", rows.join(","))).build()
}

#[tokio::test]
async fn r9_26_v8_an_added_item_that_does_not_pass_the_filter_is_not_shown() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.filter(Filter::eq("name", "a")).await.unwrap();
    source.add(record(r#"{"name":"z"}"#)).unwrap();
    assert_eq!((view(&source).len(), source.total(), source.len()), (1, 1, 4));
    source.add(record(r#"{"name":"A"}"#)).unwrap();
    assert_eq!((view(&source).len(), source.total()), (2, 2));
}

#[tokio::test]
async fn r9_26_v9_an_added_item_is_on_the_last_page() {
    let source = DataSource::builder().transport(three().build()).model(model()).page_size(2).build().unwrap();
    source.read().await.unwrap();
    let before = view(&source);
    source.add(record("{}")).unwrap();
    assert_eq!((source.total(), source.query_state().page, view(&source)), (4, Some(1), before));
    source.page(2).await.unwrap();
    assert_eq!(ids(&source.rows()), ["3", "\"\""]);
}

#[tokio::test]
async fn r9_22_r9_25_v19_turning_pages() {
    let source = DataSource::builder().transport(numbered(5)).model(model()).page_size(2).build().unwrap();
    source.read().await.unwrap();
    let mut turned = Vec::new();
    for _ in 0..3 {
        let (page, done) = source.next_page();
        done.await.unwrap();
        turned.push(page);
    }
    for _ in 0..3 {
        let (page, done) = source.previous_page();
        done.await.unwrap();
        turned.push(page);
    }
    assert_eq!(turned, [Some(2), Some(3), None, Some(2), Some(1), None]);
    source.page(99).await.unwrap();
    assert_eq!((source.query_state().page, ids(&source.rows())), (Some(3), vec!["5".to_owned()]));
    source.page(0).await.unwrap();
    assert_eq!((source.query_state().page, source.total_pages()), (Some(1), 3));
}

#[tokio::test]
async fn r7_6_v18_a_group_over_a_page_has_a_part_of_its_items_and_all_of_its_aggregates() {
    let source = online(&numbered(5));
    source.read().await.unwrap();
    let group = Group::new("odd").aggregate(Aggregate::count("id"));
    source.query(QueryOptions::new().page(1).page_size(3).group(group)).await.unwrap();
    let Shown::Groups(groups) = source.view() else { panic!("no groups") };
    let seen: Vec<(String, usize, String)> = groups
        .iter()
        .map(|group| (group.value.as_ref().unwrap().to_json(), group.items.flat().len(), group.aggregates.to_json()))
        .collect();
    let expected = [("false", 2, r#"{"id":{"count":2}}"#), ("true", 1, r#"{"id":{"count":3}}"#)];
    assert_eq!(seen, expected.map(|(value, items, counts)| (value.to_owned(), items, counts.to_owned())));
}

#[tokio::test]
async fn v20_c24_q47_aggregates_of_nothing() {
    let asked = [Aggregate::sum("a"), Aggregate::count("a"), Aggregate::max("b")];
    let source = DataSource::builder().model(model()).aggregate(asked).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(source.aggregates().to_json(), r#"{"a":{"sum":0,"count":0},"b":{"max":0}}"#);
}

#[tokio::test]
async fn r7_62_aggregates_follow_the_filter_not_the_page() {
    let server = serving(r#"[{"id":1,"n":1},{"id":2,"n":2},{"id":3,"n":3}]"#).build();
    let builder = DataSource::builder().transport(server).model(model()).page_size(1);
    let source = builder.aggregate([Aggregate::sum("n")]).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(source.aggregates().to_json(), r#"{"n":{"sum":6}}"#);
    source.filter(Filter::gt("n", 1)).await.unwrap();
    assert_eq!(source.aggregates().to_json(), r#"{"n":{"sum":5}}"#);
}

#[tokio::test]
async fn r9_14_q60_a_query_clears_what_it_omits() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.sort([Sort::desc("name")]).await.unwrap();
    source.query(QueryOptions::new().page(1).page_size(1)).await.unwrap();
    assert!(source.query_state().sort.is_none());
    assert_eq!(ids(&source.rows()), ["1"]);
}

#[tokio::test]
async fn r7_63_q59_a_local_query_counts_what_is_here() {
    let answer = value(r#"{"rows":[{"id":1},{"id":2}],"total":50}"#);
    let server = three().fault(Fault::on(Operation::Read).reply(answer)).build();
    let schema = Schema::new().data("rows").total("total").with_model(model());
    let source: DataSource = DataSource::builder().transport(server).schema(schema).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(source.total(), 50);
    source.filter(None).await.unwrap();
    assert_eq!(source.total(), 2);
}

/// R6.32.
#[tokio::test]
async fn c32_q40_offline_the_servers_operations_are_done_here() {
    let builder = DataSource::builder().transport(numbered(5)).model(model()).storage(MemoryStorage::new(), "rows");
    let builder = builder.server_paging(true).server_sorting(true).server_filtering(true);
    let source = builder.server_grouping(true).server_aggregates(true).page_size(2).build().unwrap();
    // This server ignores its parameters: all rows are stored.
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.read().await.unwrap();
    assert_eq!((ids(&source.rows()), source.total()), (vec!["1".to_owned(), "2".to_owned()], 5));
    source.page(3).await.unwrap();
    assert_eq!(ids(&source.rows()), ["5"]);
    source.sort([Sort::desc("id")]).await.unwrap();
    source.page(1).await.unwrap();
    assert_eq!(ids(&source.rows()), ["5", "4"]);
    source.filter(Filter::eq("odd", true)).await.unwrap();
    assert_eq!((ids(&source.rows()), source.total()), (vec!["5".to_owned(), "3".to_owned()], 3));
    source.aggregate([Aggregate::sum("id")]).await.unwrap();
    assert_eq!(source.aggregates().to_json(), r#"{"id":{"sum":9}}"#);
    source.group([Group::new("odd")]).await.unwrap();
    assert!(matches!(source.view(), Shown::Groups(groups) if groups.len() == 1));
}

/// R4.27, R7.70.
#[tokio::test]
async fn r4_31_c12_a_query_of_the_server_drops_drafts_and_keeps_pending_changes() {
    let server = numbered(4);
    let builder = DataSource::builder().transport(server.clone()).model(model());
    let source = builder.storage(MemoryStorage::new(), "rows").server_sorting(true).build().unwrap();
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "kept").unwrap();
    source.sync().await.unwrap();
    server.set_down(true);
    source.online(true).await.unwrap();
    server.set_down(false);
    source.set(source.at(1).unwrap(), "name", "dropped").unwrap();
    source.sort([Sort::asc("id")]).await.unwrap();
    let names: Vec<Option<Value>> = source.data().iter().map(|row| row.get("name").cloned()).collect();
    assert_eq!(names, [Some(Value::from("kept")), None, None, None]);
}

#[tokio::test]
async fn names_that_the_model_does_not_declare_are_refused_and_named() {
    let model = Model::new().id("id").field(Field::new("id").number()).field(Field::new("name").string());
    let server = serving(r#"[{"id":1,"name":"a","more":1}]"#).build();
    let source = DataSource::builder().transport(server).model(model).build().unwrap();
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    let error = source.set(&row, "nmae", "x").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert!(error.context().any(|(name, value)| name == "field" && value == "nmae"), "{error}");
    assert_eq!(kind(source.filter(Filter::eq("nmae", 1)).await), ErrorKind::Invalid);
    assert_eq!(kind(source.filter(Filter::eq("name", 1).and(Filter::eq("x", 1))).await), ErrorKind::Invalid);
    assert_eq!(kind(source.sort([Sort::asc("nmae")]).await), ErrorKind::Invalid);
    assert_eq!(kind(source.group([Group::new("nmae")]).await), ErrorKind::Invalid);
    assert_eq!(kind(source.aggregate([Aggregate::sum("nmae")]).await), ErrorKind::Invalid);
    assert!(source.query_state().filter.is_none() && !source.has_changes());
    source.set_undeclared(&row, "more", 2).unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"a","more":2}"#]);
}

#[tokio::test]
async fn names_are_not_checked_without_fields_on_demand_or_for_kendos_options() {
    let loose = online(&three().build());
    loose.read().await.unwrap();
    loose.set(loose.at(0).unwrap(), "anything", 1).unwrap();
    let options = record(r#"{"schema":{"model":{"id":"id","fields":{"id":{"type":"number"}}}}}"#);
    let like_kendo = DataSource::builder().kendo(&options).unwrap().transport(three().build()).build().unwrap();
    like_kendo.read().await.unwrap();
    like_kendo.set(like_kendo.at(0).unwrap(), "anything", 1).unwrap();
    like_kendo.sort([Sort::asc("whatever")]).await.unwrap();
    let builder = DataSource::builder().model(Model::new().id("id").field(Field::new("id")));
    let on_demand = builder.strict_fields(false).data([record(r#"{"id":1}"#)]).build().unwrap();
    on_demand.read().await.unwrap();
    on_demand.filter(Filter::eq("whatever", 1)).await.unwrap();
}

/// R7.11, R7.13.
#[tokio::test]
async fn q41_an_unknown_operator_is_refused_at_once_and_case_does_not_matter() {
    for filter in [r#"{"field":"a","operator":"resembles","value":1}"#, r#"{"filters":[{"field":"a","operator":"?"}]}"#]
    {
        let options = Record::from([("filter", value(filter))]);
        assert_eq!(kind(DataSource::builder().kendo(&options)), ErrorKind::Invalid);
        assert_eq!(kind(QueryOptions::from_kendo(&options)), ErrorKind::Invalid);
    }
    let any_case = Filter::from_value(&value(r#"{"field":"name","operator":"Contains","value":"A"}"#)).unwrap();
    let source = online(&three().build());
    source.read().await.unwrap();
    source.filter(any_case).await.unwrap();
    assert_eq!(ids(&source.rows()), ["1"]);
}

#[tokio::test]
async fn r6_34_local_queries_offline_never_look_at_the_storage() {
    let source = kept(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "z").unwrap();
    source.sort([Sort::asc("name")]).await.unwrap();
    source.fetch().await.unwrap();
    assert_eq!(ids(&source.rows()), ["2", "3", "1"], "the draft is there");
}

#[tokio::test]
async fn r7_68_translated_filters_are_sent_as_kendo_rebuilds_them() {
    let server = three().build();
    let model = Model::new().id("id").field(Field::new("id")).field(Field::new("name").from("title"));
    let source = DataSource::builder().transport(server.clone()).model(model).server_filtering(true).build().unwrap();
    let given = r#"{"filters":[{"filters":[{"field":"name","operator":"eq","value":1}],"logic":"or"},{"field":"id","operator":"gt","value":0}],"mine":true}"#;
    source.filter(Filter::from_value(&value(given)).unwrap()).await.unwrap();
    let sent = server.take_requests().pop().unwrap().data.to_json();
    // Behind all other members, whatever the order they came in; a logic that was not given is not made up.
    let expected = r#"{"filter":{"mine":true,"filters":[{"logic":"or","filters":[{"field":"title","operator":"eq","value":1}]},{"field":"id","operator":"gt","value":0}]}}"#;
    assert_eq!(sent, expected);
}

/// R7.69, R7.70.
#[tokio::test]
async fn r7_66_r7_67_r7_71_what_a_read_asks_the_service_for() {
    let fields = ["id", "name", "odd"].map(Field::new);
    let model = fields.into_iter().fold(Model::new().id("id"), Model::field);
    let asked = |flags: &str| {
        let options = record(&format!("{{{flags}}}"));
        let server = numbered(5);
        let builder = DataSource::builder().kendo(&options).unwrap().transport(server.clone()).model(model.clone());
        (server, builder.build().unwrap())
    };
    let query = || {
        let filter = Filter::eq("odd", true);
        let group = Group::desc("odd").aggregate(Aggregate::count("id"));
        let query = QueryOptions::new().page(2).page_size(2).sort(Sort::desc("id")).filter(filter);
        query.group(group).aggregate(Aggregate::max("id"))
    };
    let all = r#""serverPaging":true,"serverSorting":true,"serverFiltering":true,"serverGrouping":true,"serverAggregates":true"#;
    let (server, source) = asked(all);
    drop(source.query(query()).await);
    let expected = concat!(
        r#"{"take":2,"skip":2,"page":2,"pageSize":2,"sort":[{"field":"id","dir":"desc"}],"#,
        r#""filter":{"logic":"and","filters":[{"field":"odd","operator":"eq","value":true}]},"#,
        r#""group":[{"field":"odd","dir":"desc","aggregates":[{"field":"id","aggregate":"count"}]}],"#,
        r#""aggregate":[{"field":"id","aggregate":"max"}]}"#,
    );
    assert_eq!(server.take_requests().pop().unwrap().data.to_json(), expected, "in this order");

    // A parameter without its flag is not sent, also when it is given by hand; others are, behind.
    let (server, source) = asked(r#""serverSorting":true"#);
    source.sort([Sort::asc("id")]).await.unwrap();
    server.take_requests();
    source.read_with(record(r#"{"q":1,"take":9,"filter":null,"page":3}"#)).await.unwrap();
    let sent = server.take_requests().pop().unwrap().data.to_json();
    assert_eq!(sent, r#"{"sort":[{"field":"id","dir":"asc"}],"q":1}"#);

    // Without any flag nothing is asked for, and pages are cut here: skip = (page - 1) * pageSize.
    let (server, source) = asked(r#""pageSize":2"#);
    source.read().await.unwrap();
    source.page(3).await.unwrap();
    assert_eq!((ids(&source.rows()), source.query_state().skip), (vec!["5".to_owned()], Some(4)));
    let sent = server.take_requests();
    assert_eq!((sent.len(), sent[0].data.to_json()), (1, "{}".to_owned()));
}

#[tokio::test]
async fn r7_7_r7_43_the_view_has_the_datas_items_in_an_order_of_its_own() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.sort([Sort::desc("name")]).await.unwrap();
    let shown = source.rows();
    assert_eq!(
        (ids(&source.data()), ids(&shown)),
        (vec!["1".into(), "2".into(), "3".into()], vec!["3".into(), "2".into(), "1".into()])
    );
    assert_eq!(shown[0].uid(), source.at(2).unwrap().uid());
    source.set(shown[0].uid(), "name", "a0").unwrap();
    assert_eq!(ids(&source.rows()), ["2", "3", "1"], "and follows its edits");
}

#[tokio::test]
async fn r7_17_r7_18_a_filter_of_ones_own_sees_the_whole_record() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let own = Filter::custom(|record: &Record| record.get("name").and_then(Value::as_str) != Some("b"));
    source.filter(own.clone().and(Filter::gt("id", 1))).await.unwrap();
    assert_eq!(ids(&source.rows()), ["3"], "also among others");
    source.filter(own).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "b").unwrap();
    assert_eq!((ids(&source.rows()), source.total()), (vec!["3".to_owned()], 1), "and edits are seen");
}
