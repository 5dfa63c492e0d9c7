//! What the fuzz targets do with their bytes. They are here, and not in the fuzzer's own crate, so that ordinary tests run
//! them too: on inputs that once found something, and on bytes from a seed.
//!
//! A target panics when something is wrong. Apart from that it must end, soon, whatever the bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a target stops at the first surprise"
)]

mod disk;
mod queries;
mod replies;
mod sequences;
mod stored;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("file_bytes", stored::file_bytes),
    ("stored_rows", stored::stored_rows),
    ("item_text", stored::item_text),
    ("reply_json", replies::reply_json),
    ("reply_jsonp", replies::reply_jsonp),
    ("reply_xml", replies::reply_xml),
    ("reply_dialects", replies::reply_dialects),
    ("filters", queries::filters),
    ("operations", sequences::operations),
];

/// Runs a target by its name.
///
/// # Panics
/// When the target finds something wrong, or there is none of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(bytes);
}

/// Bytes taken one after the other; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A text with its length in front.
    fn text(&mut self) -> String {
        let length = usize::from(self.byte());
        String::from_utf8_lossy(self.take(length)).into_owned()
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
