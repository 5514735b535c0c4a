//! The engine `juniper` 0.18.
//!
//! A request is parsed and validated once. A syntax error, a failed validation, an unknown operation name, variables of
//! the wrong type and a source stream that cannot be made become an `error` message.
//!
//! A subscription has exactly one root field ([GraphQL, section 5.2.4.1]). juniper does not check that; this engine
//! refuses others with `error`. If resolving an event fails, juniper gives its errors alone, and the result has
//! `"data": null`.
//!
//! [GraphQL, section 5.2.4.1]: https://spec.graphql.org/September2025/#sec-Single-Root-Field

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use juniper::parser::SourcePosition;
use juniper::{
    DefaultScalarValue, ExecutionError, GraphQLError, GraphQLSubscriptionType, GraphQLType, GraphQLTypeAsync,
    OperationType, RootNode, ScalarValue, ValidatedOperation, Value, ValuesStream, Variables,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{BoxFuture, BoxStream, Engine, Operation, Payload, Request};
use crate::error::{GraphqlError, Location, PathSegment, RequestErrors};

/// An engine that executes operations by a juniper schema.
///
/// The context of a connection is the schema's context. [`Hooks::on_connect`](crate::Hooks::on_connect) makes it.
pub struct Juniper<Q, M, T, S = DefaultScalarValue>
where
    Q: GraphQLType<S>,
    M: GraphQLType<S>,
    T: GraphQLType<S>,
    S: ScalarValue,
{
    schema: Arc<RootNode<Q, M, T, S>>,
}

impl<Q, M, T, S> Juniper<Q, M, T, S>
where
    Q: GraphQLType<S>,
    M: GraphQLType<S>,
    T: GraphQLType<S>,
    S: ScalarValue,
{
    /// Makes an engine of a schema.
    #[must_use]
    pub fn new(schema: impl Into<Arc<RootNode<Q, M, T, S>>>) -> Self {
        Self { schema: schema.into() }
    }
}

impl<Q, M, T, S> Clone for Juniper<Q, M, T, S>
where
    Q: GraphQLType<S>,
    M: GraphQLType<S>,
    T: GraphQLType<S>,
    S: ScalarValue,
{
    fn clone(&self) -> Self {
        Self { schema: Arc::clone(&self.schema) }
    }
}

impl<Q, M, T, S> fmt::Debug for Juniper<Q, M, T, S>
where
    Q: GraphQLType<S>,
    M: GraphQLType<S>,
    T: GraphQLType<S>,
    S: ScalarValue,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Juniper").finish_non_exhaustive()
    }
}

/// One result of juniper, serialised when it is sent.
#[derive(Debug, Serialize)]
#[serde(bound = "S: ScalarValue")]
pub struct JuniperResponse<S> {
    data: Value<S>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ExecutionError<S>>,
}

impl<S: ScalarValue + Send + 'static> Payload for JuniperResponse<S> {
    fn append_to(&self, frame: &mut Vec<u8>) {
        // A value that fails to serialise leaves a text that is not JSON, which fails the operation.
        if serde_json::to_writer(&mut *frame, self).is_err() {
            frame.push(0xff);
        }
    }
}

impl<Q, M, T, S> Engine for Juniper<Q, M, T, S>
where
    Q: GraphQLTypeAsync<S> + Send + 'static,
    M: GraphQLTypeAsync<S, Context = Q::Context> + Send + 'static,
    T: GraphQLSubscriptionType<S, Context = Q::Context> + Send + 'static,
    Q::TypeInfo: Send + Sync,
    M::TypeInfo: Send + Sync,
    T::TypeInfo: Send + Sync,
    Q::Context: Send + Sync + 'static,
    S: ScalarValue + Send + Sync + 'static,
{
    type Context = Q::Context;
    type Payload = JuniperResponse<S>;

    async fn prepare(
        &self,
        request: Request,
        context: Arc<Q::Context>,
    ) -> Result<Operation<JuniperResponse<S>>, RequestErrors> {
        let slot = Arc::new(Slot::default());
        let run = Box::pin(run(Arc::clone(&self.schema), request, context, Arc::clone(&slot)));
        let mut execution = Execution { run, slot, has_ended: false };
        match poll_fn(|context| execution.poll_step(context)).await {
            Some(Step::Refused(errors)) => Err(errors),
            Some(Step::Result(response)) => Ok(Operation::Done(response)),
            Some(Step::Subscribing) => Ok(Operation::Subscribing(Box::pin(subscription(execution)))),
            Some(Step::Subscribed) | None => Err(GraphqlError::new("The engine gave no result.").into()),
        }
    }
}

/// Waits for the source stream of a subscription.
async fn subscription<S>(mut execution: Execution<S>) -> Result<BoxStream<JuniperResponse<S>>, RequestErrors>
where
    S: ScalarValue + Send + 'static,
{
    match poll_fn(|context| execution.poll_step(context)).await {
        Some(Step::Refused(errors)) => Err(errors),
        _ => Ok(Box::pin(execution)),
    }
}

/// Executes a request from parsing to the last result, and leaves each step in `slot`.
///
/// Everything of juniper borrows the schema, the document and the context. They all live in this one future, which
/// suspends after each step until it is polled for the next. What leads to the first event is a future of its own. It
/// is dropped before, so that an idle subscription holds neither the parsed document nor room for parsing it.
async fn run<Q, M, T, S>(
    schema: Arc<RootNode<Q, M, T, S>>,
    request: Request,
    context: Arc<Q::Context>,
    slot: Arc<Slot<S>>,
) where
    Q: GraphQLTypeAsync<S> + Send,
    M: GraphQLTypeAsync<S, Context = Q::Context> + Send,
    T: GraphQLSubscriptionType<S, Context = Q::Context> + Send,
    Q::TypeInfo: Send + Sync,
    M::TypeInfo: Send + Sync,
    T::TypeInfo: Send + Sync,
    Q::Context: Send + Sync,
    S: ScalarValue + Send + Sync,
{
    let Request { query, operation_name, variables, .. } = request;
    let starting = start(&schema, &query, operation_name, variables, &context, &slot);
    let (name, mut events) = match Box::pin(starting).await {
        Ok(Started::Source { name, events }) => (name, events),
        Ok(Started::Result(response)) => return slot.put(Step::Result(response)),
        Err(errors) => return slot.put(Step::Refused(errors)),
    };
    slot.put(Step::Subscribed);
    suspend().await;
    while let Some(event) = poll_fn(|context| events.as_mut().poll_next(context)).await {
        slot.put(Step::Result(match event {
            Ok(value) => {
                let data = Value::object([(name.as_str(), value)].into_iter().collect());
                JuniperResponse { data, errors: Vec::new() }
            }
            Err(errors) => JuniperResponse { data: Value::null(), errors },
        }));
        suspend().await;
    }
}

/// What the beginning of an execution leads to.
enum Started<'a, S> {
    Result(JuniperResponse<S>),
    Source {
        /// The name of the field in results.
        name: String,
        events: ValuesStream<'a, S>,
    },
}

/// Executes a request to its only result, or to the source stream of a subscription.
async fn start<'a, Q, M, T, S>(
    schema: &'a RootNode<Q, M, T, S>,
    query: &'a str,
    operation_name: Option<String>,
    variables: Option<Box<RawValue>>,
    context: &'a Q::Context,
    slot: &Slot<S>,
) -> Result<Started<'a, S>, RequestErrors>
where
    Q: GraphQLTypeAsync<S> + Send,
    M: GraphQLTypeAsync<S, Context = Q::Context> + Send,
    T: GraphQLSubscriptionType<S, Context = Q::Context> + Send,
    Q::TypeInfo: Send + Sync,
    M::TypeInfo: Send + Sync,
    T::TypeInfo: Send + Sync,
    Q::Context: Send + Sync,
    S: ScalarValue + Send + Sync,
{
    let variables = variables_of(variables.as_deref())?;
    let operation = ValidatedOperation::new(query, operation_name.as_deref(), schema);
    let operation = operation.map_err(request_errors)?;
    if operation.operation_type() != OperationType::Subscription {
        let (data, errors) = operation.execute(&variables, context).await.map_err(request_errors)?;
        return Ok(Started::Result(JuniperResponse { data, errors }));
    }
    slot.put(Step::Subscribing);
    suspend().await;
    let subscribed = operation.resolve_into_stream(&variables, context).await;
    let (value, errors) = subscribed.map_err(request_errors)?;
    source_stream(value, errors)
}

/// Returns the source stream of a subscription.
fn source_stream<S: ScalarValue>(
    value: Value<ValuesStream<'_, S>>,
    errors: Vec<ExecutionError<S>>,
) -> Result<Started<'_, S>, RequestErrors> {
    if !errors.is_empty() {
        return Err(RequestErrors::new(errors.iter().map(execution_error).collect()));
    }
    if let Value::Object(fields) = value {
        let mut fields = fields.into_iter();
        if let (Some((name, Value::Scalar(events))), None) = (fields.next(), fields.next()) {
            return Ok(Started::Source { name, events });
        }
    }
    Err(GraphqlError::new("A subscription must have exactly one root field, and it must be a stream.").into())
}

/// Suspends the future until it is polled again.
async fn suspend() {
    let mut suspended = false;
    poll_fn(|_| if std::mem::replace(&mut suspended, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// What an execution has come to.
enum Step<S> {
    /// The request is not executed.
    Refused(RequestErrors),
    /// The request is a subscription, and its source stream is being made.
    Subscribing,
    /// The source stream is there.
    Subscribed,
    Result(JuniperResponse<S>),
}

/// Takes the latest step from the future that executes to the code that polls it.
struct Slot<S>(Mutex<Option<Step<S>>>);

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Slot<S> {
    fn put(&self, step: Step<S>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    fn take(&self) -> Option<Step<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The execution of one request.
struct Execution<S> {
    run: BoxFuture<()>,
    slot: Arc<Slot<S>>,
    has_ended: bool,
}

impl<S> Execution<S> {
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Step<S>>> {
        if !self.has_ended {
            self.has_ended = self.run.as_mut().poll(context).is_ready();
        }
        match self.slot.take() {
            Some(step) => Poll::Ready(Some(step)),
            None if self.has_ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<S> Stream for Execution<S> {
    type Item = JuniperResponse<S>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<JuniperResponse<S>>> {
        self.poll_step(context).map(|step| match step {
            Some(Step::Result(response)) => Some(response),
            // The other steps come before any result.
            Some(Step::Refused(_) | Step::Subscribing | Step::Subscribed) | None => None,
        })
    }
}

fn variables_of<S: ScalarValue>(raw: Option<&RawValue>) -> Result<Variables<S>, RequestErrors> {
    let Some(raw) = raw else { return Ok(Variables::new()) };
    serde_json::from_str::<Variables<S>>(raw.get()).map_err(|error| {
        GraphqlError::new(format!("The variables of the request are invalid: {error}")).into()
    })
}

fn request_errors(error: GraphQLError) -> RequestErrors {
    match error {
        GraphQLError::ParseError(error) => {
            let mut made = GraphqlError::new(error.item.to_string());
            made.locations.push(location(error.start()));
            made.into()
        }
        GraphQLError::ValidationError(errors) => RequestErrors::new(
            errors
                .iter()
                .map(|error| {
                    let mut made = GraphqlError::new(error.message());
                    made.locations = error.locations().iter().map(|place| location(*place)).collect();
                    made
                })
                .collect(),
        ),
        other => GraphqlError::new(other.to_string()).into(),
    }
}

fn execution_error<S: ScalarValue>(error: &ExecutionError<S>) -> GraphqlError {
    let mut made = GraphqlError::new(error.error().message());
    made.locations.push(location(*error.location()));
    made.path = error.path().iter().map(|field| PathSegment::Field(field.clone())).collect();
    let extensions = error.error().extensions();
    if !extensions.is_null() {
        made.extensions = serde_json::value::to_raw_value(extensions).ok();
    }
    made
}

fn location(position: SourcePosition) -> Location {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    Location { line: from_one(position.line()), column: from_one(position.column()) }
}
