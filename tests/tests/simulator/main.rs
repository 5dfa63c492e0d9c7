//! A deterministic simulation of one data source: the engine over a storage that crashes between any two steps and a
//! server whose answers are lost, late, repeated, garbled or refused. Everything follows from a seed.
//!
//! What is checked: no duplicate create (I9), a key is bound to its body (I10), order per record (I11), no lost update
//! (I12), convergence once the faults stop (I13), a refused record blocks only itself and is not retried hot (I14), crashes
//! and drops at any step (I1, I17), no request after offline (I23), every promise settles, same seed same run (I26).
//!
//! `LANDFALL_SIM_SEED=n` replays one schedule and prints it; `LANDFALL_SIM_SCHEDULES=n` runs that many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]
#![forbid(unsafe_code)]

mod client;
mod dice;
mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds that found a bug once. Each is run first, for ever. What they found:
/// a key used for another body after a create (52); a read that set back what was acknowledged while it was under way, so
/// that the next update undid it (82, 1410); an offline read of a state older than what was accepted meanwhile (22, 46,
/// 59); a commit that relied on a snapshot before it, which failed (127973, 129213); a record shown twice while its create was in
/// doubt (16, 35); a removal sent of a record already gone (26); drafts that a read dropped although a sync that was asked for
/// already waited to accept them (209994, 215478, 236945, 1064851 and the rest).
const FOUND: &[u64] = &[
    52, 82, 1410, 22, 46, 59, 16, 35, 26, 6, 28, 38, 67, 74, 165, 364, 718, 1225, 1432, 1656, 127_973, 129_213,
    209_994, 215_478, 236_945, 1_064_851, 1_065_804, 1_068_346, 1_075_520, 1_100_109, 1_113_574, 1_119_246, 1_182_330,
    1_191_731, 1_236_787, 1_257_284, 1_271_263,
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn one(seed: u64, talk: bool) -> Result<world::Tally, String> {
    catch_unwind(AssertUnwindSafe(|| world::World::new(seed, talk).run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    })
}

#[test]
fn schedules_keep_every_invariant() {
    if let Some(seed) = number("LANDFALL_SIM_SEED") {
        match one(seed, true) {
            Ok(tally) => eprintln!("seed {seed}: {tally:?}"),
            Err(problem) => panic!("seed {seed}: {problem}"),
        }
        return;
    }
    let count = number("LANDFALL_SIM_SCHEDULES").unwrap_or(3000);
    let first = number("LANDFALL_SIM_FIRST").unwrap_or(1);
    let mut sum = world::Tally::default();
    let mut failed = Vec::new();
    for seed in FOUND.iter().copied().chain(first..first + count) {
        match one(seed, false) {
            Ok(tally) => sum.add(&tally),
            Err(problem) => failed.push(format!("seed {seed}: {problem}")),
        }
    }
    eprintln!("{count} schedules: {sum:?}");
    assert!(
        failed.is_empty(),
        "{} schedules failed; the first:\n{}",
        failed.len(),
        failed[..failed.len().min(12)].join("\n")
    );
    assert!(
        sum.crashes > count / 4 && sum.doubts > count / 4 && sum.acked > count,
        "the schedules test too little: {sum:?}"
    );
}

/// Two programs whose identities begin with the same random number, one after the other on one store.
#[test]
fn identities_are_never_given_twice_in_one_store() {
    let mut store = landfall_core::StoredState::default();
    for life in 1..=3 {
        let mut client = client::Client::new(42, false, 6);
        let ticket = client.ticket();
        let mut steps = client.engine.set_online(ticket, false);
        let ticket = client.ticket();
        steps.extend(client.engine.restore(ticket));
        client.perform(steps);
        client.store(&mut store, None);
        let (_, steps) =
            client.engine.add(landfall_core::Record::from([("key", landfall_core::Value::from(life as u64))])).unwrap();
        client.perform(steps);
        let ticket = client.ticket();
        let steps = client.engine.sync(ticket);
        client.perform(steps);
        client.store(&mut store, None);
        assert_eq!(store.rows.len(), life, "a new row took the place of a stored one");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..40 {
        assert_eq!(one(seed, false).map(|tally| tally.trace), one(seed, false).map(|tally| tally.trace), "seed {seed}");
    }
}
