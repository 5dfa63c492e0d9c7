use super::{Table, column, json, table};
use crate::{Aggregate, Date, Filter, Record, Value, query::aggregates};

fn all(table: &Table) -> Record {
    let asked = [Aggregate::sum("f"), Aggregate::average("f"), Aggregate::min("f"), Aggregate::max("f")];
    let found = aggregates(table, None, None, &asked);
    found.get("f").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// R7.57 to R7.59.
#[test]
fn r7_61_vectors() {
    let date = |millis| Value::from(Date::from_millis(millis));
    let row = |sum: Value, average: Value, min: Value, max: Value| {
        Record::from([("sum", sum), ("average", average), ("min", min), ("max", max)])
    };
    let numbers = |text: &str| {
        let parts = json(text);
        let [sum, average, min, max] = parts.as_array().unwrap() else { panic!("four results") };
        row(sum.clone(), average.clone(), min.clone(), max.clone())
    };
    let cases: [(Vec<Value>, Record); 9] = [
        (vec![Value::Null, 1.into(), 2.into()], numbers("[3,1.5,1,2]")),
        (vec!["a".into(), 1.into(), 2.into()], numbers("[3,1.5,1,2]")),
        (vec![Value::Null, Value::Null], numbers("[null,null,null,null]")),
        (vec![true.into(), false.into()], numbers("[false,false,false,false]")),
        (vec![f64::NAN.into(), 1.into()], numbers("[1,1,1,1]")),
        (vec![1.into(), f64::NAN.into()], numbers("[1,1,1,1]")),
        (vec![0.into(), Value::Null, 4.into()], numbers("[4,2,0,4]")),
        (vec![date(5), date(1)], row(date(1), date(1), date(1), date(5))),
        (vec!["a".into(), 5.into(), "b".into()], numbers("[5,5,5,5]")),
    ];
    for (values, expected) in cases {
        assert_eq!(all(&column(values.iter().cloned().map(Some))), expected, "{values:?}");
    }
}

#[test]
fn c25_smallest_and_largest_text_and_no_sum() {
    let texts = column(["b", "a", "C", "a"].map(|text| Some(text.into())));
    let largest = if cfg!(feature = "collation") { "C" } else { "b" };
    let smallest = if cfg!(feature = "collation") { "a" } else { "C" };
    assert_eq!(all(&texts), Record::from([("min", smallest), ("max", largest)]));
    let with_null =
        column([Some(Value::Null), Some("b".into()), None, Some("é".into()), Some("c".into()), Some(Value::Null)]);
    let largest = "é";
    assert_eq!(all(&with_null), Record::from([("min", "b"), ("max", largest)]));
}

#[test]
fn r7_60_count_counts_rows() {
    let found = aggregates(&table(r#"[{"a":null},{},{"a":1}]"#), None, None, &[Aggregate::count("a")]);
    assert_eq!(found.to_json(), r#"{"a":{"count":3}}"#);
}

#[test]
fn r7_55_r7_56_names_as_written_and_fields_in_one_piece() {
    let asked = Aggregate::list_from_value(&json(
        r#"[{"field":"f.g","aggregate":"SUM"},{"field":"n","aggregate":"max"},{"field":"f.g","aggregate":"Count"}]"#,
    ))
    .unwrap();
    let found = aggregates(&table(r#"[{"f":{"g":1},"n":7},{"f":{"g":2}}]"#), None, None, &asked);
    assert_eq!(found.to_json(), r#"{"f.g":{"SUM":3,"Count":2},"n":{"max":7}}"#);
}

#[test]
fn c24_no_rows_are_zeros_of_what_was_asked() {
    let asked = [Aggregate::sum("a"), Aggregate::count("a"), Aggregate::max("b")];
    let expected = r#"{"a":{"sum":0,"count":0},"b":{"max":0}}"#;
    assert_eq!(aggregates(&table("[]"), None, None, &asked).to_json(), expected);
    let none = Filter::eq("a", 2);
    assert_eq!(aggregates(&table(r#"[{"a":1}]"#), Some(&none), None, &asked).to_json(), expected);
    assert_eq!(aggregates(&table("[]"), None, None, &[]).to_json(), "{}");
}

#[test]
fn r7_62_only_rows_that_pass() {
    let filter = Filter::gt("a", 1);
    let found = aggregates(&table(r#"[{"a":1},{"a":2},{"a":3}]"#), Some(&filter), None, &[Aggregate::sum("a")]);
    assert_eq!(found.to_json(), r#"{"a":{"sum":5}}"#);
}

#[test]
fn whole_numbers_beyond_doubles_are_summed_exactly() {
    let found = aggregates(&table(r#"[{"a":9007199254740993},{"a":2}]"#), None, None, &[Aggregate::sum("a")]);
    assert_eq!(found.to_json(), r#"{"a":{"sum":9007199254740995}}"#);
    let found = aggregates(&table(r#"[{"a":9223372036854775807},{"a":1}]"#), None, None, &[Aggregate::sum("a")]);
    assert_eq!(
        found.get("a").and_then(Value::as_object).and_then(|a| a.get("sum")).and_then(Value::as_f64),
        Some(9_223_372_036_854_775_808.0)
    );
    let floats = aggregates(&table(r#"[{"a":0.1},{"a":0.2}]"#), None, None, &[Aggregate::sum("a")]);
    assert_eq!(floats.to_json(), r#"{"a":{"sum":0.30000000000000004}}"#);
}
