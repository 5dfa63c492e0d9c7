//! All recorded wire cases over real HTTP: each sends the recorded requests and ends as recorded, or differs as it is
//! meant to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_core::Value;
use landfall_tests::wire::{
    case,
    judge::{Level, compare},
    run,
};
use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Cases whose requests differ from Kendo's on purpose, and the entry of DIFFERENCES.md that says why. Their outcomes
/// differ too.
const OTHER_REQUESTS: [(&str, &str); 9] = [
    ("crud-new-row-nested-from-throws", "Q19"),
    ("error-destroy-404", "C50"),
    ("error-one-of-three-then-sync-again", "Q1"),
    ("odata2-filter-unknown-operator", "Q54"),
    ("offline-reread-then-online", "Q2"),
    ("reply-204-on-read", "Q10"),
    ("reply-create-empty-then-edited", "Q11"),
    ("reply-create-without-id-is-not-sent-again", "Q11"),
    ("reply-null", "Q10"),
];

/// Cases that send Kendo's requests and make something else of the answers.
const OTHER_OUTCOMES: [(&str, &str); 26] = [
    ("accept-datatype-text", "text"),
    ("batch-json", "Q6"),
    ("crud-create-defaults", "Q6"),
    ("crud-create-order-of-several", "Q6"),
    ("error-jsonp-http-500", "JSONP"),
    ("map-json-body-write", "Q6"),
    ("map-models-array-body", "Q6"),
    ("map-models-json-post", "Q6"),
    ("odata2-write-jsonp-throws", "OData"),
    ("odata4-batch-all-three", "Q6"),
    ("odata4-batch-create-only", "Q6"),
    ("odata4-batch-one-changeset-fails", "Q55"),
    ("reply-batch-create-too-short", "C45"),
    ("reply-create-204", "Q11"),
    ("reply-create-forms", "Q11"),
    ("reply-errors-custom-path", "C05"),
    ("reply-errors-default-path", "C05"),
    ("reply-errors-on-update", "C04"),
    ("reply-json-as-html-no-datatype", "text"),
    ("reply-jsonp-data-total-errors", "C05"),
    ("reply-no-content-type", "text"),
    ("reply-object-without-data-path", "Q10"),
    ("reply-parse-path", "Q30"),
    ("reply-single-object-with-model", "Q30"),
    ("submit-custom", "Q6"),
    ("verb-default-is-get-for-writes", "Q11"),
];

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/wire").join(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.as_object().and_then(|value| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// What the test says of a case that is not as it should be.
fn fault(name: &str, recorded: &Value, own: &Value) -> Option<String> {
    let listed = |list: &[(&str, &str)]| list.iter().any(|(known, _)| *known == name);
    let (requests, outcome) = (listed(&OTHER_REQUESTS), listed(&OTHER_OUTCOMES));
    match (compare(recorded, own, Level::Requests), compare(recorded, own, Level::Outcome)) {
        (Some(difference), _) if !requests => Some(difference.to_string()),
        (None, _) if requests => Some("sends Kendo's requests now: take it off the list".to_owned()),
        (None, Some(difference)) if !outcome => Some(difference.to_string()),
        (None, None) if outcome => Some("ends as Kendo now: take it off the list".to_owned()),
        _ => None,
    }
}

#[test]
fn every_case_over_real_http() {
    let cases = case::read_all(&document("cases.json.gz")).unwrap();
    let recordings = Value::from_json(&document("recorded.json.gz")).unwrap();
    let recordings = recordings.as_object().unwrap().get("recordings").and_then(Value::as_array).unwrap();
    let recordings: BTreeMap<&str, &Value> = recordings.iter().map(|one| (text(one, "name"), one)).collect();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fault = match run::play(case) {
                        Ok(own) => fault(&case.name, recordings[case.name.as_str()], &own),
                        Err(error) => Some(format!("cannot be played: {error}")),
                    };
                    if let Some(fault) = fault {
                        faults.lock().unwrap().push(format!("{} {fault}", case.path()));
                    }
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
    assert_eq!(cases.len(), 273);
}

#[test]
fn every_difference_is_explained() {
    let differences = Path::new(env!("CARGO_MANIFEST_DIR")).join("../DIFFERENCES.md");
    let differences = std::fs::read_to_string(differences).unwrap();
    let cases = case::read_all(&document("cases.json.gz")).unwrap();
    for (name, _) in OTHER_REQUESTS.iter().chain(&OTHER_OUTCOMES) {
        assert!(differences.contains(&format!("`{name}`")), "{name} is not in DIFFERENCES.md");
        assert!(cases.iter().any(|case| case.name == *name), "there is no case {name}");
    }
    for (name, _) in OTHER_REQUESTS {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        assert!(case.quirk.is_some(), "{name}: other requests only where Kendo's are a quirk");
    }
}
