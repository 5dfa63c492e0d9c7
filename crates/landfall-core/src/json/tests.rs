//! The quick reader against the usual one.

use super::{Hint, Objects, Progress, from_slice, from_slice_hinted, from_slice_usual, number};
use crate::{Record, Value};
use proptest::prelude::*;

fn same(text: &[u8]) {
    let shown = String::from_utf8_lossy(text).into_owned();
    match (from_slice(text), from_slice_usual(text)) {
        (Ok(quick), Ok(usual)) => {
            assert_eq!(quick, usual, "{shown}");
            assert_eq!(quick.to_json(), usual.to_json(), "{shown}");
            assert_eq!(quick, Value::from_json(&usual.to_json()).unwrap(), "{shown}");
        }
        (Err(quick), Err(usual)) => assert_eq!(format!("{quick:?}"), format!("{usual:?}"), "{shown}"),
        (quick, usual) => panic!("{shown}: {quick:?} and {usual:?}"),
    }
}

#[test]
fn texts_of_all_kinds() {
    for text in [
        r#"[{"a":1,"b":"x"},{"a":2,"b":"y"},{"a":3,"b":"z"},{"a":4,"b":"zz"},{"a":5,"b":null}]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5,"b":1},{"a":6},{"b":1,"a":7},{"a":1,"a":2},{"a":9}]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":"five"},{"a":true},{"a":null},{"a":[1]},{"a":{"b":1}},{"a":1.5}]"#,
        r#"[{"a":null},{"a":null},{"a":null},{"a":null},{"a":null},{"a":1},{"a":2},{"a":-3000},{"a":4000000000}]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":1.25},{"a":7},{"a":9007199254740993},{"a":1e300}]"#,
        r#"[{"a":18446744073709551615},{"a":18446744073709551615},{"a":1},{"a":-9223372036854775808},{"a":1}]"#,
        r#"[{"a":"\u00e9\n\"\\\/\b\f\r\t"},{"a":"\ud83d\ude00"},{"a":"plain"},{"a":"\u0041é"},{"a":"é\u0000"}]"#,
        " [ { \"a\" : 1 , \"b\" : [ ] } ,\n{ \"a\" : 2 , \"b\" : { } },{\"a\":1,\"b\":2},{ \"a\":1,\"b\":2 },{\"a\":1 ,\"b\":2} ] ",
        r#"[{},{},{},{},{},{},1,{},null,"x",[],[[]],{"a":1}]"#,
        r#"{"data":[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5}],"total":5,"inner":{"x":[{"y":1},{"y":2}]}}"#,
        r#"[{"k\"ey":1},{"k\"ey":2},{"k\"ey":3},{"k\"ey":4},{"k\u0022ey":5}]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":05}]"#,
        r#"[{"a":1},{"a":2},{"a":3},{"a":4},{"a":1e999}]"#,
        r#"[{"a":"x"},{"a":"x"},{"a":"x"},{"a":"x"},{"a":"\ud83d"}]"#,
        "[{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"a\u{1}b\"}]",
        r#"{"a":{"a":1,"b":2,"a":3}}"#,
        r"[1,2,3] x",
        "",
        "   ",
        "nul",
        "[true,false,null]",
        "\"text\"",
        "-",
        "{\"a\"}",
    ] {
        same(text.as_bytes());
    }
    same(b"[{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"\xC3\"},{\"a\":\"\xA9\"}]");
    same(b"[{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"x\"},{\"a\":\"\xC3\"},{\"a\":\"\xA9\"}]");
    for deep in [90, 110, 127, 128, 200] {
        same(format!("{}{}", "[".repeat(deep), "]".repeat(deep)).as_bytes());
    }
}

#[test]
fn numbers() {
    for text in [
        "0",
        "-0",
        "-0.0",
        "0.1",
        "101.36500000000001",
        "12.50",
        "1E5",
        "1e-5",
        "1e+22",
        "1e23",
        "123456789012345678",
        "1234567890123456789",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "0.3000000000000000444",
        "5e-324",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "9007199254740993.0",
        "00",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "1e400",
        "-1e400",
        "0e999999999999999999999",
        "1e-999999999999999999999",
        "123456789012345678901234567890.5e-10",
    ] {
        same(text.as_bytes());
        same(format!("[{{\"a\":1}},{{\"a\":1}},{{\"a\":1}},{{\"a\":1}},{{\"a\":{text}}}]").as_bytes());
    }
    assert_eq!(number::read(b"-12,"), Some((number::Read::Whole(-12), 3)));
}

/// Lists of objects with the same and with other members.
fn lists() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        3 => (-300..300_i64).prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        2 => (-20_000..20_000_i32).prop_map(|n| (f64::from(n) / 100.0).to_string()),
        1 => any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
        3 => "[aé\"\\\\\u{1F600}]{0,30}".prop_map(|text| Value::from(text).to_json()),
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("[1,{\"x\":[]}]".to_owned()),
        1 => Just("\"2020-01-02T03:04:05.000Z\"".to_owned()),
    ];
    let column = prop::collection::vec(scalar.clone(), 1..4);
    let row = (prop::collection::vec(any::<prop::sample::Index>(), 3), 0..12_u8, scalar);
    (prop::collection::vec(column, 3), prop::collection::vec(row, 0..60)).prop_map(|(columns, rows)| {
        let objects: Vec<String> = rows
            .iter()
            .map(|(picks, odd, other)| {
                let mut members: Vec<String> = ["a", "b", "c"]
                    .iter()
                    .zip(columns.iter().zip(picks))
                    .map(|(name, (values, pick))| format!("\"{name}\":{}", values[pick.index(values.len())]))
                    .collect();
                match odd {
                    0 => drop(members.pop()),
                    1 => members.swap(0, 1),
                    2 => members.push(format!("\"a\":{other}")),
                    3 => members.push(format!(" \"d\" : {other}")),
                    _ => {}
                }
                format!("{{{}}}", members.join(","))
            })
            .collect();
        format!("[{}]", objects.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn random_lists(text in lists()) {
        same(text.as_bytes());
        same(format!("{{\"d\":{text},\"n\":1}}").as_bytes());
        let mut objects = Objects::default();
        let list = from_slice_usual(text.as_bytes()).unwrap();
        let rows: Vec<Record> = list.as_array().unwrap().iter().filter_map(|row| row.as_object().cloned()).collect();
        for row in &rows {
            objects.read(&row.to_json()).unwrap();
        }
        prop_assert_eq!(objects.finish(), rows);
    }

    #[test]
    fn spoilt_lists(text in lists(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        same(&bytes);
    }

    #[test]
    fn rows_of_columns_are_records_like_others(text in lists(), at in any::<prop::sample::Index>()) {
        let list = from_slice(text.as_bytes()).unwrap();
        let Some(rows) = list.as_array().filter(|rows| !rows.is_empty()) else { return Ok(()) };
        let row = rows[at.index(rows.len())].as_object().unwrap();
        let plain: Record = row.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        prop_assert_eq!(row, &plain);
        prop_assert_eq!(&plain, row);
        prop_assert_eq!(row.to_json(), plain.to_json());
        prop_assert_eq!(format!("{row:?}"), format!("{plain:?}"));
        let (mut row, mut plain) = (row.clone(), plain);
        for record in [&mut row, &mut plain] {
            record.set("b", 7);
            record.remove("a");
            record.set("new", "x");
        }
        prop_assert_eq!(row.to_json(), plain.to_json());
        // The others saw nothing of it.
        prop_assert_eq!(list.to_json(), from_slice_usual(text.as_bytes()).unwrap().to_json());
    }
}

#[test]
fn rows_are_told_and_a_stop_is_noticed() {
    let text = format!(r#"{{"data":[{}]}}"#, vec![r#"{"tags":[{"t":1}]}"#; 3000].join(","));
    let progress = Progress::default();
    from_slice_hinted(text.as_bytes(), None, Some(&progress)).unwrap();
    assert_eq!(progress.rows(), 3000);
    let progress = Progress::default();
    progress.stop();
    let error = from_slice_hinted(text.as_bytes(), None, Some(&progress)).unwrap_err();
    assert_eq!(*error.kind(), crate::ErrorKind::Cancelled);
    assert_eq!(progress.rows(), 1024);
}

#[test]
fn instants_where_the_hint_says_so() {
    let row = r#"{"n":1,"at":"2020-01-02T03:04:05.006Z"}"#;
    let rows = [row; 40].join(",");
    let text = format!(r#"{{"errors":[{rows}],"d":{{"rows":[{rows}],"other":[{rows}]}}}}"#);
    let hint = Hint { path: vec!["d".into(), "rows".into()], dates: vec!["at".into()] };
    let value = from_slice_hinted(text.as_bytes(), Some(&hint), None).unwrap();
    let at = |path: &str| crate::Path::parse(path).get(value.as_object().unwrap()).cloned().unwrap();
    assert!(at("d.rows[39].at").as_date().is_some_and(|date| date.millis() == 1_577_934_245_006));
    assert!(at("d.other[39].at").as_str().is_some());
    assert!(at("errors[39].at").as_str().is_some());
    // One text of another kind, and all of the block stay what they are.
    let odd = text.replacen(&format!("{row}],\"other\""), "{\"n\":2,\"at\":\"yesterday\"}],\"other\"", 1);
    assert_ne!(odd, text);
    let value = from_slice_hinted(odd.as_bytes(), Some(&hint), None).unwrap();
    assert_eq!(value, from_slice(odd.as_bytes()).unwrap());
}
