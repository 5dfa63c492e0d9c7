//! Runs `tasks` and `limits` in turn and prints a table of medians and ratios: `ratios [--rows N,N,..] [--tasks T1,T2,..]
//! [--rounds R]`. CPU time, wall time where the disk is waited for, bytes for T7.
#![forbid(unsafe_code)]

use landfall_benches::{Outcome, args::Task};
use std::{io::Write, process::Command};

struct Case {
    task: Task,
    form: &'static str,
    storage: &'static str,
}

impl Case {
    fn all() -> Vec<Self> {
        let case = |task, form, storage| Self { task, form, storage };
        vec![
            case(Task::T1, "", ""),
            case(Task::T2, "page", ""),
            case(Task::T2, "name", ""),
            case(Task::T3, "aggregates", ""),
            case(Task::T3, "rows", ""),
            case(Task::T4, "", "file"),
            case(Task::T4, "", "sqlite"),
            case(Task::T5, "cached", "file"),
            case(Task::T5, "cached", "sqlite"),
            case(Task::T5, "cold", "sqlite"),
            case(Task::T5, "first", "file"),
            case(Task::T5, "first", "sqlite"),
            case(Task::T6, "single", "sqlite"),
            case(Task::T6, "batch", "sqlite"),
            case(Task::T7, "", ""),
            case(Task::T8, "", ""),
        ]
    }

    /// Which member of a sample counts, and how many of it make the unit that is printed.
    fn measure(&self) -> (&'static str, f64, &'static str) {
        match (self.task, self.form) {
            (Task::T7, _) => ("bytes", 1024.0 * 1024.0, "MiB"),
            (Task::T4, _) | (_, "cold") => ("wall_s", 1e-3, "ms"),
            _ => ("cpu_s", 1e-3, "ms"),
        }
    }

    fn samples(&self, program: &str, rows: usize, first: bool) -> Outcome<Vec<serde_json::Value>> {
        let exe = std::env::current_exe()?.with_file_name(program);
        let mut command = Command::new(exe);
        command.args(["--task", &self.task.name(), "--rows", &rows.to_string()]);
        if !self.form.is_empty() {
            command.args(["--form", self.form]);
        }
        if !self.storage.is_empty() {
            command.args(["--storage", self.storage]);
        }
        let runs = match self.task {
            Task::T4 | Task::T8 => "20",
            Task::T7 => "1",
            Task::T6 => "2",
            _ => "3",
        };
        command.args(["--runs", runs]);
        if self.task == Task::T7 {
            command.args(["--warmup", "0"]);
        }
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{program} {}: {said}", self.task.name()).into());
        }
        let lines = String::from_utf8(output.stdout)?;
        let samples: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        for sample in samples.iter().filter(|sample| sample.get("check").is_none_or(|check| check != "ok")) {
            if first {
                eprintln_line(&format!("{program}: {sample}"));
            }
        }
        Ok(samples)
    }
}

fn eprintln_line(text: &str) {
    // Nobody reads it when standard error is closed.
    let _written = writeln!(std::io::stderr().lock(), "{text}");
}

/// Median, smallest and largest.
fn spread(samples: &[serde_json::Value], member: &str) -> (f64, f64, f64) {
    let mut values: Vec<f64> =
        samples.iter().filter_map(|sample| sample.get(member).and_then(serde_json::Value::as_f64)).collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

fn checks(samples: &[serde_json::Value]) -> &'static str {
    if samples.iter().all(|sample| sample.get("check").is_some_and(|check| check == "ok")) { "ok" } else { "FAILED" }
}

fn main() -> Outcome {
    let (mut rows, mut tasks, mut rounds) = (vec![1_000, 10_000, 100_000], Task::ALL.to_vec(), 3);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or("an option lacks its value")?;
        match name.as_str() {
            "--rows" => rows = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--tasks" => tasks = value.split(',').map(str::parse).collect::<Outcome<_>>()?,
            "--rounds" => rounds = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "| task | form | N | landfall | by hand | ratio | spread | checks |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for case in Case::all().iter().filter(|case| tasks.contains(&case.task)) {
        for &rows in &rows {
            if rows > 100_000 && matches!(case.task, Task::T4 | Task::T5 | Task::T6) {
                continue;
            }
            let (mut ours, mut limits) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                ours.extend(case.samples("tasks", rows, round == 0)?);
                limits.extend(case.samples("limits", rows, round == 0)?);
            }
            let (member, unit, name) = case.measure();
            let (median, least, most) = spread(&ours, member);
            let (limit, ..) = spread(&limits, member);
            writeln!(
                out,
                "| {} | {} {} | {rows} | {:.3} {name} | {:.3} {name} | {:.2} | {:.3}..{:.3} | {} |",
                case.task.name(),
                case.form,
                case.storage,
                median / unit,
                limit / unit,
                median / limit,
                least / unit,
                most / unit,
                checks(&ours),
            )?;
            out.flush()?;
        }
    }
    Ok(())
}
