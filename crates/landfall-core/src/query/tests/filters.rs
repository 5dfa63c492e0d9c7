use super::{column, rows, table};
use crate::{Date, Filter, Operator, Query, Value, query::process};

/// The items of the reference's test vector (section 7.4), with the names its table uses.
fn items() -> Vec<(&'static str, Option<Value>)> {
    let text = |text: &str| Some(Value::from(text));
    vec![
        ("undef", None),
        ("null", Some(Value::Null)),
        ("\"\"", text("")),
        ("0", Some(Value::from(0))),
        ("1", Some(Value::from(1))),
        ("\"0\"", text("0")),
        ("\"1\"", text("1")),
        ("\"A\"", text("A")),
        ("\"a\"", text("a")),
        ("\"abc\"", text("abc")),
        ("\"ABC\"", text("ABC")),
        ("\"Äb\"", text("Äb")),
        ("true", Some(Value::from(true))),
        ("false", Some(Value::from(false))),
        ("\"true\"", text("true")),
        ("NaN", Some(Value::from(f64::NAN))),
        ("Date(0)", Some(Value::from(Date::from_millis(0)))),
        ("\"/Date(0)/\"", text("/Date(0)/")),
        ("\"null\"", text("null")),
        ("[]", Some(Value::array([]))),
        ("{}", Some(Value::Object(crate::Record::new()))),
    ]
}

fn matching(filter: Filter) -> String {
    let items = items();
    let table = column(items.iter().map(|(_, value)| value.clone()));
    let processed = process(&table, &Query { filter: Some(filter), ..Query::default() });
    let names: Vec<&str> = rows(&processed).iter().map(|row| items[usize::try_from(*row).unwrap()].0).collect();
    names.join(" ")
}

#[test]
fn r7_19_to_r7_34_test_vector() {
    let epoch = || Date::from_millis(0);
    let cases = [
        (Filter::eq("f", "a"), r#""A" "a""#),
        (Filter::eq("f", "a").case_sensitive(), r#""a""#),
        (Filter::eq("f", 0), "0"),
        (Filter::eq("f", "0"), r#"0 "0""#),
        (Filter::eq("f", epoch()), "0 Date(0)"),
        (Filter::eq("f", "null"), r#""null""#),
        (
            Filter::neq("f", 0),
            r#"undef null 1 "1" "A" "a" "abc" "ABC" "Äb" true "true" NaN Date(0) "/Date(0)/" "null" {}"#,
        ),
        (
            Filter::neq("f", epoch()),
            r#"undef null 1 "1" "A" "a" "abc" "ABC" "Äb" true "true" NaN "/Date(0)/" "null" {}"#,
        ),
        (Filter::gt("f", 0), r#"1 "1" true"#),
        // C26: without null.
        (Filter::gte("f", 0), r#""" 0 1 "0" "1" true false Date(0) []"#),
        // C26: without null.
        (Filter::lt("f", 1), r#""" 0 "0" false Date(0) []"#),
        (Filter::gt("f", "a"), r#""abc" "ABC" "Äb" "true" "null""#),
        (Filter::lt("f", "b"), r#""" 0 1 "0" "1" "A" "a" "abc" "ABC" "/Date(0)/" [] {}"#),
        // C27: without null.
        (Filter::starts_with("f", "n"), r#""null""#),
        // Q44: without {}, which only contains a c.
        (Filter::ends_with("f", "c"), r#""abc" "ABC""#),
        // C27: without null. Q44: without false and Date(0), which only contain an l.
        (Filter::ends_with("f", "l"), r#""null""#),
        (Filter::contains("f", 1), r#"1 "1" Date(0)"#),
        (
            Filter::does_not_contain("f", "b"),
            r#"undef null "" 0 1 "0" "1" "A" "a" true false "true" NaN Date(0) "/Date(0)/" "null" []"#,
        ),
        (Filter::is_empty("f"), r#""""#),
        (
            Filter::is_not_empty("f"),
            r#"undef null 0 1 "0" "1" "A" "a" "abc" "ABC" "Äb" true false "true" NaN Date(0) "/Date(0)/" "null" [] {}"#,
        ),
        (Filter::is_null("f"), "undef null"),
        (Filter::is_null_or_empty("f"), r#"undef null """#),
        // Q44: what is no text is spelled first.
        (Filter::ends_with("f", "se"), "false"),
        (Filter::does_not_end_with("f", "e").and(Filter::is_not_null("f")).and(Filter::gt("f", "")), {
            r#"0 1 "0" "1" "A" "a" "abc" "ABC" "Äb" "/Date(0)/" "null" {}"#
        }),
    ];
    for (filter, expected) in cases {
        assert_eq!(matching(filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn r7_25_null_and_undefined_apart_for_eq_together_for_neq() {
    let absent = |name: &str| {
        let value = super::json(&format!(r#"{{"field":"f","operator":"{name}"}}"#));
        Filter::from_value(&value).unwrap().unwrap()
    };
    assert_eq!(matching(Filter::eq("f", Value::Null)), "null");
    assert_eq!(matching(absent("eq")), "undef");
    assert_eq!(matching(Filter::neq("f", Value::Null)), matching(absent("neq")));
    assert!(!matching(absent("neq")).contains("undef"));
}

#[test]
fn r7_26_text_equals_number_but_number_not_text() {
    assert_eq!(matching(Filter::eq("f", "1")), r#"1 "1""#);
    assert_eq!(matching(Filter::eq("f", 1)), "1");
    let other = matching(Filter::neq("f", 1));
    for name in ["1", r#""1""#, "true"] {
        assert!(!other.split(' ').any(|known| known == name), "{name}");
    }
}

#[test]
fn r7_27_nan_equals_nothing() {
    assert_eq!(matching(Filter::eq("f", f64::NAN)), "");
}

#[test]
fn r7_30_c26_null_bounds_no_range() {
    for range in [Operator::Gt, Operator::Gte, Operator::Lt, Operator::Lte] {
        assert_eq!(matching(Filter::condition("f", range, Some(Value::Null))), "");
        assert_eq!(matching(Filter::condition("f", range, None)), "");
    }
}

#[test]
fn r7_32_c27_text_operators_search_for_the_spelled_value_and_null_is_in_no_text() {
    use Operator::{Contains, DoesNotContain, DoesNotEndWith, DoesNotStartWith, EndsWith, StartsWith};
    for (is, is_not) in [(Contains, DoesNotContain), (StartsWith, DoesNotStartWith), (EndsWith, DoesNotEndWith)] {
        assert_eq!(matching(Filter::condition("f", is, Some(Value::Null))), "");
        assert_eq!(matching(Filter::condition("f", is_not, Some(Value::Null))), matching(Filter::all([])));
    }
    assert_eq!(matching(Filter::starts_with("f", true)), r#"true "true""#);
}

#[test]
fn r7_28_numbers_compare_as_text_with_text() {
    let table = table(r#"[{"n":10},{"n":9},{"n":"9"},{"n":null},{"n":true}]"#);
    let check = |value: &str, expected: &[u32]| {
        let query = Query { filter: Some(Filter::lt("n", value)), ..Query::default() };
        assert_eq!(rows(&process(&table, &query)), expected);
    };
    // "10" sorts before "9"; a truth value is no number and compares as 1 with the number that the text spells.
    check("9", &[0, 4]);
    check("9a", &[0, 1, 2]);
}

#[test]
fn r7_28_texts_compare_by_utf16_code_units() {
    // U+FF5E is one unit above the surrogates that spell U+1F600.
    let table = table(r#"[{"t":"～"},{"t":"😀"}]"#);
    let query = Query { filter: Some(Filter::gt("t", "😀")), ..Query::default() };
    assert_eq!(rows(&process(&table, &query)), [0]);
}

#[test]
fn r7_20_old_date_form() {
    let table = column([Some(Date::from_millis(5).into()), Some(5.into()), Some("/Date(5)/".into()), Some("5".into())]);
    let query = Query { filter: Some(Filter::eq("f", "/Date(5)/")), ..Query::default() };
    assert_eq!(rows(&process(&table, &query)), [0, 1]);
}

#[test]
fn r7_24_lower_case_follows_the_language() {
    let table = table(r#"[{"a":"IĞDIR"},{"a":"ığdır"},{"a":"iğdir"},{"a":"İSTANBUL"},{"a":"istanbul"}]"#);
    let check = |filter: Filter, locale: &str, expected: &[u32]| {
        let query = Query { filter: Some(filter), locale: Some(locale.to_owned()), ..Query::default() };
        assert_eq!(rows(&process(&table, &query)), expected);
    };
    check(Filter::contains("a", "ı"), "tr-TR", &[0, 1]);
    check(Filter::starts_with("a", "i"), "az", &[2, 3, 4]);
    check(Filter::eq("a", "ISTANBUL"), "tr", &[]);
    check(Filter::eq("a", "ISTANBUL"), "fr", &[4]);
}

#[test]
fn r7_24_no_accents_are_removed() {
    let table = table(r#"[{"a":"é"},{"a":"É"},{"a":"e"}]"#);
    let query = Query { filter: Some(Filter::contains("a", "e")), locale: Some("fr".to_owned()), ..Query::default() };
    assert_eq!(rows(&process(&table, &query)), [2]);
    let query = Query { filter: Some(Filter::eq("a", "É")), ..Query::default() };
    assert_eq!(rows(&process(&table, &query)), [0, 1]);
}

#[test]
fn q34_paths_through_null_are_null() {
    let table = table(r#"[{"a":{"b":1}},{"a":null},{},{"a":{"b":null}},{"a":[{"b":7}]},{"a":3}]"#);
    let check = |filter: Filter, expected: &[u32]| {
        let query = Query { filter: Some(filter), ..Query::default() };
        assert_eq!(rows(&process(&table, &query)), expected);
    };
    check(Filter::eq("a.b", Value::Null), &[1, 3]);
    check(Filter::is_null("a.b"), &[1, 2, 3, 4, 5]);
    check(Filter::eq("a[0].b", 7), &[4]);
    check(Filter::eq("a['b']", 1), &[0]);
    let query = Query { sort: vec![crate::Sort::desc("a.b")], ..Query::default() };
    assert_eq!(rows(&process(&table, &query)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn r7_15_empty_groups() {
    let table = table(r#"[{"a":1},{"a":2}]"#);
    let check = |filter: Filter, expected: &[u32]| {
        let processed = process(&table, &Query { filter: Some(filter), ..Query::default() });
        assert_eq!(rows(&processed), expected);
        assert_eq!(processed.total, Some(expected.len()));
    };
    check(Filter::any([]), &[0, 1]);
    check(Filter::all([]), &[0, 1]);
    check(Filter::all([Filter::any([])]), &[]);
    check(Filter::any([Filter::all([])]), &[0, 1]);
    check(Filter::any([Filter::any([]), Filter::eq("a", 2)]), &[1]);
}

#[test]
fn logic_and_closures() {
    let table = table(r#"[{"a":1,"b":"x"},{"a":2,"b":"y"},{"a":3,"b":"x"}]"#);
    let check = |filter: Filter, expected: &[u32]| {
        assert_eq!(rows(&process(&table, &Query { filter: Some(filter), ..Query::default() })), expected);
    };
    let odd = || Filter::custom(|record| record.get("a").and_then(Value::as_i64).is_some_and(|a| a % 2 == 1));
    check(odd().and(Filter::gt("a", 1)), &[2]);
    check(Filter::eq("a", 2).or(odd()), &[0, 1, 2]);
    check(Filter::eq("b", "X").case_sensitive().or(Filter::eq("a", 2)), &[1]);
    check(Filter::eq("a", 1).or(Filter::eq("a", 2)).or(Filter::eq("a", 3)).and(Filter::eq("b", "y")), &[1]);
}
