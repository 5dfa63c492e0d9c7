//! T1: from the bytes of the answer to the first page read.

use crate::{
    Outcome,
    args::Args,
    clock::Clock,
    data,
    sample::{Sample, run as samples},
    source,
};
use landfall::{DataSource, Date, Value};
use std::sync::Arc;

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let body: Arc<[u8]> = data::body_of(args.rows).into();
    let names: Vec<String> =
        data::products(args.rows.min(source::PAGE)).into_iter().map(|row| row.product_name).collect();
    let last = data::Generator::default().take(args.rows).last();
    samples(args, || {
        runtime.block_on(async {
            let service = source::reading(Arc::clone(&body));
            let clock = Clock::start();
            let products: DataSource =
                DataSource::builder().transport(service).model(source::model()).page_size(source::PAGE).build()?;
            products.fetch().await?;
            let total = products.total();
            let page = products.rows();
            let shown: Vec<&str> =
                page.iter().filter_map(|row| row.get("ProductName").and_then(Value::as_str)).collect();
            let time = clock.read();
            let created = args.rows.checked_sub(1).and_then(|at| products.at(at));
            let created = created.and_then(|row| row.get("CreatedAt").and_then(Value::as_date)).map(Date::millis);
            Ok(Sample::new(time)
                .expect(total == args.rows, "the total is N")
                .expect(shown == names, "the first page in load order")
                .expect(created == last.as_ref().map(|row| row.created_at), "CreatedAt is an instant"))
        })
    })
}
