//! A deterministic simulation of one data source: the engine over a storage that crashes between any two steps and a
//! server whose answers are lost, late, repeated, garbled or refused. Everything follows from a seed, or from a tape of what
//! was drawn; a failing schedule is shrunk to its shortest.
//!
//! In an eighth of the schedules programs cancel, in another they discard.
//!
//! What is checked: no duplicate create (I9), a key is bound to its body (I10), order per record (I11), no lost update
//! (I12), convergence once the faults stop (I13), a refused record blocks only itself and is not retried hot (I14), crashes
//! and drops at any step (I1, I17), no request after offline (I23), every promise settles, same seed same run (I26).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "it is a test; it may stop at the first surprise"
)]

mod client;
mod dice;
mod model;
mod programs;
mod seen;
mod server;
mod world;
mod writes;

pub use dice::Tape;
pub use world::Tally;

use dice::Dice;
use programs::Programs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

fn play(dice: Dice, talk: bool) -> (Result<Tally, String>, Tape) {
    played(dice, |dice| World::new(dice, talk).run())
}

fn played<T>(dice: Dice, run: impl FnOnce(Dice) -> Result<T, String>) -> (Result<T, String>, Tape) {
    let drawn = dice.record();
    let result = catch_unwind(AssertUnwindSafe(|| run(dice))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    });
    let tape = drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    (result, tape)
}

/// Runs the schedule of a seed; `talk`: tells each step.
///
/// # Errors
/// What was found wrong.
pub fn of_seed(seed: u64, talk: bool) -> Result<Tally, String> {
    play(Dice::from_seed(seed), talk).0
}

/// Runs the schedule on a tape.
///
/// # Errors
/// What was found wrong.
pub fn of_tape(tape: &Tape, talk: bool) -> Result<Tally, String> {
    play(Dice::from_tape(tape), talk).0
}

fn play_several(dice: Dice, talk: bool, programs: u64) -> (Result<Tally, String>, Tape) {
    played(dice, |dice| Programs::new(dice, talk, programs).run())
}

/// Runs the schedule of a seed for several programs on one store.
///
/// # Errors
/// What was found wrong.
pub fn several_of_seed(seed: u64, talk: bool, programs: u64) -> Result<Tally, String> {
    play_several(Dice::from_seed(seed), talk, programs).0
}

/// The shortest way found in which a seed's schedule for several programs still fails, told step by step.
pub fn several_shrunk(seed: u64, programs: u64) -> Option<String> {
    let (result, tape) = play_several(Dice::from_seed(seed), false, programs);
    result.err()?;
    let fails = |tape: &Tape| play_several(Dice::from_tape(tape), false, programs).0.is_err();
    let short = shrunk_tape(with_end(tape, &fails), &fails);
    let told = play_several(Dice::from_tape(&short), true, programs).0.err().unwrap_or_default();
    Some(format!("{} steps: {told}", short.steps()))
}

/// The shortest schedule found that still fails, in whatever way, beginning with a seed's.
pub fn shrunk(seed: u64) -> Option<Tape> {
    let (result, tape) = play(Dice::from_seed(seed), false);
    result.err()?;
    let fails = |tape: &Tape| of_tape(tape, false).is_err();
    Some(shrunk_tape(with_end(tape, &fails), &fails))
}

/// What fails half way has no end yet.
fn with_end(tape: Tape, fails: &dyn Fn(&Tape) -> bool) -> Tape {
    let mut ended = tape.clone();
    ended.0.push(Vec::new());
    if fails(&ended) { ended } else { tape }
}

/// Leaves out steps, many at a time and then one by one, and makes what they draw smaller, as long as it still fails.
pub fn shrunk_tape(mut tape: Tape, fails: &dyn Fn(&Tape) -> bool) -> Tape {
    if !fails(&tape) {
        return tape;
    }
    let mut many = tape.steps().max(1);
    loop {
        let mut at = 1;
        let mut changed = false;
        while at < tape.0.len().saturating_sub(1) {
            let end = (at + many).min(tape.0.len() - 1);
            let mut shorter = tape.clone();
            shorter.0.drain(at..end);
            if fails(&shorter) {
                tape = shorter;
                changed = true;
            } else {
                at = end;
            }
        }
        if many == 1 && !changed {
            break;
        }
        many = (many / 2).max(1);
    }
    for part in 0..tape.0.len() {
        for at in 0..tape.0[part].len() {
            for smaller in [0, 1, tape.0[part][at] % 100] {
                if smaller < tape.0[part][at] {
                    let mut simpler = tape.clone();
                    simpler.0[part][at] = smaller;
                    if fails(&simpler) {
                        tape = simpler;
                        break;
                    }
                }
            }
        }
    }
    tape
}

/// Two programs whose identities begin with the same random number, one after the other on one store: no identity is given
/// twice.
///
/// # Panics
/// When one is.
pub fn identities_differ() {
    let mut store = landfall_core::StoredState::default();
    for life in 1..=3_usize {
        let mut client = client::Client::new(42, false, 6, None);
        let ticket = client.ticket();
        let mut steps = client.engine.set_online(ticket, false);
        let ticket = client.ticket();
        steps.extend(client.engine.restore(ticket));
        client.perform(steps);
        client.store(&mut store, None);
        let (_, steps) = client.engine.add(landfall_core::Record::from([("key", life)])).unwrap();
        client.perform(steps);
        let ticket = client.ticket();
        let steps = client.engine.sync(ticket);
        client.perform(steps);
        client.store(&mut store, None);
        assert_eq!(store.rows.len(), life, "a new row took the place of a stored one");
    }
}

/// Once two programs have met on a store, its rows keep their ids over reads of either, and of one that comes later.
///
/// # Panics
/// When they do not.
pub fn rows_keep_their_ids() {
    let mut server = server::Server::default();
    server.plant("a");
    server.plant("b");
    let mut store = landfall_core::StoredState::default();
    let mut read = |client: &mut client::Client| {
        let ticket = client.ticket();
        let steps = client.engine.read(ticket, &landfall_core::Record::new());
        client.perform(steps);
        while !client.open.is_empty() {
            if client.flights.is_empty() {
                client.store(&mut store, None);
            } else {
                client.answer(0, Ok(server.read()));
            }
        }
        store.rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let mut clients = [1, 2, 3].map(|seed| client::Client::new(seed, false, 6, None));
    let alone = read(&mut clients[0]);
    let ids = read(&mut clients[1]);
    assert_ne!(alone, ids, "two programs that never met know nothing of each other");
    for who in [0, 1, 0, 2, 2, 0] {
        assert_eq!(read(&mut clients[who]), ids, "{who}");
    }
    assert!(store.meta.is_some_and(|meta| meta.contains("\"shared\":true")));
}
