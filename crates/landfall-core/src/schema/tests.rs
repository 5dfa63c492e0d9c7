//! The model, the mapping and the reader, rule by rule.

use super::*;
use crate::Date;

fn model(json: &str) -> Model {
    Model::from_value(&Value::from_json(json).unwrap()).unwrap()
}

fn record(json: &str) -> Record {
    Record::from_json(json).unwrap()
}

fn json(value: impl Into<Option<Value>>) -> String {
    value.into().map_or("absent".to_owned(), |value| value.to_json())
}

fn check_read(fields: &str, before: &str, after: &str) {
    let model = model(&format!(r#"{{"id":"id","fields":{fields}}}"#));
    assert_eq!(model.read(record(before), &Zone::utc()).to_json(), after, "{fields} of {before}");
}

fn check_sparse(fields: &str, before: &str, after: &str) {
    let model = model(&format!(r#"{{"id":"id","fields":{fields}}}"#));
    assert_eq!(model.read_sparse(record(before), &Zone::utc()).to_json(), after, "{fields} of {before}");
}

#[test]
fn r2_8_the_default_id() {
    for (options, expected) in [
        (r#"{"id":"id"}"#, r#""""#),
        (r#"{"id":"id","fields":{"id":{"type":"number"}}}"#, "0"),
        (r#"{"id":"id","fields":{"id":{"type":"number","nullable":true}}}"#, "null"),
        (r#"{"id":"id","fields":{"id":{"editable":false,"nullable":true}}}"#, "null"),
        (r#"{"id":"id","fields":{"id":{"defaultValue":-1}}}"#, "-1"),
        (r#"{"id":"id","fields":{"id":{"type":"string","nullable":true,"defaultValue":"zz"}}}"#, r#""zz""#),
        (r#"{"id":"ProductID","fields":{"pid":{"from":"ProductID","type":"number"}}}"#, r#""""#),
        (r#"{"fields":{"id":{"type":"number"}}}"#, "absent"),
    ] {
        assert_eq!(json(model(options).default_id()), expected, "{options}");
    }
}

#[test]
fn r2_17_new_is_strict() {
    let number = model(r#"{"id":"id","fields":{"id":{"type":"number"}}}"#);
    assert!(number.is_default_id(Some(&Value::from(0))));
    assert!(number.is_default_id(None));
    for other in [Value::from("0"), Value::Null, Value::from(false), Value::from("")] {
        assert!(!number.is_default_id(Some(&other)), "{other:?}");
    }
    let text = model(r#"{"id":"id"}"#);
    assert!(text.is_default_id(Some(&Value::from(""))));
    assert!(!text.is_default_id(Some(&Value::Null)));
    assert!(Model::new().is_default_id(Some(&Value::from(5))), "without an id every record is new (C37)");
}

#[test]
fn r2_5_to_r2_11_defaults() {
    let now = Date::from_iso("2024-03-05T12:00:00Z").unwrap();
    let defaults = |options: &str| model(options).defaults(now).to_json();
    assert_eq!(
        defaults(
            r#"{"id":"id","fields":{"s":{"type":"String"},"id":{"type":"number"},"n":{"type":"number"},
                "b":{"type":"boolean"},"d":{"type":"date"},"x":{},"o":{"type":"object"},"u":{"type":"weird"}}}"#
        ),
        r#"{"id":0,"s":"","n":0,"b":false,"d":"2024-03-05T12:00:00.000Z","x":""}"#
    );
    assert_eq!(
        defaults(
            r#"{"fields":{"a":{"nullable":true,"defaultValue":0},"b":{"nullable":true,"defaultValue":5},"c":{"defaultValue":7}}}"#
        ),
        r#"{"a":null,"b":5,"c":7}"#,
        "Q25"
    );
    assert_eq!(defaults(r#"{"id":"Key","fields":["a"]}"#), r#"{"Key":"","a":""}"#);
    let counted = Model::new().field(Field::new("n").default_with(|| Value::from(3)));
    assert_eq!(counted.defaults(now).to_json(), r#"{"n":3}"#, "R2.7");
}

#[test]
fn r2_2_and_r2_3_forms_of_fields() {
    let listed = model(r#"{"fields":["a",{"field":"b","type":"number"}]}"#);
    assert_eq!(listed.fields().iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(model(r#"{"fields":{"baz":"foo"}}"#).source_of("baz"), "foo");
    for bad in ["5", r#"{"fields":[5]}"#, r#"{"fields":[{"type":"number"}]}"#, r#"{"fields":{"a":5}}"#] {
        let error = Model::from_value(&Value::from_json(bad).unwrap()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{bad}");
    }
}

#[test]
fn r2_46_editable() {
    let model = model(r#"{"fields":{"a":{"editable":false},"b":{}}}"#);
    assert!(!model.editable("a"));
    assert!(model.editable("b") && model.editable("unknown"));
}

#[test]
fn r3_9_to_r3_12_mapping() {
    check_read(r#"{"id":{"type":"number"},"foo":{"from":"Foo"}}"#, r#"{"Foo":"a","id":"1"}"#, r#"{"id":1,"foo":"a"}"#);
    check_read(r#"{"n":{"type":"number"}}"#, r#"{"x":1,"n":"5","y":2}"#, r#"{"x":1,"n":5,"y":2}"#);
    check_read(
        r#"{"id":{"type":"number"},"n":{"type":"number"},"s":{"type":"string"},"b":{"type":"boolean"},"d":{"type":"date"}}"#,
        r#"{"id":1}"#,
        r#"{"id":1,"n":null,"d":null}"#,
    );
    check_read(r#"{"a":{},"b":"B","c":{"from":"C"}}"#, r#"{"C":3,"B":2,"z":0}"#, r#"{"z":0,"b":2,"c":3}"#);
    check_read("{}", r#"{"n":"5"}"#, r#"{"n":"5"}"#);
}

#[test]
fn r3_11_dotted_sources() {
    let fields = r#"{"id":{"type":"number"},"city":{"from":"a.city","type":"string"}}"#;
    check_read(fields, r#"{"id":1,"a":{"city":"x"}}"#, r#"{"id":1,"a":{"city":"x"},"city":"x"}"#);
    check_read(fields, r#"{"id":2,"a":null}"#, r#"{"id":2,"a":null,"city":null}"#);
    check_read(fields, r#"{"id":3}"#, r#"{"id":3}"#);
}

#[test]
fn fields_may_swap_names() {
    let swapped = r#"{"a":{"from":"b"},"b":{"from":"a"}}"#;
    check_read(swapped, r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#);
    let model = model(&format!(r#"{{"fields":{swapped}}}"#));
    assert_eq!(model.write(record(r#"{"a":2,"b":1}"#)).to_json(), r#"{"b":2,"a":1}"#);
}

#[test]
fn r2_31_a_parser_of_ones_own_may_leave_a_member_out() {
    let model = Model::new().field(Field::new("n").parse_with(|value| value.filter(|v| !v.is_null()).cloned()));
    let read = |text: &str| model.read(record(text), &Zone::utc()).to_json();
    assert_eq!(read(r#"{"n":5,"x":1}"#), r#"{"n":5,"x":1}"#);
    assert_eq!(read(r#"{"n":null,"x":1}"#), r#"{"x":1}"#);
    assert_eq!(read(r#"{"x":1}"#), r#"{"x":1}"#);
}

#[test]
fn one_mapper_serves_records_of_several_shapes() {
    let model = model(r#"{"fields":{"n":{"type":"number"},"f":{"from":"F"}}}"#);
    let zone = Zone::utc();
    let mut mapper = model.mapper(&zone);
    let list = Value::from_json(r#"[{"n":"1","F":"a"},{"n":"2","F":"b"},{"F":"c"},{"n":3,"F":"d"},{"n":4}]"#).unwrap();
    let read: Vec<Record> =
        list.as_array().unwrap().iter().map(|row| mapper.read(row.as_object().unwrap().clone())).collect();
    let texts: Vec<String> = read.iter().map(Record::to_json).collect();
    assert_eq!(
        texts,
        [r#"{"n":1,"f":"a"}"#, r#"{"n":2,"f":"b"}"#, r#"{"n":null,"f":"c"}"#, r#"{"n":3,"f":"d"}"#, r#"{"n":4}"#]
    );
    assert!(Arc::ptr_eq(read[0].shape(), read[1].shape()), "records that look alike share their names");
    assert_eq!(list.as_array().unwrap()[0].to_json(), r#"{"n":"1","F":"a"}"#, "copies are mapped (Q17)");
}

#[test]
fn q6_sparse_answers_erase_nothing() {
    let fields = r#"{"id":{"type":"number"},"foo":{"from":"Foo"},"n":{"type":"number"},"d":{"type":"date"}}"#;
    check_sparse(fields, r#"{"id":"9"}"#, r#"{"id":9}"#);
    check_sparse(fields, r#"{"id":9,"Foo":"srv"}"#, r#"{"id":9,"foo":"srv"}"#);
    check_sparse(fields, r#"{"n":null}"#, r#"{"n":null}"#);
    check_sparse(r#"{"city":{"from":"a.city"}}"#, r#"{"id":1}"#, r#"{"id":1}"#);
    check_sparse(r#"{"city":{"from":"a.city"}}"#, r#"{"a":{"city":5}}"#, r#"{"a":{"city":5},"city":5}"#);
}

#[test]
fn q3_a_stored_create_stays_new() {
    let model = model(r#"{"id":"ProductID","fields":{"ProductID":{"type":"number"},"foo":{}}}"#);
    let stored = |text, create| model.read_stored(record(text), create, &Zone::utc()).to_json();
    assert_eq!(stored(r#"{"foo":"n"}"#, true), r#"{"foo":"n","ProductID":0}"#);
    assert_eq!(stored(r#"{"foo":"n"}"#, false), r#"{"foo":"n","ProductID":null}"#);
    assert_eq!(stored(r#"{"ProductID":7}"#, true), r#"{"ProductID":7}"#);
}

#[test]
fn r3_18_to_r3_20_writing_back() {
    let model = model(r#"{"id":"id","fields":{"id":{},"foo":{"from":"Foo"},"city":{"from":"addr.city"},"z":"Z"}}"#);
    let write = |text: &str| model.write(record(text)).to_json();
    assert_eq!(write(r#"{"foo":"a","id":1,"z":2}"#), r#"{"id":1,"Foo":"a","Z":2}"#);
    assert_eq!(write(r#"{"id":1}"#), r#"{"id":1}"#);
    assert_eq!(write(r#"{"city":"Q"}"#), r#"{"addr":{"city":"Q"}}"#, "Q19");
    assert_eq!(write(r#"{"addr":{"zip":1},"city":"Q"}"#), r#"{"addr":{"zip":1,"city":"Q"}}"#);
    assert_eq!(write(r#"{"addr":"text","city":"Q"}"#), r#"{"addr":"text","city":"Q"}"#, "nothing is overwritten");
}

#[test]
fn reading_and_writing_are_inverse() {
    let model = model(
        r#"{"id":"id","fields":{"id":{"from":"Id","type":"number"},"name":{"from":"Name"},"city":{"from":"a.city"}}}"#,
    );
    let text = r#"{"a":{"city":"Oslo"},"extra":[1],"Id":1,"Name":"one"}"#;
    assert_eq!(model.write(model.read(record(text), &Zone::utc())).to_json(), text);
}

#[test]
fn r2_29_values_of_edits() {
    let model =
        model(r#"{"fields":{"n":{"type":"number"},"o.x":{"type":"number"},"t":{"field":"T","type":"number"}}}"#);
    let parse = |field: &str| model.parse_field(field, Value::from("5"), &Zone::utc()).to_json();
    assert_eq!(parse("n"), "5");
    assert_eq!(parse("o.x"), "5");
    assert_eq!(parse("T"), "5");
    assert_eq!(parse("unknown"), r#""5""#);
}

#[test]
fn validation() {
    let model = model(
        r#"{"fields":{"name":{"validation":{"required":{"message":"Name it!"},"maxlength":3}},
            "n":{"validation":{"min":1,"max":{"value":"5"},"required":false}},
            "code":{"validation":{"pattern":"[A-Z]\\d+"}}}}"#,
    );
    let broken = |text: &str| {
        let violations = model.validate(&record(text));
        violations.iter().map(|v| format!("{}:{}:{}", v.field, v.rule, v.message)).collect::<Vec<_>>().join("|")
    };
    assert_eq!(broken(r#"{"name":"abc","n":5,"code":"A1"}"#), "");
    assert_eq!(broken(r#"{"name":""}"#), "name:required:Name it!");
    assert_eq!(broken(r#"{"name":"abcd","n":0}"#).matches('|').count(), 1);
    assert!(broken(r#"{"name":"a","n":6}"#).starts_with("n:max:"));
    assert!(broken(r#"{"name":"a","code":"A1x"}"#).starts_with("code:pattern:"), "the whole text has to match");
    for bad in [r#"{"pattern":"("}"#, r#"{"min":"x"}"#, r#"{"maxlength":-1}"#] {
        let fields = Value::from_json(&format!(r#"{{"fields":{{"a":{{"validation":{bad}}}}}}}"#)).unwrap();
        assert_eq!(Model::from_value(&fields).unwrap_err().kind(), &ErrorKind::Invalid, "{bad}");
    }
}

fn schema(options: &str) -> Schema {
    Schema::from_value(&Value::from_json(options).unwrap()).unwrap()
}

fn read(options: &str, answer: &str) -> String {
    match schema(options).read_answer(Some(Value::from_json(answer).unwrap()), false) {
        Ok(answer) => {
            let rows = Value::array(answer.rows.into_iter().map(Value::Object)).to_json();
            match answer.errors {
                Some(errors) => format!("errors {}", errors.to_json()),
                None => format!("{rows} of {}", answer.total.map_or("?".to_owned(), |total| total.to_string())),
            }
        }
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn r3_13_and_r9_11_where_rows_are() {
    let declared = r#"{"model":{"id":"id","fields":{"id":{"type":"number"}}}}"#;
    assert_eq!(read("{}", r#"[{"a":1}]"#), r#"[{"a":1}] of 1"#);
    assert_eq!(read(declared, r#"{"id":"1"}"#), r#"[{"id":1}] of 1"#);
    assert_eq!(read("{}", r#"{"id":"1"}"#), "Undecodable");
    assert_eq!(read(r#"{"model":{"id":"id"}}"#, r#"{"id":"1"}"#), "Undecodable", "R3.14");
    assert_eq!(read(r#"{"data":"d"}"#, r#"{"x":1}"#), "[] of 0");
    assert_eq!(read(r#"{"data":"a.b"}"#, r#"{"a":null}"#), "[] of 0");
    assert_eq!(read("{}", r#""""#), "[] of 0");
    for bad in ["null", "5", r#""x""#, "[1]", "[null]"] {
        assert_eq!(read("{}", bad), "Undecodable", "{bad}");
    }
}

#[test]
fn r3_4_and_q30_totals() {
    let rows = r#"[{"a":1},{"a":2}]"#;
    let total = |options: &str, answer: &str| {
        read(options, answer).rsplit_once(" of ").map(|(_, total)| total.to_owned()).unwrap()
    };
    assert_eq!(total("{}", rows), "2");
    assert_eq!(total(r#"{"data":"d"}"#, &format!(r#"{{"d":{rows}}}"#)), "2", "C43");
    let named = r#"{"data":"d","total":"n"}"#;
    for (text, expected) in [("50", "50"), (r#""12""#, "12"), (r#""12 rows""#, "12"), ("3.7", "3"), ("null", "0")] {
        assert_eq!(total(named, &format!(r#"{{"d":{rows},"n":{text}}}"#)), expected, "{text}");
    }
}

#[test]
fn r3_5_q29_c42_errors() {
    for none in ["null", r#""""#, "0", "false", "[]", "{}"] {
        assert_eq!(read(r#"{"data":"d"}"#, &format!(r#"{{"d":[],"errors":{none}}}"#)), "[] of 0", "{none}");
    }
    assert_eq!(read(r#"{"data":"d"}"#, r#"{"errors":["e"]}"#), r#"errors ["e"]"#);
    let deep = r#"{"data":"d","errors":"a.b"}"#;
    assert_eq!(read(deep, r#"{"d":[]}"#), "[] of 0");
    assert_eq!(read(deep, r#"{"d":[],"a":null}"#), "[] of 0");
    assert_eq!(read(deep, r#"{"d":[],"a":{"b":"e"}}"#), r#"errors "e""#);
}

#[test]
fn r5_18_r5_19_answers_to_writes() {
    let schema = schema(r#"{"data":"d","model":{"id":"id","fields":{"id":{"type":"number"},"foo":{"from":"Foo"}}}}"#);
    let write = |answer: &str| {
        let answer = schema.write_answer(Some(Value::from_json(answer).unwrap())).unwrap();
        match (answer.errors, answer.rows) {
            (Some(errors), _) => format!("errors {}", errors.to_json()),
            (None, None) => "as sent".to_owned(),
            (None, Some(rows)) => Value::array(rows.into_iter().map(Value::Object)).to_json(),
        }
    };
    for empty in ["null", r#""""#, "{}", "[]", "0", "5", "true"] {
        assert_eq!(write(empty), "as sent", "{empty}");
    }
    assert!(schema.write_answer(None).unwrap().rows.is_none());
    assert_eq!(write(r#"{"d":[{"id":"9"}]}"#), r#"[{"id":9}]"#);
    assert_eq!(write(r#"{"d":{"id":"9","Foo":"s"}}"#), r#"[{"id":9,"foo":"s"}]"#);
    assert_eq!(write(r#"{"d":null}"#), "[]", "R5.28");
    assert_eq!(write(r#"{"errors":{"id":"taken"}}"#), r#"errors {"id":"taken"}"#);
}

#[test]
fn r3_16_groups() {
    let schema = schema(
        r#"{"groups":"g","model":{"fields":{"n":{"field":"N","type":"number"},"d":{"type":"date"},"foo":{"from":"F"}}}}"#,
    );
    let answer = r#"{"g":[{"field":"N","value":"5","hasSubgroups":true,"aggregates":{"F":{"count":1}},
        "items":[{"field":"d","value":"2020-01-02","items":[{"F":"x","N":"5"}]}]}]}"#;
    let read = schema.read_answer(Some(Value::from_json(answer).unwrap()), true).unwrap();
    let outer = &read.groups.as_ref().unwrap()[0];
    assert_eq!(
        outer.head.to_json(),
        r#"{"field":"n","value":5,"hasSubgroups":true,"aggregates":{"F":{"count":1}}}"#,
        "R3.17: aggregates keep the server's names"
    );
    let ServerItems::Groups(inner) = &outer.items else { panic!("groups") };
    assert_eq!(inner[0].head.get("value").map(Value::to_json).unwrap(), r#""2020-01-02T00:00:00.000Z""#);
    let ServerItems::Rows(rows) = &inner[0].items else { panic!("rows") };
    assert_eq!(rows[0].to_json(), r#"{"n":5,"d":null,"foo":"x"}"#);
    assert_eq!(read.total, Some(1));
    let lost = Value::from_json(r#"{"g":[{"field":"N","items":[5]}]}"#).unwrap();
    assert_eq!(schema.read_answer(Some(lost), true).unwrap_err().kind(), &ErrorKind::Undecodable);
}
