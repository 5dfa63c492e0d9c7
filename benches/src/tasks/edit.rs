//! T4: one edit made and kept safe, offline.

use crate::{
    Outcome,
    args::Args,
    clock::Clock,
    data,
    sample::{Sample, print},
    source,
};
use landfall::{ChangeKind, DataSource, Record, Value};
use std::{collections::HashMap, sync::Arc};

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let (dir, _guard) = source::folder(args)?;
    runtime.block_on(async {
        let storage = source::open(args.place, &dir)?;
        storage.remove(source::KEY).await?;
        let durable = storage.capability().durable;
        let products: DataSource = DataSource::builder()
            .transport(source::reading(data::body_of(args.rows).into()))
            .model(source::model())
            .storage(Arc::clone(&storage), source::KEY)
            .page_size(source::PAGE)
            .build()?;
        products.fetch().await?;
        products.online(false).await?;
        let mut samples = Vec::new();
        let mut wanted: Vec<(usize, i64)> = Vec::new();
        for edit in 0..args.warmup + args.runs {
            let at = data::edited(edit, args.rows);
            let row = products.at(at).ok_or("a row is missing")?;
            let old = row.get("UnitsInStock").and_then(Value::as_i64).ok_or("no stock")?;
            let stock = data::stock_after(u32::try_from(old)?);
            let clock = Clock::start();
            products.set(&row, "UnitsInStock", stock)?;
            products.sync().await?;
            let time = clock.read();
            wanted.push((at, i64::from(stock)));
            if edit >= args.warmup {
                samples.push(Sample::new(time).with("durable", durable));
            }
        }
        // What the storage itself says, apart from the data source.
        let state = storage.load(source::KEY).await?;
        let mut stored: HashMap<i64, (Option<ChangeKind>, Option<i64>)> = HashMap::new();
        for row in &state.rows {
            let record = Record::from_json(&row.record)?;
            let number = |name: &str| record.get(name).and_then(Value::as_i64);
            stored.insert(number("ProductID").unwrap_or(0), (row.state, number("UnitsInStock")));
        }
        let last: HashMap<usize, i64> = wanted.iter().copied().collect();
        let samples: Vec<Sample> = samples
            .into_iter()
            .zip(wanted.iter().skip(args.warmup))
            .map(|(sample, (at, _))| {
                let id = i64::try_from(at + 1).unwrap_or(0);
                let found = stored.get(&id).copied();
                let expected = (Some(ChangeKind::Update), last.get(at).copied());
                sample.expect(found == Some(expected), "the edit and its mark are stored")
            })
            .collect();
        print(args, &samples)?;
        Ok(())
    })
}
