//! The order of texts in sort, group, smallest and largest (R7.37).
//!
//! With the feature `collation`: the Unicode collation algorithm with the root order, tertiary strength, punctuation
//! regarded. Without: by code points.

use std::cmp::Ordering;

/// A text made ready to be compared often. Only keys made with the same choice may be compared.
#[derive(Debug)]
pub(crate) enum TextKey<'a> {
    /// The beginning, and the text.
    Plain(u64, &'a str),
    /// What the collator makes of the text.
    Collated(Box<[u8]>),
}

/// A text among others; `ascii` when all of them are ASCII, which needs no collator.
pub(crate) fn key(text: &str, ascii: bool) -> TextKey<'_> {
    let collated = if ascii { None } else { rules::collated(text) };
    collated.map_or_else(|| TextKey::Plain(rules::prefix(text), text), TextKey::Collated)
}

impl TextKey<'_> {
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Plain(start, text), Self::Plain(other_start, other)) => {
                start.cmp(other_start).then_with(|| rules::plain(text, other))
            }
            (Self::Collated(key), Self::Collated(other)) => key.cmp(other),
            (Self::Plain(..), Self::Collated(_)) => Ordering::Less,
            (Self::Collated(_), Self::Plain(..)) => Ordering::Greater,
        }
    }
}

/// The order of two texts.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let collated = if a.is_ascii() && b.is_ascii() { None } else { rules::compare(a, b) };
    collated.unwrap_or_else(|| rules::plain(a, b))
}

/// By code points.
#[cfg(not(feature = "collation"))]
mod rules {
    use std::cmp::Ordering;

    pub(super) fn collated(_: &str) -> Option<Box<[u8]>> {
        None
    }

    pub(super) fn compare(_: &str, _: &str) -> Option<Ordering> {
        None
    }

    pub(super) fn prefix(text: &str) -> u64 {
        text.bytes().chain(std::iter::repeat(0)).take(8).fold(0, |sum, byte| sum << 8 | u64::from(byte))
    }

    pub(super) fn plain(a: &str, b: &str) -> Ordering {
        a.cmp(b)
    }
}

/// By the Unicode collation algorithm; ASCII by a table that agrees with it.
#[cfg(feature = "collation")]
mod rules {
    use icu_collator::{
        CollatorBorrowed, CollatorPreferences,
        options::{AlternateHandling, CollatorOptions, Strength},
    };
    use std::{cmp::Ordering, sync::LazyLock};

    fn collator() -> Option<&'static CollatorBorrowed<'static>> {
        static COLLATOR: LazyLock<Option<CollatorBorrowed<'static>>> = LazyLock::new(|| {
            let mut options = CollatorOptions::default();
            options.strength = Some(Strength::Tertiary);
            options.alternate_handling = Some(AlternateHandling::NonIgnorable);
            CollatorBorrowed::try_new(CollatorPreferences::default(), options).ok()
        });
        COLLATOR.as_ref()
    }

    pub(super) fn collated(text: &str) -> Option<Box<[u8]>> {
        let mut key = Vec::new();
        let Ok(()) = collator()?.write_sort_key_to(text, &mut key);
        Some(key.into_boxed_slice())
    }

    pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
        Some(collator()?.compare(a, b))
    }

    /// The primary order of ASCII in the root collation. What is not listed (control characters) is ignored.
    const ORDER: &[u8] = b"\t\n\x0b\x0c\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz";

    /// The primary weight of each ASCII character, 0 for those that are ignored; large and small letters share theirs.
    static WEIGHTS: LazyLock<[u8; 128]> = LazyLock::new(|| {
        std::array::from_fn(|code| {
            let place = u8::try_from(code).ok().and_then(|c| ORDER.iter().position(|o| *o == c.to_ascii_lowercase()));
            place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0)
        })
    });

    fn weights(text: &str) -> impl Iterator<Item = (u8, u8)> {
        let table = &*WEIGHTS;
        text.bytes().filter_map(|byte| {
            let weight = table.get(usize::from(byte)).copied().unwrap_or(0);
            (weight != 0).then_some((weight, byte))
        })
    }

    pub(super) fn prefix(text: &str) -> u64 {
        let padded = weights(text).map(|(weight, _)| weight).chain(std::iter::repeat(0));
        padded.take(8).fold(0, |sum, weight| sum << 8 | u64::from(weight))
    }

    /// The order of two ASCII texts: letters first, then small before large where all letters agree.
    pub(super) fn plain(a: &str, b: &str) -> Ordering {
        let mut case = Ordering::Equal;
        let mut b = weights(b);
        for (weight, byte) in weights(a) {
            let Some((other, other_byte)) = b.next() else { return Ordering::Greater };
            match weight.cmp(&other) {
                Ordering::Equal => {
                    case = case.then_with(|| byte.is_ascii_uppercase().cmp(&other_byte.is_ascii_uppercase()));
                }
                unequal => return unequal,
            }
        }
        if b.next().is_some() { Ordering::Less } else { case }
    }
}
