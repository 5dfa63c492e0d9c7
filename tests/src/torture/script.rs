//! Edits of its own: the same for the same seed and the same stored rows.

use landfall::{DataSource, Record, Value};

/// Numbers from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }
}

/// Makes up commands. Knows which keys there are by what it made up itself, whatever became of it.
#[derive(Debug)]
pub(crate) struct Script {
    seed: u64,
    dice: Dice,
    keys: Vec<String>,
    made: u64,
}

impl Script {
    pub(crate) fn new(seed: u64, source: &DataSource) -> Self {
        let keys = source.data().iter().filter_map(|row| row.get("key")?.as_str().map(str::to_owned)).collect();
        Self { seed, dice: Dice::new(seed), keys, made: 0 }
    }

    fn value(&mut self) -> Value {
        match self.dice.below(6) {
            0 => Value::from(i64::try_from(self.dice.below(1_000_000)).unwrap_or(0)),
            1 => Value::from(self.dice.below(2) == 0),
            2 => Value::Null,
            3 => Value::array([Value::from(1), Value::from("two")]),
            4 => Record::from([("deep", Value::from(true))]).into(),
            _ => {
                let length = self.dice.below(300);
                Value::from("\u{e9}x\"\n ".chars().cycle().take(length).collect::<String>())
            }
        }
    }

    fn edit(&mut self) -> Record {
        let choice = if self.keys.is_empty() { 0 } else { self.dice.below(10) };
        match choice {
            0..=3 => {
                self.made += 1;
                let key = format!("s{}-{}", self.seed, self.made);
                let row = Record::from([("key", Value::from(key.as_str())), ("v", self.value())]);
                self.keys.push(key.clone());
                Record::from([("op", Value::from("add")), ("key", key.into()), ("row", row.into())])
            }
            4..=8 => {
                let at = self.dice.below(self.keys.len());
                let key = self.keys.get(at).cloned().unwrap_or_default();
                let field = ["v", "w", "x"].get(self.dice.below(3)).copied().unwrap_or("v");
                let value = self.value();
                Record::from([
                    ("op", Value::from("set")),
                    ("key", key.into()),
                    ("field", field.into()),
                    ("value", value),
                ])
            }
            _ => {
                let at = self.dice.below(self.keys.len());
                let key = self.keys.swap_remove(at);
                Record::from([("op", Value::from("remove")), ("key", key.into())])
            }
        }
    }

    /// The next command.
    pub(crate) fn next(&mut self, seq: u64) -> Record {
        let body = match self.dice.below(20) {
            0 => {
                let rows: Vec<Value> = (1..=3_i64)
                    .map(|id| {
                        let key = format!("base-{id}");
                        if !self.keys.contains(&key) {
                            self.keys.push(key.clone());
                        }
                        let value = self.value();
                        Record::from([("id", Value::from(id)), ("key", key.into()), ("v", value)]).into()
                    })
                    .collect();
                Record::from([("op", Value::from("load")), ("rows", Value::from(rows))])
            }
            1..=3 => {
                let count = 2 + self.dice.below(4);
                let ops: Vec<Value> = (0..count).map(|_| self.edit().into()).collect();
                Record::from([("op", Value::from("batch")), ("ops", Value::from(ops))])
            }
            _ => self.edit(),
        };
        let mut out = Record::from([("seq", Value::from(seq))]);
        for (name, value) in body.iter() {
            out.set(name, value.clone());
        }
        out
    }
}
