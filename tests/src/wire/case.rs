//! Cases: reading the file, and one case for the addresses of its two servers. Plays nothing.

use landfall_core::{Date, Error, ErrorKind, Record, Result, Value};

/// One case as it stands in the file; addresses are still marked.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name, unique in the file.
    pub name: String,
    /// The group it is counted in.
    pub area: String,
    /// Why a sane client may want to differ, if the case says so.
    pub quirk: Option<String>,
    /// The IANA name of the time zone it plays in.
    pub zone: String,
    /// The callback's name, where options fix one.
    pub callback: Option<String>,
    /// Further request headers to record, in lower case.
    pub headers: Vec<String>,
    raw: Record,
}

/// The addresses of the two servers.
#[derive(Clone, Debug)]
pub struct Origins {
    /// The page's own origin.
    pub same: String,
    /// The other one.
    pub cross: String,
}

impl Origins {
    fn filled(&self, text: &str) -> String {
        text.replace("{same}", &self.same).replace("{cross}", &self.cross)
    }
}

/// What a case holds, for certain addresses and with native values.
#[derive(Clone, Debug)]
pub struct Script {
    /// The options of the data source.
    pub options: Record,
    /// The steps.
    pub steps: Vec<Record>,
    /// The answers of the servers.
    pub replies: Vec<Record>,
}

pub(crate) fn wrong(member: &'static str) -> Error {
    Error::new(ErrorKind::Undecodable, "the case cannot be understood").with("member", member)
}

/// Reads a file of cases.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when it is not one.
pub fn read_all(text: &str) -> Result<Vec<Case>> {
    let value = Value::from_json(text)?;
    let file = value.as_object().ok_or_else(|| wrong("cases"))?;
    if file.get("format").and_then(Value::as_i64) != Some(1) {
        return Err(wrong("format"));
    }
    let cases = file.get("cases").and_then(Value::as_array).ok_or_else(|| wrong("cases"))?;
    cases.iter().map(Case::from_value).collect()
}

impl Case {
    fn from_value(value: &Value) -> Result<Self> {
        let raw = value.as_object().ok_or_else(|| wrong("cases"))?.clone();
        let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
        let headers = raw.get("recordHeaders").and_then(Value::as_array).unwrap_or_default();
        Ok(Self {
            name: text("name").ok_or_else(|| wrong("name"))?,
            area: text("area").ok_or_else(|| wrong("area"))?,
            quirk: text("quirk"),
            zone: text("tz").unwrap_or_else(|| "UTC".to_owned()),
            callback: text("jsonpCallback"),
            headers: headers.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect(),
            raw,
        })
    }

    /// `AREA/NAME`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.area, self.name)
    }

    /// The case for these addresses.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when a member has not the shape it should have.
    pub fn script(&self, origins: &Origins) -> Result<Script> {
        let list = |name: &'static str| -> Result<Vec<Record>> {
            let Some(items) = self.raw.get(name) else { return Ok(Vec::new()) };
            let items = items.as_array().ok_or_else(|| wrong(name))?;
            items.iter().map(|item| native_record(item, origins).ok_or_else(|| wrong(name))).collect()
        };
        Ok(Script {
            options: self
                .raw
                .get("options")
                .and_then(|options| native_record(options, origins))
                .ok_or_else(|| wrong("options"))?,
            steps: list("steps")?,
            replies: list("replies")?,
        })
    }
}

fn native_record(value: &Value, origins: &Origins) -> Option<Record> {
    native(value, origins)?.as_object().cloned()
}

/// With addresses filled in and the values that JSON cannot hold; `None` for undefined.
fn native(value: &Value, origins: &Origins) -> Option<Value> {
    Some(match value {
        Value::Object(record) if record.contains("$undefined") => return None,
        Value::Object(record) if record.contains("$date") => {
            let text = record.get("$date").and_then(Value::as_str).unwrap_or_default();
            Date::from_iso(text).map_or_else(|| Value::from(text), Value::Date)
        }
        Value::Object(record) if record.contains("$number") => {
            match record.get("$number").and_then(Value::as_str).unwrap_or_default() {
                "-0" => Value::from(-0.0),
                _ => Value::from(f64::NAN),
            }
        }
        Value::Object(record) => Value::Object(
            record.iter().filter_map(|(name, value)| Some((name, native(value, origins)?))).collect::<Record>(),
        ),
        Value::Array(items) => Value::array(items.iter().map(|item| native(item, origins).unwrap_or_default())),
        Value::String(text) => Value::from(origins.filled(text)),
        other => other.clone(),
    })
}
