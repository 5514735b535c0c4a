//! What operations and hooks give, and what is sent.

use serde_json::value::RawValue;
use wavetank_runtime::Instant;

use super::outbox::About;
use super::{Connection, Event, OperationKey, Phase, Transmit};
use crate::engine::Payload;
use crate::error::{GraphqlError, RequestErrors};
use crate::message;

impl Connection {
    /// Returns `true` while the operation runs.
    #[must_use]
    pub fn is_active(&self, key: OperationKey) -> bool {
        self.operations.active_id(key).is_some()
    }

    /// The operation is a subscription: draining does not wait for it.
    pub fn is_subscription(&mut self, key: OperationKey, now: Instant) {
        self.operations.is_subscription(key);
        if self.draining.is_some() {
            self.settle_drain(now);
        }
    }

    /// Queues a result of an operation. Does nothing for one that has ended. Returns `false`, and fails the
    /// operation, if the payload is not UTF-8.
    pub fn next(&mut self, key: OperationKey, payload: &impl Payload, now: Instant) -> bool {
        let Some(id) = self.operations.active_id(key) else { return true };
        match message::write_result(self.protocol, id, payload) {
            Some(text) => {
                self.send_for(key, text, now);
                true
            }
            None => {
                self.error(
                    key,
                    &GraphqlError::new("The engine gave a result that is not UTF-8.").into(),
                    now,
                );
                false
            }
        }
    }

    /// Ends an operation with `complete`. Does nothing for one that has ended.
    pub fn complete(&mut self, key: OperationKey, now: Instant) {
        let Some(id) = self.operations.active_id(key) else { return };
        let text = message::write_complete(id);
        self.finish(key, text, now);
    }

    /// Ends an operation with `error`. Does nothing for one that has ended.
    pub fn error(&mut self, key: OperationKey, errors: &RequestErrors, now: Instant) {
        let Some(id) = self.operations.active_id(key) else { return };
        let text = message::write_errors(self.protocol, id, errors);
        self.finish(key, text, now);
    }

    fn finish(&mut self, key: OperationKey, last: String, now: Instant) {
        self.send_for(key, last, now);
        // The id is free while the last message waits: the client may use it as soon as it has that.
        self.operations.end(key);
        self.operation_ended(now);
    }

    fn send_for(&mut self, key: OperationKey, text: String, now: Instant) {
        self.expect_progress(now);
        self.operations.queued(key);
        self.outbox.push(text, About::Operation(key));
    }

    /// Answers a ping of the client ([`Event::Ping`]).
    pub fn pong(&mut self, payload: Option<&RawValue>, now: Instant) {
        self.pings_pending = self.pings_pending.saturating_sub(1);
        if self.is_open() {
            self.send(message::write_about_connection("pong", payload), now);
        }
    }

    /// Leaves a ping of the client without an answer.
    pub fn no_pong(&mut self) {
        self.pings_pending = self.pings_pending.saturating_sub(1);
    }

    /// An `on_complete` hook runs from now on.
    pub fn completion_begins(&mut self) {
        self.completions_pending += 1;
    }

    /// An `on_complete` hook has ended.
    pub fn completion_ends(&mut self) {
        self.completions_pending = self.completions_pending.saturating_sub(1);
    }

    /// Returns `true` if [`poll_transmit`](Self::poll_transmit) has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty() || matches!(self.phase, Phase::Closing { taken: false, .. })
    }

    /// Takes what is to be sent next. Call it when the transport takes something; what is taken must be sent.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        debug_assert!(
            !self.events.iter().any(|event| matches!(event, Event::End)),
            "operations are dropped before anything else is sent"
        );
        if let Some((transmit, about)) = self.outbox.pop() {
            match about {
                About::Operation(key) => self.operations.unqueued(key),
                About::Ping => self.ping_taken(now),
                About::Connection => {}
            }
            return Some(transmit);
        }
        match &mut self.phase {
            Phase::Closing { frame, taken, .. } if !*taken => {
                *taken = true;
                Some(Transmit::Close(frame.clone()))
            }
            _ => None,
        }
    }
}
