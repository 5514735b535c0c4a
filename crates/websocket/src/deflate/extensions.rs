//! The syntax of `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).
//!
//! It says nothing about what extensions mean; see [`negotiation`](super::negotiation).

/// An extension that is offered or chosen, with its parameters in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) name: String,
    /// Names, and values if they have one (unquoted).
    pub(crate) parameters: Vec<(String, Option<String>)>,
}

/// A header that does not follow the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Parses all values of the header, as repeated headers are one list (section 9.1: "it may be split or combined across
/// multiple lines").
pub(crate) fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Extension>, Malformed> {
    let mut extensions = Vec::new();
    for value in values {
        let mut cursor = Cursor { rest: value };
        loop {
            // Empty elements of lists are legal (RFC 9110, section 5.6.1.2).
            while cursor.take(b',') {}
            if cursor.is_at_end() {
                break;
            }
            extensions.push(cursor.extension()?);
            if !cursor.is_at_end() && !cursor.take(b',') {
                return Err(Malformed);
            }
        }
    }
    Ok(extensions)
}

/// What is left of a header's value. Every method skips white space first.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn extension(&mut self) -> Result<Extension, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        Ok(Extension { name, parameters })
    }

    /// A token, or a quoted string whose content is one ("the value after quoted-string unescaping MUST conform to the
    /// 'token' ABNF").
    fn value(&mut self) -> Result<String, Malformed> {
        if !self.take(b'"') {
            return self.token();
        }
        let mut value = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            let byte = match byte {
                b'"' if value.is_empty() => return Err(Malformed),
                b'"' => return Ok(value),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first().ok_or(Malformed)?;
                    self.rest = rest;
                    escaped
                }
                byte => byte,
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(char::from(byte));
        }
    }

    fn token(&mut self) -> Result<String, Malformed> {
        self.skip_white_space();
        let length = self.rest.iter().take_while(|byte| is_token_byte(**byte)).count();
        if length == 0 {
            return Err(Malformed);
        }
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(token.iter().map(|byte| char::from(*byte)).collect())
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.skip_white_space();
        match self.rest.split_first() {
            Some((&byte, rest)) if byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_white_space();
        self.rest.is_empty()
    }

    fn skip_white_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// Whether a byte is allowed in a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &[&str]) -> Result<Vec<String>, Malformed> {
        let list = parse(header.iter().map(|line| line.as_bytes()))?;
        Ok(list.into_iter().map(|extension| format!("{extension:?}")).map(shorten).collect())
    }

    fn shorten(text: String) -> String {
        text.replace("Extension { name: ", "").replace(", parameters: ", " ").replace(" }", "")
    }

    #[test]
    fn repeated_headers_are_one_list() {
        assert_eq!(
            names(&["a; b=1, c", "", "d;e"]).unwrap(),
            [r#""a" [("b", Some("1"))]"#, r#""c" []"#, r#""d" [("e", None)]"#]
        );
    }

    #[test]
    fn quoted_values_are_unescaped_and_must_be_tokens() {
        assert_eq!(names(&[r#"a; b="1\0""#]).unwrap(), [r#""a" [("b", Some("10"))]"#]);
        for bad in [r#"a; b="1 0""#, r#"a; b="""#, r#"a; b="1"#, r#"a; b="\"#, r#"a; b=1"2""#] {
            assert_eq!(names(&[bad]), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn what_is_no_list_of_extensions_is_malformed() {
        for bad in [";", "a;", "a b", "a;b=", "a=1", "a;b c", "\u{e9}", "a, ;b"] {
            assert_eq!(names(&[bad]), Err(Malformed), "{bad}");
        }
        assert_eq!(names(&[", ,a ,\t"]).unwrap(), [r#""a" []"#]);
    }
}
