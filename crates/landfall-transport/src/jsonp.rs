//! JSON in the call of a callback: names for callbacks, and the strict reading of answers.
//!
//! Owns the unwrapping. Never executes anything: text that is not exactly one call of the one known name with one
//! JSON value is refused.

use crate::{Error, ErrorKind, Result};
use landfall_core::Value;

/// A fresh callback name in jQuery's form, of letters, digits and `_` only.
pub fn callback_name(around: &crate::Surroundings<'_>) -> String {
    let digits = around.nonce(1);
    format!("jQuery{digits:020}_{}", around.stamp())
}

/// Whether a name given by configuration is usable: letters, digits, `_`, `$` and dots between them.
pub fn is_callback_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$'))
}

/// Reads `name(JSON)`, with an optional `;` and white space around.
///
/// # Errors
/// [`ErrorKind::Undecodable`] for anything else: another name, a second call, a comment, code.
pub fn unwrap(name: &str, text: &str) -> Result<Value> {
    let refuse = |why: &'static str| Error::new(ErrorKind::Undecodable, why);
    let ascii = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    if !is_callback_name(name) {
        return Err(refuse("no usable callback name was agreed"));
    }
    let call = text.trim_matches(ascii);
    let call = call.strip_suffix(';').unwrap_or(call).trim_end_matches(ascii);
    let inner = call
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('('))
        .ok_or_else(|| refuse("the answer does not call the callback"))?;
    let inner = inner.strip_suffix(')').ok_or_else(|| refuse("the call of the callback does not end"))?;
    Value::from_json(inner).map_err(|source| refuse("the callback is not called with one JSON value").caused_by(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_call_is_read() {
        for good in ["cb([1,2])", "cb([1,2]);", " \r\n cb( [1,2] ) ; \n", "\tcb([1,2])\t"] {
            assert_eq!(unwrap("cb", good).map(|v| v.to_json()).ok().as_deref(), Some("[1,2]"), "{good:?}");
        }
        for bad in [
            "",
            "[1,2]",
            "cb",
            "cb(",
            "cb()",
            "cb([1,2]",
            "cb[1,2])",
            "cb2([1,2])",
            "CB([1,2])",
            "ccb([1,2])",
            "window.cb([1,2])",
            "cb ([1,2])",
            "cb([1,2]);;",
            "cb([1,2]);cb([3])",
            "cb([1,2]) cb([3])",
            "cb(cb([1,2]))",
            "cb([1,2],3)",
            "cb([1,2,])",
            "cb({a:1})",
            "cb('x')",
            "cb(alert(1))",
            "/**/cb([1,2])",
            "cb([1,2])//",
            "cb(/* */[1,2])",
            "cb([1,2]);alert(1)",
            "typeof cb === 'function' && cb([1,2]);",
            "\u{2028}cb([1,2])",
            "cb(\u{2028}[1,2])",
            "cb([1,2])\u{a0}",
            "<script>cb([1,2])</script>",
        ] {
            let error = unwrap("cb", bad).expect_err(bad);
            assert_eq!(*error.kind(), ErrorKind::Undecodable);
        }
        assert_eq!(unwrap("a.b$_1", "a.b$_1(\"\u{2028}\")").unwrap().as_str(), Some("\u{2028}"));
    }

    #[test]
    fn names_are_plain() {
        for bad in ["", ".", "a..b", "a b", "a(", "a;b", "ä", "a\n", "<a>"] {
            assert!(!is_callback_name(bad), "{bad:?}");
            assert!(unwrap(bad, &format!("{bad}(1)")).is_err());
        }
        let name = callback_name(&crate::Surroundings::now(None));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
    }
}
