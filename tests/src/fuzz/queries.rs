//! What programs and users ask for: filters, sorts, groups and aggregates in Kendo's form.

use super::Bytes;
use landfall_core::{Aggregate, Filter, Group, Query, Record, Rows, Sort, Value, View, process};
use landfall_transport::{Utc, dialect::odata};

struct List(Vec<Record>);

impl Rows for List {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn record(&self, index: usize) -> &Record {
        &self.0[index]
    }
}

const ROWS: &str = r#"[{"id":1,"a":"Chai","b":1.5,"c":{"d":[1,2]},"e":null},{"id":2,"a":"chang","b":-0.0,"c":{"d":[]}},
{"id":3,"a":"","b":1e300,"e":true},{"id":4,"a":null,"b":null},{"id":9007199254740993,"a":"\u0130\u0131 ǅ","b":"7"},
{"id":6},{"id":7,"a":["x"],"b":{"x":1},"c":5,"e":"2020-01-02T03:04:05Z"}]"#;

/// Descriptors as JSON: understood or refused; what is understood can be written and read again to the same effect, and shows
/// only rows that there are.
pub(super) fn filters(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let head = input.byte();
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let Ok(value) = Value::from_json(&text) else { return };
    let name = |name: &str| name.to_owned();
    let rows = List(
        Value::from_json(ROWS)
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_object().unwrap().clone())
            .collect(),
    );
    let get = |member: &str| value.as_object().and_then(|record| record.get(member)).cloned();
    let mut query = Query { skip: Some(0), take: (head & 1 == 1).then_some(3), ..Query::default() };
    let filter = get("filter").unwrap_or_else(|| value.clone());
    if let Ok(Some(filter)) = Filter::from_value(&filter) {
        let written = filter.to_value(&name);
        drop(filter.fields());
        for version in [odata::Version::V2, odata::Version::V4] {
            drop(odata::query::filter(&written, version, &Utc));
        }
        let again = Filter::from_value(&written).expect("what was written is understood");
        let first = Query { filter: Some(filter.clone()), ..Query::default() };
        let second = Query { filter: again, ..Query::default() };
        assert_eq!(process(&rows, &first).view.flat(), process(&rows, &second).view.flat(), "{}", written.to_json());
        query.filter = Some(filter);
    }
    if let Ok(sorts) = Sort::list_from_value(&get("sort").unwrap_or_default()) {
        drop(odata::query::order_by(&Sort::list_to_value(&sorts, &name)));
        query.sort = sorts;
    }
    if let Ok(groups) = Group::list_from_value(&get("group").unwrap_or_default()) {
        query.group = groups;
    }
    if head & 2 == 2 {
        query.locale = Some("tr".to_owned());
    }
    let processed = process(&rows, &query);
    let mut flat = processed.view.flat();
    if let View::Groups(groups) = &processed.view {
        assert!(groups.len() <= rows.len());
    }
    flat.sort_unstable();
    assert!(flat.windows(2).all(|pair| pair[0] < pair[1]), "no row is shown twice");
    assert!(flat.iter().all(|at| usize::try_from(*at).unwrap() < rows.len()));
    if let Ok(aggregates) = Aggregate::list_from_value(&get("aggregate").unwrap_or_default()) {
        drop(landfall_core::aggregates(&rows, query.filter.as_ref(), None, &aggregates));
    }
}
