//! The benchmark's table `Product`: generator, JSON body, edits. The same bytes on every machine.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

const WORDS: [&str; 64] = [
    "Alpine",
    "Amber",
    "Anchovy",
    "Apple",
    "Barley",
    "Basil",
    "Brioche",
    "Butter",
    "Cacao",
    "Caviar",
    "Cedar",
    "Cheddar",
    "Chèvre",
    "Chili",
    "Cider",
    "Clover",
    "Coconut",
    "Coffee",
    "Crème",
    "Curry",
    "Dill",
    "Fennel",
    "Fig",
    "Ginger",
    "Gouda",
    "Granola",
    "Guaraná",
    "Honey",
    "Jalapeño",
    "Jam",
    "Kiwi",
    "Lager",
    "Lemon",
    "Lentil",
    "Mango",
    "Maple",
    "Miso",
    "Mocha",
    "Mostaza",
    "Mühle",
    "Noodle",
    "Nougat",
    "Oat",
    "Olive",
    "Orange",
    "Pâté",
    "Pecan",
    "Pepper",
    "Piñon",
    "Plum",
    "Quinoa",
    "Ranch",
    "Rice",
    "Rosé",
    "Saffron",
    "Salmón",
    "Sesame",
    "Smörgås",
    "Tofu",
    "Truffle",
    "Vanilla",
    "Walnut",
    "Yuzu",
    "Zander",
];

const UNITS: [&str; 8] =
    ["boxes", "bottles x 250 ml", "jars x 12 oz", "kg pkg.", "bags x 1 kg", "cans x 330 ml", "tins", "pieces"];

/// A row as a program without landfall would hold it: what the limit programs work on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the table")]
pub struct Product {
    #[serde(rename = "ProductID")]
    pub product_id: u32,
    pub product_name: String,
    #[serde(rename = "SupplierID")]
    pub supplier_id: u32,
    #[serde(rename = "CategoryID")]
    pub category_id: u32,
    pub quantity_per_unit: String,
    pub unit_price: Option<f64>,
    pub units_in_stock: u32,
    pub units_on_order: u32,
    pub reorder_level: u32,
    pub discontinued: bool,
    /// Milliseconds since 1970 UTC.
    #[serde(with = "instant")]
    pub created_at: i64,
}

/// Instants as ISO 8601 text in JSON.
mod instant {
    use landfall_core::Date;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
    pub(super) fn serialize<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Date::from_millis(*millis))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        super::millis(&text).ok_or_else(|| D::Error::custom("no instant"))
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS.000Z` by hand, as fast as it goes.
fn millis(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.as_bytes()
            .get(from..to)?
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, thousandth) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + thousandth)
}

/// The generator: xorshift of 32 bits.
#[derive(Debug)]
pub struct Generator {
    state: u32,
    next_id: u32,
}

impl Default for Generator {
    fn default() -> Self {
        Self { state: 2_463_534_242, next_id: 1 }
    }
}

impl Generator {
    fn full(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn draw(&mut self) -> u32 {
        self.full() >> 8
    }

    fn name(&mut self) -> String {
        let count = 2 + self.draw() % 3;
        let mut name = String::new();
        for word in 0..count {
            let draw = self.draw();
            let text = pick(&WORDS, draw & 63);
            if word > 0 {
                name.push(' ');
            }
            match (draw >> 6) & 7 {
                0 => name.push_str(&text.to_uppercase()),
                1 => name.push_str(&text.to_lowercase()),
                _ => name.push_str(text),
            }
        }
        if name.chars().count() < 8 {
            name.push_str(" Box");
        }
        name
    }
}

fn pick(list: &[&'static str], index: u32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| list.get(index)).copied().unwrap_or_default()
}

impl Iterator for Generator {
    type Item = Product;

    fn next(&mut self) -> Option<Product> {
        let product_id = self.next_id;
        self.next_id += 1;
        let product_name = self.name();
        let supplier_id = 1 + self.draw() % 29;
        let category_id = 1 + self.draw() % 8;
        let amount = 1 + self.draw() % 48;
        let unit = pick(&UNITS, self.draw() % 8);
        let is_null = self.draw().is_multiple_of(50);
        let cents = self.draw() % 20_000;
        let units_in_stock = self.draw() % 126;
        let ordered = self.draw() % 400;
        let reorder_level = (self.draw() % 7) * 5;
        let discontinued = self.draw().is_multiple_of(9);
        let created = 1_577_836_800 + i64::from(self.full() % 157_680_000);
        Some(Product {
            product_id,
            product_name,
            supplier_id,
            category_id,
            quantity_per_unit: format!("{amount} {unit}"),
            unit_price: (!is_null).then(|| f64::from(cents) / 100.0),
            units_in_stock,
            units_on_order: if ordered < 100 { ordered } else { 0 },
            reorder_level,
            discontinued,
            created_at: created * 1000,
        })
    }
}

/// The first N rows.
pub fn products(rows: usize) -> Vec<Product> {
    Generator::default().take(rows).collect()
}

/// The rows as the service sends them: a JSON array without white space, numbers in their shortest form.
pub fn body(products: &[Product]) -> Vec<u8> {
    // A row is about 252 bytes.
    let mut out = String::with_capacity(products.len() * 256 + 2);
    out.push('[');
    for (at, product) in products.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_row(&mut out, product);
    }
    out.push(']');
    out.into_bytes()
}

/// The body of the first N rows, without holding the rows.
pub fn body_of(rows: usize) -> Vec<u8> {
    let mut out = String::with_capacity(rows * 256 + 2);
    out.push('[');
    for (at, product) in Generator::default().take(rows).enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_row(&mut out, &product);
    }
    out.push(']');
    out.into_bytes()
}

fn push_row(out: &mut String, row: &Product) {
    let price = row.unit_price.map_or_else(|| "null".to_owned(), |price| price.to_string());
    // Names and units hold nothing that JSON escapes. Writing to a text cannot fail.
    let _written = write!(
        out,
        r#"{{"ProductID":{},"ProductName":"{}","SupplierID":{},"CategoryID":{},"QuantityPerUnit":"{}","UnitPrice":{price},"UnitsInStock":{},"UnitsOnOrder":{},"ReorderLevel":{},"Discontinued":{},"CreatedAt":"{}"}}"#,
        row.product_id,
        row.product_name,
        row.supplier_id,
        row.category_id,
        row.quantity_per_unit,
        row.units_in_stock,
        row.units_on_order,
        row.reorder_level,
        row.discontinued,
        landfall_core::Date::from_millis(row.created_at),
    );
}

/// The position of the row that edit number `edit` touches.
pub fn edited(edit: usize, rows: usize) -> usize {
    edit.wrapping_mul(7919) % rows.max(1)
}

/// What a stock edit makes of a number.
pub fn stock_after(old: u32) -> u32 {
    (old + 1) % 126
}

/// What a price edit makes of a price.
pub fn price_after(old: Option<f64>) -> f64 {
    match old {
        Some(old) => {
            let cents = (old * 100.0).round();
            ((cents + 3700.0) % 20_000.0) / 100.0
        }
        None => 60.0,
    }
}

/// FNV-1a of 32 bits.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_same_everywhere() {
        for (rows, bytes, hash) in [
            (2, 475, 0x5090_0da9),
            (1_000, 248_836, 0x41d8_425c),
            (10_000, 2_497_988, 0xae26_0371),
            (100_000, 25_081_432, 0x9e79_8447),
        ] {
            let body = body(&products(rows));
            assert_eq!((body.len(), fnv1a(&body)), (bytes, hash), "{rows} rows");
            assert_eq!(body, body_of(rows));
        }
    }

    #[test]
    fn typed_rows_are_read_back() {
        let rows = products(1000);
        let read: Vec<Product> = serde_json::from_slice(&body(&rows)).unwrap();
        assert_eq!(read, rows);
    }

    #[test]
    fn edits() {
        assert_eq!((edited(0, 1000), edited(1, 1000), edited(3, 1000)), (0, 919, 757));
        assert_eq!((stock_after(125), stock_after(3)), (0, 4));
        assert_eq!((price_after(None), price_after(Some(1.5)), price_after(Some(199.99))), (60.0, 38.5, 36.99));
    }
}
