//! With a storage: commit of one edit, reopening, sync. Waits for the disk where the storage does.
#![allow(missing_docs, reason = "criterion's macros document nothing")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may stop at the first surprise")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use landfall::{
    DataSource, Value,
    storage::{FileStorage, MemoryStorage, SqliteStorage, Storage},
};
use landfall_benches::{data, source};
use std::{path::Path, sync::Arc, time::Duration};

const ROWS: usize = 10_000;

fn storages(dir: &Path) -> [(&'static str, Arc<dyn Storage>); 3] {
    [
        ("memory", Arc::new(MemoryStorage::new())),
        ("file", Arc::new(FileStorage::open(dir.join("file")).unwrap())),
        ("sqlite", Arc::new(SqliteStorage::open(dir.join("store.sqlite")).unwrap())),
    ]
}

async fn products(storage: &Arc<dyn Storage>, batch: bool) -> DataSource {
    let products = DataSource::builder()
        .transport(source::echoing(data::body_of(ROWS).into()))
        .model(source::model())
        .storage(Arc::clone(storage), source::KEY)
        .page_size(source::PAGE)
        .batch(batch)
        .build()
        .unwrap();
    products.fetch().await.unwrap();
    products.online(false).await.unwrap();
    products
}

fn edit(products: &DataSource, at: usize) {
    let row = products.at(at).unwrap();
    let stock = row.get("UnitsInStock").and_then(Value::as_i64).unwrap_or(0);
    products.set(&row, "UnitsInStock", (stock + 1) % 126).unwrap();
}

fn commit_one_edit(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let mut group = criterion.benchmark_group("commit of one edit");
    for (name, storage) in storages(dir.path()) {
        let products = runtime.block_on(products(&storage, false));
        let mut edits = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                edits += 1;
                edit(&products, data::edited(edits, ROWS));
                runtime.block_on(async { products.sync().await }).unwrap();
            });
        });
    }
    group.finish();
}

fn reopen(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let mut group = criterion.benchmark_group("reopen");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, storage) in storages(dir.path()) {
        drop(runtime.block_on(products(&storage, false)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let products: DataSource = DataSource::builder()
                        .transport(source::echoing(b"[]".as_slice().into()))
                        .model(source::model())
                        .storage(Arc::clone(&storage), source::KEY)
                        .build()
                        .unwrap();
                    products.restore().await.unwrap();
                    assert_eq!(products.len(), ROWS);
                    products
                })
            });
        });
    }
    group.finish();
}

fn sync(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let mut group = criterion.benchmark_group("sync of 1000 edits");
    group.throughput(Throughput::Elements(1000));
    for (name, storage) in storages(dir.path()) {
        for (form, batch) in [("one by one", false), ("batch", true)] {
            let products = runtime.block_on(products(&storage, batch));
            group.bench_function(format!("{name}, {form}"), |bencher| {
                bencher.iter_batched(
                    || {
                        runtime.block_on(async {
                            products.online(false).await.unwrap();
                            for at in 0..1000 {
                                edit(&products, at * 10);
                            }
                            products.sync().await.unwrap();
                        });
                    },
                    |()| {
                        let report = runtime.block_on(async { products.online(true).await }).unwrap();
                        assert_eq!(report.done(), 1000);
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// The time a removal must not grow with their number: each answer finds its row among the removed.
fn sync_of_removals(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let mut group = criterion.benchmark_group("sync of removals");
    for count in [500_usize, 1000, 4000] {
        group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
        group.bench_function(format!("{count} removals, one by one"), |bencher| {
            bencher.iter_batched(
                || {
                    runtime.block_on(async {
                        let service = source::echoing(data::body_of(ROWS).into()).destroy_sync(|_| Ok(Value::Null));
                        let products = DataSource::builder().transport(service).model(source::model());
                        let products = products.storage(MemoryStorage::new(), source::KEY).build().unwrap();
                        products.fetch().await.unwrap();
                        products.online(false).await.unwrap();
                        for at in (ROWS - count..ROWS).rev() {
                            products.remove(products.at(at).unwrap()).unwrap();
                        }
                        products.sync().await.unwrap();
                        products
                    })
                },
                |products| {
                    let report = runtime.block_on(async { products.online(true).await }).unwrap();
                    assert_eq!(report.done(), count);
                    products
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = storage;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = commit_one_edit, reopen, sync, sync_of_removals
}
criterion_main!(storage);
