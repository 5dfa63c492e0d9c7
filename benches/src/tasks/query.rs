//! T2: filter, sort, page. Nothing is kept from one run to the next: `query()` works everything out again.

use crate::{
    Outcome,
    args::Args,
    clock::Clock,
    data::{self, Product},
    rows,
    sample::Sample,
    source,
};
use landfall::Value;

/// What is kept ready between runs, in words.
pub(super) const STANDING: &str = "nothing: every query works filter, order and page out again";

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let products = data::products(args.rows);
    let by_name = args.form == "name";
    let (ids, total) = if by_name { (Vec::new(), args.rows) } else { rows::page_plainly(&products) };
    runtime.block_on(async {
        let source = source::loaded(args.rows).await?;
        for run in 0..args.warmup + args.runs {
            let options = if by_name { source::name_query() } else { source::page_query() };
            let clock = Clock::start();
            source.query(options).await?;
            let page = source.rows();
            let found = source.total();
            let shown: Vec<i64> = page.iter().filter_map(|row| row.get("ProductID").and_then(Value::as_i64)).collect();
            let time = clock.read();
            let mut sample = Sample::new(time)
                .expect(found == total, "the total")
                .with("ids", shown.clone())
                .with("total", found)
                .with("standing", STANDING);
            if by_name {
                sample = sample
                    .expect(is_start_in_order(&shown, &products), "the first names in order")
                    .with("comparison", "Unicode collation, root order; by code points without the feature collation");
            } else {
                sample = sample
                    .expect(rows::expected_total(args.rows).is_none_or(|expected| found == expected), "the known total")
                    .expect(
                        shown == ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(),
                        "the ids of a plain sort",
                    );
            }
            if let Some(run) = run.checked_sub(args.warmup) {
                print_one(args, run, &sample)?;
            }
        }
        Ok(())
    })
}

pub(super) fn print_one(args: &Args, run: usize, sample: &Sample) -> Outcome {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{}", sample.line(args, run))?;
    Ok(())
}

/// Whether these are the smallest names in ascending order, as the library's own comparison of two texts sees them: no
/// name outside of the page is smaller than the last one on it.
fn is_start_in_order(ids: &[i64], products: &[Product]) -> bool {
    use landfall_core::{Query, Record, Rows, Sort, View, process};

    struct Names(Vec<Record>);
    impl Rows for Names {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn record(&self, index: usize) -> &Record {
            static NONE: std::sync::LazyLock<Record> = std::sync::LazyLock::new(Record::new);
            self.0.get(index).unwrap_or(&NONE)
        }
    }
    let name = |id: i64| {
        let at = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        at.and_then(|at| products.get(at)).map(|row| row.product_name.as_str()).unwrap_or_default()
    };
    let record = |name: &str, id: i64| Record::from([("n", Value::from(name)), ("id", Value::from(id))]);
    let mut names: Vec<Record> = ids.iter().map(|id| record(name(*id), *id)).collect();
    let last = ids.last().copied().unwrap_or_default();
    let small: Vec<&Product> =
        products.iter().filter(|row| row.product_name.to_lowercase() <= name(last).to_lowercase()).collect();
    let others = small.iter().filter(|row| !ids.contains(&i64::from(row.product_id)));
    names.extend(others.map(|row| record(&row.product_name, i64::from(row.product_id))));
    let query = Query { sort: vec![Sort::asc("n"), Sort::asc("id")], ..Query::default() };
    let expected: Vec<u32> = (0..).take(ids.len()).collect();
    match process(&Names(names), &query).view {
        View::Rows(order) => order.get(..ids.len()) == Some(expected.as_slice()),
        View::Groups(_) => false,
    }
}
