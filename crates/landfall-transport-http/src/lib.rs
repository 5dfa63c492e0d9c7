//! A transport for landfall: http.
#![forbid(unsafe_code)]
