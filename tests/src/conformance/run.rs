//! Performing a scenario: step by step, letting everything settle, then writing down what is to be seen.

use super::{
    scenario::{Scenario, Step},
    steps::{Outcome, Started, Subject},
    trace::{self, Object},
    world::{StorageKind, World},
};
use landfall_core::{Error, ErrorKind, Result, Value};

/// Performs a scenario and gives the steps of its trace.
///
/// # Errors
/// When the scenario cannot be performed; no part of the trace is of use then.
pub fn perform(scenario: &Scenario, storage: StorageKind) -> Result<Vec<Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "no runtime").caused_by(error))?;
    runtime.block_on(async {
        let world = World::of(scenario, storage).await?;
        let mut subject = Subject::open(scenario, &world)?;
        let mut steps = Vec::with_capacity(scenario.steps.len());
        for (at, step) in scenario.steps.iter().enumerate() {
            let done = one(scenario, &world, &mut subject, step, at).await;
            steps.push(done.map_err(|error| error.with("step", format!("{at} {}", step.what)))?);
        }
        Ok(steps)
    })
}

async fn one(scenario: &Scenario, world: &World, subject: &mut Subject, step: &Step, at: usize) -> Result<Value> {
    let raw = step.shown.has("rawState");
    let mut out = Object::new();
    out.put("step", at);
    out.put("do", &step.what);
    if step.what == "together" {
        let mut parts = Vec::with_capacity(step.parts.len());
        for part in &step.parts {
            parts.push(subject.start(scenario, world, part).await?);
        }
        subject.settle(world).await?;
        out.put("outcome", Outcome::Ok.as_str());
        let outcomes = parts.into_iter().map(|part| Value::from(part.outcome().as_str()));
        out.put("outcomes", Value::array(outcomes));
    } else {
        let started: Started = subject.start(scenario, world, step).await?;
        subject.settle(world).await?;
        out.put_some(
            "value",
            started.value.as_ref().map(|value| trace::canonical(value, step.what == "offlineData" || raw)),
        );
        out.put("outcome", started.outcome().as_str());
    }
    let events = subject.take_events(&step.shown);
    if step.shown.has("events") {
        out.put_list("events", events);
    }
    let requests = world.server.iter().flat_map(landfall_transport_mock::MockServer::take_requests);
    let requests = requests.map(|request| {
        let mut one = Object::new();
        one.put("op", request.operation.as_str());
        one.put("data", trace::canonical(&request.data, raw));
        one.into()
    });
    let requests: Vec<Value> = requests.collect();
    if step.shown.has("requests") {
        out.put_list("requests", requests);
    }
    out.put("state", state(scenario, world, subject, step).await?);
    Ok(out.into())
}

async fn state(scenario: &Scenario, world: &World, subject: &mut Subject, step: &Step) -> Result<Value> {
    let mut out = Object::new();
    subject.observe(&step.shown, &mut out).await?;
    if step.shown.has("storage") && scenario.shows_storage() {
        out.put("storage", world.contents().await?);
    }
    if let (true, Some(server)) = (step.shown.has("serverRows"), &world.server) {
        let rows = server.rows().into_iter().map(|row| trace::canonical_record(&row, true).into());
        out.put("serverRows", rows.collect::<Vec<Value>>());
    }
    Ok(out.into())
}
