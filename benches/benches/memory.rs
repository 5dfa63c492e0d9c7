//! In memory: parse and load, query, group, edit, a view kept right.
#![allow(missing_docs, reason = "criterion's macros document nothing")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may stop at the first surprise")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use landfall::{DataSource, Value};
use landfall_benches::{data, source};
use std::{hint::black_box, sync::Arc, time::Duration};

const ROWS: usize = 10_000;

fn parse_and_load(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let body: Arc<[u8]> = data::body_of(ROWS).into();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| Value::from_json(black_box(&text)).unwrap()));
    group.bench_function("write", |bencher| {
        let value = Value::from_json(&text).unwrap();
        bencher.iter(|| black_box(&value).to_json());
    });
    group.bench_function("fetch", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let service = source::reading(Arc::clone(&body));
                let products: DataSource =
                    DataSource::builder().transport(service).model(source::model()).build().unwrap();
                products.fetch().await.unwrap();
                products
            })
        });
    });
    group.finish();
}

fn query_and_group(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let products = runtime.block_on(source::loaded(ROWS)).unwrap();
    let mut group = criterion.benchmark_group("query");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, options) in [
        ("filter, sort, page", source::page_query()),
        ("sort by text, page", source::name_query()),
        ("group with aggregates", source::group_query()),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || options.clone(),
                |options| runtime.block_on(async { products.query(options).await }).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn edit_and_view(criterion: &mut Criterion) {
    let runtime = source::runtime().unwrap();
    let products = runtime.block_on(source::loaded(ROWS)).unwrap();
    let mut edit = 0;
    let mut next = move || {
        edit += 1;
        data::edited(edit, ROWS)
    };
    let mut group = criterion.benchmark_group("edit");
    group.bench_function("one field", |bencher| {
        bencher.iter(|| {
            let row = products.at(next()).unwrap();
            let stock = row.get("UnitsInStock").and_then(Value::as_i64).unwrap_or(0);
            products.set(&row, "UnitsInStock", (stock + 1) % 126).unwrap();
        });
    });
    runtime.block_on(async { products.query(source::page_query()).await }).unwrap();
    group.bench_function("one field, page and total after it", |bencher| {
        bencher.iter(|| {
            let row = products.at(next()).unwrap();
            let price = data::price_after(row.get("UnitPrice").and_then(Value::as_f64));
            products.set(&row, "UnitPrice", price).unwrap();
            (products.rows(), products.total())
        });
    });
    group.finish();
}

criterion_group! {
    name = memory;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = parse_and_load, query_and_group, edit_and_view
}
criterion_main!(memory);
