//! The command line of `tasks` and `limits`.

use crate::{Failure, Outcome};
use std::{path::PathBuf, str::FromStr};

/// The task to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the tasks")]
pub enum Task {
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
    T8,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::T1, Self::T2, Self::T3, Self::T4, Self::T5, Self::T6, Self::T7, Self::T8];

    /// `T1` to `T8`.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The form that is run when none is named.
    pub fn default_form(self) -> &'static str {
        match self {
            Self::T2 => "page",
            Self::T3 => "aggregates",
            Self::T5 => "cached",
            Self::T6 => "single",
            _ => "",
        }
    }

    fn forms(self) -> &'static [&'static str] {
        match self {
            Self::T2 => &["page", "name"],
            Self::T3 => &["aggregates", "rows"],
            Self::T5 => &["cached", "cold", "first"],
            Self::T6 => &["single", "batch"],
            _ => &[""],
        }
    }
}

impl FromStr for Task {
    type Err = Failure;

    fn from_str(text: &str) -> Outcome<Self> {
        Self::ALL.into_iter().find(|task| task.name() == text).ok_or_else(|| format!("unknown task {text}").into())
    }
}

/// Where rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One `SQLite` file; the default.
    Sqlite,
    /// A directory of readable files.
    File,
}

impl FromStr for Place {
    type Err = Failure;

    fn from_str(text: &str) -> Outcome<Self> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "file" => Ok(Self::File),
            other => Err(format!("unknown storage {other}: sqlite or file").into()),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Args {
    /// The task.
    pub task: Task,
    /// The form, one of the task's.
    pub form: String,
    /// N.
    pub rows: usize,
    /// Samples to report. Default: 7, of T4 and T8 50.
    pub runs: usize,
    /// Samples before those, not reported. Default: 1.
    pub warmup: usize,
    /// Where storages are put. Default: a folder of its own in the system's temporary folder, removed afterwards.
    pub dir: Option<PathBuf>,
    /// The storage of T4, T5 and T6. Default: SQLite.
    pub place: Place,
    /// T5: only write the storage.
    pub prepare: bool,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// Whatever is not understood.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let mut args = args.into_iter();
        let (mut task, mut form, mut rows) = (None, None, None);
        let (mut runs, mut warmup, mut dir, mut place, mut prepare) = (None, 1, None, Place::Sqlite, false);
        while let Some(name) = args.next() {
            if name == "--prepare" {
                prepare = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--task" => task = Some(value.parse::<Task>()?),
                "--form" => form = Some(value),
                "--rows" => rows = Some(value.parse()?),
                "--runs" => runs = Some(value.parse()?),
                "--warmup" => warmup = value.parse()?,
                "--dir" => dir = Some(PathBuf::from(value)),
                "--storage" => place = value.parse()?,
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        let task = task.ok_or("--task T1..T8 is missing")?;
        let form = form.unwrap_or_else(|| task.default_form().to_owned());
        if !task.forms().contains(&form.as_str()) {
            return Err(format!("{} has no form {form:?}", task.name()).into());
        }
        let many = matches!(task, Task::T4 | Task::T8);
        Ok(Self {
            task,
            form,
            rows: rows.ok_or("--rows is missing")?,
            runs: runs.unwrap_or(if many { 50 } else { 7 }),
            warmup,
            dir,
            place,
            prepare,
        })
    }
}
