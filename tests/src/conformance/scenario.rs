//! Scenarios: reading one, and which parts of a trace it wants to see. Performs nothing.

use landfall_core::{Date, Error, ErrorKind, Record, Result, Text, Value};
use std::collections::BTreeSet;

/// What a trace shows when a scenario does not say.
const DEFAULT: [&str; 13] = [
    "requests",
    "events",
    "online",
    "total",
    "page",
    "pageSize",
    "totalPages",
    "hasChanges",
    "data",
    "changes",
    "view",
    "destroyed",
    "aggregates",
];
const STORAGE: &str = "storage";

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The area, a folder name.
    pub area: String,
    /// The name within the area.
    pub name: String,
    /// The options of the data source in the reference's words; dates are native.
    pub options: Record,
    /// The model server's description, if there is a server.
    pub server: Option<Value>,
    /// The initial contents of the storage, if they are given.
    pub storage: Option<Record>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What to do.
    pub what: Text,
    /// The step's members, with native dates.
    pub given: Record,
    /// The parts of a `together`.
    pub parts: Vec<Step>,
    /// What the trace shows of this step.
    pub shown: Shown,
}

/// A selection of what a trace shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(BTreeSet<String>);

impl Shown {
    /// Whether the key is selected.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains(key)
    }

    fn select(observe: &[Text], hide: &[Text]) -> Self {
        let mut keys = BTreeSet::new();
        for key in observe {
            if key == "default" {
                keys.extend(DEFAULT.iter().chain([&STORAGE]).map(|key| (*key).to_owned()));
            } else {
                keys.insert(key.as_str().to_owned());
            }
        }
        for key in hide {
            keys.remove(key.as_str());
        }
        Self(keys)
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it has not the shape of one.
    pub fn from_value(value: &Value) -> Result<Self> {
        let scenario = value.as_object().ok_or_else(|| wrong("scenario"))?;
        let text = |name: &'static str| {
            scenario.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| wrong(name))
        };
        let observe = match scenario.get("observe") {
            Some(list) => texts("observe", Some(list))?,
            None => vec![Text::from("default")],
        };
        let hide = texts("hide", scenario.get("hide"))?;
        let steps = scenario.get("steps").and_then(Value::as_array).ok_or_else(|| wrong("steps"))?;
        let options = match scenario.get("options") {
            Some(options) => native(options)?.as_object().cloned().ok_or_else(|| wrong("options"))?,
            None => Record::new(),
        };
        let storage = match scenario.get(STORAGE) {
            Some(storage) => Some(storage.as_object().cloned().ok_or_else(|| wrong(STORAGE))?),
            None => None,
        };
        Ok(Self {
            area: text("area")?,
            name: text("name")?,
            options,
            server: scenario.get("server").cloned(),
            storage,
            steps: steps.iter().map(|step| Step::read(step, &observe, &hide)).collect::<Result<_>>()?,
        })
    }

    /// `<area>/<name>`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.area, self.name)
    }

    /// The key of the offline storage, and whether it is a custom one.
    pub fn offline_key(&self) -> Option<(Text, bool)> {
        match self.options.get("offlineStorage")? {
            Value::String(key) => Some((key.clone(), false)),
            Value::Object(custom) => Some((Text::from(custom.get("custom")?.as_str()?), true)),
            _ => None,
        }
    }

    /// Whether traces show the storage at all.
    pub fn shows_storage(&self) -> bool {
        self.storage.is_some() || self.options.contains("offlineStorage")
    }
}

impl Step {
    fn read(value: &Value, observe: &[Text], hide: &[Text]) -> Result<Self> {
        let native = native(value)?;
        let given = native.as_object().ok_or_else(|| wrong("steps"))?;
        let own = match given.get("observe") {
            Some(list) => texts("observe", Some(list))?,
            None => observe.to_vec(),
        };
        let mut hidden = hide.to_vec();
        hidden.extend(texts("hide", given.get("hide"))?);
        let parts = match given.get("steps") {
            Some(parts) => {
                let parts = parts.as_array().ok_or_else(|| wrong("steps"))?;
                parts.iter().map(|part| Self::read(part, observe, hide)).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        Ok(Self {
            what: given.get("do").and_then(Value::as_str).map(Text::from).ok_or_else(|| wrong("do"))?,
            shown: Shown::select(&own, &hidden),
            given: given.clone(),
            parts,
        })
    }

    /// A member of the step.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.given.get(name)
    }

    /// A member that the step cannot do without.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent.
    pub fn need(&self, name: &'static str) -> Result<&Value> {
        self.get(name).ok_or_else(|| wrong(name).with("step", self.what.as_str()))
    }

    /// A member that must be a text.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent or something else.
    pub fn need_text(&self, name: &'static str) -> Result<&str> {
        self.need(name)?.as_str().ok_or_else(|| wrong(name).with("step", self.what.as_str()))
    }

    /// A member that must be a truth value.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent or something else.
    pub fn need_bool(&self, name: &'static str) -> Result<bool> {
        self.need(name)?.as_bool().ok_or_else(|| wrong(name).with("step", self.what.as_str()))
    }

    /// A member that must be a whole number that is not negative.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent or something else.
    pub fn need_count(&self, name: &'static str) -> Result<usize> {
        let number = self.need(name)?.as_i64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| wrong(name).with("step", self.what.as_str()))
    }

    /// A member that must be an object.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent or something else.
    pub fn need_object(&self, name: &'static str) -> Result<&Record> {
        self.need(name)?.as_object().ok_or_else(|| wrong(name).with("step", self.what.as_str()))
    }

    /// A member that holds one row or a list of rows.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is absent or something else.
    pub fn need_rows(&self, name: &'static str) -> Result<Vec<Record>> {
        let wrong = || wrong(name).with("step", self.what.as_str());
        match self.need(name)? {
            Value::Object(row) => Ok(vec![row.clone()]),
            Value::Array(rows) => rows.iter().map(|row| row.as_object().cloned().ok_or_else(wrong)).collect(),
            _ => Err(wrong()),
        }
    }
}

/// The error of a scenario that does not make sense.
pub(crate) fn wrong(member: &'static str) -> Error {
    Error::new(ErrorKind::Undecodable, "the scenario cannot be understood").with("member", member)
}

fn texts(name: &'static str, list: Option<&Value>) -> Result<Vec<Text>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let items = list.as_array().ok_or_else(|| wrong(name))?;
    items.iter().map(|item| item.as_str().map(Text::from).ok_or_else(|| wrong(name))).collect()
}

/// Turns every `{"$date": text}` into an instant.
fn native(value: &Value) -> Result<Value> {
    match value {
        Value::Array(items) => items.iter().map(native).collect::<Result<Vec<_>>>().map(Value::from),
        Value::Object(record) => {
            if let (1, Some(date)) = (record.len(), record.get("$date")) {
                let date = date.as_str().and_then(Date::from_iso).ok_or_else(|| wrong("$date"))?;
                return Ok(date.into());
            }
            let mut out = Record::new();
            for (name, value) in record.iter() {
                out.set(name, native(value)?);
            }
            Ok(out.into())
        }
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let text = r#"{"area":"a","name":"n","options":{"data":[{"d":{"$date":"2024-01-31T00:00:00Z"}}]},
            "hide":["view"],"steps":[{"do":"fetch"},{"do":"total","observe":["default","created"],"hide":["storage"]},
            {"do":"together","steps":[{"do":"read"}]}]}"#;
        let scenario = Scenario::from_value(&Value::from_json(text).unwrap()).unwrap();
        let [first, second, third] = scenario.steps.as_slice() else { panic!("three steps") };
        assert!(first.shown.has("storage") && first.shown.has("data") && !first.shown.has("view"));
        assert!(second.shown.has("created") && !second.shown.has("storage") && !second.shown.has("view"));
        assert_eq!(third.parts[0].what.as_str(), "read");
        assert_eq!(scenario.path(), "a/n");
        let rows = scenario.options.get("data").unwrap().as_array().unwrap();
        assert_eq!(
            rows[0].as_object().unwrap().get("d").unwrap().as_date(),
            Date::from_iso("2024-01-31T00:00:00.000Z")
        );
    }
}
