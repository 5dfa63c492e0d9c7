//! From keys to file names: readable, safe on every file system, different also where case is ignored.

/// The end of the name of every state's file.
pub(crate) const EXTENSION: &str = ".jsonl";

/// Escaped keys up to this length are file names of their own; file systems take 255 bytes.
const LONGEST: usize = 120;

/// Names that some systems give to devices, whatever follows a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The name of a key's file. `attempt` counts the other keys that have the same hash; 0 for all but the rarest.
pub(crate) fn of(key: &str, attempt: u32) -> String {
    let mut name = String::with_capacity(key.len() + EXTENSION.len());
    for (at, byte) in key.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-' && at > 0;
        if plain && !(at == 0 && is_device(key)) {
            name.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            name.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
        if name.len() > LONGEST {
            // `+` is in no escaped key.
            name.truncate(40);
            let number = if attempt > 0 { format!("-{attempt}") } else { String::new() };
            let end = format!("+{:016x}{number}", hash(key));
            name.push_str(&end);
            break;
        }
    }
    name.push_str(EXTENSION);
    name
}

/// Whether the name may depend on the attempt.
pub(crate) fn is_hashed(name: &str) -> bool {
    name.contains('+')
}

fn is_device(key: &str) -> bool {
    let stem = key.split('.').next().unwrap_or_default();
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|n: &str| n.len() == 1);
    DEVICES.contains(&stem) || numbered("com") || numbered("lpt")
}

/// FNV-1a, 64 bits. Not to be changed: names on disk are made of it.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_never_change() {
        let check = |key: &str, name: &str| assert_eq!(of(key, 0), name, "key {key:?}");
        check("products", "products.jsonl");
        check("products-offline_2", "products-offline_2.jsonl");
        check("Products", "%50roducts.jsonl");
        check("my key", "my%20key.jsonl");
        check("../x", "%2e%2e%2fx.jsonl");
        check("a.b", "a%2eb.jsonl");
        check("-rf", "%2drf.jsonl");
        check("%50", "%2550.jsonl");
        check("con", "%63on.jsonl");
        check("com1", "%63om1.jsonl");
        check("com12", "com12.jsonl");
        check("console", "console.jsonl");
        check("nul.txt", "%6eul%2etxt.jsonl");
        check("ä", "%c3%a4.jsonl");
        check(&"x".repeat(120), &format!("{}.jsonl", "x".repeat(120)));
        check(&"x".repeat(121), &format!("{}+d77cbbf2c7cf1f67.jsonl", "x".repeat(40)));
        assert_eq!(of(&"x".repeat(121), 2), format!("{}+d77cbbf2c7cf1f67-2.jsonl", "x".repeat(40)));
        assert_eq!(of("short", 2), "short.jsonl");
    }
}
