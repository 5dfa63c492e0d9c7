//! `run` and `verify`: edits offline.

use super::{Arguments, End, open, output, script::Script};
use landfall::{DataSource, Error, ErrorKind, Record, Result, Uid, Value};
use std::{collections::HashMap, io::BufRead};

/// What an edit is answered with.
struct Ack {
    key: String,
    field: String,
    value: String,
}

/// The data source, and where rows were seen last.
struct Editor {
    source: DataSource,
    places: HashMap<String, Uid>,
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn text<'a>(command: &'a Record, name: &str) -> Result<&'a str> {
    command.get(name).and_then(Value::as_str).ok_or_else(|| invalid("a member is missing").with("member", name))
}

impl Editor {
    fn find(&mut self, key: &str) -> Result<Uid> {
        let is_it = |record: &Record| record.get("key").and_then(Value::as_str) == Some(key);
        if let Some(uid) = self.places.get(key)
            && self.source.item(*uid).is_some_and(|item| is_it(item.record()))
        {
            return Ok(*uid);
        }
        self.places.clear();
        for item in self.source.data() {
            if let Some(key) = item.get("key").and_then(Value::as_str) {
                self.places.insert(key.to_owned(), item.uid());
            }
        }
        self.places.get(key).copied().ok_or_else(|| invalid("no row has this key"))
    }

    /// Makes one edit, not stored yet.
    fn edit(&mut self, command: &Record) -> Result<Ack> {
        let key = text(command, "key")?.to_owned();
        match text(command, "op")? {
            "add" => {
                let row = command.get("row").and_then(Value::as_object).ok_or_else(|| invalid("no row"))?;
                if text(row, "key")? != key {
                    return Err(invalid("the row has another key"));
                }
                if self.find(&key).is_ok() {
                    return Err(invalid("a row has this key already"));
                }
                let uid = self.source.add(row.clone())?;
                self.places.insert(key.clone(), uid);
                Ok(Ack { key, field: "+".to_owned(), value: row.to_json() })
            }
            "set" => {
                let field = text(command, "field")?;
                let value = command.get("value").cloned().ok_or_else(|| invalid("no value"))?;
                if matches!(field, "key" | "id") {
                    return Err(invalid("this field is not to be set"));
                }
                let uid = self.find(&key)?;
                self.source.set_undeclared(uid, field, value.clone())?;
                Ok(Ack { key, field: field.to_owned(), value: value.to_json() })
            }
            "remove" => {
                let uid = self.find(&key)?;
                self.source.remove(uid)?;
                Ok(Ack { key, field: "-".to_owned(), value: "null".to_owned() })
            }
            _ => Err(invalid("no such op")),
        }
    }

    async fn stored(&self, edited: Result<Ack>) -> Result<Ack> {
        let done = match edited {
            Ok(ack) => self.source.sync().await.map(|_| ack),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Not accepted: a later command must not take it along.
            self.source.cancel_changes()?;
        }
        done
    }

    async fn perform(&mut self, command: &Record) -> Result<Ack> {
        let all = |value: usize| Ack { key: "*".to_owned(), field: "*".to_owned(), value: value.to_string() };
        match text(command, "op")? {
            "load" => {
                let rows = command.get("rows").and_then(Value::as_array).ok_or_else(|| invalid("no rows"))?;
                let rows: Option<Vec<Record>> = rows.iter().map(|row| row.as_object().cloned()).collect();
                let rows = rows.ok_or_else(|| invalid("a row is no object"))?;
                for row in &rows {
                    text(row, "key")?;
                }
                let count = rows.len();
                self.source.set_data(rows)?.await?;
                Ok(all(count))
            }
            "batch" => {
                let ops = command.get("ops").and_then(Value::as_array).ok_or_else(|| invalid("no ops"))?;
                let mut edited = Ok(all(ops.len()));
                for op in ops {
                    let one = op.as_object().ok_or_else(|| invalid("an op is no object"));
                    if let Err(error) = one.and_then(|op| self.edit(op)) {
                        edited = Err(error);
                        break;
                    }
                }
                self.stored(edited).await
            }
            _ => {
                let edited = self.edit(command);
                self.stored(edited).await
            }
        }
    }

    async fn answer(&mut self, command: &Record, seq: &str) {
        match self.perform(command).await {
            Ok(ack) => output::line(&format!("ack {seq} {} {} {}", ack.key, ack.field, ack.value)),
            Err(error) => output::line(&format!("err {seq} {}", output::failure(&error))),
        }
    }
}

fn ready(source: &DataSource) {
    let rows = output::rows(source);
    let gone = rows.iter().filter(|(state, _)| *state == "destroy").count();
    let pending = rows.iter().filter(|(state, _)| *state != "clean").count();
    output::line(&format!("ready {} {pending}", rows.len() - gone));
}

#[allow(clippy::future_not_send, reason = "it stays on the main thread, with standard input")]
pub(crate) async fn run(arguments: &Arguments) -> End {
    let source = match open::open(arguments).await {
        Ok(source) => source,
        Err(end) => return end,
    };
    ready(&source);
    let mut editor = Editor { source, places: HashMap::new() };
    if let Some((seed, ops)) = arguments.own {
        let mut script = Script::new(seed, &editor.source);
        for seq in 1..=ops {
            let command = script.next(seq);
            output::line(&format!("try {}", command.to_json()));
            editor.answer(&command, &seq.to_string()).await;
        }
    } else {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let command = std::str::from_utf8(&line).ok().and_then(|line| Record::from_json(line.trim()).ok());
            let Some(command) = command else {
                output::line("err 0 invalid the line is no JSON object");
                continue;
            };
            let seq = command.get("seq").map_or_else(|| "0".to_owned(), |seq| output::one_line(&seq.to_text()));
            match command.get("op").and_then(Value::as_str) {
                Some("dump") => output::dump(&editor.source),
                Some("quit") => break,
                _ => editor.answer(&command, &seq).await,
            }
        }
    }
    open::close(editor.source).await;
    End::Well
}

pub(crate) async fn verify(arguments: &Arguments) -> End {
    let source = match open::open(arguments).await {
        Ok(source) => source,
        Err(end) => return end,
    };
    output::dump(&source);
    open::close(source).await;
    End::Well
}
