use super::{column, rows, table};
use crate::{Date, Query, Sort, Value, query::process};

fn sorted(table: &super::Table, sort: Vec<Sort>) -> Vec<u32> {
    rows(&process(table, &Query { sort, ..Query::default() })).to_vec()
}

#[test]
#[cfg(feature = "collation")]
fn r7_37_texts_follow_collation() {
    let expected = ["", " ", "_", "1", "10", "2", "a", "A", "ä", "b", "B", "z", "Z"];
    let mixed = column(expected.iter().rev().map(|text| Some(Value::from(*text))));
    let order: Vec<u32> = (0..13).rev().collect();
    assert_eq!(sorted(&mixed, vec![Sort::asc("f")]), order);
    // The same without the one letter that takes the other path.
    let ascii = column(expected.iter().filter(|text| text.is_ascii()).rev().map(|text| Some(Value::from(*text))));
    let order: Vec<u32> = (0..12).rev().collect();
    assert_eq!(sorted(&ascii, vec![Sort::asc("f")]), order);
}

#[test]
#[cfg(not(feature = "collation"))]
fn texts_follow_code_points() {
    let table = column(["b", "a\u{0}", "é", "B", "a"].map(|text| Some(Value::from(text))));
    assert_eq!(sorted(&table, vec![Sort::asc("f")]), [3, 4, 1, 0, 2]);
}

#[test]
fn r7_36_absent_first_or_last_and_r7_38_ties_keep_their_order() {
    let table = table(r#"[{"n":0},{"n":-5},{"n":null},{"n":3},{},{"n":-0.5},{"n":0}]"#);
    assert_eq!(sorted(&table, vec![Sort::asc("n")]), [2, 4, 1, 5, 0, 6, 3]);
    assert_eq!(sorted(&table, vec![Sort::desc("n")]), [3, 0, 6, 5, 1, 2, 4]);
}

#[test]
fn r7_39_several_keys() {
    let table = table(r#"[{"a":1,"b":"x"},{"a":2,"b":"x"},{"a":1,"b":"y"},{"a":2,"b":"x"}]"#);
    assert_eq!(sorted(&table, vec![Sort::asc("b"), Sort::desc("a")]), [1, 3, 0, 2]);
}

#[test]
fn r7_41_truth_values_and_dates() {
    let table = column([Some(true.into()), None, Some(false.into())]);
    assert_eq!(sorted(&table, vec![Sort::asc("f")]), [1, 2, 0]);
    let table = column([3, -1, 2].map(|millis| Some(Date::from_millis(millis).into())));
    assert_eq!(sorted(&table, vec![Sort::asc("f")]), [1, 2, 0]);
}

#[test]
fn ordinal_order_is_that_of_code_points() {
    let values = ["é", "b", "Z", "a", "z", ""].map(|text| Some(Value::from(text)));
    let table = column(values.into_iter().chain([Some(1.into()), None]));
    assert_eq!(sorted(&table, vec![Sort::asc("f").ordinal()]), [7, 5, 6, 2, 3, 1, 4, 0]);
    assert_eq!(sorted(&table, vec![Sort::desc("f").ordinal()]), [0, 4, 1, 3, 2, 6, 5, 7]);
}

#[test]
fn q43_the_empty_text_is_before_numbers() {
    // The id of a record that has none yet, among ids that are numbers: first, or last downwards, as in Kendo.
    let table = column([Some(3.into()), Some("".into()), Some(1.into()), None]);
    assert_eq!(sorted(&table, vec![Sort::asc("f")]), [3, 1, 2, 0]);
    assert_eq!(sorted(&table, vec![Sort::desc("f")]), [0, 2, 1, 3]);
}

/// R7.40.
#[test]
fn q43_types_are_ranked() {
    let values: [Value; 8] = [
        Value::array([]),
        "10".into(),
        Date::from_millis(0).into(),
        9.into(),
        f64::NAN.into(),
        1.into(),
        true.into(),
        Value::Null,
    ];
    let table = column(values.map(Some));
    assert_eq!(sorted(&table, vec![Sort::asc("f")]), [7, 6, 4, 5, 3, 2, 1, 0]);
}

#[test]
fn r7_42_own_comparison_sees_whole_records() {
    let table = table(r#"[{"a":"ccc"},{"a":"a"},{"a":"bb"},{"a":"d"}]"#);
    let length = |record: &crate::Record| record.get("a").and_then(Value::as_str).map(str::len);
    let by_length = Sort::asc("x").with_compare(move |a, b| length(a).cmp(&length(b)));
    assert_eq!(sorted(&table, vec![by_length.clone()]), [1, 3, 2, 0]);
    let descending = Sort { dir: crate::Direction::Desc, ..by_length };
    assert_eq!(sorted(&table, vec![descending]), [0, 2, 1, 3]);
}

#[test]
fn own_comparison_that_contradicts_itself_does_no_harm() {
    let table = column((0..500).map(|n| Some(Value::from(n))));
    let sort = Sort::asc("f").with_compare(|_, _| std::cmp::Ordering::Greater);
    let mut order = sorted(&table, vec![sort]);
    order.sort_unstable();
    assert_eq!(order, (0..500).collect::<Vec<u32>>());
}

#[test]
fn numbers_beyond_doubles_next_to_doubles_do_no_harm() {
    let big = 9_007_199_254_740_992_i64;
    let values =
        (0..300).map(|n| if n % 3 == 0 { Value::from(9_007_199_254_740_992.0) } else { Value::from(big + n % 5) });
    let table = column(values.map(Some));
    assert_eq!(sorted(&table, vec![Sort::asc("f")]).len(), 300);
}

#[test]
fn r7_3_r7_4_paging_and_total() {
    let table = table(r#"[{"n":3},{"n":1},{"n":2}]"#);
    let run = |skip, take| {
        let processed = process(&table, &Query { sort: vec![Sort::asc("n")], skip, take, ..Query::default() });
        (rows(&processed).to_vec(), processed.total)
    };
    assert_eq!(run(None, None), (vec![1, 2, 0], None));
    assert_eq!(run(Some(1), None), (vec![1, 2, 0], None));
    assert_eq!(run(None, Some(1)), (vec![1, 2, 0], None));
    assert_eq!(run(Some(1), Some(1)), (vec![2], Some(3)));
    assert_eq!(run(Some(2), Some(usize::MAX)), (vec![0], Some(3)));
    assert_eq!(run(Some(9), Some(1)), (vec![], Some(3)));
    assert_eq!(run(Some(0), Some(0)), (vec![], Some(3)));
}

#[cfg(feature = "collation")]
mod ascii_path {
    use crate::query::collate::{compare, key};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn collator(a: &str, b: &str) -> Ordering {
        // Keys for other than ASCII come from the collator.
        key(a, false).compare(&key(b, false))
    }

    fn agrees(a: &str, b: &str) {
        let expected = collator(a, b);
        assert_eq!(compare(a, b), expected, "{a:?} {b:?}");
        assert_eq!(key(a, true).compare(&key(b, true)), expected, "{a:?} {b:?}");
    }

    #[test]
    fn every_pair_of_characters() {
        let all: Vec<String> = (0..128_u8).map(|byte| char::from(byte).to_string()).collect();
        for a in &all {
            for b in &all {
                agrees(a, b);
                agrees(&format!("x{a}"), &format!("X{b}y"));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn random_texts(a in "[\\x00-\\x7f]{0,14}", b in "[\\x00-\\x7f]{0,14}") {
            agrees(&a, &b);
        }

        #[test]
        fn texts_alike(a in "[aAbB \\x01-]{0,10}", b in "[aAbB \\x01-]{0,10}") {
            agrees(&a, &b);
        }
    }
}
