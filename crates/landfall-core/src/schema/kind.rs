//! The schemas that a data source's `type` stands for (R8.4, R8.27, R8.35).

use super::{Accessor, Schema};
use crate::{Error, ErrorKind, Record, Result, Value};

impl Schema {
    /// Reads the parts of Kendo's options that concern the schema: `type` (`odata`, `odata-v4`) and, over it, `schema`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown type, or a schema that cannot be understood.
    pub fn from_kendo(options: &Record) -> Result<Self> {
        let under = match options.get("type").map(|kind| (kind, kind.as_str())) {
            None => Self::default(),
            Some((_, Some("odata"))) => Self::odata_v2(),
            Some((_, Some("odata-v4"))) => Self::odata_v4(),
            Some((kind, _)) => {
                return Err(Error::new(ErrorKind::Invalid, "unknown type of data source").with("type", kind.to_text()));
            }
        };
        let Some(schema) = options.get("schema") else { return Ok(under) };
        let over = Self::from_value(schema)?;
        Ok(Self { data: over.data.or(under.data), total: over.total.or(under.total), ..over })
    }

    /// How OData v2 answers: records in `d.results` or `d` itself, the total in `d.__count`.
    pub fn odata_v2() -> Self {
        let records = |answer: &Value| {
            let inner = answer.as_object()?.get("d")?;
            let results = inner.as_object().and_then(|inner| inner.get("results")).filter(|found| found.is_truthy());
            Some(results.cloned().unwrap_or_else(|| Value::array([inner.clone()])))
        };
        Self::new().data(Accessor::function(records)).total("d.__count")
    }

    /// How OData v4 answers: records in `value` or the answer itself, without annotations (`@odata…`), the total in
    /// `@odata.count`.
    pub fn odata_v4() -> Self {
        let records = |answer: &Value| match answer {
            Value::Array(items) => Some(Value::array(items.iter().map(plain))),
            Value::Object(record) => {
                Some(record.get("value").cloned().unwrap_or_else(|| Value::array([plain(answer)])))
            }
            _ => None,
        };
        let total = |answer: &Value| answer.as_object()?.get("@odata.count").cloned();
        Self::new().data(Accessor::function(records)).total(Accessor::function(total))
    }
}

/// Without OData's annotations.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(record) => record
            .iter()
            .filter(|(name, _)| !name.starts_with("@odata"))
            .map(|(name, value)| (name, value.clone()))
            .collect::<Record>()
            .into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str, answer: &str) -> (String, Option<usize>) {
        let schema = Schema::from_kendo(&Record::from_json(options).unwrap()).unwrap();
        let answer = schema.read_answer(Some(Value::from_json(answer).unwrap()), false).unwrap();
        (Value::array(answer.rows.into_iter().map(Value::from)).to_json(), answer.total)
    }

    #[test]
    fn odata() {
        let (v2, v4) = (r#"{"type":"odata"}"#, r#"{"type":"odata-v4"}"#);
        assert_eq!(read(v2, r#"{"d":{"results":[{"a":1}],"__count":"7"}}"#), (r#"[{"a":1}]"#.into(), Some(7)));
        assert_eq!(read(v2, r#"{"d":{"a":1}}"#).0, r#"[{"a":1}]"#);
        assert_eq!(read(v4, r#"{"value":[{"a":1}],"@odata.count":7}"#), (r#"[{"a":1}]"#.into(), Some(7)));
        assert_eq!(read(v4, r#"{"@odata.etag":"x","a":1}"#).0, r#"[{"a":1}]"#);
        let own = r#"{"type":"odata","schema":{"data":"rows","total":"n"}}"#;
        assert_eq!(read(own, r#"{"rows":[{"a":1}],"n":3}"#), (r#"[{"a":1}]"#.into(), Some(3)));
        assert!(Schema::from_kendo(&Record::from([("type", "soap")])).is_err());
    }
}
