//! Random queries against the plainest implementation of the rules.

use super::{Table, rows};
use crate::{
    Aggregate, Date, Direction, Filter, Group, Query, Record, Sort, Value, View, ViewGroup,
    query::{Live, Processed, Source, aggregates, collate, process, process_live, spans},
};
use proptest::prelude::*;
use std::cmp::Ordering;

fn followed(table: &Table, query: &Query) -> (Processed, Option<Live>) {
    process_live(Source { rows: table, spans: &spans(table) }, query)
}

fn value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        any::<bool>().prop_map(|value| Some(value.into())),
        (-3..4_i64).prop_map(|value| Some(value.into())),
        (-3..4_i64).prop_map(|value| Some(Date::from_millis(value).into())),
        "[aAb1é ]{0,2}".prop_map(|value| Some(value.into())),
    ]
}

fn tables() -> impl Strategy<Value = Table> {
    prop::collection::vec((value(), value()), 0..40).prop_map(|rows| {
        Table(
            rows.into_iter()
                .zip(0..)
                .map(|((a, b), n): ((Option<Value>, Option<Value>), i64)| {
                    let mut record = Record::new();
                    for (name, value) in [("a", a), ("b", b), ("n", Some(Value::from(n % 7)))] {
                        if let Some(value) = value {
                            record.set(name, value);
                        }
                    }
                    record
                })
                .collect(),
        )
    })
}

fn sorts() -> impl Strategy<Value = Vec<Sort>> {
    let sort = ("[abn]", any::<bool>())
        .prop_map(|(field, desc)| Sort::new(field, if desc { Direction::Desc } else { Direction::Asc }));
    prop::collection::vec(sort, 0..3)
}

fn pages() -> impl Strategy<Value = (Option<usize>, Option<usize>)> {
    (prop::option::of(0..45_usize), prop::option::of(0..45_usize))
}

fn rank(value: Option<&Value>) -> u8 {
    match value {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) if text.is_empty() => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::Date(_)) => 4,
        _ => 5,
    }
}

fn plain_order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.partial_cmp(b).unwrap(),
        (Some(Value::Date(a)), Some(Value::Date(b))) => a.cmp(b),
        (Some(Value::String(a)), Some(Value::String(b))) => collate::compare(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn record(table: &Table, position: u32) -> &Record {
    &table.0[usize::try_from(position).unwrap()]
}

fn plain_sort(table: &Table, positions: &mut [u32], keys: &[(&str, Direction)]) {
    // The last key first: the sort of the standard library is stable.
    for (field, dir) in keys.iter().rev() {
        positions.sort_by(|a, b| {
            let ordering = plain_order(record(table, *a).get(field), record(table, *b).get(field));
            if *dir == Direction::Desc { ordering.reverse() } else { ordering }
        });
    }
}

fn plain_page(positions: Vec<u32>, query: &Query) -> Vec<u32> {
    match (query.skip, query.take) {
        (Some(skip), Some(take)) => positions.into_iter().skip(skip).take(take).collect(),
        _ => positions,
    }
}

fn everything(table: &Table) -> Vec<u32> {
    (0..u32::try_from(table.0.len()).unwrap()).collect()
}

fn plain_groups(table: &Table, positions: &[u32], levels: &[Group], scope: &Table) -> Vec<ViewGroup> {
    let Some((level, inner)) = levels.split_first() else { return Vec::new() };
    let mut groups: Vec<ViewGroup> = Vec::new();
    for position in positions {
        let value = record(table, *position).get(&level.field).cloned();
        match groups.last_mut() {
            Some(ViewGroup { value: known, items: View::Rows(rows), .. }) if *known == value => rows.push(*position),
            _ => groups.push(ViewGroup {
                field: level.field.clone(),
                value,
                has_subgroups: !inner.is_empty(),
                aggregates: Record::new(),
                items: View::Rows(vec![*position]),
            }),
        }
    }
    for group in &mut groups {
        let equal = Filter::condition(level.field.clone(), crate::Operator::Eq, group.value.clone()).case_sensitive();
        let members = process(scope, &Query { filter: Some(equal), ..Query::default() });
        let members = Table(rows(&members).iter().map(|position| record(scope, *position).clone()).collect());
        if !members.0.is_empty() {
            group.aggregates = aggregates(&members, None, None, &level.aggregates);
        }
        if !inner.is_empty() {
            group.items = View::Groups(plain_groups(table, &group.items.flat(), inner, &members));
        }
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sort_and_page(table in tables(), sort in sorts(), (skip, take) in pages()) {
        let query = Query { sort, skip, take, ..Query::default() };
        let mut expected = everything(&table);
        let keys: Vec<(&str, Direction)> = query.sort.iter().map(|sort| (sort.field.as_str(), sort.dir)).collect();
        plain_sort(&table, &mut expected, &keys);
        let expected = plain_page(expected, &query);
        let processed = process(&table, &query);
        prop_assert_eq!(rows(&processed), expected);
        prop_assert_eq!(processed.total, (skip.is_some() && take.is_some()).then_some(table.0.len()));
    }

    #[test]
    fn own_comparison_and_page(table in tables(), (skip, take) in pages()) {
        let own = |a: &Record, b: &Record| plain_order(a.get("a"), b.get("a"));
        let query = Query { sort: vec![Sort::desc("x").with_compare(own)], skip, take, ..Query::default() };
        let by_field = Query { sort: vec![Sort::desc("a")], ..query.clone() };
        prop_assert_eq!(process(&table, &query), process(&table, &by_field));
    }

    #[test]
    fn group_sort_and_page(
        table in tables(),
        fields in prop::sample::subsequence(vec!["a", "b", "n"], 1..=3),
        desc in any::<bool>(),
        aggregated in any::<bool>(),
        sort in sorts(),
        (skip, take) in pages(),
    ) {
        let group: Vec<Group> = fields
            .iter()
            .map(|field| if desc { Group::desc(*field) } else { Group::asc(*field) })
            .map(|group| {
                if aggregated { group.aggregate(Aggregate::sum("n")).aggregate(Aggregate::max("a")) } else { group }
            })
            .collect();
        let query = Query { sort, group, skip, take, ..Query::default() };
        let mut sorted = everything(&table);
        let keys: Vec<(&str, Direction)> = query
            .group
            .iter()
            .map(|group| (group.field.as_str(), group.dir))
            .chain(query.sort.iter().map(|sort| (sort.field.as_str(), sort.dir)))
            .collect();
        plain_sort(&table, &mut sorted, &keys);
        let scope = Table(sorted.iter().map(|position| record(&table, *position).clone()).collect());
        let expected = plain_groups(&table, &plain_page(sorted, &query), &query.group, &scope);
        prop_assert_eq!(process(&table, &query).view, View::Groups(expected));
    }

    #[test]
    fn a_live_view_equals_a_fresh_one(
        table in tables(),
        sort in sorts(),
        (skip, take) in pages(),
        filter in prop::option::of((-3..4_i64, any::<bool>())),
        edits in prop::collection::vec((0..40_usize, "[abn]", value()), 1..80),
    ) {
        let mut table = table;
        let filter = filter.map(|(x, not)| if not { Filter::neq("a", x) } else { Filter::gte("a", x) });
        let query = Query { filter, sort, skip, take, ..Query::default() };
        let (processed, live) = followed(&table, &query);
        prop_assert_eq!(&processed, &process(&table, &query));
        let mut live = live.unwrap();
        for (at, field, value) in edits {
            let Some(row) = table.0.get_mut(at) else { continue };
            let was = row.clone();
            match value {
                Some(value) => drop(row.set(&field, value)),
                None => drop(row.remove(&field)),
            }
            prop_assert!(live.edited(&table, u32::try_from(at).unwrap(), &was));
            prop_assert!(live.follows(&query));
            if let Some(processed) = live.processed() {
                prop_assert_eq!(processed, process(&table, &query));
            } else {
                // The reserve is used up.
                let (processed, fresh) = followed(&table, &query);
                prop_assert_eq!(processed, process(&table, &query));
                live = fresh.unwrap();
            }
        }
    }

    #[test]
    fn filters_are_what_they_are_made_of(table in tables(), (x, y) in (-3..4_i64, "[aAb1é ]{0,2}")) {
        let (left, right) = (Filter::gte("a", x), Filter::contains("b", y));
        let run = |filter: Filter| {
            let processed = process(&table, &Query { filter: Some(filter), ..Query::default() });
            rows(&processed).to_vec()
        };
        let (l, r) = (run(left.clone()), run(right.clone()));
        let both: Vec<u32> = everything(&table).into_iter().filter(|n| l.contains(n) && r.contains(n)).collect();
        let some: Vec<u32> = everything(&table).into_iter().filter(|n| l.contains(n) || r.contains(n)).collect();
        prop_assert_eq!(run(left.clone().and(right.clone())), both);
        prop_assert_eq!(run(left.clone().or(right.clone())), some);
        let read = Filter::from_value(&left.clone().or(right).to_value(&str::to_owned)).unwrap().unwrap();
        prop_assert_eq!(run(read.clone()), run(left.or(Filter::from_value(&read.to_value(&str::to_owned)).unwrap().unwrap())));
    }
}
