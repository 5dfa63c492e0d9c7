//! The simulator's schedules; see `landfall_tests::simulator`.
//!
//! `LANDFALL_SIM_SEED=n` shrinks one failing schedule and prints it, or prints one that passes;
//! `LANDFALL_SIM_WHOLE=1` with it prints it as it is. `LANDFALL_SIM_SCHEDULES=n` runs that many, `LANDFALL_SIM_FIRST=n`
//! begins with that seed. `LANDFALL_SIM_PAIR=n` and `LANDFALL_SIM_PAIRS=n` are the same for two programs on one store, and
//! `LANDFALL_SIM_THREE=n`, `LANDFALL_SIM_THREES=n` for three.
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]
#![forbid(unsafe_code)]

use landfall_tests::simulator::{
    Tally, Tape, identities_differ, of_seed, of_tape, rows_keep_their_ids, several_of_seed, several_shrunk, shrunk,
    shrunk_tape,
};

/// Seeds that found a bug once. Each is run first, for ever. What they found:
/// a key used for another body after a create (52); a read that set back what was acknowledged while it was under way, so
/// that the next update undid it (82, 1410); an offline read of a state older than what was accepted meanwhile (22, 46,
/// 59); a commit that relied on a snapshot before it, which failed (127973, 129213); a record shown twice while its create was in
/// doubt (16, 35); a removal sent of a record already gone (26); drafts that a read dropped although a sync that was asked for
/// already waited to accept them (209994, 215478, 236945, 1064851 and the rest). Of cancelling:
/// a create that was refused became an update (9082, 19954, 111863); one change of a batch kept the key of all (2849, 153420); a removal on its
/// way was shown again (14535); what was taken back while its acceptance failed to be stored came back, or hung between draft and
/// nothing (6750, 28983, 199310); a sync told success before a cancelling was stored (57748).
const FOUND: &[u64] = &[
    52, 82, 1410, 22, 46, 59, 16, 35, 26, 6, 28, 38, 67, 74, 165, 364, 718, 1225, 1432, 1656, 127_973, 129_213,
    209_994, 215_478, 236_945, 1_064_851, 1_065_804, 1_068_346, 1_075_520, 1_100_109, 1_113_574, 1_119_246, 1_182_330,
    1_191_731, 1_236_787, 1_257_284, 1_271_263, 2849, 6750, 9082, 14_535, 19_954, 28_983, 57_748, 111_863, 153_420,
    199_310,
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The shortest way to fail, told step by step.
fn told(seed: u64) -> String {
    let Some(tape) = shrunk(seed) else { return "it passes now".to_owned() };
    let problem = of_tape(&tape, true).err().unwrap_or_default();
    format!("{} steps: {problem}", tape.steps())
}

#[test]
fn schedules_keep_every_invariant() {
    if let Some(seed) = number("LANDFALL_SIM_SEED") {
        match of_seed(seed, number("LANDFALL_SIM_WHOLE").is_some()) {
            Ok(tally) => {
                drop(of_seed(seed, true));
                eprintln!("seed {seed}: {tally:?}");
            }
            Err(problem) => panic!("seed {seed}: {problem}\nshrunk to {}", told(seed)),
        }
        return;
    }
    let count = number("LANDFALL_SIM_SCHEDULES").unwrap_or(3000);
    let first = number("LANDFALL_SIM_FIRST").unwrap_or(1);
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for seed in FOUND.iter().copied().chain(first..first + count) {
        match of_seed(seed, false) {
            Ok(tally) => sum.add(&tally),
            Err(problem) => failed.push((seed, format!("seed {seed}: {problem}"))),
        }
    }
    eprintln!("{count} schedules: {sum:?}");
    if let Some((seed, _)) = failed.first() {
        let texts: Vec<&str> = failed.iter().take(12).map(|(_, text)| text.as_str()).collect();
        panic!(
            "{} schedules failed; the first:\n{}\nseed {seed} shrunk to {}",
            failed.len(),
            texts.join("\n"),
            told(*seed)
        );
    }
    assert!(
        sum.crashes > count / 4 && sum.doubts > count / 4 && sum.acked > count,
        "the schedules test too little: {sum:?}"
    );
}

/// Seeds of two programs on one store that found a bug once. Each is run first, for ever. What they found:
/// an item that was removed while its creation was being stored came back from the other program's commit (8, 92, 131, 140);
/// a record removed, brought back and made anew was lost to the program that knew it by its old id (128, 138, 575, 1387,
/// 1793, 4926); a draft over the other program's removal took older values along (497); a draft of an item that the other
/// one removed vanished (825, 906); an answer was forgotten when its commit met another one (990, 1079); a create was sent
/// again after the other program had taken it back (1104), or had been refused the connection (3434, 5535, 5903); an item
/// lost its identity in a read (968); a create was stored, sent and answered by the other before its own commit was (244,
/// 3409); a request of several records was repeated with some of them (97); the answer to a read set back what the other
/// program had written and stored since the read was sent (5400, 9626, 11079, 12907); an answer was taken for that of the
/// request which the other program had put in its place (7072, 12406); a removal that had met the other program's creation was
/// accepted once more by the next sync, and removed what was made anew since (6363);
/// rows of a read that could not be stored were laid over what the other one stored later (25856, 27749, 39601, 41639, 54546);
/// a draft over an edit that was in conflict with the other one's removal was put out of sight, and no sync accepted it (36207,
/// 48198); a removal was done twice, and what the other program had made of the record in between stayed (15286);
/// a first try that certainly did nothing gave up a request which the other program had taken over and sent (131992, 156939);
/// a record that one program removed and made anew was known to the other by neither its old nor its new identity, as each
/// wrote the rows under its own (80398, 160531, 169270, 170105, 175244, 179132, and from 201602 to 358148 but 227229 and 327793);
/// an acceptance that a commit had stored together with the other program's state was undone when its own commit failed,
/// over what that one had accepted since (172788, 227229, 327793); a record that one had sent and the other had read and edited
/// was there twice until the first was answered (927823); cancelling took away what the other one had accepted (49314, 55397), or
/// was undone by a commit of the other's (9397, 18812, 34302).
const PAIRS: &[u64] = &[
    8, 92, 97, 128, 131, 138, 140, 244, 497, 575, 825, 906, 968, 990, 1079, 1104, 1387, 1793, 3409, 3434, 4926, 5400,
    5535, 5903, 6363, 7072, 9626, 11_079, 12_406, 12_907, 15_286, 25_856, 27_749, 36_207, 39_601, 41_639, 48_198,
    54_546, 80_398, 109_200, 131_992, 156_939, 160_531, 169_270, 170_105, 172_788, 175_244, 179_132, 201_602, 205_802,
    210_647, 214_219, 223_862, 227_229, 232_305, 249_995, 262_299, 270_700, 286_997, 292_916, 304_613, 315_645,
    327_793, 358_148, 9397, 18_812, 34_302, 49_314, 55_397, 927_823,
];

/// The same for three programs. What they found:
/// a draft of a record that two others made anew and created took the default id along (7089, 24183, 31564, 32640, 39333,
/// 40733); a record that was to be made anew was not known by the id that it had before (3386); a read brought a record that its
/// program knew as not created yet, and its identity was lost to the third (157994, 159520, 164488, 169785, 185725, 194291); a
/// body that was about to be sent with others was rebased and kept their request (197832); two programs began with the same
/// random number, and one took a new row of the other's for its own (437639).
const THREES: &[u64] = &[
    3386, 7089, 24_183, 31_564, 32_640, 39_333, 40_733, 157_994, 159_520, 164_488, 169_785, 185_725, 194_291, 197_832,
    437_639,
];

/// Runs the schedules of several programs on one store: those that found something, and as many more as asked for by a
/// variable of the environment, or the one that another variable names.
fn several(programs: u64, found: &[u64], (one, many): (&str, &str), usual: u64) {
    if let Some(seed) = number(one) {
        match several_of_seed(seed, number("LANDFALL_SIM_WHOLE").is_some(), programs) {
            Ok(tally) => {
                drop(several_of_seed(seed, true, programs));
                eprintln!("seed {seed}: {tally:?}");
            }
            Err(problem) => {
                let told = several_shrunk(seed, programs).unwrap_or_default();
                panic!("seed {seed}: {problem}\nshrunk to {told}");
            }
        }
        return;
    }
    let count = number(many).unwrap_or(usual);
    let first = number("LANDFALL_SIM_FIRST").unwrap_or(1);
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for seed in found.iter().copied().chain(first..first + count) {
        match several_of_seed(seed, false, programs) {
            Ok(tally) => sum.add(&tally),
            Err(problem) => failed.push((seed, format!("seed {seed}: {problem}"))),
        }
    }
    eprintln!("{count} schedules of {programs} programs: {sum:?}");
    if let Some((seed, _)) = failed.first() {
        let texts: Vec<&str> = failed.iter().take(12).map(|(_, text)| text.as_str()).collect();
        let told = several_shrunk(*seed, programs).unwrap_or_default();
        panic!("{} failed:\n{}\nseed {seed} shrunk to {told}", failed.len(), texts.join("\n"));
    }
    assert!(
        sum.met > count && sum.crashes > count / 4 && sum.acked > count && sum.doubts > count / 30,
        "the schedules test too little: {sum:?}"
    );
}

#[test]
fn two_programs_on_one_store_do_not_undo_each_other() {
    several(2, PAIRS, ("LANDFALL_SIM_PAIR", "LANDFALL_SIM_PAIRS"), 1500);
}

#[test]
fn three_programs_on_one_store_do_not_undo_each_other() {
    several(3, THREES, ("LANDFALL_SIM_THREE", "LANDFALL_SIM_THREES"), 700);
}

#[test]
fn identities_are_never_given_twice_in_one_store() {
    identities_differ();
}

#[test]
fn rows_keep_their_ids_where_programs_have_met() {
    rows_keep_their_ids();
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..40 {
        assert_eq!(
            of_seed(seed, false).map(|tally| tally.trace),
            of_seed(seed, false).map(|tally| tally.trace),
            "seed {seed}"
        );
        assert_eq!(several_of_seed(seed, false, 3), several_of_seed(seed, false, 3), "seed {seed}, three programs");
    }
}

/// A schedule from arbitrary bytes runs, and a shrunk one is no longer than it was and still fails.
#[test]
fn schedules_can_be_shrunk() {
    let bytes: Vec<u8> = (0..255_u8).cycle().map(|n| n.wrapping_mul(37)).take(400).collect();
    let tape = Tape::from_bytes(&bytes);
    assert!(of_tape(&tape, false).is_ok());
    // As if every schedule with two certain steps failed.
    let fails = |tape: &Tape| {
        let has = |first: u64| tape.0.iter().any(|part| part.first() == Some(&first));
        has(tape_byte(&bytes, 30)) && has(tape_byte(&bytes, 90))
    };
    let short = shrunk_tape(tape, &fails);
    assert_eq!(short.steps(), 2);
}

fn tape_byte(bytes: &[u8], at: usize) -> u64 {
    u64::from(bytes[at])
}
