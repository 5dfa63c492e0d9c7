//! Numbers of JSON text.
//!
//! Owns the quick ways; the rest is left to the standard library, which rounds as well as can be done.

/// A number as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Read {
    Whole(i64),
    /// A whole number beyond the range of `i64`.
    Large(u64),
    Float(f64),
}

/// Up to here powers of ten are exact doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// So many digits fit into 64 bits for sure.
const DIGITS: usize = 18;

/// The number at the start of these bytes and its length; `None` where there is none, or one out of range.
pub(super) fn read(bytes: &[u8]) -> Option<(Read, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut at = start;
    let mut mantissa = 0_u64;
    let digits = |at: &mut usize, mantissa: &mut u64| {
        let from = *at;
        while let Some(digit) = bytes.get(*at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            *at += 1;
        }
        *at - from
    };
    let whole = digits(&mut at, &mut mantissa);
    if whole == 0 || whole > 1 && bytes.get(start) == Some(&b'0') {
        return None;
    }
    if !matches!(bytes.get(at), Some(b'.' | b'e' | b'E')) {
        return Some((read_whole(bytes.get(..at)?, negative, mantissa, whole)?, at));
    }
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        fraction = digits(&mut at, &mut mantissa);
        if fraction == 0 {
            return None;
        }
    }
    let mut exponent = 0_u64;
    let mut sinks = false;
    let mut long = false;
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if let Some(sign @ (b'+' | b'-')) = bytes.get(at) {
            sinks = *sign == b'-';
            at += 1;
        }
        let length = digits(&mut at, &mut exponent);
        if length == 0 {
            return None;
        }
        long = length > 4;
    }
    if !long && whole + fraction <= DIGITS && mantissa < 1 << 53 {
        let shift = i64::try_from(exponent).ok()?;
        let shift = if sinks { -shift } else { shift } - i64::try_from(fraction).ok()?;
        let power = usize::try_from(shift.unsigned_abs()).ok().and_then(|shift| POWERS.get(shift));
        if let Some(power) = power {
            // Both are exact, so that the one operation rounds as it should.
            let value = if shift < 0 { exact(mantissa) / power } else { exact(mantissa) * power };
            return Some((Read::Float(if negative { -value } else { value }), at));
        }
    }
    let text = std::str::from_utf8(bytes.get(..at)?).ok()?;
    Some((Read::Float(text.parse().ok().filter(|value: &f64| value.is_finite())?), at))
}

fn read_whole(text: &[u8], negative: bool, mantissa: u64, digits: usize) -> Option<Read> {
    if digits <= DIGITS {
        let value = i64::try_from(mantissa).ok()?;
        return Some(match (negative, value) {
            (true, 0) => Read::Float(-0.0),
            (true, value) => Read::Whole(-value),
            (false, value) => Read::Whole(value),
        });
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(value) = text.parse::<i64>() {
        return Some(Read::Whole(value));
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(Read::Large(value));
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Read::Float)
}

#[expect(clippy::cast_precision_loss, reason = "smaller than 2^53")]
fn exact(mantissa: u64) -> f64 {
    mantissa as f64
}
