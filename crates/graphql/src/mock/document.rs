//! Reading a document of the mock: operations of one field each.

use serde_json::Value;

use crate::engine::Request;
use crate::error::{GraphqlError, Location, RequestErrors};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// An operation: one field with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) field: String,
    pub(super) is_deferred: bool,
    arguments: Vec<(String, Value)>,
}

impl Call {
    /// Reads the document of a request, and finds the operation that it names.
    pub(super) fn parse(request: &Request) -> Result<Self, RequestErrors> {
        let variables = match &request.variables {
            None => Value::Null,
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|error| GraphqlError::new(format!("The variables are invalid: {error}")))?,
        };
        let mut parser = Parser { rest: &request.query, whole: &request.query, variables };
        let mut operations = Vec::new();
        while !parser.at_end() {
            operations.push(parser.operation()?);
        }
        match &request.operation_name {
            None if operations.len() > 1 => {
                Err(GraphqlError::new("The document has several operations: name one.").into())
            }
            None => operations
                .pop()
                .map(|(_, call)| call)
                .ok_or_else(|| GraphqlError::new("The document has no operation.").into()),
            Some(wanted) => operations
                .into_iter()
                .find(|(name, _)| name.as_ref() == Some(wanted))
                .map(|(_, call)| call)
                .ok_or_else(|| GraphqlError::new(format!("There is no operation `{wanted}`.")).into()),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, RequestErrors> {
        match self.argument(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| GraphqlError::new(format!("`{name}` is not a number: {value}")).into()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<String, RequestErrors> {
        self.argument(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| GraphqlError::new(format!("`{name}` is missing, or not a text.")).into())
    }

    fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.iter().find(|(argument, _)| argument == name).map(|(_, value)| value)
    }

    pub(super) fn unknown_field(&self) -> RequestErrors {
        GraphqlError::new(format!("There is no field `{}` of this kind.", self.field)).into()
    }
}

struct Parser<'a> {
    rest: &'a str,
    whole: &'a str,
    variables: Value,
}

impl<'a> Parser<'a> {
    fn error(&self) -> RequestErrors {
        let before = &self.whole[..self.whole.len() - self.rest.len()];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let mut error = GraphqlError::new("Syntax error");
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        error.locations.push(Location { line: number(line), column: number(column) });
        error.into()
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
    }

    fn at_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty()
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), RequestErrors> {
        if self.take(token) { Ok(()) } else { Err(self.error()) }
    }

    fn name(&mut self) -> Option<&'a str> {
        self.skip();
        let rest = self.rest;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.rest = &rest[end..];
        (end > 0).then(|| &rest[..end])
    }

    /// An operation, with its name.
    fn operation(&mut self) -> Result<(Option<String>, Call), RequestErrors> {
        let kind = match self.name() {
            None | Some("query") => Kind::Query,
            Some("mutation") => Kind::Mutation,
            Some("subscription") => Kind::Subscription,
            Some(_) => return Err(self.error()),
        };
        let name = self.name().map(str::to_owned);
        if self.take("(") {
            // The types of variables: whatever they are.
            let end = self.rest.find(')').ok_or_else(|| self.error())?;
            self.rest = &self.rest[end + 1..];
        }
        self.expect("{")?;
        let mut call = Call { kind, field: String::new(), is_deferred: false, arguments: Vec::new() };
        call.field = self.name().ok_or_else(|| self.error())?.to_owned();
        if self.take("(") {
            while !self.take(")") {
                let argument = self.name().ok_or_else(|| self.error())?.to_owned();
                self.expect(":")?;
                let value = self.value()?;
                call.arguments.push((argument, value));
            }
        }
        call.is_deferred = self.take("@defer");
        self.expect("}")?;
        Ok((name, call))
    }

    /// A number, a string, `null`, or a variable.
    fn value(&mut self) -> Result<Value, RequestErrors> {
        if self.take("$") {
            let name = self.name().ok_or_else(|| self.error())?;
            return Ok(self.variables.get(name).cloned().unwrap_or(Value::Null));
        }
        self.skip();
        let rest = self.rest;
        let end = if rest.starts_with('"') {
            string_end(rest).ok_or_else(|| self.error())?
        } else {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len())
        };
        let value: Value = serde_json::from_str(&rest[..end]).map_err(|_| self.error())?;
        self.rest = &rest[end..];
        Ok(value)
    }
}

/// Returns where the string that a text begins with ends.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map(|position| position + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Call, RequestErrors> {
        Call::parse(&Request::new(query))
    }

    #[test]
    fn a_field_with_arguments_is_read() {
        let call = parse("subscription Name { count(to: 3, everyMs: 10) }").expect("a call");
        assert_eq!((call.kind, call.field.as_str()), (Kind::Subscription, "count"));
        assert_eq!(call.number("to"), Ok(Some(3)));
        assert_eq!(call.number("other"), Ok(None));
        let call = parse(r#"mutation { publish(channel: "a\"b", text: "") }"#).expect("a call");
        assert_eq!((call.text("channel").as_deref(), call.text("text").as_deref()), (Ok("a\"b"), Ok("")));
        let call = parse("{ parts(count: 2) @defer }").expect("a call");
        assert!(call.is_deferred);
    }

    #[test]
    fn variables_are_looked_up() {
        let mut request = Request::new("query($n: Int) { slow(ms: $n) }");
        request.variables = serde_json::value::RawValue::from_string(r#"{"n":7}"#.into()).ok();
        assert_eq!(Call::parse(&request).expect("a call").number("ms"), Ok(Some(7)));
    }

    #[test]
    fn the_named_operation_is_chosen() {
        let mut request = Request::new("query a { hello } query b { boom }");
        assert!(Call::parse(&request).is_err(), "it must be named");
        request.operation_name = Some("b".into());
        assert_eq!(Call::parse(&request).expect("a call").field, "boom");
        request.operation_name = Some("c".into());
        assert!(Call::parse(&request).is_err(), "there is none");
    }

    #[test]
    fn a_syntax_error_names_its_place() {
        let errors = parse("{\n  hello(").expect_err("no call");
        assert_eq!(errors.errors()[0].locations, [Location { line: 2, column: 9 }]);
        for query in ["", "{", "{}", "nonsense { a }", "{ hello } }", "{ slow(ms: [1]) }"] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
