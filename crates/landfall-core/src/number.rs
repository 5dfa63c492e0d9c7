//! Numbers: integers of 64 bits kept exactly, everything else as a double, printed as JavaScript prints them.

use std::{cmp::Ordering, fmt};

/// A number of a record. Integers beyond 2^53 keep all their digits; `1` and `1.0` are equal.
#[derive(Clone, Copy)]
pub struct Number(Repr);

#[derive(Clone, Copy)]
enum Repr {
    Int(i64),
    Uint(u64),
    Float(f64),
}

impl Number {
    /// The value as a double; integers beyond 2^53 are rounded.
    #[expect(clippy::cast_precision_loss, reason = "rounding is what the name says")]
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Int(value) => value as f64,
            Repr::Uint(value) => value as f64,
            Repr::Float(value) => value,
        }
    }

    /// The value as an integer, if it is one and fits (`5.0` is 5).
    #[expect(clippy::cast_possible_truncation, reason = "checked by the guard")]
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Int(value) => Some(value),
            Repr::Uint(value) => i64::try_from(value).ok(),
            Repr::Float(value) if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => Some(value as i64),
            Repr::Float(_) => None,
        }
    }

    /// The value as an unsigned integer, if it is one and fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Uint(value) => Some(value),
            _ => self.as_i64().and_then(|value| u64::try_from(value).ok()),
        }
    }

    /// Whether the value is neither infinite nor "not a number".
    pub fn is_finite(self) -> bool {
        self.as_f64().is_finite()
    }

    /// Whether the value is "not a number".
    pub fn is_nan(self) -> bool {
        self.as_f64().is_nan()
    }

    /// The value, if it is kept as an integer.
    pub(crate) fn whole(self) -> Option<i64> {
        if let Repr::Int(value) = self.0 { Some(value) } else { None }
    }

    pub(crate) fn exact(self) -> Exact {
        match self.0 {
            Repr::Int(value) => Exact::Int(value),
            Repr::Uint(value) => Exact::Uint(value),
            Repr::Float(value) => self.as_i64().filter(|_| value.is_finite()).map_or(Exact::Float(value), Exact::Int),
        }
    }
}

/// How a number is written without loss.
pub(crate) enum Exact {
    Int(i64),
    Uint(u64),
    Float(f64),
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.0, other.0) {
            (Repr::Int(a), Repr::Int(b)) => Some(a.cmp(&b)),
            (Repr::Uint(a), Repr::Uint(b)) => Some(a.cmp(&b)),
            (Repr::Int(a), Repr::Uint(b)) => Some(u64::try_from(a).map_or(Ordering::Less, |a| a.cmp(&b))),
            (Repr::Uint(a), Repr::Int(b)) => Some(u64::try_from(b).map_or(Ordering::Greater, |b| a.cmp(&b))),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Number {
    /// Prints as JavaScript does: `1`, `0.5`, `1e+21`, `NaN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact() {
            Exact::Int(value) => fmt::Display::fmt(&value, f),
            Exact::Uint(value) => fmt::Display::fmt(&value, f),
            Exact::Float(value) => f.write_str(ryu_js::Buffer::new().format(value)),
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Repr::Int(value))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(i64::try_from(value).map_or(Repr::Uint(value), Repr::Int))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(Repr::Float(value))
    }
}
