//! A transport for landfall: mock.
#![forbid(unsafe_code)]
