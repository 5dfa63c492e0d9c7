//! A transport for landfall: jsonp.
#![forbid(unsafe_code)]
