//! T7: what N loaded rows take. Every sample is taken in a process of its own, since memory once used is not always given
//! back.

use crate::{
    Outcome,
    args::Args,
    clock::{self, Clock},
    data,
    sample::{Sample, print},
    source,
};
use landfall::DataSource;
use std::io::Write;

/// Runs the samples of T7, each in a process of its own: `take` measures in the one it is called in.
///
/// # Errors
/// The operating system's.
pub(crate) fn in_processes(args: &Args, take: impl FnOnce() -> Outcome<Sample>) -> Outcome {
    if std::env::var_os("LANDFALL_BENCH_INNER").is_some() || args.warmup == 0 && args.runs == 1 {
        return Ok(print(args, &[take()?])?);
    }
    for run in 0..args.runs {
        let rows = args.rows.to_string();
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["--task", "T7", "--runs", "1", "--warmup", "0", "--rows", &rows])
            .env("LANDFALL_BENCH_INNER", "1")
            .output()?;
        let mut line: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        if let Some(line) = line.as_object_mut() {
            line.insert("run".to_owned(), run.into());
        }
        writeln!(std::io::stdout().lock(), "{line}")?;
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> Outcome {
    in_processes(args, || {
        let runtime = source::runtime()?;
        runtime.block_on(async {
            let before = clock::resident();
            let body = data::body_of(args.rows);
            let clock = Clock::start();
            let products: DataSource = DataSource::builder()
                .transport(source::reading_once(body))
                .model(source::model())
                .page_size(source::PAGE)
                .build()?;
            products.fetch().await?;
            let time = clock.read();
            let bytes = clock::resident().saturating_sub(before);
            Ok(Sample::new(time)
                .expect(products.total() == args.rows && bytes > 0, "N rows are loaded")
                .with("bytes", bytes)
                .with("bytes_a_row", bytes / (args.rows.max(1) as u64)))
        })
    })
}
