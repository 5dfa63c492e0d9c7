//! Records as a table that a person likes to read: colours and lines on a terminal, plain text elsewhere.
//!
//! Owns the looks only. A `__state__` member becomes the first column; its row is coloured by it.
#![allow(dead_code, reason = "each example uses the part that it needs")]

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use landfall_core::{Record, Value};
use std::io::IsTerminal;

/// How the table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Colours and drawn lines.
    Terminal,
    /// Text that survives a log file.
    Plain,
}

impl Look {
    /// What standard output deserves. `NO_COLOR` in the environment makes it plain.
    pub(crate) fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self::Terminal
        } else {
            Self::Plain
        }
    }
}

/// The named members of these records, a line each, under their names.
pub(crate) fn render(columns: &[&str], rows: &[Record], look: Look) -> String {
    let mut table = Table::new();
    match look {
        Look::Terminal => {
            table.load_style(presets::UTF8_FULL_CONDENSED).enforce_styling();
        }
        Look::Plain => {
            table.load_style(presets::ASCII_MARKDOWN).force_no_tty();
        }
    }
    table.set_content_arrangement(ContentArrangement::Disabled);
    let states = rows.iter().any(|row| row.contains("__state__"));
    let header = states.then_some("state").into_iter().chain(columns.iter().copied());
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for row in rows {
        let state = row.get("__state__").and_then(Value::as_str);
        let mut cells = Vec::new();
        if states {
            cells.push(coloured(Cell::new(state.unwrap_or_default()).add_attribute(Attribute::Bold), state));
        }
        for column in columns {
            let value = row.get(column);
            let text = value.filter(|value| !value.is_null()).map(Value::to_text);
            let mut cell = Cell::new(text.as_deref().unwrap_or_default());
            if value.and_then(Value::as_number).is_some() {
                cell = cell.set_alignment(CellAlignment::Right);
            }
            cells.push(coloured(cell, state));
        }
        table.add_row(cells);
    }
    table.trim_fmt()
}

fn coloured(cell: Cell, state: Option<&str>) -> Cell {
    match state {
        Some("create") => cell.fg(Color::Green),
        Some("update") => cell.fg(Color::Yellow),
        Some("destroy") => cell.fg(Color::Red).add_attribute(Attribute::CrossedOut),
        _ => cell,
    }
}
