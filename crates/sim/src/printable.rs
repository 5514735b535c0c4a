//! Text of the code under test, made fit for a terminal.
//!
//! A panic message or a log line may contain anything that came over the network. Characters that move the cursor,
//! change colours or turn the direction of writing are shown as escapes, in traces and reports.

use std::borrow::Cow;

/// Shows a text of several lines. Every character is printable or ends a line.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_more_than_printed(c))
}

/// Shows a text on one line.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_more_than_printed)
}

/// The longest text of code under test that is kept, in bytes.
const KEPT_BYTES: usize = 64 << 10;

/// What a text that was cut may have before and behind it without being cut again.
const FRAME_BYTES: usize = 1 << 10;

/// Cuts a text that is longer than a report can use.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > KEPT_BYTES + FRAME_BYTES {
        let bytes = text.len();
        let end = (0..=KEPT_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("… (cut, of {bytes} bytes)"));
    }
    text
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_escaped(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, marks of direction, and the byte order mark.
fn is_more_than_printed(c: char) -> bool {
    let is_invisible = matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    );
    c.is_control() || is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut_off = cut("é".repeat(5 << 20));
        assert!(cut_off.ends_with("é… (cut, of 10485760 bytes)"), "{}", &cut_off[cut_off.len() - 60..]);
        assert!(cut_off.len() < KEPT_BYTES + 60);
        assert_eq!(cut("short".to_owned()), "short");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(
            line("\u{1b}[31mred\u{1b}[0m\r\n\tbell\u{7}"),
            "\\u{1b}[31mred\\u{1b}[0m\\r\\n\\tbell\\u{7}"
        );
        assert_eq!(line("a\u{202e}b\u{9b}2J"), "a\\u{202e}b\\u{9b}2J");
        assert_eq!(lines("one\r\ntwo\u{1b}c"), "one\\r\ntwo\\u{1b}c");
    }

    #[test]
    fn other_text_is_left_as_it_is() {
        for text in ["", "é ü 漢字 → \\n", "one\ntwo"] {
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
        }
    }
}
