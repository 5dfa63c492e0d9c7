//! Sort descriptors (R7.35, R7.42).

use crate::{Error, ErrorKind, Path, Record, Result, Text, Value, late::Late};
use std::{cmp::Ordering, fmt, sync::Arc};

/// Which way to sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first; absent values first of all.
    #[default]
    Asc,
    /// Largest first; absent values last.
    Desc,
}

impl Direction {
    /// `asc` or `desc`, as requests carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }

    /// Any text but `desc`, in any case (Q42), is ascending (R7.35).
    pub(crate) fn of(value: &Value) -> Self {
        let descending = value.as_str().is_some_and(|name| name.eq_ignore_ascii_case("desc"));
        if descending { Self::Desc } else { Self::Asc }
    }

    pub(crate) fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}

/// Compares two whole records.
pub type RecordOrder = dyn Fn(&Record, &Record) -> Ordering + Send + Sync;

/// A sort key: a field and a direction, or a comparison of your own.
///
/// Absent and null come first, then truth values, numbers, dates, texts, and lists and objects (Kendo has no order
/// between types, Q43); the empty text is before them all. Texts follow the Unicode collation algorithm with the feature
/// `collation`, code points without it or with [`ordinal`](Self::ordinal).
#[derive(Clone)]
pub struct Sort {
    /// The field, or a path such as `address.city`.
    pub field: Text,
    /// The direction. Default: ascending.
    pub dir: Direction,
    /// Compares whole records in place of the field (R7.42). Never sent to a server.
    pub compare: Option<Arc<RecordOrder>>,
    /// The descriptor as given, to be sent as it was.
    pub(crate) given: Option<Record>,
}

impl Sort {
    /// By a field, in a direction.
    pub fn new(field: impl Into<Text>, dir: Direction) -> Self {
        Self { field: field.into(), dir, compare: None, given: None }
    }

    /// By a field, smallest first.
    pub fn asc(field: impl Into<Text>) -> Self {
        Self::new(field, Direction::Asc)
    }

    /// By a field, largest first.
    pub fn desc(field: impl Into<Text>) -> Self {
        Self::new(field, Direction::Desc)
    }

    /// Compares whole records in place of the field; descending swaps the two (R7.42).
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn with_compare(mut self, compare: impl Fn(&Record, &Record) -> Ordering + Send + Sync + 'static) -> Self {
        let compare = Late::new(compare);
        self.compare = Some(Arc::new(move |a, b| compare(a, b)));
        self
    }

    /// Texts in the order of their code points (`Z` before `a`) in place of the collation order; faster, and what a byte
    /// comparison gives. Everything else is in its place as always.
    #[must_use]
    pub fn ordinal(self) -> Self {
        let path = Path::parse(&self.field);
        let compare = move |a: &Record, b: &Record| super::order::compare_ordinal(path.cell(a), path.cell(b));
        Self { compare: Some(Arc::new(compare)), ..self }
    }

    /// Reads a descriptor `{field, dir}` or a list of them. Descriptors without a direction do nothing and are dropped
    /// (R7.35), and so are plain texts (R9.21).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a null in the list.
    pub fn list_from_value(value: &Value) -> Result<Vec<Self>> {
        let mut sorts = Vec::new();
        for item in entries(value) {
            if item.is_null() {
                return Err(Error::new(ErrorKind::Invalid, "a sort descriptor must be an object").with("got", "null"));
            }
            let Some(record) = item.as_object() else { continue };
            if let Some(dir) = record.get("dir").filter(|dir| dir.is_truthy()) {
                sorts.push(Self { given: Some(record.clone()), ..Self::new(field_of(record), Direction::of(dir)) });
            }
        }
        Ok(sorts)
    }

    /// `[{"field","dir"}]` as requests carry it, with field names translated by `name`. Descriptors read by
    /// [`Sort::list_from_value`] keep the order of their members and members of their own.
    pub fn list_to_value(sorts: &[Self], name: &dyn Fn(&str) -> String) -> Value {
        Value::array(sorts.iter().map(|sort| {
            let mut out = sort.given.clone().unwrap_or_else(|| Record::from([("field", ""), ("dir", "")]));
            out.set("field", name(&sort.field));
            // Another direction may have been set since; else it travels as it was spelled.
            if out.get("dir").is_none_or(|dir| !dir.is_truthy() || Direction::of(dir) != sort.dir) {
                out.set("dir", sort.dir.name());
            }
            out.into()
        }))
    }
}

/// The entries of a descriptor or a list of descriptors; none of null.
pub(crate) fn entries(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

pub(crate) fn field_of(record: &Record) -> Text {
    match record.get("field") {
        None | Some(Value::Null) => Text::default(),
        Some(field) => field.to_text(),
    }
}

impl fmt::Debug for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let custom = if self.compare.is_some() { " (compare)" } else { "" };
        write!(f, "Sort({} {}{custom})", self.field, self.dir.name())
    }
}
