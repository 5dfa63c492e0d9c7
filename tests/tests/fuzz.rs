//! The fuzz targets as ordinary tests: their seeds, what was once found, and bytes from a seed.
//!
//! A find becomes a line of `FOUND`: the target, the bytes, what was wrong. `LANDFALL_FUZZ_ROUNDS=n` sets how many mutations
//! of each seed are tried.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may stop at the first surprise")]
#![forbid(unsafe_code)]

use landfall_tests::fuzz::{TARGETS, run};
use std::path::PathBuf;

/// What the fuzzer found, and what it was.
const FOUND: &[(&str, &[u8], &str)] = &[(
    "item_text",
    b"[\x01{\x22d\x22:5} \x00\x06\x07\x08\x01k\x22\x9c\xdd\xc5\xca\x82\xa4\x00\x06\x00\x00\x00+\x00+\x00\x00B\x03[2_\x04\x00\x00B\x03[2_\x04\x08\xc6\xf2\x09\x08",
    "two changes that were stored with one key were refused in company, and sent together again without end",
)];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn what_the_fuzzer_found_stays_mended() {
    for (target, bytes, what) in FOUND {
        eprintln!("{target}: {what}");
        run(target, bytes);
    }
}

/// Every seed of every target with bytes changed, cut, repeated and moved.
#[test]
fn seeds_and_what_is_near_them_pass() {
    let rounds: u64 = std::env::var("LANDFALL_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    for (target, function) in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        let mut state = 7_u64;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % limit.max(1)
        };
        for seed in &seeds {
            function(seed);
            for _ in 0..rounds {
                let mut bytes = seed.clone();
                for _ in 0..=below(4) {
                    let (at, other) = (below(bytes.len()), below(bytes.len()));
                    let interesting = br#"{}[]",:0-9.eE\u<>&;= "#;
                    match below(6) {
                        0 => bytes.truncate(at),
                        1 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
                        2 if !bytes.is_empty() => bytes[at] = interesting[below(interesting.len())],
                        3 => {
                            let piece = bytes[at.min(other)..at.max(other)].to_vec();
                            bytes.splice(at..at, piece);
                        }
                        4 => drop(bytes.drain(at.min(other)..at.max(other))),
                        _ => bytes.insert(at, u8::try_from(below(256)).unwrap()),
                    }
                }
                bytes.truncate(4096);
                function(&bytes);
            }
        }
    }
}
