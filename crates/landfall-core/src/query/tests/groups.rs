use super::{check, column, table};
use crate::{Aggregate, Date, Filter, Group, Query, Record, Sort, Value, View, ViewGroup, query::process};

fn by(group: impl IntoIterator<Item = Group>) -> Query {
    Query { group: group.into_iter().collect(), ..Query::default() }
}

fn aggregates_of(table: &super::Table, query: &Query) -> String {
    let View::Groups(groups) = process(table, query).view else { panic!("no groups") };
    Value::array(groups.into_iter().map(|group| group.aggregates.into())).to_json()
}

#[test]
fn r7_49_two_levels() {
    check(
        &table(r#"[{"a":1,"b":1}]"#),
        &by([Group::asc("a"), Group::asc("b")]),
        r#"[{"field":"a","value":1,"items":[{"field":"b","value":1,"items":[0],"hasSubgroups":false,"aggregates":{}}],"hasSubgroups":true,"aggregates":{}}]"#,
    );
}

#[test]
fn r7_50_nothing_to_group() {
    check(&table("[]"), &by([Group::asc("a")]), "[]");
    assert_eq!(process(&table("[]"), &by([Group::asc("a")])).view, View::Groups(Vec::new()));
    assert_eq!(process(&table(r#"[{"a":1}]"#), &by([])).view, View::Rows(vec![0]));
}

#[test]
fn r7_46_what_is_equal() {
    let groups = |table: &super::Table| -> Vec<Vec<u32>> {
        let View::Groups(groups) = process(table, &by([Group::asc("f")])).view else { panic!("no groups") };
        groups.iter().map(|group| group.items.flat()).collect()
    };
    // Numbers and texts, null and absent, large and small letters differ.
    let mixed = table(r#"[{"f":"1"},{"f":1},{"f":"x"},{"f":"X"},{"f":null},{"f":null},{},{"f":"x"},{"f":1.0}]"#);
    let (first, second) = if cfg!(feature = "collation") { (vec![2, 7], vec![3]) } else { (vec![3], vec![2, 7]) };
    assert_eq!(groups(&mixed), [vec![4, 5], vec![6], vec![1, 8], vec![0], first, second]);
    // Null and absent are equal in sort: the order of the rows decides, and null forms two groups.
    assert_eq!(groups(&table(r#"[{"f":null},{},{"f":null}]"#)), [[0], [1], [2]]);
    let dates = column([5, 1, 5].map(|millis| Some(Date::from_millis(millis).into())));
    assert_eq!(groups(&dates), [vec![1], vec![0, 2]]);
    let nan = column([f64::NAN, 1.0, f64::NAN].map(|number| Some(number.into())));
    assert_eq!(groups(&nan), [[0], [2], [1]]);
}

#[test]
fn r7_2_groups_are_sorted_before_the_sort_keys() {
    let query = Query { sort: vec![Sort::desc("b")], ..by([Group::desc("a")]) };
    check(
        &table(r#"[{"a":1,"b":1},{"a":2,"b":1},{"a":1,"b":3},{"a":2,"b":2}]"#),
        &query,
        r#"[{"field":"a","value":2,"items":[3,1],"hasSubgroups":false,"aggregates":{}},{"field":"a","value":1,"items":[2,0],"hasSubgroups":false,"aggregates":{}}]"#,
    );
}

#[test]
fn r7_6_r7_51_a_page_cuts_groups_but_not_their_aggregates() {
    let table = table(r#"[{"k":"a","n":1},{"k":"b","n":2},{"k":"a","n":4},{"k":"a","n":8},{"k":"b","n":16}]"#);
    let group = Group::asc("k").aggregate(Aggregate::sum("n")).aggregate(Aggregate::count("k"));
    let page =
        |skip| Query { skip: Some(skip), take: Some(2), filter: Some(Filter::lt("n", 16)), ..by([group.clone()]) };
    check(
        &table,
        &page(0),
        r#"[{"field":"k","value":"a","items":[0,2],"hasSubgroups":false,"aggregates":{"n":{"sum":13},"k":{"count":3}}}]"#,
    );
    check(
        &table,
        &page(2),
        r#"[{"field":"k","value":"a","items":[3],"hasSubgroups":false,"aggregates":{"n":{"sum":13},"k":{"count":3}}},{"field":"k","value":"b","items":[1],"hasSubgroups":false,"aggregates":{"n":{"sum":2},"k":{"count":1}}}]"#,
    );
    assert_eq!(process(&table, &page(0)).total, Some(4));
}

#[test]
fn r7_51_inner_levels_see_the_outer_group_only() {
    let table = table(r#"[{"a":1,"b":1,"n":1},{"a":2,"b":1,"n":2},{"a":1,"b":1,"n":4}]"#);
    let inner = Group::asc("b").aggregate(Aggregate::sum("n"));
    check(
        &table,
        &by([Group::asc("a"), inner]),
        r#"[{"field":"a","value":1,"items":[{"field":"b","value":1,"items":[0,2],"hasSubgroups":false,"aggregates":{"n":{"sum":5}}}],"hasSubgroups":true,"aggregates":{}},
            {"field":"a","value":2,"items":[{"field":"b","value":1,"items":[1],"hasSubgroups":false,"aggregates":{"n":{"sum":2}}}],"hasSubgroups":true,"aggregates":{}}]"#,
    );
}

#[test]
fn r7_52_what_aggregates_of_a_group_run_over() {
    let count = by([Group::asc("f").aggregate(Aggregate::count("f"))]);
    let null_absent = table(r#"[{"f":null},{"f":null},{}]"#);
    assert_eq!(aggregates_of(&null_absent, &count), r#"[{"f":{"count":2}},{"f":{"count":1}}]"#);
    // A text also counts the numbers it spells; a number no texts.
    let spelled = table(r#"[{"f":1},{"f":"1"},{"f":"1"},{"f":"1.0"},{"f":"x"},{"f":"X"}]"#);
    assert_eq!(
        aggregates_of(&spelled, &count),
        r#"[{"f":{"count":1}},{"f":{"count":3}},{"f":{"count":1}},{"f":{"count":1}},{"f":{"count":1}}]"#
    );
    let dates = column([Some(Date::from_millis(5).into()), Some(5.into()), Some(Date::from_millis(5).into())]);
    assert_eq!(aggregates_of(&dates, &count), r#"[{"f":{"count":1}},{"f":{"count":3}}]"#);
    let nan = column([Some(f64::NAN.into())]);
    assert_eq!(aggregates_of(&nan, &count), "[{}]");
}

#[test]
fn r7_48_r7_53_own_order_of_groups() {
    fn rows(group: &ViewGroup) -> usize {
        group.items.flat().len()
    }
    let table = table(r#"[{"k":"a"},{"k":"b"},{"k":"c"},{"k":"b"},{"k":"c"},{"k":"c"}]"#);
    let largest_first = || Group::desc("k").with_compare(|a, b| rows(a).cmp(&rows(b)));
    assert_eq!(process(&table, &by([largest_first()])).view.flat(), [2, 4, 5, 1, 3, 0]);
    let paged = Query { skip: Some(2), take: Some(2), ..by([largest_first()]) };
    let processed = process(&table, &paged);
    assert_eq!(processed.view.flat(), [5, 1]);
    assert_eq!(processed.total, None);
    let filtered = Query { filter: Some(Filter::neq("k", "a")), ..paged };
    assert_eq!(process(&table, &filtered).total, Some(5));
}

#[test]
fn r7_47_rows_taken_as_they_come() {
    let table = table(r#"[{"k":"a"},{"k":"b"},{"k":"a"}]"#);
    let group = Group::asc("k").with_compare(|_, _| std::cmp::Ordering::Equal).skip_item_sorting();
    let View::Groups(groups) = process(&table, &by([group])).view else { panic!("no groups") };
    assert_eq!(groups.iter().map(|group| group.items.flat()).collect::<Vec<_>>(), [[0], [1], [2]]);
}

#[test]
fn groups_by_path_keep_the_name_as_written() {
    let table = table(r#"[{"a":{"b":2}},{"a":null},{"a":{"b":2}}]"#);
    let group = Group::asc("a.b").aggregate(Aggregate::sum("a.b"));
    check(
        &table,
        &by([group]),
        r#"[{"field":"a.b","value":null,"items":[1],"hasSubgroups":false,"aggregates":{"a.b":{"sum":null}}},
            {"field":"a.b","value":2,"items":[0,2],"hasSubgroups":false,"aggregates":{"a.b":{"sum":4}}}]"#,
    );
    let empty = Record::new();
    assert_eq!(super::shown(&process(&super::Table(vec![empty]), &by([Group::asc("z")])).view).to_json(), {
        r#"[{"field":"z","items":[0],"hasSubgroups":false,"aggregates":{}}]"#
    });
}
