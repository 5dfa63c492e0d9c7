//! T6: going online with pending edits, until everything is accepted and the storage says so.

use super::query::print_one;
use crate::{Outcome, args::Args, clock::Clock, data, sample::Sample, source};
use landfall::{DataSource, Value};
use std::sync::Arc;

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let (dir, _guard) = source::folder(args)?;
    let pending = args.rows / 10;
    runtime.block_on(async {
        let storage = source::open(args.place, &dir)?;
        storage.remove(source::KEY).await?;
        let durable = storage.capability().durable;
        let products: DataSource = DataSource::builder()
            .transport(source::echoing(data::body_of(args.rows).into()))
            .model(source::model())
            .storage(Arc::clone(&storage), source::KEY)
            .page_size(source::PAGE)
            .batch(args.form == "batch")
            .build()?;
        products.fetch().await?;
        for run in 0..args.warmup + args.runs {
            products.online(false).await?;
            for edit in 0..pending {
                let row = products.at(edit * 10).ok_or("a row is missing")?;
                let old = row.get("UnitsInStock").and_then(Value::as_i64).ok_or("no stock")?;
                products.set(&row, "UnitsInStock", data::stock_after(u32::try_from(old)?))?;
            }
            products.sync().await?;
            let before = products.pending().len();
            let clock = Clock::start();
            let report = products.online(true).await?;
            let left = products.pending().len();
            let time = clock.read();
            let state = storage.load(source::KEY).await?;
            let marked = state.rows.iter().filter(|row| row.state.is_some()).count();
            let sample = Sample::new(time)
                .expect(before == pending && report.done() == pending, "every edit was accepted")
                .expect(left == 0 && !products.has_changes(), "nothing is pending")
                .expect(marked == 0 && state.rows.len() == args.rows, "the storage says so")
                .with("pending", pending)
                .with("durable", durable);
            if let Some(run) = run.checked_sub(args.warmup) {
                print_one(args, run, &sample)?;
            }
        }
        Ok(())
    })
}
