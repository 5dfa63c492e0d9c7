//! Rows in columns, rows as values and mixtures of both give the same answers.

use super::Table;
use crate::{
    Aggregate, Date, Direction, Filter, Group, Operator, Query, Record, Sort, Text, Value,
    query::{aggregates, process},
    record::{Rows, Shape},
};
use proptest::prelude::*;
use std::sync::Arc;

/// The values of one column: of one kind as a service sends them, with nulls, or of any kind.
fn column() -> impl Strategy<Value = Vec<Value>> {
    let of = |kind: BoxedStrategy<Value>| {
        let value = prop_oneof![9 => kind, 1 => Just(Value::Null)];
        prop::collection::vec(value, 1..60).boxed()
    };
    let whole = (-5..5_i64).prop_map(Value::from);
    let short = (-9000..9000_i64).prop_map(Value::from);
    let word = (0..3_000_000_000_i64).prop_map(Value::from);
    let wide =
        prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(9_007_199_254_740_993)].prop_map(Value::from);
    let cents = (-5000..5000_i32).prop_map(|n| Value::from(f64::from(n) / 100.0));
    let double = prop_oneof![any::<f64>().prop_filter("finite", |n| n.is_finite()), -3.0..3.0].prop_map(Value::from);
    let seconds = (0..200_000_i64).prop_map(|n| Date::from_millis(n * 1000).into());
    let millis = (-3..4_i64).prop_map(|n| Date::from_millis(n).into());
    let text = "[aAkKiI\u{212A}\u{130}é ]{0,12}".prop_map(Value::from);
    let truth = any::<bool>().prop_map(Value::from);
    let other = Just(Value::array([Value::from(1)]));
    let any = prop_oneof![whole.clone(), cents.clone(), text.clone(), truth.clone(), millis.clone(), other];
    prop_oneof![
        of(whole.boxed()),
        of(short.boxed()),
        of(word.boxed()),
        of(wide.boxed()),
        of(cents.boxed()),
        of(double.boxed()),
        of(seconds.boxed()),
        of(millis.boxed()),
        of(text.boxed()),
        of(truth.boxed()),
        of(any.boxed()),
        of(Just(Value::Null).boxed()),
    ]
}

/// The same rows in columns, with some as values in between, and all as values.
fn both() -> impl Strategy<Value = (Table, Table)> {
    (prop::collection::vec(column(), 3), prop::collection::vec(0..12_u8, 60)).prop_map(|(columns, odd)| {
        let count = columns.iter().map(Vec::len).max().unwrap_or(0);
        let names = ["a", "b", "c"].map(Text::from);
        let shape = Arc::new(Shape::new(names.to_vec()));
        let other = Arc::new(Shape::new(names.iter().rev().cloned().collect()));
        let less = Arc::new(Shape::new(names.get(..2).unwrap().to_vec()));
        let mut rows = Rows::default();
        for (row, odd) in (0..count).zip(odd.iter().cycle()) {
            let mut values: Vec<Value> = columns.iter().map(|values| values[row % values.len()].clone()).collect();
            match odd {
                0 => {
                    values.reverse();
                    rows.push(Arc::clone(&other), values);
                }
                1 => {
                    values.pop();
                    rows.push(Arc::clone(&less), values);
                }
                _ => rows.push(Arc::clone(&shape), values),
            }
        }
        let records: Vec<Record> = rows.finish().iter().map(|row| row.as_object().unwrap().clone()).collect();
        let plain = |record: &Record| record.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let values: Vec<Record> = records.iter().map(plain).collect();
        let mixed = records.iter().zip(&values).zip(odd.iter().cycle());
        let mixed = mixed.map(|((record, value), odd)| if *odd == 2 { value } else { record }.clone()).collect();
        (Table(mixed), Table(values))
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let operators = [
        Operator::Eq,
        Operator::Neq,
        Operator::Lt,
        Operator::Lte,
        Operator::Gt,
        Operator::Gte,
        Operator::StartsWith,
        Operator::DoesNotStartWith,
        Operator::EndsWith,
        Operator::DoesNotEndWith,
        Operator::Contains,
        Operator::DoesNotContain,
        Operator::IsEmpty,
        Operator::IsNotEmpty,
        Operator::IsNull,
        Operator::IsNotNull,
        Operator::IsNullOrEmpty,
        Operator::IsNotNullOrEmpty,
    ];
    let wanted = prop_oneof![
        Just(None),
        column().prop_map(|values| values.first().cloned()),
        "[aAkKiI]{0,2}".prop_map(|text| Some(Value::from(text))),
        (-50..50_i32).prop_map(|n| Some(Value::from(f64::from(n) / 8.0))),
        Just(Some(Value::from("/Date(2)/"))),
        Just(Some(Value::from(f64::NAN))),
    ];
    let condition = ("[abcx]", prop::sample::select(operators.to_vec()), wanted, any::<bool>());
    let condition = condition.prop_map(|(field, operator, value, exact)| {
        let filter = Filter::condition(field.as_str(), operator, value);
        if exact { filter.case_sensitive() } else { filter }
    });
    condition.prop_recursive(3, 8, 3, |inner| {
        (prop::collection::vec(inner, 1..4), any::<bool>()).prop_map(|(parts, and)| {
            let join = |a: Filter, b: Filter| if and { a.and(b) } else { a.or(b) };
            parts.into_iter().reduce(join).unwrap()
        })
    })
}

fn named(field: &str, desc: bool) -> Sort {
    Sort::new(field, if desc { Direction::Desc } else { Direction::Asc })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn texts_are_found_in_both_forms(
        texts in prop::collection::vec("([akiAKI]|\u{212A}|\u{130}|é){0,5}", 4..40),
        needle in "[akiK]{1,3}",
        not in any::<bool>(),
    ) {
        let shape = Arc::new(Shape::new(vec!["f".into()]));
        let mut rows = Rows::default();
        for text in &texts {
            rows.push(Arc::clone(&shape), vec![Value::from(text.as_str())]);
        }
        let columns = Table(rows.finish().iter().map(|row| row.as_object().unwrap().clone()).collect());
        let operator = if not { Operator::DoesNotContain } else { Operator::Contains };
        let query = Query { filter: Some(Filter::condition("f", operator, Some(Value::from(needle.as_str())))), ..Query::default() };
        let needle = needle.to_lowercase();
        let passes = |text: &String| text.to_lowercase().contains(&needle) != not;
        let expected: Vec<u32> = texts.iter().zip(0..).filter(|(text, _)| passes(text)).map(|(_, at)| at).collect();
        let processed = process(&columns, &query);
        prop_assert_eq!(super::rows(&processed), expected);
    }

    #[test]
    fn both_forms_answer_alike(
        (mixed, values) in both(),
        filter in prop::option::weighted(0.7, filter()),
        sort in prop::collection::vec(("[abcx]", any::<bool>()), 0..3),
        group in prop::collection::vec(("[abcx]", any::<bool>()), 0..3),
        aggregated in "[abcx]",
        page in prop::option::of((0..4_usize, 1..6_usize)),
    ) {
        let all = vec![
            Aggregate::sum(aggregated.as_str()),
            Aggregate::average(aggregated.as_str()),
            Aggregate::min(aggregated.as_str()),
            Aggregate::max(aggregated.as_str()),
            Aggregate::count(aggregated.as_str()),
        ];
        let group = group.iter().map(|(field, desc)| {
            let group = if *desc { Group::desc(field.as_str()) } else { Group::asc(field.as_str()) };
            all.iter().cloned().fold(group, Group::aggregate)
        });
        let query = Query {
            filter,
            sort: sort.iter().map(|(field, desc)| named(field, *desc)).collect(),
            group: group.collect(),
            skip: page.map(|(skip, _)| skip),
            take: page.map(|(_, take)| take),
            locale: None,
        };
        let (ours, theirs) = (process(&mixed, &query), process(&values, &query));
        prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        let ours = aggregates(&mixed, query.filter.as_ref(), None, &all);
        let theirs = aggregates(&values, query.filter.as_ref(), None, &all);
        prop_assert_eq!(ours.to_json(), theirs.to_json());
    }
}
