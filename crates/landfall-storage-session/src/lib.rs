//! A storage for landfall: session.
#![forbid(unsafe_code)]
