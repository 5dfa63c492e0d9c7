//! Names of filter operators (R7.10, R7.13).

use crate::{Error, ErrorKind, Result};

/// What a condition asks of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// Equal, of the same type.
    Eq,
    /// Not equal, in JavaScript's loose sense (Q46).
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// The text begins with the value.
    StartsWith,
    /// It does not.
    DoesNotStartWith,
    /// The text ends with the value.
    EndsWith,
    /// It does not.
    DoesNotEndWith,
    /// The text contains the value.
    Contains,
    /// It does not.
    DoesNotContain,
    /// The empty text.
    IsEmpty,
    /// Anything but the empty text.
    IsNotEmpty,
    /// Null or absent.
    IsNull,
    /// Neither.
    IsNotNull,
    /// Null, absent or the empty text.
    IsNullOrEmpty,
    /// None of these.
    IsNotNullOrEmpty,
}

const NAMES: &[(Operator, &str, &[&str])] = &[
    (Operator::Eq, "eq", &["==", "equals", "isequalto", "equalto", "equal"]),
    (Operator::Neq, "neq", &["!=", "ne", "notequals", "isnotequalto", "notequalto", "notequal"]),
    (Operator::Gt, "gt", &[">", "isgreaterthan", "greaterthan", "greater"]),
    (Operator::Gte, "gte", &[">=", "ge", "isgreaterthanorequalto", "greaterthanequal"]),
    (Operator::Lt, "lt", &["<", "islessthan", "lessthan", "less"]),
    (Operator::Lte, "lte", &["<=", "le", "islessthanorequalto", "lessthanequal"]),
    (Operator::StartsWith, "startswith", &[]),
    (Operator::DoesNotStartWith, "doesnotstartwith", &[]),
    (Operator::EndsWith, "endswith", &[]),
    (Operator::DoesNotEndWith, "doesnotendwith", &[]),
    (Operator::Contains, "contains", &[]),
    (Operator::DoesNotContain, "doesnotcontain", &["notsubstringof"]),
    (Operator::IsEmpty, "isempty", &[]),
    (Operator::IsNotEmpty, "isnotempty", &[]),
    (Operator::IsNull, "isnull", &[]),
    (Operator::IsNotNull, "isnotnull", &[]),
    (Operator::IsNullOrEmpty, "isnullorempty", &[]),
    (Operator::IsNotNullOrEmpty, "isnotnullorempty", &[]),
];

impl Operator {
    /// By name or alias, in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the operator and the known ones (Kendo fails only when it meets a row, Q41).
    pub fn from_name(name: &str) -> Result<Self> {
        let fits = |known: &str| known.eq_ignore_ascii_case(name);
        NAMES
            .iter()
            .find(|(_, known, aliases)| fits(known) || aliases.iter().any(|alias| fits(alias)))
            .map(|(operator, ..)| *operator)
            .ok_or_else(|| {
                let known: Vec<&str> = NAMES.iter().map(|(_, name, _)| *name).collect();
                Error::new(ErrorKind::Invalid, "unknown filter operator")
                    .with("operator", name)
                    .with("known", known.join(", "))
            })
    }

    /// The name that requests carry, such as `startswith`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(operator, ..)| *operator == self).map_or("eq", |(_, name, _)| name)
    }
}
