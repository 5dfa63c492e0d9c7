//! The model server of the scenarios is the mock transport: the recorded requests leave the recorded rows behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use futures_executor::block_on;
use landfall_core::{ChangeKind, Operation, OutgoingRow, Record, Request, Value};
use landfall_tests::conformance::{corpus::Corpus, judge, scenario::Scenario};
use landfall_transport::Transport;
use landfall_transport_mock::MockServer;

fn rows(kind: ChangeKind, list: Option<&Value>) -> impl Iterator<Item = OutgoingRow> + '_ {
    list.and_then(Value::as_array).unwrap_or_default().iter().map(move |row| OutgoingRow {
        kind,
        record: row.as_object().unwrap().clone(),
        id: None,
        changed: Vec::new(),
        base: None,
    })
}

fn request(recorded: &Record) -> Request {
    let data = recorded.get("data").unwrap().as_object().unwrap();
    let bare = Request::read(Record::new());
    let (operation, kind) = match recorded.get("op").unwrap().as_str().unwrap() {
        "read" => return Request::read(data.clone()),
        "submit" => {
            let all =
                [("created", ChangeKind::Create), ("updated", ChangeKind::Update), ("destroyed", ChangeKind::Destroy)];
            let rows = all.into_iter().flat_map(|(name, kind)| rows(kind, data.get(name))).collect();
            return Request { operation: Operation::Submit, rows, ..bare };
        }
        marker => {
            let kind = ChangeKind::from_marker(marker).unwrap();
            (kind.into(), kind)
        }
    };
    let one = Value::array([Value::from(data.clone())]);
    let models = data.get("models");
    let rows = rows(kind, Some(models.unwrap_or(&one))).collect();
    Request { operation, rows, batch: models.is_some(), ..bare }
}

#[test]
fn recorded_requests_leave_the_recorded_rows() {
    let corpus = Corpus::load().unwrap();
    let (mut checked, mut wrong) = (0, Vec::new());
    for document in &corpus.scenarios {
        let scenario = Scenario::from_value(&document.value().unwrap()).unwrap();
        let Some(description) = &scenario.server else { continue };
        let server = MockServer::from_value(description).unwrap();
        server.set_holding(false);
        let golden = judge::expand(&corpus.golden[&document.path].value().unwrap()).unwrap();
        let recorded = golden.as_object().unwrap().get("steps").unwrap().as_array().unwrap();
        for (at, (step, recorded)) in scenario.steps.iter().zip(recorded).enumerate() {
            if !step.shown.has("requests") {
                break;
            }
            match step.what.as_str() {
                "server" => server.set_down(step.need_bool("down").unwrap()),
                "serverSet" => {
                    server.set_row(step.need("id").unwrap().clone(), step.need_object("values").unwrap().clone());
                }
                "serverRemove" => drop(server.remove_row(step.need("id").unwrap().clone())),
                "fault" => server.add_fault_value(&step.given.clone().into()).unwrap(),
                _ => {}
            }
            let recorded = recorded.as_object().unwrap();
            for one in recorded.get("requests").and_then(Value::as_array).unwrap_or_default() {
                // Failures are part of the scenario; the rows show whether they were the right ones.
                drop(block_on(server.send(request(one.as_object().unwrap()))));
            }
            let Some(expected) =
                recorded.get("state").and_then(Value::as_object).and_then(|state| state.get("serverRows"))
            else {
                continue;
            };
            checked += 1;
            let rows = Value::array(server.rows().into_iter().map(Value::from));
            if let Some(difference) = judge::difference(expected, &rows, "$") {
                wrong.push(format!("{} step {at} {}", document.path, difference));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 300, "only {checked} states were compared");
}
