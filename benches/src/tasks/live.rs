//! T8: a view stays right after each edit.

use crate::{
    Outcome,
    args::Args,
    clock::Clock,
    data, rows,
    sample::{Sample, print},
    source,
};
use landfall::Value;

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let mut products = data::products(args.rows);
    runtime.block_on(async {
        let source = source::loaded(args.rows).await?;
        source.query(source::page_query()).await?;
        let mut samples = Vec::new();
        for edit in 0..args.warmup + args.runs {
            let at = data::edited(edit, args.rows);
            let row = source.at(at).ok_or("a row is missing")?;
            let price = data::price_after(row.get("UnitPrice").and_then(Value::as_f64));
            let clock = Clock::start();
            source.set(&row, "UnitPrice", price)?;
            let page = source.rows();
            let total = source.total();
            let time = clock.read();
            let ids: Vec<i64> = page.iter().filter_map(|row| row.get("ProductID").and_then(Value::as_i64)).collect();
            if let Some(product) = products.get_mut(at) {
                product.unit_price = Some(price);
            }
            let (plain, plain_total) = rows::page_in_one_pass(&products);
            let same = ids == plain.iter().map(|id| i64::from(*id)).collect::<Vec<_>>() && total == plain_total;
            if edit >= args.warmup {
                samples.push(
                    Sample::new(time)
                        .expect(same, "page and total after the edit")
                        .with("ids", ids)
                        .with("total", total)
                        .with("standing", "the view's order and total, as of the last query"),
                );
            }
        }
        let last = (source::shown_ids(&source), source.total());
        source.query(source::page_query()).await?;
        let same = last == (source::shown_ids(&source), source.total());
        let samples: Vec<Sample> =
            samples.into_iter().map(|sample| sample.expect(same, "the view equals a fresh one")).collect();
        print(args, &samples)?;
        Ok(())
    })
}
