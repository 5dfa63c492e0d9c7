//! What the recorded scenarios do not reach and the reference promises: each test is named after its rule (`R9.2`), its
//! observation (`C35`, `Q12`), its guarantee (`G5`), its invariant (`I10`) or its vector of section 12.2 (`V4`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

mod apart;
mod callbacks;
mod calls;
mod cancels;
mod depths;
mod doubts;
mod events;
mod fields;
mod flights;
mod forms;
mod groups;
mod help;
mod holds;
mod hooks;
mod inbox;
mod inside;
mod lookups;
mod models;
mod parts;
mod queries;
mod reads;
mod stores;
mod syncs;
mod together;
mod tracking;
mod waits;
mod wires;
