//! SQLite's log (`-wal`), looked at with our own eyes before SQLite does.
//!
//! SQLite takes a log up to the first frame whose checksum is wrong, and forgets the rest; one whose header is wrong it
//! forgets as a whole. That is right for what a power cut left half written. But acknowledged commits are in the log as
//! well, so damage there would make them go without a word. Here the two are told apart as far as the bytes tell. Owns the
//! reading; changes nothing.
//!
//! What proves damage: a transaction that is not whole although another one was written behind it (a commit is flushed
//! before the next one begins); a frame that is right but for the numbers that tie it to the log; a header that is wrong
//! while the frames hold pages that the database does not.

use std::{
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
};

/// What a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Nothing but whole transactions, and what was there before them.
    Whole,
    /// Its end is half written, or damaged; nobody can tell.
    Torn,
    /// Acknowledged commits in it are damaged.
    Damaged,
}

const HEADER: usize = 32;
const FRAME: usize = 24;

/// A running checksum.
type Sum = (u32, u32);

fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    four.map_or(0, u32::from_be_bytes)
}

/// The checksum goes on over these bytes.
fn sum(bytes: &[u8], big_end_first: bool, start: Sum) -> Sum {
    let word = |four: &[u8]| {
        let four = <[u8; 4]>::try_from(four).unwrap_or_default();
        if big_end_first { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    bytes.as_chunks::<8>().0.iter().fold(start, |(a, b), eight| {
        let (one, two) = eight.split_at(4);
        let a = a.wrapping_add(word(one)).wrapping_add(b);
        (a, b.wrapping_add(word(two)).wrapping_add(a))
    })
}

struct Frames<'a> {
    /// Header and page, one after the other.
    all: Vec<&'a [u8]>,
    big_end_first: bool,
    salts: (u32, u32),
}

impl Frames<'_> {
    fn salted(&self, at: usize) -> bool {
        self.all.get(at).is_some_and(|frame| (word(frame, 8), word(frame, 12)) == self.salts)
    }

    fn stored(&self, at: usize) -> Sum {
        self.all.get(at).map_or((0, 0), |frame| (word(frame, 16), word(frame, 20)))
    }

    fn commits(&self, at: usize) -> bool {
        self.all.get(at).is_some_and(|frame| word(frame, 4) != 0)
    }

    /// The checksum that the frame should have behind one with this checksum.
    fn computed(&self, at: usize, before: Sum) -> Sum {
        let Some((head, page)) = self.all.get(at).and_then(|frame| frame.split_at_checked(FRAME)) else {
            return (0, 0);
        };
        let first = sum(head.get(..8).unwrap_or_default(), self.big_end_first, before);
        sum(page, self.big_end_first, first)
    }

    fn follows(&self, at: usize, before: Sum) -> bool {
        at < self.all.len() && self.computed(at, before) == self.stored(at)
    }
}

/// Looks at a log and the database that it belongs to.
pub(crate) fn judge(log: &[u8], database: &mut (impl Read + Seek)) -> io::Result<Log> {
    if log.is_empty() {
        return Ok(Log::Whole);
    }
    let Some((header, rest)) = log.split_at_checked(HEADER) else { return Ok(Log::Torn) };
    let mut head = [0; 18];
    database.seek(SeekFrom::Start(0))?;
    database.read_exact(&mut head)?;
    let page_size = match word(&[0, 0, head[16], head[17]], 0) {
        1 => 65_536,
        size => usize::try_from(size).unwrap_or_default(),
    };
    if page_size < 512 {
        return Ok(Log::Whole);
    }
    let frames: Vec<&[u8]> = rest.chunks_exact(FRAME + page_size).collect();
    let cut = rest.len() % (FRAME + page_size) != 0;
    let magic = word(header, 0);
    let big_end_first = magic & 1 == 1;
    let start = (word(header, 24), word(header, 28));
    let is_whole = matches!(magic, 0x377F_0682 | 0x377F_0683)
        && usize::try_from(word(header, 8)) == Ok(page_size)
        && sum(header.get(..24).unwrap_or_default(), big_end_first, (0, 0)) == start;
    let salts = if is_whole {
        (word(header, 16), word(header, 20))
    } else {
        frames.first().map_or((0, 0), |frame| (word(frame, 8), word(frame, 12)))
    };
    let log = Frames { all: frames, big_end_first, salts };
    if is_whole { Ok(chain(&log, start, cut)) } else { headless(&log, page_size, database) }
}

/// A log whose header is right.
fn chain(log: &Frames<'_>, start: Sum, cut: bool) -> Log {
    let mut before = start;
    let mut end = 0;
    while log.salted(end) && log.follows(end, before) {
        before = log.stored(end);
        end += 1;
    }
    if end == log.all.len() {
        let open = end > 0 && !log.commits(end - 1);
        return if cut || open { Log::Torn } else { Log::Whole };
    }
    if log.follows(end, before) {
        // Only what ties it to this log is wrong.
        return Log::Damaged;
    }
    let behind = |at: usize, sum: Sum| log.commits(at) && log.salted(at + 1) && log.follows(at + 1, sum);
    let damaged = behind(end, log.computed(end, before))
        || (end..log.all.len()).any(|at| (at == end || log.salted(at)) && behind(at, log.stored(at)));
    if damaged {
        Log::Damaged
    } else if log.salted(end) || cut {
        Log::Torn
    } else {
        // The end of an older, longer log.
        Log::Whole
    }
}

/// A log whose header is wrong. It is begun anew when everything in it was carried over into the database and flushed; a
/// header torn then does no harm.
fn headless(log: &Frames<'_>, page_size: usize, database: &mut (impl Read + Seek)) -> io::Result<Log> {
    let ours = (0..log.all.len()).take_while(|at| log.salted(*at)).count();
    let Some(last) = (0..ours).rev().find(|at| log.commits(*at)) else { return Ok(Log::Torn) };
    let mut pages: HashMap<u32, &[u8]> = HashMap::new();
    for frame in log.all.iter().take(last + 1) {
        if let Some((head, page)) = frame.split_at_checked(FRAME) {
            pages.insert(word(head, 0), page);
        }
    }
    let mut found = vec![0; page_size];
    for (number, page) in pages {
        let Some(before) = number.checked_sub(1) else { return Ok(Log::Damaged) };
        database.seek(SeekFrom::Start(u64::from(before) * page_size as u64))?;
        match database.read_exact(&mut found) {
            Ok(()) if found == page => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(Log::Damaged),
        }
    }
    Ok(Log::Torn)
}
