//! The mock on threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wavetank_runtime::Threads;

use super::document::{Call, Kind};
use super::streams::part;
use super::{Context, Live, Mock, data, failed, quoted};
use crate::blocking::{BlockingEngine, BlockingHooks, BlockingOperation, Cancel};
use crate::engine::Request;
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::{Accepted, ConnectionInfo, Rejection};
use crate::mock::TokenHooks;

type Prepared = Result<BlockingOperation<String>, RequestErrors>;

impl<W: Threads> BlockingEngine<W> for Mock<W> {
    type Context = Context;
    type Payload = String;

    fn prepare(&self, request: Request, context: Arc<Context>, cancel: &Cancel<W>) -> Prepared {
        let live = Live::new(&self.state.counts);
        self.state.counts.prepared.fetch_add(1, Ordering::AcqRel);
        let call = Call::parse(&request)?;
        // On a thread the source stream is a part of the preparation.
        for wait in ["prepareMs", "sourceMs"] {
            if let Some(ms) = call.number(wait)?
                && !cancel.sleep(Duration::from_millis(ms))
            {
                return Err(GraphqlError::new("The operation is cancelled.").into());
            }
        }
        match call.kind {
            Kind::Query => query(&call, &context, cancel, live),
            Kind::Mutation => self.mutation_on_thread(&call, live),
            Kind::Subscription => self.subscription_on_thread(&call, cancel, live),
        }
    }
}

fn query<W: Threads>(call: &Call, context: &Context, cancel: &Cancel<W>, live: Live) -> Prepared {
    let cancel = cancel.clone();
    if call.is_deferred {
        return parts(call, cancel, live);
    }
    let (wait, result) = match call.field.as_str() {
        "hello" => (None, data("hello", "\"Hello, world!\"")),
        "boom" => (None, failed("boom")),
        "token" => (None, data("token", context.token().map_or_else(|| "null".to_owned(), quoted))),
        "slow" => (call.number("ms")?.map(Duration::from_millis), data("slow", "\"done\"")),
        "never" => (Some(Duration::MAX), data("never", "null")),
        "crash" => {
            return Ok(BlockingOperation::Single(Box::new(|| panic!("the resolver of `crash` panics"))));
        }
        _ => return Err(call.unknown_field()),
    };
    Ok(BlockingOperation::Single(Box::new(move || {
        if wait.is_none_or(|wait| cancel.sleep(wait)) {
            live.result();
        }
        result
    })))
}

fn parts<W: Threads>(call: &Call, cancel: Cancel<W>, live: Live) -> Prepared {
    if call.field != "parts" {
        return Err(call.unknown_field());
    }
    let (count, every) = (call.number("count")?.unwrap_or(2), call.number("everyMs")?);
    let numbers = paced(cancel, every).take_while(move |number| number - 1 <= count);
    Ok(BlockingOperation::Incremental(Box::new(numbers.map(move |number| {
        live.result();
        part(number - 1, count)
    }))))
}

/// Numbers from 1, with a pause between them, until the operation is cancelled.
fn paced<W: Threads>(cancel: Cancel<W>, every: Option<u64>) -> impl Iterator<Item = u64> + Send {
    (1..).take_while(move |number| match every {
        Some(every) if *number > 1 => cancel.sleep(Duration::from_millis(every)),
        _ => !cancel.is_cancelled(),
    })
}

impl<W: Threads> Mock<W> {
    fn mutation_on_thread(&self, call: &Call, live: Live) -> Prepared {
        if call.field != "publish" {
            return Err(call.unknown_field());
        }
        let (channel, text) = (call.text("channel")?, call.text("text")?);
        let state = Arc::clone(&self.state);
        Ok(BlockingOperation::Single(Box::new(move || {
            live.result();
            data("publish", state.channels.publish(&channel, &text))
        })))
    }

    fn subscription_on_thread(&self, call: &Call, cancel: &Cancel<W>, live: Live) -> Prepared {
        Ok(BlockingOperation::Subscription(match call.field.as_str() {
            "count" => {
                let pad = call.number("pad")?.unwrap_or(0);
                let numbers = paced(cancel.clone(), call.number("everyMs")?);
                counted("count", numbers, call.number("to")?, pad, live)
            }
            "one" => counted("one", paced(cancel.clone(), None), Some(1), 0, live),
            "channel" => Box::new(cancel.iterate(self.state.channels.subscribe(&call.text("name")?, live))),
            "silent" => Box::new(cancel.iterate(super::Silent::new(live))),
            "fails" => return Err(GraphqlError::new("The source of `fails` cannot be made.").into()),
            _ => return Err(call.unknown_field()),
        }))
    }
}

/// Results of numbers, with spaces behind each.
fn counted(
    field: &'static str,
    numbers: impl Iterator<Item = u64> + Send + 'static,
    to: Option<u64>,
    pad: u64,
    live: Live,
) -> Box<dyn Iterator<Item = String> + Send> {
    let pad = " ".repeat(usize::try_from(pad).unwrap_or(0));
    let most = to.map_or(usize::MAX, |to| usize::try_from(to).unwrap_or(usize::MAX));
    Box::new(numbers.take(most).map(move |number| {
        live.result();
        data(field, number) + &pad
    }))
}

impl BlockingHooks for TokenHooks {
    type Context = Context;

    fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        payload: Option<&serde_json::value::RawValue>,
    ) -> Result<Accepted<Context>, Rejection> {
        Self::decide(payload)
    }
}
