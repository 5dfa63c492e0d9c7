//! T5: storage opened again: the first page and the list of what is pending, and with the form `first` only these.
//!
//! One process can take several samples: each opens storage and data source from nothing. For a fresh process a sample,
//! ask for one run.

use crate::{
    Outcome,
    args::{Args, Place},
    clock::Clock,
    data,
    sample::{Sample, run as samples},
    source,
};
use landfall::{ChangeKind, DataSource, Value};
use rustix::fs::{Advice, fadvise};
use std::{fs, io::Read, path::Path};

/// How many rows are pending.
const PENDING: usize = 1000;

pub(super) fn run(args: &Args) -> Outcome {
    let (dir, _guard) = source::folder(args)?;
    let runtime = source::runtime()?;
    if args.prepare || args.dir.is_none() {
        runtime.block_on(prepare(args, &dir))?;
        if args.prepare {
            return Ok(());
        }
    }
    let pending = PENDING.min(args.rows);
    let names: Vec<String> =
        data::products(args.rows.min(source::PAGE)).into_iter().map(|row| row.product_name).collect();
    samples(args, || {
        touch_files(&dir, args.form == "cold")?;
        let runtime = source::runtime()?;
        runtime.block_on(async {
            let clock = Clock::start();
            let products = offline(args.place, &dir)?;
            products.online(false).await?;
            if args.form == "first" {
                return first(args, &products, clock, &names, pending).await;
            }
            products.restore().await?;
            let page = products.rows();
            let shown: Vec<&str> =
                page.iter().filter_map(|row| row.get("ProductName").and_then(Value::as_str)).collect();
            let list = products.pending();
            let time = clock.read();
            let marked = list.iter().all(|change| {
                change.kind == ChangeKind::Update
                    && change.record.get("UnitsInStock").and_then(Value::as_i64) == Some(999)
            });
            Ok(Sample::new(time)
                .expect(shown == names, "the first page")
                .expect(list.len() == pending && marked, "the pending rows")
                .expect(products.total() == args.rows, "the total")
                .with("loaded", "all"))
        })
    })
}

/// The form `first`: until the first page and the list are there; the rest comes after it.
async fn first(args: &Args, products: &DataSource, clock: Clock, names: &[String], pending: usize) -> Outcome<Sample> {
    let (show, shown) = std::sync::mpsc::channel();
    products.restore_with(move |first| drop(show.send((clock.read(), first)))).await?;
    let (time, first) = shown.try_recv()?;
    let page: Vec<&str> = first.rows.iter().filter_map(|row| row.get("ProductName").and_then(Value::as_str)).collect();
    let marked = first.pending.iter().all(|change| {
        change.kind == ChangeKind::Update && change.record.get("UnitsInStock").and_then(Value::as_i64) == Some(999)
    });
    Ok(Sample::new(time)
        .expect(page == names, "the first page")
        .expect(first.pending.len() == pending && marked, "the pending rows")
        .expect(first.total == args.rows && products.total() == args.rows, "the total")
        .with("loaded", "the first page and the list"))
}

fn offline(place: Place, dir: &Path) -> Outcome<DataSource> {
    let storage = source::open(place, dir)?;
    Ok(DataSource::builder()
        .transport(source::echoing(b"[]".as_slice().into()))
        .model(source::model())
        .storage(storage, source::KEY)
        .page_size(source::PAGE)
        .build()?)
}

async fn prepare(args: &Args, dir: &Path) -> Outcome {
    let storage = source::open(args.place, dir)?;
    storage.remove(source::KEY).await?;
    let products: DataSource = DataSource::builder()
        .transport(source::reading(data::body_of(args.rows).into()))
        .model(source::model())
        .storage(storage, source::KEY)
        .build()?;
    products.fetch().await?;
    products.online(false).await?;
    let pending = PENDING.min(args.rows);
    for edit in 0..pending {
        let row = products.at(edit * (args.rows / pending)).ok_or("a row is missing")?;
        products.set(&row, "UnitsInStock", 999)?;
    }
    products.sync().await?;
    Ok(())
}

/// Brings the files into the page cache, or puts them out of it.
fn touch_files(dir: &Path, drop_them: bool) -> Outcome {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            touch_files(&path, drop_them)?;
        } else if drop_them {
            let file = fs::File::open(&path)?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        } else {
            fs::File::open(&path)?.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(())
}
