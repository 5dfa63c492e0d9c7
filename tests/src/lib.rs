//! Cross-crate tests of landfall and the programs that outside tests drive.
#![forbid(unsafe_code)]
