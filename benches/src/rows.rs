//! The answers of the tasks, worked out on typed rows: what every check compares with and what the limit programs time.

use crate::data::Product;
use std::cmp::Ordering;

/// How many matching rows T2 has to find, where the definition says.
pub fn expected_total(rows: usize) -> Option<usize> {
    match rows {
        1_000 => Some(286),
        10_000 => Some(2_671),
        100_000 => Some(26_368),
        1_000_000 => Some(264_549),
        _ => None,
    }
}

/// Whether T2's filter lets a row pass.
pub fn passes(row: &Product) -> bool {
    row.unit_price.is_some_and(|price| price > 50.0) && contains_an(&row.product_name)
}

/// Whether a text contains "an", case ignored. No letter outside of ASCII becomes one of the two in lower case.
fn contains_an(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| matches!(pair, [b'a' | b'A', b'n' | b'N']))
}

/// T2's order; ties are left as they are.
pub fn by_category_and_price(a: &Product, b: &Product) -> Ordering {
    a.category_id.cmp(&b.category_id).then_with(|| b.unit_price.partial_cmp(&a.unit_price).unwrap_or(Ordering::Equal))
}

/// T2 by a plain filter and a full stable sort: the ids of the first page, and the total.
pub fn page_plainly(rows: &[Product]) -> (Vec<u32>, usize) {
    let mut found: Vec<&Product> = rows.iter().filter(|row| passes(row)).collect();
    found.sort_by(|a, b| by_category_and_price(a, b));
    (found.iter().take(20).map(|row| row.product_id).collect(), found.len())
}

/// T2 in one pass that keeps the best 20.
pub fn page_in_one_pass(rows: &[Product]) -> (Vec<u32>, usize) {
    let mut best: Vec<&Product> = Vec::with_capacity(21);
    let mut total = 0;
    for row in rows {
        if !passes(row) {
            continue;
        }
        total += 1;
        if let (20, Some(last)) = (best.len(), best.last())
            && by_category_and_price(row, last) != Ordering::Less
        {
            continue;
        }
        let place = best.partition_point(|known| by_category_and_price(known, row) != Ordering::Greater);
        best.insert(place, row);
        best.truncate(20);
    }
    (best.iter().map(|row| row.product_id).collect(), total)
}

/// A group of T3.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the members are the aggregates")]
pub struct Summary {
    pub category: u32,
    pub sum: f64,
    pub average: f64,
    pub min: f64,
    pub max: f64,
    pub count: usize,
    /// Positions of the rows, where asked for.
    pub rows: Vec<u32>,
}

/// T3 in one pass; categories are small numbers, as a program that knows its data would use.
pub fn groups(rows: &[Product], lists: bool) -> Vec<Summary> {
    let mut groups: Vec<(Summary, usize)> = Vec::new();
    for (at, row) in (0_u32..).zip(rows) {
        let index = usize::try_from(row.category_id).unwrap_or(0);
        if groups.len() <= index {
            groups.resize(index + 1, (Summary { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Summary::default() }, 0));
        }
        let Some((group, priced)) = groups.get_mut(index) else { continue };
        group.category = row.category_id;
        group.count += 1;
        if let Some(price) = row.unit_price {
            *priced += 1;
            group.sum += price;
            group.min = group.min.min(price);
            group.max = group.max.max(price);
        }
        if lists {
            group.rows.push(at);
        }
    }
    groups
        .into_iter()
        .filter(|(group, _)| group.count > 0)
        .map(|(mut group, priced)| {
            group.average = group.sum / f64::from(u32::try_from(priced).unwrap_or(u32::MAX));
            group
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::products;

    #[test]
    fn both_ways_to_a_page_agree() {
        for rows in [1_000, 10_000] {
            let products = products(rows);
            let plain = page_plainly(&products);
            assert_eq!(Some(plain.1), expected_total(rows));
            assert_eq!(page_in_one_pass(&products), plain);
        }
    }

    #[test]
    fn groups_count_every_row() {
        let groups = groups(&products(1000), true);
        assert_eq!(groups.len(), 8);
        assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), 1000);
        assert!(groups.iter().all(|group| group.rows.len() == group.count && group.min <= group.average));
    }
}
