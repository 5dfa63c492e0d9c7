//! The program `conformance`: its arguments, and going through a folder of scenarios.

use super::{
    pack::{self, Document},
    run,
    scenario::Scenario,
    trace,
    world::StorageKind,
};
use landfall_core::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// What the program is told.
#[derive(Debug)]
pub struct Arguments {
    scenarios: PathBuf,
    out: PathBuf,
    only: Option<String>,
    storage: StorageKind,
}

/// How the program is called.
pub const USAGE: &str =
    "conformance --scenarios DIR --out DIR [--only AREA[/NAME]] [--storage item|memory|file|sqlite]";

impl Arguments {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the usage when they do not make sense.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Config, format!("usage: {USAGE}")).with("because", what);
        let (mut scenarios, mut out, mut only, mut storage) = (None, None, None, StorageKind::Item);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, arguments.next()),
            };
            let value = value.ok_or_else(|| wrong(format!("{name} needs a value")))?;
            match name.as_str() {
                "--scenarios" => scenarios = Some(PathBuf::from(value)),
                "--out" => out = Some(PathBuf::from(value)),
                "--only" => only = Some(value),
                "--storage" => {
                    storage =
                        StorageKind::from_name(&value).ok_or_else(|| wrong(format!("unknown storage {value}")))?;
                }
                _ => return Err(wrong(format!("unknown option {name}"))),
            }
        }
        Ok(Self {
            scenarios: scenarios.ok_or_else(|| wrong("--scenarios is missing".to_owned()))?,
            out: out.ok_or_else(|| wrong("--out is missing".to_owned()))?,
            only,
            storage,
        })
    }

    fn wants(&self, path: &str) -> bool {
        self.only.as_deref().is_none_or(|only| {
            path == only || path.strip_prefix(only).is_some_and(|rest| only.ends_with('/') || rest.starts_with('/'))
        })
    }
}

/// Performs the scenarios and writes the traces. A scenario that cannot be performed is told on standard error and gets
/// no trace; the others still run.
///
/// # Errors
/// When the folders cannot be used, and at the end when a scenario could not be performed.
#[allow(clippy::print_stderr, reason = "the program talks to people here")]
pub fn run(arguments: &Arguments) -> Result<()> {
    let documents = pack::read_folder(&arguments.scenarios)?;
    let mut failed = 0_usize;
    let mut chosen = 0_usize;
    for document in documents.iter().filter(|document| arguments.wants(&document.path)) {
        chosen += 1;
        if let Err(error) = one(document, arguments) {
            eprintln!("{}: {error}", document.path);
            failed += 1;
        }
    }
    if chosen == 0 {
        return Err(Error::new(ErrorKind::NotFound, "no scenario was found"));
    }
    if failed > 0 {
        return Err(Error::new(
            ErrorKind::Unexpected,
            format!("{failed} of {chosen} scenarios could not be performed"),
        ));
    }
    Ok(())
}

fn one(document: &Document, arguments: &Arguments) -> Result<()> {
    let scenario = Scenario::from_value(&document.value()?)?;
    let steps = run::perform(&scenario, arguments.storage)?;
    let text = trace::text(&scenario.area, &scenario.name, &steps);
    pack::write_document(&arguments.out, &document.path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Arguments> {
        Arguments::parse(arguments.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments() {
        let told = parse("--scenarios a --out=b --only sync --storage file").unwrap();
        assert!(told.wants("sync/x") && !told.wants("sync-errors/x") && told.storage == StorageKind::File);
        let told = parse("--scenarios a --out b --only sync/x").unwrap();
        assert!(told.wants("sync/x") && !told.wants("sync/xy"));
        assert!(parse("--scenarios a --out b").unwrap().wants("any/thing"));
        for wrong in ["", "--out b", "--scenarios a --out", "--scenarios a --out b --storage tape", "--x y"] {
            assert_eq!(parse(wrong).unwrap_err().kind(), &ErrorKind::Config, "{wrong}");
        }
    }
}
