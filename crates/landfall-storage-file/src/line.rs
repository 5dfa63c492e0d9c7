//! The format of the files: lines of JSON, each with its checksum as last member. Reads and writes whole files and single
//! commits in memory; touches no disk.

use crate::error::damaged;
use landfall_storage::{ChangeKind, Delta, Error, ErrorKind, Result, Revision, RowId, StoredRow, StoredState};
use memchr::memmem::Finder;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    io::Write,
    sync::{Arc, LazyLock},
};

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u64 = 1;

const MARK: &[u8] = br#","crc":""#;
/// `,"crc":"` and eight digits and `"}`.
const SEAL: usize = 18;

// ---- writing

/// Closes the line that begins at `start`: checksum, brace, end of line.
fn seal(out: &mut Vec<u8>, start: usize) {
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(MARK);
    write(out, format_args!("{crc:08x}\"}}\n"));
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    drop(out.write_fmt(text));
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory cannot fail.
    drop(serde_json::to_writer(out, text));
}

/// A text as it is if it is a JSON object on one line, else as a JSON string, so that it comes back byte by byte.
fn push_text(out: &mut Vec<u8>, name: &str, text: &str) {
    write(out, format_args!(",\"{name}\":"));
    let plain = text.starts_with('{')
        && text.ends_with('}')
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<IgnoredAny>(text).is_ok();
    if plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_string(out, text);
    }
}

/// The members of a row, without the closing brace.
fn push_row(out: &mut Vec<u8>, row: &StoredRow) {
    write(out, format_args!("{{\"id\":{},\"order\":{}", row.id, row.order));
    if let Some(state) = row.state {
        write(out, format_args!(",\"state\":\"{state}\""));
    }
    push_text(out, "record", &row.record);
    if let Some(change) = &row.change {
        push_text(out, "change", change);
    }
}

/// A whole file: the snapshot of a state.
pub(crate) fn snapshot(key: &str, state: &StoredState) -> Vec<u8> {
    let size = usize::try_from(state.size()).unwrap_or_default();
    let mut out = Vec::with_capacity(size + state.rows.len() * 80 + key.len() + 256);
    write(&mut out, format_args!("{{\"landfall\":\"state\",\"format\":{FORMAT},\"key\":"));
    push_string(&mut out, key);
    let (rows, meta) = (state.rows.len(), state.meta.is_some());
    write(&mut out, format_args!(",\"revision\":{},\"rows\":{rows},\"meta\":{meta}", state.revision));
    seal(&mut out, 0);
    if let Some(meta) = &state.meta {
        let start = out.len();
        push_text(&mut out, "meta", meta);
        // The first member takes no comma.
        if let Some(comma) = out.get_mut(start) {
            *comma = b'{';
        }
        seal(&mut out, start);
    }
    for row in &state.rows {
        let start = out.len();
        push_row(&mut out, row);
        seal(&mut out, start);
    }
    out
}

/// The line of one commit.
pub(crate) fn commit(revision: Revision, delta: &Delta) -> Vec<u8> {
    let size = usize::try_from(delta.size()).unwrap_or_default();
    let mut out = Vec::with_capacity(size + delta.put.len() * 80 + delta.delete.len() * 8 + 128);
    write(&mut out, format_args!("{{\"revision\":{revision}"));
    if delta.clear {
        out.extend_from_slice(br#","clear":true"#);
    }
    if !delta.delete.is_empty() {
        out.extend_from_slice(br#","delete":["#);
        for (n, id) in delta.delete.iter().enumerate() {
            write(&mut out, format_args!("{}{id}", if n == 0 { "" } else { "," }));
        }
        out.push(b']');
    }
    if !delta.put.is_empty() {
        out.extend_from_slice(br#","put":["#);
        for (n, row) in delta.put.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_row(&mut out, row);
            out.push(b'}');
        }
        out.push(b']');
    }
    if let Some(meta) = &delta.meta {
        push_text(&mut out, "meta", meta);
    }
    seal(&mut out, 0);
    out
}

/// The byte that fills the room behind the last line: white space to everything that reads JSON.
const ROOM: u8 = b' ';

/// A line with room behind it.
pub(crate) fn with_room(line: &[u8], room: u64) -> Vec<u8> {
    let room = usize::try_from(room).unwrap_or_default();
    let mut out = Vec::with_capacity(line.len() + room);
    out.extend_from_slice(line);
    out.resize(line.len() + room, ROOM);
    out
}

/// Whether this is room and nothing else.
pub(crate) fn is_room(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == ROOM)
}

/// What is in front of the room at the end. Where the file grew and the power went, there may be zeros instead.
pub(crate) fn without_room(bytes: &[u8]) -> &[u8] {
    let room = bytes.iter().rev().take_while(|byte| matches!(**byte, ROOM | 0)).count();
    bytes.get(..bytes.len() - room).unwrap_or_default()
}

// ---- reading

#[derive(Deserialize)]
struct AnyHeader<'a> {
    #[serde(borrow)]
    landfall: Cow<'a, str>,
    format: u64,
    #[serde(borrow)]
    key: Cow<'a, str>,
}

#[derive(Deserialize)]
struct HeaderLine {
    revision: Revision,
    rows: u64,
    meta: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetaLine<'a> {
    #[serde(borrow)]
    meta: &'a RawValue,
    #[serde(rename = "crc")]
    _crc: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine<'a> {
    id: RowId,
    order: u64,
    #[serde(borrow, default)]
    state: Option<&'a str>,
    #[serde(borrow)]
    record: &'a RawValue,
    #[serde(borrow, default)]
    change: Option<&'a RawValue>,
    #[serde(rename = "crc", default)]
    _crc: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitLine<'a> {
    revision: Revision,
    #[serde(default)]
    clear: bool,
    #[serde(default)]
    delete: Vec<RowId>,
    #[serde(borrow, default)]
    put: Vec<RowLine<'a>>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
    #[serde(rename = "crc")]
    _crc: &'a str,
}

/// The text of a line whose checksum is right.
fn unseal(line: &[u8]) -> Option<&str> {
    let (body, seal) = line.split_at_checked(line.len().checked_sub(SEAL)?)?;
    let digits = seal.strip_prefix(MARK)?.strip_suffix(br#""}"#)?;
    // One spelling only, so that every changed byte is noticed.
    let crc = digits.iter().try_fold(0_u32, |crc, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(crc << 4 | u32::from(value))
    })?;
    if digits.len() != 8 || crc != crc32fast::hash(body) {
        return None;
    }
    std::str::from_utf8(line).ok()
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str, what: &'static str) -> Result<T> {
    serde_json::from_str(line).map_err(|source| damaged(what).caused_by(source))
}

fn text(raw: &RawValue) -> Result<Arc<str>> {
    let raw = raw.get();
    if raw.starts_with('"') {
        return parse::<String>(raw, "a text cannot be read").map(Arc::from);
    }
    Ok(Arc::from(raw))
}

impl RowLine<'_> {
    fn row(&self) -> Result<StoredRow> {
        let state = match self.state {
            None => None,
            Some(marker) => {
                Some(ChangeKind::from_marker(marker).ok_or_else(|| damaged("the marker of a row is unknown"))?)
            }
        };
        let change = self.change.map(text).transpose()?;
        Ok(StoredRow { id: self.id, order: self.order, state, record: text(self.record)?, change })
    }
}

/// A number at the beginning of a text, spelled as it is written here, and what follows.
fn leading(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((digits.parse().ok()?, rest))
}

/// What stands between the record and the change of a row that has one.
static CHANGE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(br#"},"change":"#));

/// Most rows: those with nothing but a record. The checksum was right, so the line is as it was written, and what stands
/// between the number and the seal need not be taken apart to be found. `None` for all others.
fn plain_row(line: &str) -> Option<StoredRow> {
    let (id, rest) = leading(line.strip_prefix(r#"{"id":"#)?)?;
    let (order, rest) = leading(rest.strip_prefix(r#","order":"#)?)?;
    let rest = rest.strip_prefix(r#","record":"#)?;
    let record = rest.get(..rest.len().checked_sub(SEAL)?)?;
    // The texts of other rows hold these letters as well; then the line is read as a whole.
    let alone = CHANGE.find(record.as_bytes()).is_none();
    let plain = alone && record.starts_with('{') && record.ends_with('}');
    plain.then(|| StoredRow { id, order, state: None, record: Arc::from(record), change: None })
}

/// The key that a file is about, from its first bytes; `None` if they hold no whole line yet.
pub(crate) fn key(bytes: &[u8]) -> Option<Result<String>> {
    let line = bytes.get(..memchr::memchr(b'\n', bytes)?)?;
    Some(header(line).and_then(|(_, header)| Ok(header?.key.into_owned())))
}

/// The first line. What every format keeps is its own result: a newer file still tells its key.
fn header(line: &[u8]) -> Result<(&str, Result<AnyHeader<'_>>)> {
    let line = unseal(line).ok_or_else(|| damaged("the first line does not match its checksum"))?;
    let header: Result<AnyHeader<'_>> = parse(line, "the first line is no header");
    if header.as_ref().is_ok_and(|header| header.landfall != "state") {
        return Err(damaged("the file is not a state of landfall"));
    }
    Ok((line, header))
}

/// Whether a torn end begins with a whole line that lacks nothing but its end: then it is not the one line that was under
/// way, but an acknowledged one and more.
fn hides_a_line(torn: &[u8]) -> bool {
    memchr::memmem::find_iter(torn, MARK)
        .filter(|at| at + SEAL < torn.len())
        // A record may hold the same letters; it does not hold many of them.
        .take(64)
        .any(|at| torn.get(..at + SEAL).and_then(unseal).is_some())
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) state: StoredState,
    /// The length of the snapshot in front.
    pub(crate) snapshot: u64,
    /// The length of what is whole; anything behind is torn.
    pub(crate) length: u64,
    /// Where the last commit begins, if there is one behind the snapshot.
    pub(crate) last: Option<u64>,
}

/// Goes through the lines of a file.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its end; `None` when there is no whole one.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        rest.get(..end)
    }

    fn next_sealed(&mut self, what: &'static str) -> Result<&'a str> {
        self.next().and_then(unseal).ok_or_else(|| damaged(what))
    }
}

/// Reads a whole file.
pub(crate) fn read(key: &str, bytes: &[u8]) -> Result<Image> {
    let bytes = without_room(bytes);
    let mut lines = Lines { bytes, at: 0 };
    let first = lines.next().ok_or_else(|| damaged("the file is empty or cut short"))?;
    let (line, known) = header(first)?;
    let known = known?;
    if known.format > FORMAT {
        return Err(Error::new(ErrorKind::NewerFormat, "a newer landfall wrote the file; use that one")
            .with("format", known.format.to_string())
            .with("known", FORMAT.to_string()));
    }
    if known.key != key {
        return Err(damaged("the file belongs to another key"));
    }
    let HeaderLine { mut revision, rows: count, meta: has_meta } = parse(line, "the header lacks members")?;
    let mut meta = None;
    if has_meta {
        let line = lines.next_sealed("the meta document is cut or does not match its checksum")?;
        meta = Some(text(parse::<MetaLine<'_>>(line, "the meta document cannot be read")?.meta)?);
    }
    let mut rows = Vec::with_capacity(usize::try_from(count).unwrap_or_default().min(bytes.len() / 32));
    for _ in 0..count {
        let line = lines.next_sealed("a row is cut or does not match its checksum")?;
        rows.push(match plain_row(line) {
            Some(row) => row,
            None => parse::<RowLine<'_>>(line, "a row cannot be read")?.row()?,
        });
    }
    let snapshot = lines.at;
    let mut log = Log { rows, later: HashMap::new(), meta };
    let (mut length, mut last) = (snapshot, None);
    while let Some(line) = lines.next() {
        let Some(line) = unseal(line) else {
            // Only the last line can be the one that was under way.
            if lines.at == bytes.len() {
                break;
            }
            return Err(damaged("a commit in the middle does not match its checksum"));
        };
        let line: CommitLine<'_> = parse(line, "a commit cannot be read")?;
        if revision.checked_add(1) != Some(line.revision) {
            return Err(damaged("a commit is missing or doubled"));
        }
        revision = line.revision;
        log.apply(line)?;
        last = Some(length as u64);
        length = lines.at;
    }
    if hides_a_line(bytes.get(length..).unwrap_or_default()) {
        return Err(damaged("the end of a line is damaged"));
    }
    let state = log.into_state(revision);
    Ok(Image { state, snapshot: snapshot as u64, length: length as u64, last })
}

/// What a delta makes of a state.
pub(crate) fn applied(state: StoredState, delta: &Delta, revision: Revision) -> StoredState {
    let StoredState { rows, meta, .. } = if delta.clear { StoredState::default() } else { state };
    let mut later: HashMap<RowId, Option<StoredRow>> = delta.delete.iter().map(|id| (*id, None)).collect();
    later.extend(delta.put.iter().map(|row| (row.id, Some(row.clone()))));
    Log { rows, later, meta: delta.meta.clone().or(meta) }.into_state(revision)
}

/// A snapshot and the rows that later commits put in place of its own (`None`: deleted), so that going through a long
/// log costs no more than its length.
struct Log {
    rows: Vec<StoredRow>,
    later: HashMap<RowId, Option<StoredRow>>,
    meta: Option<Arc<str>>,
}

impl Log {
    fn apply(&mut self, line: CommitLine<'_>) -> Result<()> {
        if line.clear {
            self.rows.clear();
            self.later.clear();
            self.meta = None;
        }
        self.later.extend(line.delete.into_iter().map(|id| (id, None)));
        for row in line.put {
            self.later.insert(row.id, Some(row.row()?));
        }
        if let Some(meta) = line.meta {
            self.meta = Some(text(meta)?);
        }
        Ok(())
    }

    fn into_state(self, revision: Revision) -> StoredState {
        let Self { mut rows, later, meta } = self;
        if rows.is_sorted_by_key(|row| row.id) {
            // So it is as a rule: each row is found where it stands.
            let (mut gone, mut new) = (HashSet::new(), Vec::new());
            for (id, row) in later {
                match (rows.binary_search_by_key(&id, |row| row.id), row) {
                    (Ok(at), Some(row)) => rows.get_mut(at).map_or((), |place| *place = row),
                    (Ok(_), None) => drop(gone.insert(id)),
                    (Err(_), row) => new.extend(row),
                }
            }
            if !gone.is_empty() {
                rows.retain(|row| !gone.contains(&row.id));
            }
            rows.extend(new);
        } else {
            rows.retain(|row| !later.contains_key(&row.id));
            rows.extend(later.into_values().flatten());
        }
        if !rows.is_sorted_by_key(|row| (row.order, row.id)) {
            rows.sort_by_key(|row| (row.order, row.id));
        }
        StoredState { revision, meta, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_the_short_way_as_the_long_way() {
        let texts =
            ["{}", r#"{"id":1,"name":"Ä"}"#, "no object", "{\n}", r#"{"a":{"b":1},"change":{"c":2}}"#, "", "{", "\"}"];
        let changes = [None, Some("{}"), Some("text"), Some(r#"{"a":"}"}"#)];
        let mut short = 0;
        for record in texts {
            for change in changes {
                for state in [None, Some(ChangeKind::Update)] {
                    for (id, order) in [(0, 0), (u64::MAX, u64::MAX), (7, 1 << 20)] {
                        let row = StoredRow { id, order, state, record: record.into(), change: change.map(Into::into) };
                        let mut line = Vec::new();
                        push_row(&mut line, &row);
                        seal(&mut line, 0);
                        let line = std::str::from_utf8(&line).unwrap().trim_end();
                        assert_eq!(parse::<RowLine<'_>>(line, "").unwrap().row().unwrap(), row);
                        if let Some(read) = plain_row(line) {
                            short += 1;
                            assert_eq!(read, row, "{line}");
                        }
                    }
                }
            }
        }
        assert_eq!(short, 6, "two texts, three numbers");
    }
}
