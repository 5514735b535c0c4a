//! The engine `async-graphql` 7.2.
//!
//! A request is parsed once. A syntax error, an unknown operation name, a failed validation and a source stream that
//! cannot be made become an `error` message. A required variable that is missing gives a result with `errors`: the
//! engine finds it while it executes.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Data, Executor, Response, ServerError, Variables};
use futures_core::Stream;
use serde_json::value::RawValue;

use super::{BoxStream, Engine, Operation, Payload, Request};
use crate::error::{GraphqlError, Location, PathSegment, RequestErrors};

/// An engine that executes operations by an `async-graphql` schema, or by any other [`Executor`].
///
/// The context of a connection is a [`Data`]: what [`Hooks::on_connect`](crate::Hooks::on_connect) puts into it,
/// resolvers find by `context.data::<T>()`.
#[derive(Clone)]
pub struct AsyncGraphql<E> {
    executor: E,
}

impl<E: Executor> AsyncGraphql<E> {
    /// Makes an engine of a schema.
    #[must_use]
    pub const fn new(executor: E) -> Self {
        Self { executor }
    }

    /// Parses a request, and has the engine make its results. Not part of the future that waits for them: the request
    /// is large, and would be moved with it.
    fn begin(
        &self,
        request: Request,
        context: Arc<Data>,
    ) -> Result<(OperationType, BoxStream<Response>), RequestErrors> {
        let Request { query, operation_name, variables, extensions } = request;
        let mut request = async_graphql::Request::new(query);
        if let Some(variables) = variables {
            request.variables = parsed::<Variables>("variables", &variables)?;
        }
        if let Some(extensions) = extensions {
            request.extensions = parsed("extensions", &extensions)?;
        }
        let document = request.parsed_query().map_err(|error| RequestErrors::from(graphql_error(error)))?;
        let kind = kind_of(document, operation_name.as_deref())?;
        request.operation_name = operation_name;
        Ok((kind, self.executor.execute_stream(request, Some(context))))
    }
}

impl<E> fmt::Debug for AsyncGraphql<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGraphql").finish_non_exhaustive()
    }
}

/// Serialised when it is sent.
impl Payload for Response {
    fn append_to(&self, frame: &mut Vec<u8>) {
        // What fails to serialise leaves a byte that is not UTF-8, which fails the operation.
        if serde_json::to_writer(&mut *frame, self).is_err() {
            frame.push(0xff);
        }
    }
}

impl<E: Executor> Engine for AsyncGraphql<E> {
    type Context = Data;
    type Payload = Response;

    async fn prepare(
        &self,
        request: Request,
        context: Arc<Data>,
    ) -> Result<Operation<Response>, RequestErrors> {
        let (kind, mut results) = self.begin(request, context)?;
        if kind == OperationType::Subscription {
            return Ok(Operation::Subscribing(Box::pin(Subscribing { results: Some(results) })));
        }
        // A query or a mutation gives one result. Only then it is known whether it was executed.
        let response = next(&mut results).await;
        let response =
            response.ok_or_else(|| RequestErrors::from(GraphqlError::new("The engine gave no result.")))?;
        if is_request_error(&response) {
            return Err(errors_of(response));
        }
        Ok(Operation::Done(response))
    }
}

/// Waits for the first result of a subscription: only that tells whether its source stream was made.
///
/// A source stream that cannot be made gives one response without data, and ends. A first event that fails looks the
/// same, but the stream goes on.
struct Subscribing {
    /// `None` once it was handed on.
    results: Option<BoxStream<Response>>,
}

impl Future for Subscribing {
    type Output = Result<BoxStream<Response>, RequestErrors>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut first = match self.results.as_mut() {
            Some(results) => ready!(results.as_mut().poll_next(context)),
            None => return Poll::Pending,
        };
        let Some(mut rest) = self.results.take() else { return Poll::Pending };
        let mut second = None;
        if let Some(response) =
            first.take_if(|first| !first.errors.is_empty() && first.data == async_graphql::Value::Null)
        {
            match rest.as_mut().poll_next(context) {
                Poll::Ready(None) => return Poll::Ready(Err(errors_of(response))),
                Poll::Ready(Some(next)) => second = Some(next),
                Poll::Pending => {}
            }
            first = Some(response);
        }
        let taken = first.into_iter().chain(second).collect();
        Poll::Ready(Ok(Box::pin(Resumed { taken, rest })))
    }
}

fn parsed<T: serde::de::DeserializeOwned>(what: &str, raw: &RawValue) -> Result<T, RequestErrors> {
    serde_json::from_str(raw.get())
        .map_err(|error| GraphqlError::new(format!("The {what} of the request are invalid: {error}")).into())
}

/// Returns the kind of the operation that a request asks for.
fn kind_of(document: &ExecutableDocument, name: Option<&str>) -> Result<OperationType, RequestErrors> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(_), None) => {
            let message = "The document has several operations: `operationName` must say which one.";
            return Err(GraphqlError::new(message).into());
        }
    };
    let operation = operation.ok_or_else(|| {
        let name = name.unwrap_or_default();
        RequestErrors::from(GraphqlError::new(format!("Unknown operation named \"{name}\".")))
    })?;
    Ok(operation.node.ty)
}

/// Whether a response says that nothing was executed: no data, and errors that belong to no field.
fn is_request_error(response: &Response) -> bool {
    !response.errors.is_empty()
        && response.data == async_graphql::Value::Null
        && response.errors.iter().all(|error| error.path.is_empty())
}

fn errors_of(response: Response) -> RequestErrors {
    RequestErrors::new(response.errors.into_iter().map(graphql_error).collect())
}

fn graphql_error(error: ServerError) -> GraphqlError {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut made = GraphqlError::new(error.message);
    made.locations = error
        .locations
        .iter()
        .map(|place| Location { line: count(place.line), column: count(place.column) })
        .collect();
    made.path = error
        .path
        .into_iter()
        .map(|segment| match segment {
            async_graphql::PathSegment::Field(name) => PathSegment::Field(name),
            async_graphql::PathSegment::Index(index) => PathSegment::Index(index as u64),
        })
        .collect();
    made.extensions =
        error.extensions.as_ref().and_then(|values| serde_json::value::to_raw_value(values).ok());
    made
}

/// Waits for the next result.
async fn next(results: &mut BoxStream<Response>) -> Option<Response> {
    std::future::poll_fn(|context| results.as_mut().poll_next(context)).await
}

/// A stream whose first results were taken already.
struct Resumed {
    taken: VecDeque<Response>,
    rest: BoxStream<Response>,
}

impl Stream for Resumed {
    type Item = Response;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.taken.pop_front() {
            return Poll::Ready(Some(first));
        }
        self.rest.as_mut().poll_next(context)
    }
}
