//! A reader of JSON text that puts rows straight into columns.
//!
//! Owns the quick way for texts as services write them. Whatever it does not read, the usual reader (`serde_json`) is asked
//! about: it has the last word on what is JSON and says what is wrong with what is not.

use super::{
    Shapes,
    number::{self, Read},
};
use crate::{
    Record, Text, Value,
    record::{Building, Rows, Shape},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Not read here; perhaps no JSON.
pub(super) struct Stop;

type Parsed<T> = Result<T, Stop>;

/// Nested deeper than this is left to the usual reader, which has a limit of its own.
const DEEP: u32 = 100;

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place<'h> {
    /// Not inside of any list: a list here is a list of rows.
    outer: bool,
    /// What is left of the path to the rows whose members are typed.
    path: Option<&'h [Text]>,
}

impl Place<'_> {
    const INSIDE: Self = Self { outer: false, path: None };
}

/// Which texts are instants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hint {
    /// The members that lead to the rows.
    pub(crate) path: Vec<Text>,
    /// The members of rows whose texts are instants, where all texts of many rows are in the usual form.
    pub(crate) dates: Vec<Text>,
}

/// How far the decoding of an answer is, told to and by others while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    rows: AtomicUsize,
    stopped: AtomicBool,
}

impl Progress {
    /// The rows that are decoded so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Nothing more is to be decoded.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Progress is told, and a stop is noticed, after so many rows.
const STRIDE: usize = 1024;

pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    shapes: &'a mut Shapes,
    depth: u32,
    hint: Option<&'a Hint>,
    progress: Option<&'a Progress>,
    /// Room for a text with escapes.
    scratch: Vec<u8>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(bytes: &'a [u8], shapes: &'a mut Shapes, hint: Option<&'a Hint>) -> Self {
        Self { bytes, at: 0, shapes, depth: 0, hint, progress: None, scratch: Vec::new() }
    }

    pub(super) fn told(self, progress: Option<&'a Progress>) -> Self {
        Self { progress, ..self }
    }

    /// So many more rows are decoded.
    fn tell(&self, rows: usize) -> Parsed<()> {
        let Some(progress) = self.progress else { return Ok(()) };
        progress.rows.fetch_add(rows, Ordering::Relaxed);
        if progress.is_stopped() { Err(Stop) } else { Ok(()) }
    }

    /// The whole text as one value.
    pub(super) fn whole(mut self) -> Parsed<Value> {
        let path = self.hint.map(|hint| hint.path.as_slice());
        let value = self.value(Place { outer: true, path })?;
        self.end()?;
        Ok(value)
    }

    /// The whole text as one row.
    pub(super) fn whole_row(mut self, rows: &mut Rows) -> Parsed<()> {
        self.space();
        self.row(rows)?;
        self.end()
    }

    fn end(&mut self) -> Parsed<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Stop) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next character that is no space.
    fn next(&mut self) -> Option<u8> {
        // Between the tokens of most texts there is no space.
        match self.peek() {
            Some(b' ' | b'\n' | b'\r' | b'\t') => {
                self.space();
                self.peek()
            }
            found => found,
        }
    }

    fn literal(&mut self, wanted: &[u8]) -> Parsed<()> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(wanted)) {
            self.at += wanted.len();
            Ok(())
        } else {
            Err(Stop)
        }
    }

    fn byte(&mut self, wanted: u8) -> Parsed<()> {
        if self.next() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(Stop)
        }
    }

    fn number(&mut self) -> Parsed<Read> {
        let (read, length) = number::read(self.bytes.get(self.at..).unwrap_or_default()).ok_or(Stop)?;
        self.at += length;
        Ok(read)
    }

    fn value(&mut self, place: Place<'_>) -> Parsed<Value> {
        Ok(match self.next().ok_or(Stop)? {
            b'"' => {
                self.at += 1;
                Value::String(self.text()?)
            }
            b'{' => {
                self.deeper()?;
                let (shape, values) = self.members(None, place)?;
                self.depth -= 1;
                Value::Object(Record::from_parts(shape, values))
            }
            b'[' => {
                self.deeper()?;
                let list = self.list(place)?;
                self.depth -= 1;
                list
            }
            b'n' => {
                self.literal(b"null")?;
                Value::Null
            }
            b't' => {
                self.literal(b"true")?;
                Value::Bool(true)
            }
            b'f' => {
                self.literal(b"false")?;
                Value::Bool(false)
            }
            _ => match self.number()? {
                Read::Whole(value) => Value::from(value),
                Read::Large(value) => Value::from(value),
                Read::Float(value) => Value::from(value),
            },
        })
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEEP { Err(Stop) } else { Ok(()) }
    }

    fn list(&mut self, place: Place<'_>) -> Parsed<Value> {
        self.byte(b'[')?;
        let mut rows = match self.hint {
            Some(hint) if place.path.is_some_and(<[Text]>::is_empty) => Rows::with_dates(&hint.dates),
            _ => Rows::default(),
        };
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Value::from(rows.finish()));
        }
        let mut untold = 0;
        loop {
            if self.next() == Some(b'{') {
                self.deeper()?;
                self.row(&mut rows)?;
                self.depth -= 1;
                untold += 1;
                if untold == STRIDE && place.outer {
                    self.tell(std::mem::take(&mut untold))?;
                }
            } else {
                rows.push_other(self.value(Place::INSIDE)?);
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    if place.outer {
                        self.tell(untold)?;
                    }
                    return Ok(Value::from(rows.finish()));
                }
                _ => return Err(Stop),
            }
        }
    }

    /// One object of a list.
    fn row(&mut self, rows: &mut Rows) -> Parsed<()> {
        let start = self.at;
        if let Some((shape, columns, row)) = rows.open() {
            let shape = Arc::clone(shape);
            if self.usual_row(&shape, columns, row).is_ok() {
                rows.pushed();
                return Ok(());
            }
            // Other members than usual, or no JSON.
            rows.dropped();
            self.at = start;
        }
        let usual = rows.shape().map(Arc::clone);
        let (shape, values) = self.members(usual, Place::INSIDE)?;
        rows.push(shape, values);
        Ok(())
    }

    /// A row with the very members of this shape, in order.
    fn usual_row(&mut self, shape: &Shape, columns: &mut [Building], row: usize) -> Parsed<()> {
        self.byte(b'{')?;
        let mut rest = shape.quoted();
        for column in columns {
            let Some((name, others)) = rest.split_first() else { break };
            rest = others;
            self.next();
            self.literal(name)?;
            self.byte(b':')?;
            self.cell(column, row)?;
            self.byte(if rest.is_empty() { b'}' } else { b',' })?;
        }
        Ok(())
    }

    /// One value into its column.
    fn cell(&mut self, column: &mut Building, row: usize) -> Parsed<()> {
        match self.next().ok_or(Stop)? {
            b'"' => {
                self.at += 1;
                if let Some(bytes) = column.begin_text(row) {
                    self.text_into(bytes)?;
                    column.end_text();
                } else {
                    let text = self.text()?;
                    column.push(row, Value::String(text));
                }
            }
            b'n' => {
                self.literal(b"null")?;
                column.push_null(row);
            }
            b't' => {
                self.literal(b"true")?;
                column.push_bool(row, true);
            }
            b'f' => {
                self.literal(b"false")?;
                column.push_bool(row, false);
            }
            b'{' | b'[' => {
                let value = self.value(Place::INSIDE)?;
                column.push(row, value);
            }
            _ => match self.number()? {
                Read::Whole(value) => column.push_whole(row, value),
                Read::Float(value) => column.push_float(row, value),
                Read::Large(value) => column.push(row, Value::from(value)),
            },
        }
        Ok(())
    }

    /// The members of an object. `usual`: the shape of the one before.
    fn members(&mut self, usual: Option<Arc<Shape>>, place: Place<'_>) -> Parsed<(Arc<Shape>, Vec<Value>)> {
        self.byte(b'{')?;
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok((self.shapes.keep(Vec::new()), Vec::new()));
        }
        let mut expected = usual;
        let mut values = Vec::new();
        // While the names follow the expected shape nothing is collected; from the first other name on, names are.
        let mut names: Option<Vec<Text>> = None;
        loop {
            self.next();
            let known =
                expected.as_ref().filter(|_| names.is_none()).and_then(|shape| shape.quoted().get(values.len()));
            let other = if let Some(name) = known
                && self.literal(name).is_ok()
            {
                None
            } else {
                self.byte(b'"')?;
                Some(self.text()?)
            };
            self.byte(b':')?;
            if values.is_empty() {
                if let Some(first) = &other {
                    expected = self.shapes.starting_with(first);
                }
                values.reserve_exact(expected.as_ref().map_or(4, |shape| shape.names().len()));
            }
            let inner = match (place.outer, place.path) {
                (true, Some([next, rest @ ..])) => {
                    let name = match &other {
                        Some(name) => Some(name),
                        None => expected.as_ref().and_then(|shape| shape.names().get(values.len())),
                    };
                    Place { outer: true, path: (name == Some(next)).then_some(rest) }
                }
                (outer, _) => Place { outer, path: None },
            };
            let value = self.value(inner)?;
            match other {
                None => values.push(value),
                // The first name led to the shape that starts with it.
                Some(_) if values.is_empty() && expected.is_some() => values.push(value),
                Some(name) => {
                    let list = names.get_or_insert_with(|| {
                        let known = expected.as_ref().map_or(&[][..], |shape| shape.names());
                        known.get(..values.len()).unwrap_or(known).to_vec()
                    });
                    // The last of several members of one name wins, in the place of the first.
                    if let Some(at) = list.iter().position(|known| *known == name) {
                        if let Some(slot) = values.get_mut(at) {
                            *slot = value;
                        }
                    } else {
                        list.push(name);
                        values.push(value);
                    }
                }
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(Stop),
            }
        }
        let shape = match (names, expected) {
            (None, Some(shape)) if shape.names().len() == values.len() => shape,
            (None, Some(shape)) => self.shapes.keep(shape.names().get(..values.len()).unwrap_or_default().to_vec()),
            (names, _) => self.shapes.keep(names.unwrap_or_default()),
        };
        Ok((shape, values))
    }

    /// A text behind its opening quote.
    fn text(&mut self) -> Parsed<Text> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (length, plain) = plain(rest);
        let start = rest.get(..length).unwrap_or_default();
        if rest.get(length) == Some(&b'"') {
            self.at += length + 1;
            let text = std::str::from_utf8(start).map_err(|_not_text| Stop)?;
            debug_assert!(!plain || text.is_ascii());
            return Ok(Text::from(text));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let read = self.text_into(&mut scratch);
        let text = read.map(|()| Text::from(String::from_utf8_lossy(&scratch).as_ref()));
        self.scratch = scratch;
        text
    }

    /// A text behind its opening quote, to the end of these bytes, which stay UTF-8.
    fn text_into(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let (length, plain) = plain(rest);
            let part = rest.get(..length).unwrap_or_default();
            // A character does not reach over an escape.
            if !plain && std::str::from_utf8(part).is_err() {
                return Err(Stop);
            }
            out.extend_from_slice(part);
            self.at += length + 1;
            match rest.get(length) {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape(out)?,
                _ => return Err(Stop),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let letter = self.peek().ok_or(Stop)?;
        self.at += 1;
        out.push(match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let first = self.hex()?;
                let code = if (0xD800..0xDC00).contains(&first) {
                    self.literal(b"\\u")?;
                    let second = self.hex()?;
                    if !(0xDC00..0xE000).contains(&second) {
                        return Err(Stop);
                    }
                    0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                } else {
                    first
                };
                let letter = char::from_u32(code).ok_or(Stop)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Stop),
        });
        Ok(())
    }

    fn hex(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Stop)?;
        self.at += 4;
        digits
            .iter()
            .try_fold(0, |sum, digit| char::from(*digit).to_digit(16).map(|digit| sum << 4 | digit).ok_or(Stop))
    }
}

/// How many bytes come before a quote, an escape or a control character, and whether all of them are ASCII.
fn plain(bytes: &[u8]) -> (usize, bool) {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let mut length = 0;
    let mut seen = 0;
    for chunk in bytes.chunks_exact(8) {
        let Ok(word) = <[u8; 8]>::try_from(chunk).map(u64::from_le_bytes) else { break };
        let quote = word ^ (ONES * 0x22);
        let escape = word ^ (ONES * 0x5C);
        let found = (quote.wrapping_sub(ONES) & !quote
            | escape.wrapping_sub(ONES) & !escape
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGH;
        if found != 0 {
            // The lowest of the bits is exact; those above may be carried over.
            let within = found.trailing_zeros() / 8;
            let before = word & !(u64::MAX << (within * 8));
            return (length + usize::try_from(within).unwrap_or(0), (seen | before) & HIGH == 0);
        }
        seen |= word;
        length += 8;
    }
    let mut ascii = seen & HIGH == 0;
    for byte in bytes.get(length..).unwrap_or_default() {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        ascii &= byte.is_ascii();
        length += 1;
    }
    (length, ascii)
}
