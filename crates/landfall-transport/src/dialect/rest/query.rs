//! How paging, sorting and filtering are spelled in a query string.
//!
//! Owns the spellings of json-server and PostgREST and a plain one. Percent-encodes once, at the end.

use crate::{Error, ErrorKind, Result, form};
use landfall_core::{Operator, Record, Value};

/// How a page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Not at all: the data source has to page locally.
    None,
    /// By page number, from 1, and page size: the names of both parameters.
    Page(String, String),
    /// By how many to skip and how many to take: the names of both parameters.
    Skip(String, String),
}

/// How an order is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sorting {
    /// Not at all.
    None,
    /// Fields in one parameter, directions in another: `_sort=a,b&_order=asc,desc`.
    FieldsAndOrders(String, String),
    /// One parameter, `-` before a descending field: `_sort=a,-b`.
    Minus(String),
    /// One parameter, the direction after a dot: `order=a.asc,b.desc`.
    Dotted(String),
}

/// How a filter is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Not at all.
    None,
    /// json-server's first version: `a=1&b_gte=2&c_ne=3&d_like=x`. Conditions are joined by "and" only.
    Suffix,
    /// json-server's version 1: `a:eq=1&b:gte=2&d:contains=x`. Conditions are joined by "and" only.
    Colon,
    /// `PostgREST`: `a=eq.1&or=(b.gt.2,c.is.null)`.
    PostgRest,
}

/// How deep filters may nest.
const DEPTH: usize = 100;

/// Pairs of a query, not encoded yet.
type Pairs = Vec<(String, String)>;

pub(super) fn pairs(paging: &Paging, sorting: &Sorting, filtering: &Filtering, params: &Record) -> Result<Pairs> {
    let mut out = Pairs::new();
    let number = |name: &str| params.get(name).and_then(Value::as_i64);
    match paging {
        Paging::None => {}
        Paging::Page(page, size) => {
            if let Some(take) = number("pageSize").or_else(|| number("take")) {
                out.push((page.clone(), number("page").unwrap_or(1).to_string()));
                out.push((size.clone(), take.to_string()));
            }
        }
        Paging::Skip(skip, take) => {
            if let Some(taken) = number("take") {
                out.push((take.clone(), taken.to_string()));
                out.push((skip.clone(), number("skip").unwrap_or(0).to_string()));
            }
        }
    }
    sort(&mut out, sorting, params.get("sort"))?;
    if let Some(Value::Object(filter)) = params.get("filter") {
        match filtering {
            Filtering::None if is_blank(filter) => {}
            Filtering::None => {
                return Err(unsupported("this service cannot filter; let the data source filter", filter));
            }
            Filtering::Suffix => flat(&mut out, filter, suffix)?,
            Filtering::Colon => flat(&mut out, filter, colon)?,
            Filtering::PostgRest => postgrest(&mut out, filter)?,
        }
    }
    for (name, value) in params.iter() {
        match name {
            "take" | "skip" | "page" | "pageSize" | "sort" | "filter" => {}
            "group" | "aggregate" | "groupPaging"
                if !value.is_truthy() || value.as_array().is_some_and(<[_]>::is_empty) => {}
            "group" | "aggregate" | "groupPaging" => {
                return Err(
                    Error::new(ErrorKind::Unsupported, "this service cannot group or aggregate").with("option", name)
                );
            }
            _ => out.push((name.to_owned(), value.to_text().into())),
        }
    }
    Ok(out)
}

/// Appends the pairs to a URL.
pub(super) fn appended(url: &str, pairs: &[(String, String)]) -> String {
    let mut out = url.to_owned();
    for (name, value) in pairs {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&form::component(name));
        out.push('=');
        out.push_str(&form::component(value));
    }
    out
}

fn sort(out: &mut Pairs, sorting: &Sorting, sort: Option<&Value>) -> Result<()> {
    let terms: Vec<(String, bool)> = sort
        .and_then(Value::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|term| {
            let field = String::from(term.get("field")?.to_text());
            Some((field, term.get("dir").and_then(Value::as_str).is_some_and(|dir| dir.eq_ignore_ascii_case("desc"))))
        })
        .collect();
    if terms.is_empty() {
        return Ok(());
    }
    if terms.iter().any(|(field, _)| field.contains([',', '&', '='])) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a field's name cannot be spelled in this service's sort parameter",
        ));
    }
    let joined = |text: &dyn Fn(&(String, bool)) -> String| terms.iter().map(text).collect::<Vec<_>>().join(",");
    match sorting {
        Sorting::None => {
            return Err(Error::new(ErrorKind::Unsupported, "this service cannot sort; let the data source sort"));
        }
        Sorting::FieldsAndOrders(fields, orders) => {
            out.push((fields.clone(), joined(&|(field, _)| field.clone())));
            out.push((orders.clone(), joined(&|(_, down)| if *down { "desc" } else { "asc" }.to_owned())));
        }
        Sorting::Minus(name) => {
            out.push((name.clone(), joined(&|(field, down)| format!("{}{field}", if *down { "-" } else { "" }))));
        }
        Sorting::Dotted(name) => {
            out.push((
                name.clone(),
                joined(&|(field, down)| format!("{field}.{}", if *down { "desc" } else { "asc" })),
            ));
        }
    }
    Ok(())
}

fn is_blank(filter: &Record) -> bool {
    filter.get("filters").and_then(Value::as_array).is_none_or(<[_]>::is_empty)
}

fn unsupported(message: &'static str, term: &Record) -> Error {
    let mut error = Error::new(ErrorKind::Unsupported, message);
    for name in ["field", "operator", "logic"] {
        if let (Some(value), "field" | "operator" | "logic") = (term.get(name), name) {
            let name = match name {
                "field" => "field",
                "operator" => "operator",
                _ => "logic",
            };
            error = error.with(name, value.to_text().chars().take(80).collect::<String>());
        }
    }
    error
}

struct Condition<'a> {
    field: &'a str,
    operator: &'a str,
    value: Option<&'a Value>,
    exact_case: bool,
    term: &'a Record,
}

impl<'a> Condition<'a> {
    fn of(term: &'a Record) -> Result<Self> {
        let text = |name: &str| term.get(name).and_then(Value::as_str);
        Ok(Self {
            field: text("field")
                .filter(|field| !field.is_empty())
                .ok_or_else(|| Error::new(ErrorKind::Invalid, "a condition names a field"))?,
            operator: match term.get("operator").and_then(Value::as_str) {
                Some(name) => Operator::from_name(name).map_or(name, |operator| operator.name()),
                None => "eq",
            },
            value: term.get("value"),
            exact_case: term.get("ignoreCase").and_then(Value::as_bool) == Some(false),
            term,
        })
    }

    fn refuse(&self) -> Error {
        unsupported("this service has no such filter; let the data source filter", self.term)
    }

    fn text(&self) -> Result<String> {
        match self.value {
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => Err(self.refuse()),
            Some(value) => Ok(value.to_text().into()),
        }
    }
}

/// Conditions that are all joined by "and", each one pair.
fn flat(out: &mut Pairs, filter: &Record, one: fn(&Condition<'_>) -> Result<(String, String)>) -> Result<()> {
    fn walk(
        out: &mut Pairs,
        filter: &Record,
        one: fn(&Condition<'_>) -> Result<(String, String)>,
        depth: usize,
    ) -> Result<()> {
        if depth == 0 {
            return Err(Error::new(ErrorKind::Limit, "filters nest too deep"));
        }
        let terms = filter.get("filters").and_then(Value::as_array).unwrap_or_default();
        if filter.get("logic").and_then(Value::as_str) == Some("or") && terms.len() > 1 {
            return Err(unsupported("this service cannot join conditions by \"or\"", filter));
        }
        for term in terms {
            let term =
                term.as_object().ok_or_else(|| unsupported("a filter holds conditions and groups only", filter))?;
            if term.contains("filters") {
                walk(out, term, one, depth - 1)?;
            } else {
                out.push(one(&Condition::of(term)?)?);
            }
        }
        Ok(())
    }
    walk(out, filter, one, DEPTH)
}

fn suffix(condition: &Condition<'_>) -> Result<(String, String)> {
    let suffix = match condition.operator {
        "eq" => "",
        "neq" => "_ne",
        "gte" => "_gte",
        "lte" => "_lte",
        // A pattern there; texts with a special meaning in patterns are taken literally.
        "contains" | "startswith" | "endswith" => "_like",
        _ => return Err(condition.refuse()),
    };
    let text = condition.text()?;
    let text = match condition.operator {
        "contains" => escaped(&text),
        "startswith" => format!("^{}", escaped(&text)),
        "endswith" => format!("{}$", escaped(&text)),
        _ => text,
    };
    Ok((format!("{}{suffix}", condition.field), text))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '.' | '*' | '+' | '?' | '^' | '$' | '{' | '}' | '(' | ')' | '|' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn colon(condition: &Condition<'_>) -> Result<(String, String)> {
    let operator = match condition.operator {
        "eq" => "eq",
        "neq" => "ne",
        "gt" => "gt",
        "gte" => "gte",
        "lt" => "lt",
        "lte" => "lte",
        "contains" => "contains",
        "startswith" => "startsWith",
        "endswith" => "endsWith",
        _ => return Err(condition.refuse()),
    };
    Ok((format!("{}:{operator}", condition.field), condition.text()?))
}

fn postgrest(out: &mut Pairs, filter: &Record) -> Result<()> {
    let terms = filter.get("filters").and_then(Value::as_array).unwrap_or_default();
    let any = filter.get("logic").and_then(Value::as_str) == Some("or") && terms.len() > 1;
    if any {
        out.push(("or".to_owned(), format!("({})", tree(filter, DEPTH)?)));
        return Ok(());
    }
    for term in terms {
        let term = term.as_object().ok_or_else(|| unsupported("a filter holds conditions and groups only", filter))?;
        if term.contains("filters") {
            let logic = if term.get("logic").and_then(Value::as_str) == Some("or") { "or" } else { "and" };
            if !is_blank(term) {
                out.push((logic.to_owned(), format!("({})", tree(term, DEPTH)?)));
            }
        } else {
            let condition = Condition::of(term)?;
            match compare(&condition)? {
                Compare::One(text, value) => out.push((condition.field.to_owned(), format!("{text}{value}"))),
                Compare::Two(logic, first, second) => {
                    let field = quoted(condition.field);
                    out.push((logic.to_owned(), format!("({field}.{first},{field}.{second})")));
                }
            }
        }
    }
    Ok(())
}

/// The inside of `or=(…)` and `and=(…)`.
fn tree(filter: &Record, depth: usize) -> Result<String> {
    if depth == 0 {
        return Err(Error::new(ErrorKind::Limit, "filters nest too deep"));
    }
    let mut parts = Vec::new();
    for term in filter.get("filters").and_then(Value::as_array).unwrap_or_default() {
        let term = term.as_object().ok_or_else(|| unsupported("a filter holds conditions and groups only", filter))?;
        if term.contains("filters") {
            if is_blank(term) {
                continue;
            }
            let logic = if term.get("logic").and_then(Value::as_str) == Some("or") { "or" } else { "and" };
            parts.push(format!("{logic}({})", tree(term, depth - 1)?));
        } else {
            let condition = Condition::of(term)?;
            let field = quoted(condition.field);
            parts.push(match compare(&condition)? {
                Compare::One(text, value) if text.ends_with("is.") => format!("{field}.{text}{value}"),
                Compare::One(text, value) => format!("{field}.{text}{}", quoted(&value)),
                Compare::Two(logic, first, second) => format!("{logic}({field}.{first},{field}.{second})"),
            });
        }
    }
    Ok(parts.join(","))
}

enum Compare {
    /// Operator with its dot, and the value as it is.
    One(&'static str, String),
    /// A logic and two complete comparisons.
    Two(&'static str, &'static str, &'static str),
}

fn compare(condition: &Condition<'_>) -> Result<Compare> {
    let null = condition.value == Some(&Value::Null);
    Ok(match condition.operator {
        "eq" if null => Compare::One("is.", "null".to_owned()),
        "neq" if null => Compare::One("not.is.", "null".to_owned()),
        "isnull" => Compare::One("is.", "null".to_owned()),
        "isnotnull" => Compare::One("not.is.", "null".to_owned()),
        "isempty" => Compare::One("eq.", String::new()),
        "isnotempty" => Compare::One("neq.", String::new()),
        "isnullorempty" => Compare::Two("or", "is.null", "eq.\"\""),
        "isnotnullorempty" => Compare::Two("and", "not.is.null", "neq.\"\""),
        "eq" => Compare::One("eq.", condition.text()?),
        "neq" => Compare::One("neq.", condition.text()?),
        "gt" => Compare::One("gt.", condition.text()?),
        "gte" => Compare::One("gte.", condition.text()?),
        "lt" => Compare::One("lt.", condition.text()?),
        "lte" => Compare::One("lte.", condition.text()?),
        "contains" | "doesnotcontain" | "startswith" | "endswith" | "doesnotstartwith" | "doesnotendwith" => {
            let text = condition.text()?;
            if text.contains('*') {
                // The wildcard of patterns there cannot be written as itself.
                return Err(condition.refuse());
            }
            let mut literal = String::with_capacity(text.len() + 2);
            for c in text.chars() {
                if matches!(c, '%' | '_' | '\\') {
                    literal.push('\\');
                }
                literal.push(c);
            }
            let operator = condition.operator;
            let negated = operator.starts_with("doesnot");
            let pattern = if operator.contains("start") {
                format!("{literal}*")
            } else if operator.contains("end") {
                format!("*{literal}")
            } else {
                format!("*{literal}*")
            };
            let how = match (negated, condition.exact_case) {
                (false, false) => "ilike.",
                (false, true) => "like.",
                (true, false) => "not.ilike.",
                (true, true) => "not.like.",
            };
            Compare::One(how, pattern)
        }
        _ => return Err(condition.refuse()),
    })
}

/// A text in double quotes if it holds characters with a meaning in `PostgREST`'s lists.
pub(super) fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains([',', '.', ':', '(', ')', '"', '\\', ' ', '{', '}']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(filtering: &Filtering, filter: &str) -> Result<String> {
        let params = Record::from([("filter", Value::from_json(filter).unwrap())]);
        let pairs = pairs(&Paging::None, &Sorting::None, filtering, &params)?;
        let text: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(text.join("&"))
    }

    fn check(filtering: &Filtering, terms: &str, expected: &str) {
        let filter = format!(r#"{{"logic":"and","filters":[{terms}]}}"#);
        assert_eq!(query(filtering, &filter).unwrap(), expected, "{terms}");
    }

    #[test]
    fn json_server() {
        check(
            &Filtering::Suffix,
            r#"{"field":"a","operator":"eq","value":1},{"field":"views","operator":"gte","value":10},{"field":"id","operator":"neq","value":1},{"field":"t","operator":"contains","value":"c++"}"#,
            r"a=1&views_gte=10&id_ne=1&t_like=c\+\+",
        );
        check(&Filtering::Colon, r#"{"field":"a","operator":"startswith","value":"x"}"#, "a:startsWith=x");
        for term in [
            r#"{"field":"a","operator":"gt","value":1}"#,
            r#"{"field":"a","operator":"isnull"}"#,
            r#"{"field":"a","operator":"eq","value":null}"#,
            r#"{"logic":"or","filters":[{"field":"a","operator":"eq","value":1},{"field":"b","operator":"eq","value":1}]}"#,
        ] {
            let error = query(&Filtering::Suffix, &format!(r#"{{"logic":"and","filters":[{term}]}}"#)).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unsupported, "{term}");
        }
    }

    #[test]
    fn postgrest_filters() {
        let p = &Filtering::PostgRest;
        check(
            p,
            r#"{"field":"age","operator":"gte","value":18},{"field":"student","operator":"eq","value":true}"#,
            "age=gte.18&student=eq.true",
        );
        check(p, r#"{"field":"n","operator":"eq","value":"a,b.c"}"#, "n=eq.a,b.c");
        check(p, r#"{"field":"n","operator":"contains","value":"50%_x"}"#, r"n=ilike.*50\%\_x*");
        check(p, r#"{"field":"n","operator":"startswith","value":"x","ignoreCase":false}"#, "n=like.x*");
        check(p, r#"{"field":"n","operator":"isnullorempty"}"#, r#"or=(n.is.null,n.eq."")"#);
        check(
            p,
            r#"{"logic":"or","filters":[{"field":"a","operator":"eq","value":1},{"logic":"and","filters":[{"field":"b","operator":"eq","value":"x,y)"},{"field":"c","operator":"isnull"}]}]}"#,
            r#"or=(a.eq.1,and(b.eq."x,y)",c.is.null))"#,
        );
        assert!(query(p, r#"{"filters":[{"field":"n","operator":"contains","value":"a*"}]}"#).is_err());
    }

    #[test]
    fn a_quoted_value_stays_one_value() {
        // S5: reading the list back gives what went in, whatever characters it holds.
        for text in ["", "a", "a,b", "x)", "\"", "\\", "\\\"", "a.b(c),\"d\\", "or(x.eq.1)", "{}"] {
            let quoted = quoted(text);
            let read = match quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                None => quoted.clone(),
                Some(inner) => {
                    let mut out = String::new();
                    let mut chars = inner.chars();
                    while let Some(c) = chars.next() {
                        assert_ne!(c, '"', "an unescaped quote in {quoted}");
                        out.push(if c == '\\' { chars.next().unwrap() } else { c });
                    }
                    out
                }
            };
            assert_eq!(read, text);
        }
    }

    #[test]
    fn the_rest_of_a_query() {
        let params = Record::from_json(
            r#"{"take":20,"skip":20,"page":2,"pageSize":20,"sort":[{"field":"user","dir":"desc"},{"field":"views","dir":"asc"}],"q":"a b"}"#,
        )
        .unwrap();
        let url =
            |paging, sorting| appended("/posts?x=1", &pairs(&paging, &sorting, &Filtering::None, &params).unwrap());
        assert_eq!(
            url(
                Paging::Page("_page".into(), "_limit".into()),
                Sorting::FieldsAndOrders("_sort".into(), "_order".into())
            ),
            "/posts?x=1&_page=2&_limit=20&_sort=user%2Cviews&_order=desc%2Casc&q=a%20b"
        );
        assert_eq!(
            url(Paging::Skip("offset".into(), "limit".into()), Sorting::Dotted("order".into())),
            "/posts?x=1&limit=20&offset=20&order=user.desc%2Cviews.asc&q=a%20b"
        );
        assert_eq!(url(Paging::None, Sorting::Minus("_sort".into())), "/posts?x=1&_sort=-user%2Cviews&q=a%20b");
    }
}
