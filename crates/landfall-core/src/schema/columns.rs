//! Turning whole columns into a field's type.
//!
//! Owns what is true of a column as a whole; single values are parsed as everywhere.

use super::{Field, FieldType, dates, zone::Zone};
use crate::record::{Building, Column, Data};

/// The column with its values parsed by the field; `None` when they stay as they are. Not for parsers of the program's own.
pub(super) fn converted(field: &Field, column: &Column, rows: u32, zone: &Zone) -> Option<Column> {
    let rows = usize::try_from(rows).unwrap_or(0);
    match (field.kind, column.data()) {
        (FieldType::Object | FieldType::Default, _)
        | (_, Data::Nulls(_))
        | (FieldType::Boolean, Data::Bools(_))
        | (FieldType::Number, Data::Whole(_) | Data::Decimal(..))
        | (FieldType::Date, Data::Dates(_)) => None,
        (FieldType::String, Data::Texts(texts)) if !(0..rows).any(|row| is_null(texts.get(row))) => None,
        (FieldType::Date, Data::Texts(texts)) => {
            let mut out = Building::default();
            for row in 0..rows {
                let text = texts.get(row);
                match dates::parse(text, zone) {
                    Some(date) if !column.is_null(row) && !is_null(text) => out.push_date(row, date),
                    _ => out.push_null(row),
                }
            }
            Some(out.finish(rows))
        }
        _ => {
            let value = |row: usize| column.cell(row).to_value().unwrap_or_default();
            if (0..rows).all(|row| field.keeps(&value(row))) {
                return None;
            }
            let mut out = Building::default();
            for row in 0..rows {
                let value = value(row);
                out.push(row, field.parse(Some(&value), zone).unwrap_or_default());
            }
            Some(out.finish(rows))
        }
    }
}

/// What typed fields take for null (R2.32).
fn is_null(text: &str) -> bool {
    text.len() == 4 && text.eq_ignore_ascii_case("null")
}
