//! What can go wrong: GraphQL errors, as they stand in `error` messages, and transports that fail.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

/// A place in a GraphQL document. Lines and columns start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A step of the path to a field of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    /// A field, by its name in the response.
    Field(String),
    /// An element of a list, from 0.
    Index(u64),
}

/// One GraphQL error (GraphQL specification, section 7.1.2).
#[derive(Clone, Debug, Serialize)]
pub struct GraphqlError {
    /// What went wrong, for a developer.
    pub message: String,
    /// Places in the document, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// The field that failed, if it was one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathSegment>,
    /// Anything else, a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Box<RawValue>>,
}

impl GraphqlError {
    /// Makes an error that has a message alone.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), locations: Vec::new(), path: Vec::new(), extensions: None }
    }

    /// Sets `extensions` to `{"code": code}`, as many servers do.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        #[derive(Serialize)]
        struct Code<'a> {
            code: &'a str,
        }
        self.extensions = serde_json::value::to_raw_value(&Code { code }).ok();
        self
    }
}

impl PartialEq for GraphqlError {
    fn eq(&self, other: &Self) -> bool {
        let extensions = |error: &Self| error.extensions.as_ref().map(|raw| raw.get().to_owned());
        (&self.message, &self.locations, &self.path, extensions(self))
            == (&other.message, &other.locations, &other.path, extensions(other))
    }
}

impl fmt::Display for GraphqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GraphqlError {}

/// How many errors of a request are kept. A document of 1 MB that is wrong in every place has more than 100,000.
const ERRORS_MAX: usize = 100;

/// Why a request was not executed: 1 to 100 errors.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RequestErrors(Vec<GraphqlError>);

impl RequestErrors {
    /// Makes it of the first 100 of these errors. Without any there is one that says that the request failed.
    #[must_use]
    pub fn new(mut errors: Vec<GraphqlError>) -> Self {
        errors.truncate(ERRORS_MAX);
        if errors.is_empty() {
            errors.push(GraphqlError::new("The request failed."));
        }
        Self(errors)
    }

    /// Returns the errors: 1 to 100.
    #[must_use]
    pub fn errors(&self) -> &[GraphqlError] {
        &self.0
    }

    /// Replaces every error.
    #[must_use]
    pub fn map(self, format: impl FnMut(GraphqlError) -> GraphqlError) -> Self {
        Self(self.0.into_iter().map(format).collect())
    }
}

impl From<GraphqlError> for RequestErrors {
    fn from(error: GraphqlError) -> Self {
        Self(vec![error])
    }
}

impl From<Vec<GraphqlError>> for RequestErrors {
    fn from(errors: Vec<GraphqlError>) -> Self {
        Self::new(errors)
    }
}

impl fmt::Display for RequestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RequestErrors {}

/// Why a transport failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A message is longer than the transport takes. The client's fault. The transport or the handler closes with
    /// 1009.
    #[error("a message is longer than the transport takes")]
    MessageTooBig,
    /// The client breaks the WebSocket protocol. The transport has told it so.
    #[error("the client breaks the WebSocket protocol: {0}")]
    Protocol(String),
    /// The connection is lost: reset, timed out, or ended without a Close frame.
    #[error("the connection is lost: {0}")]
    Lost(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_at_most_100_errors() {
        let errors = vec![GraphqlError::new("no"); 1000];
        assert_eq!(RequestErrors::from(errors).errors().len(), 100);
        assert_eq!(RequestErrors::new(Vec::new()).errors().len(), 1);
    }

    #[test]
    fn an_error_has_only_what_is_known() {
        let plain = serde_json::to_string(&GraphqlError::new("no \"x\"")).expect("text");
        assert_eq!(plain, r#"{"message":"no \"x\""}"#);
        let mut full = GraphqlError::new("no").code("BAD");
        full.locations.push(Location { line: 1, column: 2 });
        full.path.extend([PathSegment::Field("a".into()), PathSegment::Index(0)]);
        assert_eq!(
            serde_json::to_string(&full).expect("text"),
            r#"{"message":"no","locations":[{"line":1,"column":2}],"path":["a",0],"extensions":{"code":"BAD"}}"#
        );
    }

    #[test]
    fn request_errors_are_never_empty() {
        assert_eq!(RequestErrors::new(Vec::new()).errors().len(), 1);
    }
}
