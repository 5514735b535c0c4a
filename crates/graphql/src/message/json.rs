//! What serde_json does not check: how deeply a text is nested, and that a struct was an object and not an array.

use serde_json::value::RawValue;

use super::Malformed;

/// A JSON object as text, or nothing.
pub(crate) type Json = Option<Box<RawValue>>;

/// Checks that no value lies in more than `depth_max` arrays and objects. Looks at each byte at most
/// twice; whether the rest is JSON does not matter.
pub(super) fn check_nesting(text: &str, depth_max: usize) -> Result<(), Malformed> {
    // Most messages have fewer brackets than that. Counting them takes a fraction of the time.
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= depth_max {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    let reason = format!("the message is nested more than {depth_max} deep");
                    return Err(Malformed::new(reason));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Returns `true` if the text begins as an object. A derived `Deserialize` of a struct takes an array as well.
pub(super) fn is_object(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{')
}

/// Returns the content of a valid JSON string that has no escapes.
pub(super) fn plain_string(json: &str) -> Option<&str> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}
