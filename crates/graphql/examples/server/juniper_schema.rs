//! The schema in `juniper`.

use juniper::{FieldError, FieldResult, RootNode, Value, graphql_object, graphql_subscription};

use crate::channels::{Channels, Count, Received, pause};

/// What resolvers find: the channels.
#[derive(Clone)]
pub(crate) struct Context(pub(crate) Channels);

impl juniper::Context for Context {}

pub(crate) struct Query;

#[graphql_object(context = Context)]
impl Query {
    fn hello() -> &'static str {
        "world"
    }

    async fn slow(ms: Option<i32>) -> &'static str {
        pause(ms).await;
        "done"
    }

    fn boom() -> FieldResult<Option<String>> {
        Err(FieldError::new("boom", Value::null()))
    }
}

pub(crate) struct Mutation;

#[graphql_object(context = Context)]
impl Mutation {
    fn publish(context: &Context, channel: String, text: String) -> i32 {
        context.0.publish(&channel, &text)
    }
}

pub(crate) struct Subscription;

#[graphql_subscription(context = Context)]
impl Subscription {
    async fn count(to: Option<i32>, every_ms: Option<i32>) -> Count {
        Count::new(to, every_ms)
    }

    async fn one() -> Count {
        Count::one()
    }

    async fn channel(context: &Context, name: String) -> Received {
        context.0.subscribe(name)
    }

    async fn silent() -> Count {
        Count::silent()
    }

    async fn fails() -> FieldResult<Count> {
        Err(FieldError::new("this subscription always fails", Value::null()))
    }
}

/// Makes the schema.
pub(crate) fn schema() -> RootNode<Query, Mutation, Subscription> {
    RootNode::new(Query, Mutation, Subscription)
}
