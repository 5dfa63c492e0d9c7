//! A storage for landfall: memory.
#![forbid(unsafe_code)]
