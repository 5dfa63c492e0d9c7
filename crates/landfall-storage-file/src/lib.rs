//! A storage for landfall: file.
#![forbid(unsafe_code)]
