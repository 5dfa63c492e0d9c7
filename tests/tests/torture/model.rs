//! A workload for the command line, and what may be found after some of it was acknowledged.

use super::Rows;
use landfall::Value;
use std::{collections::BTreeMap, fmt::Write};

/// One place: a field of a row, or with an empty name whether the row is there.
type Place = (String, String);

/// One command and what it does to places; `None`: the row is gone.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) json: String,
    puts: Vec<(Place, Option<String>)>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked,
    /// With the kind.
    Refused(String),
    /// Never answered: under way, or not begun.
    Open,
}

/// Commands that each write values of their own.
#[derive(Clone, Debug)]
pub(crate) struct Workload(pub(crate) Vec<Edit>);

const THERE: &str = "there";

fn edit(json: String, puts: Vec<(Place, Option<String>)>) -> Edit {
    Edit { json, puts }
}

impl Workload {
    /// So many commands, the same for the same seed. The first loads two rows.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let place = |key: &str, field: &str| (key.to_owned(), field.to_owned());
        let load = r#"{"seq":1,"op":"load","rows":[{"id":1,"key":"a","f":0},{"id":2,"key":"b","f":0}]}"#;
        let loaded = ["a", "b"]
            .iter()
            .flat_map(|key| [(place(key, ""), Some(THERE.to_owned())), (place(key, "f"), Some("0".to_owned()))]);
        let mut out = Self(vec![edit(load.to_owned(), loaded.collect())]);
        out.0.extend(Self::edits(seed, 2..count + 1, 0));
        out
    }

    /// Commands for another process on the same store.
    pub(crate) fn following(seed: u64, count: usize) -> Self {
        Self(Self::edits(seed ^ 0x5555, 1..count + 1, 10_000))
    }

    fn edits(seed: u64, numbers: std::ops::Range<usize>, mut value: u64) -> Vec<Edit> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % limit
        };
        let place = |key: &str, field: &str| (key.to_owned(), field.to_owned());
        let mut keys = vec!["a".to_owned(), "b".to_owned()];
        let mut out = Vec::new();
        for seq in numbers {
            let mut one = |whole: bool| {
                value += 1;
                let length = [0, 3, 40, 700, 5000][below(5)];
                let text = format!(r#"{{"n":{value},"pad":"{}"}}"#, "é".repeat(length / 2));
                let seq = if whole { format!("\"seq\":{seq},") } else { String::new() };
                match below(10) {
                    0..=2 => {
                        let key = format!("n{value}");
                        keys.push(key.clone());
                        let json = format!(r#"{{{seq}"op":"add","key":"{key}","row":{{"key":"{key}","f":{text}}}}}"#);
                        edit(json, vec![(place(&key, ""), Some(THERE.to_owned())), (place(&key, "f"), Some(text))])
                    }
                    3 if keys.len() > 3 => {
                        let key = keys.swap_remove(below(keys.len()));
                        let json = format!(r#"{{{seq}"op":"remove","key":"{key}"}}"#);
                        edit(json, vec![(place(&key, ""), None)])
                    }
                    _ => {
                        let (key, field) = (&keys[below(keys.len())], ["f", "g", "h"][below(3)]);
                        let json = format!(r#"{{{seq}"op":"set","key":"{key}","field":"{field}","value":{text}}}"#);
                        edit(json, vec![(place(key, field), Some(text))])
                    }
                }
            };
            // Every fourth command is several at once.
            out.push(if seq % 4 == 0 {
                let parts: Vec<Edit> = (0..3).map(|_| one(false)).collect();
                let ops: Vec<&str> = parts.iter().map(|part| part.json.as_str()).collect();
                let json = format!(r#"{{"seq":{seq},"op":"batch","ops":[{}]}}"#, ops.join(","));
                edit(json, parts.iter().flat_map(|part| part.puts.clone()).collect())
            } else {
                one(true)
            });
        }
        out
    }

    /// The input of a process.
    pub(crate) fn input(&self) -> String {
        let mut out = String::new();
        for edit in &self.0 {
            let _infallible = writeln!(out, "{}", edit.json);
        }
        out
    }

    /// What an output says about each command.
    pub(crate) fn fates(&self, output: &str) -> Vec<Fate> {
        let mut out = vec![Fate::Open; self.0.len()];
        // The last line may be torn.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.lines() {
            let mut words = line.split(' ');
            let (first, seq) = (words.next(), words.next().and_then(|seq| seq.parse::<usize>().ok()));
            if let (Some(word @ ("ack" | "err")), Some(seq)) = (first, seq) {
                assert_eq!(out[seq - 1], Fate::Open, "command {seq} is answered twice");
                out[seq - 1] = match word {
                    "ack" => Fate::Acked,
                    _ => Fate::Refused(words.next().unwrap_or_default().to_owned()),
                };
            }
        }
        out
    }

    /// Whether rows may be found when these fates are known.
    pub(crate) fn check(&self, fates: &[Fate], found: &Rows) -> Result<(), String> {
        // The values that each place may have, by the command that wrote them.
        let mut allowed: BTreeMap<&Place, Vec<(usize, Option<&str>)>> = BTreeMap::new();
        for (at, (edit, fate)) in self.0.iter().zip(fates).enumerate() {
            for (place, value) in &edit.puts {
                let values = allowed.entry(place).or_insert_with(|| vec![(usize::MAX, None)]);
                match fate {
                    Fate::Acked => {
                        // A later value of the same command counts.
                        *values = vec![(at, value.as_deref())];
                    }
                    // It did not find its row, or the like: nothing was tried.
                    Fate::Refused(kind) if kind == "invalid" => {}
                    Fate::Refused(_) | Fate::Open => {
                        values.retain(|(by, _)| *by != at);
                        values.push((at, value.as_deref()));
                    }
                }
            }
        }
        // Which commands are seen to have worked, and which not.
        let mut seen: BTreeMap<usize, (bool, &Place)> = BTreeMap::new();
        for (place, values) in &allowed {
            let row = found.get(&place.0).filter(|(state, _)| state != "destroy");
            let value = match (place.1.as_str(), row) {
                ("", row) => row.map(|_| THERE.to_owned()),
                // Nothing is known of the fields of a row that is not there.
                (_, None) => continue,
                (field, Some((_, record))) => record.get(field).map(Value::to_json),
            };
            // A row that a command made and took away again is as it was before: that says nothing of the command.
            let may_be_by: Vec<usize> =
                values.iter().filter(|(_, allowed)| *allowed == value.as_deref()).map(|(at, _)| *at).collect();
            if may_be_by.is_empty() {
                return Err(format!("{place:?} is {value:?}, allowed {values:?}"));
            }
            for (at, _) in values.iter().filter(|(at, _)| *at != usize::MAX && fates[*at] != Fate::Acked) {
                // A later one hides it.
                if may_be_by.iter().any(|by| *by != usize::MAX && by > at) {
                    continue;
                }
                let works = may_be_by.contains(at);
                if works && may_be_by.len() > 1 {
                    continue;
                }
                if let Some((before, other)) = seen.insert(*at, (works, place))
                    && before != works
                {
                    return Err(format!("command {} was made half: {place:?} against {other:?}", at + 1));
                }
            }
        }
        for (key, (_, record)) in found {
            for (field, _) in record.iter().filter(|(field, _)| !matches!(*field, "id" | "key")) {
                if !allowed.contains_key(&(key.clone(), field.to_owned())) {
                    return Err(format!("{key}.{field} was never written"));
                }
            }
            if !allowed.contains_key(&(key.clone(), String::new())) {
                return Err(format!("{key} was never there"));
            }
        }
        Ok(())
    }
}
