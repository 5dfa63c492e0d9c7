//! T4, T5 and T6 on a plain file or plain SQLite.

use crate::{
    Outcome,
    args::{Args, Place},
    clock::Clock,
    data::{self, Product},
    sample::{Sample, print, run as samples},
    source,
};
use rusqlite::{Connection, params};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
};

/// The settings of landfall's own storage.
fn connect(dir: &Path) -> Outcome<Connection> {
    let connection = Connection::open(dir.join("limits.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 200)?;
    connection.execute_batch(
        "DROP TABLE IF EXISTS rows; CREATE TABLE rows(id INTEGER PRIMARY KEY, marker TEXT, record TEXT NOT NULL) STRICT",
    )?;
    Ok(connection)
}

fn fill(connection: &mut Connection, products: &[Product]) -> Outcome {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO rows(id, record) VALUES(?1, ?2)")?;
        for product in products {
            insert.execute(params![product.product_id, serde_json::to_string(product)?])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

pub(super) fn edit(args: &Args) -> Outcome {
    let (dir, _guard) = source::folder(args)?;
    let mut products = data::products(args.rows);
    let mut all = Vec::new();
    match args.place {
        Place::File => {
            let mut file = OpenOptions::new().create(true).append(true).open(dir.join("limits.log"))?;
            for product in &products {
                serde_json::to_writer(&file, product)?;
            }
            file.sync_data()?;
            for edit in 0..args.warmup + args.runs {
                let clock = Clock::start();
                let product = products.get_mut(data::edited(edit, args.rows)).ok_or("a row is missing")?;
                product.units_in_stock = data::stock_after(product.units_in_stock);
                let mut line = serde_json::to_vec(product)?;
                line.push(b'\n');
                file.write_all(&line)?;
                file.sync_data()?;
                all.push(Sample::new(clock.read()).with("durable", true));
            }
        }
        Place::Sqlite => {
            let mut connection = connect(&dir)?;
            fill(&mut connection, &products)?;
            for edit in 0..args.warmup + args.runs {
                let clock = Clock::start();
                let product = products.get_mut(data::edited(edit, args.rows)).ok_or("a row is missing")?;
                product.units_in_stock = data::stock_after(product.units_in_stock);
                connection
                    .prepare_cached("UPDATE rows SET marker = 'update', record = ?2 WHERE id = ?1")?
                    .execute(params![product.product_id, serde_json::to_string(product)?])?;
                all.push(Sample::new(clock.read()).with("durable", true));
            }
        }
    }
    print(args, all.get(args.warmup..).unwrap_or_default())?;
    Ok(())
}

/// The rows as lines of a file, read and parsed one after another.
pub(super) fn reopen(args: &Args) -> Outcome {
    let (dir, _guard) = source::folder(args)?;
    let path = dir.join("limits.lines");
    let mut file = std::io::BufWriter::new(File::create(&path)?);
    for product in data::Generator::default().take(args.rows) {
        serde_json::to_writer(&mut file, &product)?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()?;
    if args.form == "cached" {
        fs::read(&path)?;
    }
    samples(args, || {
        if args.form == "cold" {
            rustix::fs::fadvise(File::open(&path)?, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        let clock = Clock::start();
        let mut reader = BufReader::with_capacity(1 << 16, File::open(&path)?);
        let mut line = Vec::with_capacity(512);
        let mut rows: Vec<Product> = Vec::with_capacity(args.rows);
        while reader.read_until(b'\n', &mut line)? > 0 {
            rows.push(serde_json::from_slice(&line)?);
            line.clear();
        }
        let time = clock.read();
        Ok(Sample::new(time).expect(rows.len() == args.rows, "N rows").with("loaded", "all"))
    })
}

pub(super) fn sync(args: &Args) -> Outcome {
    let (dir, _guard) = source::folder(args)?;
    let mut products = data::products(args.rows);
    let mut connection = connect(&dir)?;
    fill(&mut connection, &products)?;
    let pending = args.rows / 10;
    let batch = args.form == "batch";
    samples(args, || {
        let mut edits = Vec::with_capacity(pending);
        for product in products.iter_mut().step_by(10).take(pending) {
            product.units_in_stock = data::stock_after(product.units_in_stock);
            edits.push(product.clone());
        }
        let clock = Clock::start();
        let answers: Vec<Product> = if batch {
            serde_json::from_str(&serde_json::to_string(&edits)?)?
        } else {
            let answer =
                |row: &Product| -> Outcome<Product> { Ok(serde_json::from_str(&serde_json::to_string(row)?)?) };
            edits.iter().map(answer).collect::<Outcome<_>>()?
        };
        let transaction = connection.transaction()?;
        {
            let mut update = transaction.prepare_cached("UPDATE rows SET marker = NULL, record = ?2 WHERE id = ?1")?;
            for row in &answers {
                update.execute(params![row.product_id, serde_json::to_string(row)?])?;
            }
        }
        transaction.commit()?;
        let time = clock.read();
        Ok(Sample::new(time)
            .expect(answers == edits, "every edit was answered")
            .with("pending", pending)
            .with("durable", true))
    })
}
