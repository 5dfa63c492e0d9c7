use super::json;
use crate::{Aggregate, ErrorKind, Filter, Group, Operator, QueryOptions, Record, Sort, Value};

fn same(name: &str) -> String {
    name.to_owned()
}

fn normal(text: &str) -> String {
    Filter::from_value(&json(text)).unwrap().unwrap().to_value(&same).to_json()
}

fn refused(text: &str) -> crate::Error {
    Filter::from_value(&json(text)).unwrap_err()
}

#[test]
fn r7_8_no_filter() {
    for text in ["null", "{}", "[]", "\"\"", "false"] {
        assert!(Filter::from_value(&json(text)).unwrap().is_none(), "{text}");
    }
    assert_eq!(refused("\"id\"").kind(), &ErrorKind::Invalid);
}

#[test]
fn r7_9_normal_form() {
    let condition = r#"{"value":1,"field":"a","extra":true,"operator":"gte"}"#;
    let group = format!(r#"{{"logic":"and","filters":[{condition}]}}"#);
    assert_eq!(normal(condition), group);
    assert_eq!(normal(&format!("[{condition}]")), group);
    assert_eq!(normal(&condition.replace("gte", "isGreaterThanOrEqualTo")), group);
    // What is a group already keeps its members: a missing logic is the server's to understand.
    let bare = r#"{"filters":[{"field":"a","operator":"eq","value":1}]}"#;
    assert_eq!(normal(bare), bare);
    let nested = r#"{"filters":[{"field":"a","value":1},{"logic":"or","filters":[{"field":"b","operator":"eq","value":null}]}],"logic":"or"}"#;
    assert_eq!(normal(nested), nested);
}

#[test]
fn r7_68_names_are_translated() {
    let filter =
        Filter::eq("a", 1).and(Filter::from_value(&json(r#"{"operator":"lt","field":"b"}"#)).unwrap().unwrap());
    assert_eq!(
        filter.to_value(&str::to_uppercase).to_json(),
        r#"{"logic":"and","filters":[{"field":"A","operator":"eq","value":1},{"operator":"lt","field":"B"}]}"#
    );
    assert_eq!(filter.fields(), ["a", "b"]);
}

#[test]
fn built_conditions_name_case_only_when_it_matters() {
    assert_eq!(
        Filter::is_null("a").or(Filter::eq("b", "x").case_sensitive()).to_value(&same).to_json(),
        r#"{"logic":"or","filters":[{"field":"a","operator":"isnull"},{"field":"b","operator":"eq","value":"x","ignoreCase":false}]}"#
    );
}

#[test]
fn closures_leave_the_server_too_much_rather_than_too_little() {
    let custom = || Filter::custom(|_| true);
    let a = || Filter::eq("a", 1);
    let only_a = a().to_value(&same).to_json();
    assert_eq!(a().and(custom()).to_value(&same).to_json(), only_a);
    let nothing = r#"{"logic":"and","filters":[]}"#;
    assert_eq!(a().or(custom()).to_value(&same).to_json(), nothing);
    assert_eq!(custom().to_value(&same).to_json(), nothing);
    assert_eq!(a().and(Filter::any([custom(), a()])).to_value(&same).to_json(), only_a);
}

#[test]
fn r7_10_aliases() {
    for (operator, aliases) in [
        (Operator::Eq, "== equals isequalto equalto equal EQ"),
        (Operator::Neq, "!= ne notequals isnotequalto notequalto notequal"),
        (Operator::Lt, "< islessthan lessthan less"),
        (Operator::Lte, "<= le islessthanorequalto lessthanequal"),
        (Operator::Gt, "> isgreaterthan greaterthan greater"),
        (Operator::Gte, ">= ge isgreaterthanorequalto greaterthanequal"),
        (Operator::DoesNotContain, "notsubstringof notSubstringOf doesNotContain"),
        (Operator::IsNotNullOrEmpty, "isnotnullorempty isNotNullOrEmpty"),
    ] {
        for alias in aliases.split(' ') {
            assert_eq!(Operator::from_name(alias).unwrap(), operator, "{alias}");
        }
        assert_eq!(Operator::from_name(operator.name()).unwrap(), operator);
    }
}

/// R7.11, R7.13.
#[test]
fn q41_unknown_operators_are_refused_at_once() {
    let error = refused(r#"{"logic":"and","filters":[{"field":"a","operator":"matches","value":"x"}]}"#);
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    let context: Vec<(&str, &str)> = error.context().collect();
    assert!(context.contains(&("operator", "matches")), "{context:?}");
    assert!(context.iter().any(|(name, value)| *name == "known" && value.contains("doesnotendwith")), "{context:?}");
}

#[test]
fn r7_12_operator_left_out_is_eq() {
    let filter = Filter::from_value(&json(r#"{"field":"a","operator":"","value":1}"#)).unwrap().unwrap();
    assert_eq!(
        filter.to_value(&same).to_json(),
        r#"{"logic":"and","filters":[{"field":"a","operator":"eq","value":1}]}"#
    );
}

#[test]
fn r7_14_r7_16_wrong_logic_and_null_entries() {
    for text in [
        r#"{"logic":"OR","filters":[]}"#,
        r#"{"logic":1,"filters":[]}"#,
        r#"{"filters":[null]}"#,
        "[null]",
        r#"[{"field":"a"},"b"]"#,
        r#"{"filters":{"field":"a"}}"#,
    ] {
        assert_eq!(refused(text).kind(), &ErrorKind::Invalid, "{text}");
    }
}

#[test]
fn filters_nest_to_a_limit() {
    let nested = |depth: usize| {
        (0..depth).fold(json(r#"{"field":"a"}"#), |inner, _| Record::from([("filters", Value::array([inner]))]).into())
    };
    assert!(Filter::from_value(&nested(100)).is_ok());
    assert_eq!(Filter::from_value(&nested(101)).unwrap_err().kind(), &ErrorKind::Limit);
}

#[test]
fn r7_35_sort_descriptors() {
    let read = |text: &str| Sort::list_to_value(&Sort::list_from_value(&json(text)).unwrap(), &same).to_json();
    assert_eq!(read(r#"{"field":"a","dir":"asc"}"#), r#"[{"field":"a","dir":"asc"}]"#);
    assert_eq!(
        read(r#"[{"dir":"DESC","field":"a"},{"field":"b"},{"field":"c","dir":"up"}]"#),
        r#"[{"dir":"DESC","field":"a"},{"field":"c","dir":"up"}]"#
    );
    for text in ["null", "{}", "[]", "\"id\"", r#"{"field":"a","dir":""}"#] {
        assert_eq!(read(text), "[]", "{text}");
    }
    assert_eq!(Sort::list_from_value(&json("[null]")).unwrap_err().kind(), &ErrorKind::Invalid);
}

/// R7.45.
#[test]
fn r9_21_group_descriptors() {
    let read = |text: &str| Group::list_to_value(&Group::list_from_value(&json(text)).unwrap(), &same).to_json();
    assert_eq!(read("\"id\""), r#"[{"field":"id","dir":"asc"}]"#);
    assert_eq!(
        read(
            r#"[{"aggregates":[{"aggregate":"SUM","field":"n"}],"dir":"Desc","field":"a"},{"field":"b","aggregates":[]}]"#
        ),
        r#"[{"field":"a","dir":"desc","aggregates":[{"aggregate":"SUM","field":"n"}]},{"field":"b","dir":"asc","aggregates":[]}]"#
    );
    for text in ["null", "{}", "[]"] {
        assert_eq!(read(text), "[]", "{text}");
    }
}

#[test]
fn r7_55_aggregate_descriptors() {
    let aggregates = Aggregate::list_from_value(&json(r#"{"field":"a","aggregate":"Average"}"#)).unwrap();
    assert_eq!(Aggregate::list_to_value(&aggregates, &same).to_json(), r#"[{"field":"a","aggregate":"Average"}]"#);
    for text in [r#"{"field":"a","aggregate":"median"}"#, r#"{"field":"a"}"#, "[null]", "[\"sum\"]"] {
        assert_eq!(Aggregate::list_from_value(&json(text)).unwrap_err().kind(), &ErrorKind::Invalid, "{text}");
    }
}

/// R7.69.
#[test]
fn descriptors_travel_as_they_were_given() {
    let named = |field: &str| format!("{field}!");
    let sort = Sort::list_from_value(&json(r#"[{"dir":"DESC","field":"a","x":1},{"field":"b"}]"#)).unwrap();
    assert_eq!(Sort::list_to_value(&sort, &named).to_json(), r#"[{"dir":"DESC","field":"a!","x":1}]"#);
    let turned = Sort { dir: crate::Direction::Asc, ..sort[0].clone() };
    assert_eq!(Sort::list_to_value(&[turned], &named).to_json(), r#"[{"dir":"asc","field":"a!","x":1}]"#);
    let aggregate = Aggregate::list_from_value(&json(r#"{"aggregate":"sum","field":"a"}"#)).unwrap();
    assert_eq!(Aggregate::list_to_value(&aggregate, &named).to_json(), r#"[{"aggregate":"sum","field":"a!"}]"#);
}

#[test]
fn operators_that_only_the_server_knows() {
    let given = json(r#"{"logic":"or","filters":[{"operator":"near","field":"a","value":1},{"field":"b","value":2}]}"#);
    let filter = Filter::from_value_for_server(&given).unwrap().unwrap();
    assert_eq!(
        filter.to_value(&|field| format!("{field}!")).to_json(),
        r#"{"logic":"or","filters":[{"operator":"near","field":"a!","value":1},{"field":"b!","value":2}]}"#
    );
    assert_eq!(filter.fields(), ["a", "b"]);
    assert!(Filter::from_value(&given).is_err());
    let options = Record::from([("filter", given), ("mine", 1.into())]);
    let query = QueryOptions::from_kendo_for_server(&options).unwrap();
    assert!(query.filter.is_some() && query.params.contains("mine"));
    assert!(QueryOptions::from_kendo(&options).is_err());
}
