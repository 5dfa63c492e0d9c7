//! Playing a case from its first to its last step, and the recording of it.

use super::{case::Case, recording, servers::Servers, steps::Subject};
use landfall_core::{Error, ErrorKind, Record, Result, Value};

/// Plays a case over two servers of its own and gives its recording.
///
/// # Errors
/// When the case cannot be played at all; how its requests went is in the recording.
pub fn play(case: &Case) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "no runtime").caused_by(error))?;
    runtime.block_on(async {
        let servers = Servers::start(case).await?;
        let script = case.script(&servers.origins)?;
        servers.answer_with(script.replies.clone());
        let subject = Subject::open(case, &script, &servers)?;
        let mut steps = Vec::with_capacity(script.steps.len());
        for (at, step) in script.steps.iter().enumerate() {
            steps.push(subject.play(step).await.map_err(|error| error.with("step", at.to_string()))?);
        }
        let requests = servers.received();
        let requests = requests.iter().map(|received| recording::of(case, &servers.origins, received));
        let outcome = Record::from([
            ("steps", Value::from(steps)),
            ("events", subject.events().into()),
            ("final", subject.last()),
        ]);
        Ok(Record::from([
            ("name", Value::from(case.name.as_str())),
            ("requests", Value::array(requests)),
            ("outcome", outcome.into()),
        ])
        .into())
    })
}
