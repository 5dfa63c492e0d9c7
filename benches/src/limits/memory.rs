//! T1, T2, T3, T7 and T8 on a `Vec` of structs.

use crate::{
    Outcome,
    args::Args,
    clock::{self, Clock},
    data::{self, Product},
    rows,
    sample::{Sample, print, run as samples},
    tasks::in_processes,
};

pub(super) fn load(args: &Args) -> Outcome {
    let body = data::body_of(args.rows);
    samples(args, || {
        let clock = Clock::start();
        let rows: Vec<Product> = serde_json::from_slice(&body)?;
        let letters: usize = rows.iter().take(20).map(|row| row.product_name.len()).sum();
        let time = clock.read();
        std::hint::black_box(letters);
        Ok(Sample::new(time).expect(rows.len() == args.rows, "the total is N"))
    })
}

pub(super) fn query(args: &Args) -> Outcome {
    let products = data::products(args.rows);
    if args.form == "name" {
        return samples(args, || {
            let clock = Clock::start();
            let mut all: Vec<&Product> = products.iter().collect();
            let order =
                |a: &&Product, b: &&Product| a.product_name.cmp(&b.product_name).then(a.product_id.cmp(&b.product_id));
            if all.len() > 20 {
                all.select_nth_unstable_by(19, order);
                all.truncate(20);
            }
            all.sort_unstable_by(order);
            let ids: Vec<u32> = all.iter().map(|row| row.product_id).collect();
            Ok(Sample::new(clock.read()).with("ids", ids).with("total", args.rows).with("comparison", "binary"))
        });
    }
    let plain = rows::page_plainly(&products);
    samples(args, || {
        let clock = Clock::start();
        let found = rows::page_in_one_pass(&products);
        let time = clock.read();
        Ok(Sample::new(time)
            .expect(found == plain, "the page of a plain sort")
            .with("ids", found.0)
            .with("total", found.1)
            .with("standing", "nothing"))
    })
}

pub(super) fn group(args: &Args) -> Outcome {
    let products = data::products(args.rows);
    let lists = args.form == "rows";
    samples(args, || {
        let clock = Clock::start();
        let groups = rows::groups(&products, lists);
        let walked: u64 = groups.iter().flat_map(|group| &group.rows).map(|at| u64::from(*at)).sum();
        let time = clock.read();
        std::hint::black_box(walked);
        let count: usize = groups.iter().map(|group| group.count).sum();
        Ok(Sample::new(time).expect(count == args.rows, "the counts add up to N"))
    })
}

pub(super) fn memory(args: &Args) -> Outcome {
    in_processes(args, || {
        let before = clock::resident();
        let body = data::body_of(args.rows);
        let clock = Clock::start();
        let rows: Vec<Product> = serde_json::from_slice(&body)?;
        let time = clock.read();
        drop(body);
        let bytes = clock::resident().saturating_sub(before);
        Ok(Sample::new(time)
            .expect(rows.len() == args.rows, "N rows are loaded")
            .with("bytes", bytes)
            .with("bytes_a_row", bytes / (args.rows.max(1) as u64)))
    })
}

pub(super) fn live(args: &Args) -> Outcome {
    let mut products = data::products(args.rows);
    let mut all = Vec::new();
    for edit in 0..args.warmup + args.runs {
        let at = data::edited(edit, args.rows);
        let clock = Clock::start();
        if let Some(product) = products.get_mut(at) {
            product.unit_price = Some(data::price_after(product.unit_price));
        }
        let found = rows::page_in_one_pass(&products);
        let time = clock.read();
        if edit >= args.warmup {
            let same = found == rows::page_plainly(&products);
            all.push(
                Sample::new(time)
                    .expect(same, "the page of a plain sort")
                    .with("total", found.1)
                    .with("ids", found.0)
                    .with("standing", "nothing"),
            );
        }
    }
    print(args, &all)?;
    Ok(())
}
