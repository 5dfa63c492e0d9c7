//! DIFFERENCES.md names every scenario in which landfall differs from the reference, and no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_tests::conformance::corpus::Corpus;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../DIFFERENCES.md");

/// The scenarios that the page names, as `area/name` in backticks.
fn named() -> BTreeSet<&'static str> {
    PAGE.split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.split_once('/').is_some_and(|(area, name)| !area.is_empty() && !name.is_empty()))
        .filter(|text| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c)))
        .collect()
}

fn scenario(path: &str) -> &str {
    path.trim_end_matches(".json")
}

#[test]
fn every_difference_on_purpose_is_on_the_page() {
    let corpus = Corpus::load().unwrap();
    let named = named();
    let own = corpus.own.keys().map(String::as_str);
    let missing: Vec<&str> = own
        .chain(corpus.quirks.iter().map(String::as_str))
        .map(scenario)
        .filter(|path| !named.contains(path))
        .collect();
    assert!(missing.is_empty(), "not in DIFFERENCES.md: {missing:?}");
}

#[test]
fn the_page_names_scenarios_that_exist() {
    let corpus = Corpus::load().unwrap();
    let known: BTreeSet<&str> = corpus.scenarios.iter().map(|document| scenario(&document.path)).collect();
    let unknown: Vec<&str> = named().into_iter().filter(|path| !known.contains(path)).collect();
    assert!(unknown.is_empty(), "no such scenarios: {unknown:?}");
}

#[test]
fn the_page_is_read_as_it_is_written() {
    let named = named();
    assert!(named.len() > 60 && named.contains("sync-errors/second-of-two-updates"), "{named:?}");
}
