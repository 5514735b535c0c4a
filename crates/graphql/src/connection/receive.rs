//! What comes from the client.

use std::borrow::Cow;
use std::sync::Arc;

use wavetank_runtime::Instant;

use super::{Connection, Event, Phase};
use crate::close::CloseCode;
use crate::engine::Request;
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::OperationInfo;
use crate::message::{self, ClientMessage, Id, Malformed, Protocol};

impl Connection {
    /// Handles a text message.
    pub fn handle_text(&mut self, text: &str, now: Instant) {
        if !self.is_open() {
            return;
        }
        self.is_alive();
        if text.len() > self.config.message_bytes_max {
            return self.fail(CloseCode::MESSAGE_TOO_BIG, "the message is too big", now);
        }
        match ClientMessage::parse(text, self.protocol, &self.config) {
            Ok(message) => self.handle_message(message, now),
            Err(malformed) => self.handle_malformed(malformed, now),
        }
    }

    /// Handles a binary message: the protocol has none.
    pub fn handle_binary(&mut self, now: Instant) {
        if self.is_open() {
            self.fail(CloseCode::BAD_REQUEST, "a binary message", now);
        }
    }

    /// Handles a WebSocket ping or pong: the client is there.
    pub fn handle_control(&mut self) {
        self.is_alive();
    }

    fn handle_message(&mut self, message: ClientMessage<'_>, now: Instant) {
        self.is_known_to_speak_it |= match message {
            ClientMessage::Init(_) | ClientMessage::Terminate => false,
            ClientMessage::Subscribe { legacy, .. } => !legacy,
            ClientMessage::Ping(_) | ClientMessage::Pong | ClientMessage::Complete { .. } => true,
        };
        match message {
            ClientMessage::Init(payload) => match self.phase {
                Phase::AwaitingInit => {
                    self.timers.init = None;
                    self.phase = Phase::Connecting;
                    self.events.push_back(Event::Init(payload));
                }
                _ => self.fail(CloseCode::TOO_MANY_INITS, "Too many initialisation requests", now),
            },
            ClientMessage::Ping(payload) => {
                self.pings_pending += 1;
                self.events.push_back(Event::Ping(payload));
            }
            ClientMessage::Pong => {}
            ClientMessage::Subscribe { id, request, legacy } => {
                if legacy {
                    // From here on this client is answered in the protocol that it speaks.
                    self.protocol = Protocol::Legacy;
                }
                self.subscribe(&id, request, now);
            }
            ClientMessage::Complete { id } => self.complete_by_client(id, now),
            ClientMessage::Terminate => {
                self.close(crate::CloseFrame::new(CloseCode::NORMAL, ""), now);
            }
        }
    }

    fn handle_malformed(&mut self, malformed: Malformed, now: Instant) {
        match (self.protocol, malformed.id) {
            (Protocol::Transport, _) => self.fail(CloseCode::BAD_REQUEST, malformed.reason, now),
            // The reference answers, and keeps the socket.
            (Protocol::Legacy, Some(id)) if self.operations.find(&id).is_none() => {
                self.refuse_id(&id, &GraphqlError::new(malformed.reason).into(), now);
            }
            (Protocol::Legacy, _) => self.send_connection_error(&malformed.reason, now),
        }
    }

    fn subscribe(&mut self, id: &str, request: Box<Request>, now: Instant) {
        if !matches!(self.phase, Phase::Ready) {
            return self.fail(CloseCode::UNAUTHORIZED, "Unauthorized", now);
        }
        if let Some(existing) = self.operations.find(id) {
            match self.protocol {
                Protocol::Transport => {
                    let reason = format!("Subscriber for {id} already exists");
                    return self.fail(CloseCode::SUBSCRIBER_EXISTS, reason, now);
                }
                Protocol::Legacy => self.cancel(existing),
            }
        }
        if self.draining.is_some() {
            return;
        }
        if self.operations.len() >= self.config.operations_max {
            let error = format!("At most {} operations at a time.", self.config.operations_max);
            let error = GraphqlError::new(error).code("TOO_MANY_OPERATIONS");
            return self.refuse_id(id, &error.into(), now);
        }
        let (key, id) = self.operations.start(id);
        self.timers.idle = None;
        let name = request.operation_name.as_deref().map(Arc::from);
        let info = OperationInfo { id: Arc::clone(id.text()), name };
        self.events.push_back(Event::Start { key, info, request });
    }

    /// Answers with `error` for an operation that was never started.
    fn refuse_id(&mut self, id: &str, errors: &RequestErrors, now: Instant) {
        let text = message::write_errors(self.protocol, &Id::new(id), errors);
        self.send(text, now);
    }

    fn complete_by_client(&mut self, id: Cow<'_, str>, now: Instant) {
        // What waits of operations that have ended with this id crosses the client's message, too.
        for ended in self.operations.ended(&id) {
            self.outbox.remove(ended);
            self.operations.forget(ended);
        }
        if let Some(key) = self.operations.find(&id) {
            self.cancel(key);
            if self.protocol == Protocol::Legacy {
                self.send(message::write_complete(&Id::new(&id)), now);
            }
            self.operation_ended(now);
        }
    }

    fn cancel(&mut self, key: super::OperationKey) {
        if self.operations.has_queued(key) {
            self.outbox.remove(key);
        }
        self.operations.forget(key);
        self.events.push_back(Event::Cancel(key));
    }

    /// An operation has ended: the connection may be idle now, or drained.
    pub(super) fn operation_ended(&mut self, now: Instant) {
        if self.operations.len() == 0 && matches!(self.phase, Phase::Ready) {
            self.timers.idle = self.config.idle_timeout.map(|timeout| now + timeout);
        }
        if self.draining.is_some() {
            self.settle_drain(now);
        }
    }
}
