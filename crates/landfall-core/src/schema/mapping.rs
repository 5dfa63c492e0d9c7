//! Mapping whole records from the server's names and types to the program's.
//!
//! Owns the plan that is made once per kind of record. Works on copies: the answer itself is never changed (Q17).

use super::{Field, Model, columns::converted, zone::Zone};
use crate::{
    Path, Record, Text, Value,
    record::{Building, Column, Columns, Shape},
};
use std::sync::Arc;

/// Maps records of one model; remembers how the last kind of record is mapped.
#[derive(Debug)]
pub(crate) struct Mapper<'a> {
    model: &'a Model,
    zone: &'a Zone,
    plans: [Option<Plan>; 2],
    /// Room for the values of one record.
    scratch: Vec<(usize, Value)>,
}

/// How the members of a mapped record come about.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Taken over from a position of the server's record.
    Kept(usize),
    /// Parsed by a field; from a position, or by the field's path.
    Parsed { field: usize, position: Option<usize> },
}

/// What the records of one shape turn into.
#[derive(Debug)]
struct Plan {
    input: Arc<Shape>,
    output: Arc<Shape>,
    origins: Vec<Origin>,
    /// Whether every member stays where it is.
    in_place: bool,
    /// Whether a parser of the program's own is asked, which may leave its member out.
    asks: bool,
}

/// Whether declared fields that a record lacks are looked for.
#[derive(Clone, Copy, PartialEq)]
enum Absent {
    /// Parsed as absent values: numbers and dates become null.
    Parsed,
    /// Left out.
    LeftOut,
}

impl<'a> Mapper<'a> {
    pub(super) fn new(model: &'a Model, zone: &'a Zone) -> Self {
        Self { model, zone, plans: [None, None], scratch: Vec::new() }
    }

    /// See [`Model::read`].
    pub(crate) fn read(&mut self, record: Record) -> Record {
        self.map(record, Absent::Parsed)
    }

    /// See [`Model::read_sparse`].
    pub(crate) fn read_sparse(&mut self, record: Record) -> Record {
        self.map(record, Absent::LeftOut)
    }

    /// As [`read`](Self::read) for many: rows of one block are changed where they stand.
    pub(crate) fn read_all(&mut self, records: &mut [Record]) {
        if self.model.fields().is_empty() {
            return;
        }
        let zone = self.zone;
        let fields = self.model.fields();
        for rows in records.chunk_by_mut(Record::same_block) {
            let Some(first) = rows.first() else { continue };
            let columns = first.columns().is_some();
            let together = match self.plan(first.shape(), Absent::Parsed) {
                Some(plan) if plan.asks => false,
                Some(plan) if columns => plan.change_columns(fields, rows, zone),
                Some(plan) if plan.in_place => {
                    Record::change_together(rows, |values| plan.change(fields, values, zone))
                }
                _ => false,
            };
            if !together {
                for record in rows {
                    let row = std::mem::take(record);
                    *record = self.read(row);
                }
            }
        }
    }

    fn plan(&mut self, shape: &Arc<Shape>, absent: Absent) -> Option<&Plan> {
        let place = self.plans.get_mut(usize::from(absent == Absent::LeftOut))?;
        if !place.as_ref().is_some_and(|plan| Arc::ptr_eq(&plan.input, shape)) {
            *place = Some(Plan::new(self.model, shape, absent));
        }
        place.as_ref()
    }

    fn map(&mut self, record: Record, absent: Absent) -> Record {
        if self.model.fields().is_empty() {
            return record;
        }
        let slot = usize::from(absent == Absent::LeftOut);
        self.plan(record.shape(), absent);
        let Some(plan) = self.plans.get(slot).and_then(Option::as_ref) else { return record };
        plan.apply(self.model.fields(), record, self.zone, absent, &mut self.scratch)
    }
}

impl Plan {
    fn new(model: &Model, input: &Arc<Shape>, absent: Absent) -> Self {
        let fields = model.fields();
        let position = |name: &str| input.names().iter().position(|known| known.as_str() == name);
        let sources: Vec<Path> = fields.iter().map(|field| Path::parse(field.source())).collect();
        // A member that some field reads under another name goes away, unless it is a field of its own (R3.9).
        let moves_away = |name: &Text| {
            fields.iter().zip(&sources).any(|(field, path)| field.is_renamed() && path.member() == Some(name))
                && !fields.iter().any(|field| &field.name == name)
        };
        let mut names: Vec<Text> = Vec::new();
        let mut origins = Vec::new();
        for (at, name) in input.names().iter().enumerate() {
            if !moves_away(name) {
                names.push(name.clone());
                origins.push(Origin::Kept(at));
            }
        }
        for (index, (field, path)) in fields.iter().zip(&sources).enumerate() {
            let found = path.member().and_then(position);
            let by_path = path.member().is_none();
            if found.is_none() && !by_path && absent == Absent::LeftOut {
                // A sparse answer says nothing about this field; a member of the field's own name stays as it is.
                continue;
            }
            let origin = Origin::Parsed { field: index, position: found };
            if let Some(at) = names.iter().position(|known| known == &field.name) {
                if let Some(slot) = origins.get_mut(at) {
                    *slot = origin;
                }
            } else {
                names.push(field.name.clone());
                origins.push(origin);
            }
        }
        let in_place = names == input.names()
            && origins.iter().enumerate().all(|(at, origin)| match *origin {
                Origin::Kept(from) => from == at,
                Origin::Parsed { position, .. } => position == Some(at),
            });
        let output = if in_place { Arc::clone(input) } else { Arc::new(Shape::new(names)) };
        let asks = fields.iter().any(Field::has_parser);
        Self { input: Arc::clone(input), output, origins, in_place, asks }
    }

    /// Maps all rows of a block of columns at once; gives whether it was done.
    fn change_columns(&self, fields: &[Field], rows: &mut [Record], zone: &Zone) -> bool {
        let Some((columns, _)) = rows.first().and_then(Record::columns) else { return false };
        let mut changed = !self.in_place;
        let mut names: Vec<Text> = Vec::new();
        let mut out: Vec<Arc<Column>> = Vec::new();
        for (name, origin) in self.output.names().iter().zip(&self.origins) {
            let column = match *origin {
                Origin::Kept(at) => columns.column(at).map(Arc::clone),
                Origin::Parsed { field, position } => {
                    let Some(field) = fields.get(field) else { return false };
                    match position.and_then(|at| columns.column(at)) {
                        Some(column) => match converted(field, column, columns.rows(), zone) {
                            Some(column) => {
                                changed = true;
                                Some(Arc::new(column))
                            }
                            None => Some(Arc::clone(column)),
                        },
                        // Inside of a member every row has a look of its own.
                        None if Path::parse(field.source()).member().is_none() => return false,
                        None => field.parse(None, zone).map(|absent| {
                            let rows = usize::try_from(columns.rows()).unwrap_or(0);
                            let mut column = Building::default();
                            (0..rows).for_each(|row| column.push(row, absent.clone()));
                            Arc::new(column.finish(rows))
                        }),
                    }
                }
            };
            if let Some(column) = column {
                names.push(name.clone());
                out.push(column);
            }
        }
        if !changed {
            return true;
        }
        let shape = if names == self.output.names() { Arc::clone(&self.output) } else { Arc::new(Shape::new(names)) };
        let columns = Columns::new(out, columns.rows());
        Record::change_columns(rows, shape, columns);
        true
    }

    fn apply(
        &self,
        fields: &[Field],
        record: Record,
        zone: &Zone,
        absent: Absent,
        scratch: &mut Vec<(usize, Value)>,
    ) -> Record {
        let record = if self.in_place {
            match self.apply_in_place(fields, record, zone, scratch) {
                Ok(record) => return record,
                Err(record) => record,
            }
        } else {
            record
        };
        let mut values = Vec::with_capacity(self.origins.len());
        let mut missing: Vec<usize> = Vec::new();
        for origin in &self.origins {
            let value = match *origin {
                Origin::Kept(at) => record.cell_at(at).to_value(),
                Origin::Parsed { field, position } => fields.get(field).and_then(|field| {
                    let found = match position {
                        Some(at) => record.cell_at(at),
                        None => Path::parse(field.source()).cell(&record),
                    };
                    match found.to_value() {
                        None if absent == Absent::LeftOut => None,
                        Some(value) if field.keeps(&value) => Some(value),
                        found => field.parse(found.as_ref(), zone),
                    }
                }),
            };
            if let Some(value) = value {
                values.push(value);
            } else {
                missing.push(values.len());
                values.push(Value::Null);
            }
        }
        if missing.is_empty() {
            return Record::from_parts(Arc::clone(&self.output), values);
        }
        let kept = |at: &usize| missing.binary_search(at).is_err();
        let names = self.output.names().iter().enumerate().filter(|(at, _)| kept(at)).map(|(_, name)| name.clone());
        let shape = Arc::new(Shape::new(names.collect()));
        let values = values.into_iter().enumerate().filter(|(at, _)| kept(at)).map(|(_, value)| value);
        Record::from_parts(shape, values.collect())
    }

    /// Changes the values of one record where they stand.
    fn change(&self, fields: &[Field], values: &mut [Value], zone: &Zone) {
        for origin in &self.origins {
            let Origin::Parsed { field, position: Some(at) } = *origin else { continue };
            let Some((field, value)) = fields.get(field).zip(values.get_mut(at)) else { continue };
            if !field.keeps(value)
                && let Some(parsed) = field.parse(Some(value), zone)
            {
                *value = parsed;
            }
        }
    }

    /// Changes only the values that their fields would change. Gives the record back when a field leaves its member out;
    /// a parser of the program's own may be asked again then.
    fn apply_in_place(
        &self,
        fields: &[Field],
        mut record: Record,
        zone: &Zone,
        changed: &mut Vec<(usize, Value)>,
    ) -> Result<Record, Record> {
        changed.clear();
        for origin in &self.origins {
            let Origin::Parsed { field, position: Some(at) } = *origin else { continue };
            let Some((field, value)) = fields.get(field).zip(record.cell_at(at).to_value()) else { continue };
            if !field.keeps(&value) {
                match field.parse(Some(&value), zone) {
                    Some(parsed) => changed.push((at, parsed)),
                    None => return Err(record),
                }
            }
        }
        if !changed.is_empty() {
            let values = record.values_mut();
            for (at, parsed) in changed.drain(..) {
                if let Some(slot) = values.get_mut(at) {
                    *slot = parsed;
                }
            }
        }
        Ok(record)
    }
}
