//! Group descriptors and groups of the view (R7.45-R7.53).

use super::{
    View, ViewGroup,
    aggregate::{self, Aggregate},
    field::FieldReader,
    js::text_to_number,
    matching::old_date,
    order::{self, By},
    sort::{Direction, entries, field_of},
    span::{Passing, Source},
};
use crate::{Error, ErrorKind, Number, Record, Result, Text, Value, late::Late, record::Cell};
use std::{cmp::Ordering, collections::HashMap, fmt, sync::Arc};

/// Compares two groups.
pub type GroupOrder = dyn Fn(&ViewGroup, &ViewGroup) -> Ordering + Send + Sync;

/// A level of groups: records with equal values of a field.
#[derive(Clone)]
pub struct Group {
    /// The field, or a path such as `address.city`.
    pub field: Text,
    /// The direction of the groups. Default: ascending.
    pub dir: Direction,
    /// Aggregates of each group, over all records that pass the filter and not only those of the page (R7.51).
    pub aggregates: Vec<Aggregate>,
    /// Puts the finished groups in an order of their own (R7.48). Never sent to a server.
    pub compare: Option<Arc<GroupOrder>>,
    /// Where a `compare` is set: take the records as they come, so that equal values that are not neighbours form
    /// several groups (R7.47). Default: no.
    pub skip_item_sorting: bool,
    /// Whether the descriptor named aggregates, if only an empty list.
    with_aggregates: bool,
}

impl Group {
    /// By a field, smallest first.
    pub fn new(field: impl Into<Text>) -> Self {
        Self::with_dir(field, Direction::Asc)
    }

    /// By a field, smallest first.
    pub fn asc(field: impl Into<Text>) -> Self {
        Self::with_dir(field, Direction::Asc)
    }

    /// By a field, largest first.
    pub fn desc(field: impl Into<Text>) -> Self {
        Self::with_dir(field, Direction::Desc)
    }

    fn with_dir(field: impl Into<Text>, dir: Direction) -> Self {
        let field = field.into();
        Self { field, dir, aggregates: Vec::new(), compare: None, skip_item_sorting: false, with_aggregates: false }
    }

    /// Adds an aggregate of each group.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregates.push(aggregate);
        self
    }

    /// Puts the finished groups in an order of their own; descending swaps the two (R7.48).
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn with_compare(
        mut self,
        compare: impl Fn(&ViewGroup, &ViewGroup) -> Ordering + Send + Sync + 'static,
    ) -> Self {
        let compare = Late::new(compare);
        self.compare = Some(Arc::new(move |a, b| compare(a, b)));
        self
    }

    /// Where a `compare` is set: takes the records as they come (R7.47).
    #[must_use]
    pub fn skip_item_sorting(mut self) -> Self {
        self.skip_item_sorting = true;
        self
    }

    /// Reads a field name, a descriptor `{field, dir, aggregates}` or a list of them; none of null and `{}` (R9.21).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown aggregate function or an entry that is neither object nor text.
    pub fn list_from_value(value: &Value) -> Result<Vec<Self>> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        entries(value)
            .iter()
            .map(|item| match item {
                Value::String(field) => Ok(Self::new(field.clone())),
                Value::Object(record) => {
                    let mut group =
                        Self::with_dir(field_of(record), record.get("dir").map_or(Direction::Asc, Direction::of));
                    if let Some(aggregates) = record.get("aggregates").filter(|given| !given.is_null()) {
                        group.aggregates = Aggregate::list_from_value(aggregates)?;
                        group.with_aggregates = true;
                    }
                    group.skip_item_sorting = record.get("skipItemSorting").is_some_and(Value::is_truthy);
                    Ok(group)
                }
                _ => Err(Error::new(ErrorKind::Invalid, "a group descriptor must be an object or a field name")),
            })
            .collect()
    }

    /// `[{"field","dir","aggregates"}]` as requests carry it, with field names translated by `name`. Aggregates are left
    /// out when none were given.
    pub fn list_to_value(groups: &[Self], name: &dyn Fn(&str) -> String) -> Value {
        Value::array(groups.iter().map(|group| {
            let mut out =
                Record::from([("field", Value::from(name(&group.field))), ("dir", Value::from(group.dir.name()))]);
            if group.with_aggregates || !group.aggregates.is_empty() {
                out.set("aggregates", Aggregate::list_to_value(&group.aggregates, name));
            }
            if group.skip_item_sorting {
                out.set("skipItemSorting", true);
            }
            out.into()
        }))
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Group");
        out.field("field", &self.field).field("dir", &self.dir).field("aggregates", &self.aggregates);
        out.field("compare", &self.compare.is_some()).field("skip_item_sorting", &self.skip_item_sorting);
        out.finish_non_exhaustive()
    }
}

/// How the records come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// In the order of the groups already.
    Sorted,
    /// To be brought into the order of each level.
    Unsorted,
}

/// The groups of these records; `scope` is what their aggregates run over.
pub(crate) fn groups(
    source: Source<'_>,
    positions: &[u32],
    levels: &[Group],
    scope: &[u32],
    incoming: Incoming,
) -> Vec<ViewGroup> {
    let Some((level, inner)) = levels.split_first() else { return Vec::new() };
    let sorted;
    let positions = if incoming == Incoming::Sorted || level.skip_item_sorting {
        positions
    } else {
        sorted = order::order(
            source,
            Passing::Some(positions.to_vec()),
            &[By { field: &level.field, dir: level.dir, compare: None }],
            None,
        );
        &sorted
    };
    let aggregated = levels.iter().any(|level| !level.aggregates.is_empty());
    let index = aggregated.then(|| Index::new(source, scope, &level.field));
    let mut groups = Vec::new();
    for (value, run) in runs(source, positions, &level.field) {
        let members = index.as_ref().map(|index| index.members(value)).unwrap_or_default();
        let items = if inner.is_empty() {
            View::Rows(run.to_vec())
        } else {
            View::Groups(self::groups(source, run, inner, &members, incoming))
        };
        groups.push(ViewGroup {
            field: level.field.clone(),
            value: value.to_value(),
            has_subgroups: !inner.is_empty(),
            aggregates: if level.aggregates.is_empty() {
                Record::new()
            } else {
                aggregate::compute(members.iter().map(|position| source.record(*position)), &level.aggregates)
            },
            items,
        });
    }
    match &level.compare {
        Some(compare) => in_order(groups, compare.as_ref(), level.dir),
        None => groups,
    }
}

fn at(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn in_order(groups: Vec<ViewGroup>, compare: &GroupOrder, dir: Direction) -> Vec<ViewGroup> {
    let mut indices: Vec<u32> = (0..).take(groups.len()).collect();
    order::merge_sort(&mut indices, |a, b| match (groups.get(at(a)), groups.get(at(b)), dir) {
        (Some(a), Some(b), Direction::Asc) => compare(a, b),
        (Some(a), Some(b), Direction::Desc) => compare(b, a),
        _ => Ordering::Equal,
    });
    let mut slots: Vec<Option<ViewGroup>> = groups.into_iter().map(Some).collect();
    indices.iter().filter_map(|index| slots.get_mut(at(*index)).and_then(Option::take)).collect()
}

/// Neighbours with equal values (R7.46).
fn runs<'a>(source: Source<'a>, positions: &'a [u32], field: &str) -> Vec<(Cell<'a>, &'a [u32])> {
    let mut reader = FieldReader::new(field);
    let mut runs = Vec::new();
    let mut start = 0;
    let mut known: Option<Cell<'a>> = None;
    for (end, position) in positions.iter().enumerate() {
        let value = reader.cell(source.record(*position));
        if let Some(value_before) = known {
            if !same_group(value_before, value) {
                runs.push((value_before, positions.get(start..end).unwrap_or_default()));
                start = end;
                known = Some(value);
            }
        } else {
            known = Some(value);
        }
    }
    if let Some(value) = known {
        runs.push((value, positions.get(start..).unwrap_or_default()));
    }
    runs
}

/// Strict equality, dates by milliseconds; null and absent differ, lists and objects always do.
fn same_group(a: Cell<'_>, b: Cell<'_>) -> bool {
    !matches!(a, Cell::Other(_)) && a.same(b)
}

/// The records of a scope by the value of a field, so that each group finds its own without a search of all.
struct Index {
    by_key: HashMap<Key, Vec<u32>>,
    place: HashMap<u32, u32>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Undefined,
    Null,
    Bool(bool),
    Number(NumberKey),
    Date(i64),
    Text(Text),
}

#[derive(PartialEq, Eq, Hash)]
enum NumberKey {
    Whole(i64),
    Large(u64),
    Other(u64),
}

impl From<Number> for NumberKey {
    fn from(number: Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Self::Whole(whole),
            (None, Some(large)) => Self::Large(large),
            _ => Self::Other(number.as_f64().to_bits()),
        }
    }
}

impl Key {
    /// `None` for what equals nothing.
    fn of(cell: Cell<'_>) -> Option<Self> {
        Some(match cell {
            Cell::Absent => Self::Undefined,
            Cell::Null => Self::Null,
            Cell::Bool(value) => Self::Bool(value),
            Cell::Number(number) if number.is_nan() => return None,
            Cell::Number(number) => Self::Number(number.into()),
            Cell::Date(millis) => Self::Date(millis),
            Cell::Text(text) => Self::Text(Text::from(text)),
            Cell::Other(_) => return None,
        })
    }
}

impl Index {
    fn new(source: Source<'_>, scope: &[u32], field: &str) -> Self {
        let mut reader = FieldReader::new(field);
        let mut by_key: HashMap<Key, Vec<u32>> = HashMap::new();
        for position in scope {
            if let Some(key) = Key::of(reader.cell(source.record(*position))) {
                by_key.entry(key).or_default().push(*position);
            }
        }
        let place = scope.iter().copied().zip(0..).collect();
        Self { by_key, place }
    }

    /// The records whose field equals the value in the sense of the filter operator eq, case regarded (R7.51, R7.52).
    fn members(&self, value: Cell<'_>) -> Vec<u32> {
        let mut keys = Vec::new();
        match value {
            // A date also equals the number of its milliseconds (R7.22).
            Cell::Date(millis) => {
                keys.extend([Key::Date(millis), Key::Number(NumberKey::Whole(millis))]);
            }
            Cell::Text(text) => {
                if let Some(millis) = old_date(text) {
                    keys.extend(millis.as_i64().map(Key::Date));
                    keys.push(Key::Number(millis.into()));
                } else {
                    // A text also equals the number it spells (R7.21).
                    let number = text_to_number(text);
                    if number.is_finite() && number.to_string() == text {
                        keys.push(Key::Number(number.into()));
                    }
                    keys.push(Key::Text(Text::from(text)));
                }
            }
            other => keys.extend(Key::of(other)),
        }
        let mut found: Vec<u32> = Vec::new();
        let mut sources = 0;
        for members in keys.iter().filter_map(|key| self.by_key.get(key)) {
            found.extend(members);
            sources += 1;
        }
        if sources > 1 {
            found.sort_by_key(|position| self.place.get(position).copied());
        }
        found
    }
}
