//! T3: groups with aggregates; with the form `rows` the rows of each group are walked through as well.

use super::query::print_one;
use crate::{
    Outcome,
    args::Args,
    clock::Clock,
    data,
    rows::{self, Summary},
    sample::Sample,
    source,
};
use landfall::{Record, Value, View};

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = source::runtime()?;
    let lists = args.form == "rows";
    let expected = rows::groups(&data::products(args.rows), true);
    runtime.block_on(async {
        let source = source::loaded(args.rows).await?;
        for run in 0..args.warmup + args.runs {
            let clock = Clock::start();
            source.query(source::group_query()).await?;
            let view = source.view_positions();
            let mut walked = 0_u64;
            if lists && let View::Groups(groups) = &view {
                for group in groups {
                    walked += group.items.flat().iter().map(|at| u64::from(*at)).sum::<u64>();
                }
            }
            let time = clock.read();
            std::hint::black_box(walked);
            let groups: Vec<Summary> = match &view {
                View::Groups(groups) => groups
                    .iter()
                    .map(|group| summary(group.value.as_ref(), &group.aggregates, group.items.flat()))
                    .collect(),
                View::Rows(_) => Vec::new(),
            };
            let shown: Vec<serde_json::Value> = groups
                .iter()
                .map(|group| {
                    serde_json::json!({
                        "value": group.category, "count": group.count, "sum": group.sum, "average": group.average,
                        "min": group.min, "max": group.max,
                    })
                })
                .collect();
            let sample = Sample::new(time)
                .expect(groups.iter().map(|group| group.count).sum::<usize>() == args.rows, "the counts add up to N")
                .expect(agree(&groups, &expected), "groups, aggregates and rows of a plain pass")
                .with("groups", shown);
            if let Some(run) = run.checked_sub(args.warmup) {
                print_one(args, run, &sample)?;
            }
        }
        Ok(())
    })
}

fn summary(value: Option<&Value>, aggregates: &Record, rows: Vec<u32>) -> Summary {
    let of =
        |name: &str| aggregates.get("UnitPrice").and_then(Value::as_object).and_then(|field| field.get(name)).cloned();
    let number = |name: &str| of(name).as_ref().and_then(Value::as_f64).unwrap_or(f64::NAN);
    Summary {
        category: value.and_then(Value::as_i64).and_then(|id| u32::try_from(id).ok()).unwrap_or(0),
        sum: number("sum"),
        average: number("average"),
        min: number("min"),
        max: number("max"),
        count: of("count").as_ref().and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        rows,
    }
}

/// Sums may differ in the last digits: whole numbers are added exactly.
fn agree(groups: &[Summary], expected: &[Summary]) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    groups.len() == expected.len()
        && groups.iter().zip(expected).all(|(a, b)| {
            a.category == b.category
                && a.count == b.count
                && a.rows == b.rows
                && near(a.sum, b.sum)
                && near(a.average, b.average)
                && near(a.min, b.min)
                && near(a.max, b.max)
        })
}
