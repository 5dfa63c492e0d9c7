//! The program `wire`: its arguments, and going through a file of cases.

use super::{case, run};
use landfall_core::{Error, ErrorKind, Record, Result, Value};
use std::{fs, path::PathBuf};

/// What the program is told.
#[derive(Debug)]
pub struct Arguments {
    cases: PathBuf,
    out: PathBuf,
    only: Option<String>,
}

/// How the program is called.
pub const USAGE: &str = "wire --cases FILE --out FILE [--only AREA[/NAME]]";

impl Arguments {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the usage when they do not make sense.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Config, format!("usage: {USAGE}")).with("because", what);
        let (mut cases, mut out, mut only) = (None, None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, arguments.next()),
            };
            let value = value.ok_or_else(|| wrong(format!("{name} needs a value")))?;
            match name.as_str() {
                "--cases" => cases = Some(PathBuf::from(value)),
                "--out" => out = Some(PathBuf::from(value)),
                "--only" => only = Some(value),
                _ => return Err(wrong(format!("unknown option {name}"))),
            }
        }
        Ok(Self {
            cases: cases.ok_or_else(|| wrong("--cases is missing".to_owned()))?,
            out: out.ok_or_else(|| wrong("--out is missing".to_owned()))?,
            only,
        })
    }

    fn wants(&self, path: &str) -> bool {
        self.only.as_deref().is_none_or(|only| {
            path == only || path.strip_prefix(only).is_some_and(|rest| only.ends_with('/') || rest.starts_with('/'))
        })
    }
}

/// Plays the cases and writes the recordings. A case that cannot be played is told on standard error and gets no
/// recording; the others still play.
///
/// # Errors
/// When the files cannot be used, and at the end when a case could not be played.
#[allow(clippy::print_stderr, reason = "the program talks to people here")]
pub fn run(arguments: &Arguments) -> Result<()> {
    let text = fs::read_to_string(&arguments.cases)
        .map_err(|error| Error::new(ErrorKind::NotFound, "the cases cannot be read").caused_by(error))?;
    let cases = case::read_all(&text)?;
    let chosen: Vec<_> = cases.iter().filter(|case| arguments.wants(&case.path())).collect();
    if chosen.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no case was found"));
    }
    let mut recordings = Vec::with_capacity(chosen.len());
    for case in &chosen {
        match run::play(case) {
            Ok(recording) => recordings.push(recording),
            Err(error) => eprintln!("{}: {error}", case.path()),
        }
    }
    let failed = chosen.len() - recordings.len();
    let file = Record::from([
        ("recordedWith", Value::from(Record::from([("landfall", env!("CARGO_PKG_VERSION"))]))),
        ("recordings", recordings.into()),
    ]);
    fs::write(&arguments.out, Value::from(file).to_json() + "\n")
        .map_err(|error| Error::new(ErrorKind::NotFound, "the recordings cannot be written").caused_by(error))?;
    if failed > 0 {
        let all = chosen.len();
        return Err(Error::new(ErrorKind::Unexpected, format!("{failed} of {all} cases could not be played")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let parse = |text: &str| Arguments::parse(text.split_whitespace().map(str::to_owned));
        let told = parse("--cases a --out=b --only read").unwrap();
        assert!(told.wants("read/x") && !told.wants("reads/x"));
        assert!(parse("--cases a --out b").unwrap().wants("any/thing"));
        for wrong in ["", "--out b", "--cases a --out", "--cases a --out b --storage file"] {
            assert_eq!(parse(wrong).unwrap_err().kind(), &ErrorKind::Config, "{wrong}");
        }
    }
}
