//! Samples: one JSON object a line.

use crate::{args::Args, clock::Time};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// One sample of a task.
#[derive(Clone, Debug)]
pub struct Sample {
    time: Time,
    more: Map<String, Value>,
    problem: Option<String>,
}

impl Sample {
    /// A sample that took so long. It counts as checked when nothing [`fails`](Self::expect).
    pub fn new(time: Time) -> Self {
        Self { time, more: Map::new(), problem: None }
    }

    /// Adds a member of the task's own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Makes a check; the first that fails is reported.
    #[must_use]
    pub fn expect(mut self, holds: bool, what: &str) -> Self {
        if !holds && self.problem.is_none() {
            self.problem = Some(what.to_owned());
        }
        self
    }

    /// Seconds of the processors.
    pub fn cpu(&self) -> f64 {
        self.time.cpu
    }

    /// The line to print.
    pub fn line(&self, args: &Args, run: usize) -> String {
        let mut out = json!({
            "task": args.task.name(),
            "form": args.form,
            "rows": args.rows,
            "run": run,
            "wall_s": self.time.wall,
            "cpu_s": self.time.cpu,
            "check": self.problem.as_deref().map_or_else(|| "ok".to_owned(), |what| format!("failed: {what}")),
        });
        if let Some(out) = out.as_object_mut() {
            out.extend(self.more.clone());
        }
        out.to_string()
    }
}

/// Prints samples in order.
///
/// # Errors
/// Standard output's.
pub fn print(args: &Args, samples: &[Sample]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (run, sample) in samples.iter().enumerate() {
        writeln!(out, "{}", sample.line(args, run))?;
    }
    out.flush()
}

/// Takes samples one after another, the warm-up ones unreported, and prints each as it comes.
///
/// # Errors
/// The sample's and standard output's.
pub fn run(args: &Args, mut take: impl FnMut() -> crate::Outcome<Sample>) -> crate::Outcome {
    for _ in 0..args.warmup {
        take()?;
    }
    for run in 0..args.runs {
        let sample = take()?;
        writeln!(io::stdout().lock(), "{}", sample.line(args, run))?;
    }
    Ok(())
}
