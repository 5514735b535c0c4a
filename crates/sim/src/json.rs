//! Objects of JSON on one line, for programs that read what a sweep does.

use std::fmt::Write;

/// An object under construction.
#[derive(Clone, Debug)]
pub(crate) struct Object(String);

impl Object {
    /// Starts an object whose first member says what it is.
    pub(crate) fn new(event: &str) -> Self {
        Self("{".to_owned()).text("event", event)
    }

    /// Starts an object without members.
    pub(crate) fn bare() -> Self {
        Self("{".to_owned())
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        string(&mut self.0, value);
        self
    }

    /// Adds a text, or `null`.
    pub(crate) fn maybe(mut self, name: &str, value: Option<&str>) -> Self {
        self.name(name);
        match value {
            Some(value) => string(&mut self.0, value),
            None => self.0.push_str("null"),
        }
        self
    }

    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a number of 64 bits as hexadecimal text: programs that read JSON keep 53 bits of a number.
    pub(crate) fn hex(self, name: &str, value: u64) -> Self {
        self.text(name, &format!("{value:#x}"))
    }

    pub(crate) fn flag(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds an object.
    pub(crate) fn object(mut self, name: &str, value: Self) -> Self {
        self.name(name);
        self.0.push_str(&value.line());
        self
    }

    /// Adds a list of texts.
    pub(crate) fn texts<T: AsRef<str>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.name(name);
        self.0.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            string(&mut self.0, value.as_ref());
        }
        self.0.push(']');
        self
    }

    /// Adds members that are rendered already.
    #[cfg(all(feature = "process", not(miri)))]
    pub(crate) fn members(mut self, rendered: &str) -> Self {
        if !rendered.is_empty() {
            if !self.0.ends_with('{') {
                self.0.push(',');
            }
            self.0.push_str(rendered);
        }
        self
    }

    /// Returns the object on one line, without a line end.
    pub(crate) fn line(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        string(&mut self.0, name);
        self.0.push(':');
    }
}

fn string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_line_of_json() {
        let line = Object::new("end")
            .text("say \"hi\"", "a\\b\n\u{7}é")
            .number("count", 7)
            .hex("seed", u64::MAX)
            .flag("passed", true)
            .maybe("recording", None)
            .texts("names", ["a", "b"])
            .object("points", Object::bare().flag("x", false))
            .line();
        assert_eq!(
            line,
            r#"{"event":"end","say \"hi\"":"a\\b\n\u0007é","count":7,"seed":"0xffffffffffffffff","passed":true,"#
                .to_owned()
                + r#""recording":null,"names":["a","b"],"points":{"x":false}}"#
        );
    }
}
