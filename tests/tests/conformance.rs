//! All recorded scenarios over all storages: each gives the reference's trace, or landfall's own where it differs on
//! purpose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_core::Value;
use landfall_tests::conformance::{
    corpus::{self, Corpus},
    judge,
    pack::Document,
    run,
    scenario::Scenario,
    trace,
    world::StorageKind,
};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// What is wrong with one scenario, if anything.
fn fault(corpus: &Corpus, document: &Document, storage: StorageKind) -> Option<String> {
    let scenario = Scenario::from_value(&document.value().unwrap()).unwrap();
    let expected = corpus.expected(&document.path).unwrap().value().unwrap();
    let steps = match run::perform(&scenario, storage) {
        Ok(steps) => steps,
        Err(error) => return Some(format!("cannot be performed: {error}")),
    };
    let trace = Value::from_json(&trace::text(&scenario.area, &scenario.name, &steps)).unwrap();
    judge::compare(&expected, &trace).unwrap().map(|difference| difference.to_string())
}

fn all_over(storage: StorageKind) {
    let corpus = Corpus::load().unwrap();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(document) = corpus.scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(fault) = fault(&corpus, document, storage) {
                        faults.lock().unwrap().push(format!("{} {fault}", document.path));
                    }
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    let (all, wrong) = (corpus.scenarios.len(), faults.len());
    assert!(faults.is_empty(), "{wrong} of {all} scenarios over {}:\n{}", storage.as_str(), faults.join("\n"));
}

#[test]
fn every_scenario_over_an_item_storage() {
    all_over(StorageKind::Item);
}

#[test]
fn every_scenario_over_the_memory_storage() {
    all_over(StorageKind::Memory);
}

#[test]
fn every_scenario_over_the_file_storage() {
    all_over(StorageKind::File);
}

#[test]
fn every_scenario_over_the_sqlite_storage() {
    all_over(StorageKind::Sqlite);
}

#[test]
fn own_traces_are_kept_only_where_they_differ_and_are_explained() {
    let corpus = Corpus::load().unwrap();
    let differences = std::fs::read_to_string(corpus::folder().join("../../../DIFFERENCES.md")).unwrap();
    let mut wrong = Vec::new();
    for (path, own) in &corpus.own {
        match corpus.golden.get(path) {
            None => wrong.push(format!("{path}: there is no such scenario")),
            Some(golden) if judge::compare(&golden.value().unwrap(), &own.value().unwrap()).unwrap().is_none() => {
                wrong.push(format!("{path}: the own trace equals the reference's"));
            }
            Some(_) if !differences.contains(path.as_str()) => wrong.push(format!("{path}: not in DIFFERENCES.md")),
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
