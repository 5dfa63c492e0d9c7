//! A storage for landfall: sqlite.
#![forbid(unsafe_code)]
