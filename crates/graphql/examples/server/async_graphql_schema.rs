//! The schema in `async-graphql`.

use async_graphql::{Context, Error, Object, Schema, Subscription};

use crate::channels::{Channels, Count, Received, pause};

pub(crate) struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn slow(&self, ms: Option<i32>) -> &str {
        pause(ms).await;
        "done"
    }

    async fn boom(&self) -> Option<Result<String, Error>> {
        Some(Err(Error::new("boom")))
    }
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn publish(&self, context: &Context<'_>, channel: String, text: String) -> Result<i32, Error> {
        Ok(context.data::<Channels>()?.publish(&channel, &text))
    }
}

pub(crate) struct Subscriptions;

#[Subscription(name = "Subscription")]
impl Subscriptions {
    async fn count(&self, to: Option<i32>, every_ms: Option<i32>) -> Count {
        Count::new(to, every_ms)
    }

    async fn one(&self) -> Count {
        Count::one()
    }

    async fn channel(&self, context: &Context<'_>, name: String) -> Result<Received, Error> {
        Ok(context.data::<Channels>()?.subscribe(name))
    }

    async fn silent(&self) -> Count {
        Count::silent()
    }

    async fn fails(&self) -> Result<Count, Error> {
        Err(Error::new("this subscription always fails"))
    }
}

/// Makes the schema.
pub(crate) fn schema() -> Schema<Query, Mutation, Subscriptions> {
    Schema::build(Query, Mutation, Subscriptions).finish()
}
