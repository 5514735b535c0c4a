//! How the user's threads use the protocol, and how they wait while the connection closes.

use wavetank_runtime::Threads;

use super::super::exceptions::{Cause, ConnectionClosed, InternalError, Violation};
use super::super::protocol::{Protocol, SendError, State};
use super::super::threading::Deadline;
use super::shared::Shared;

/// Why the protocol was not used.
#[derive(Debug)]
pub(super) enum ContextError {
    /// The protocol does not allow the caller's request. The connection is unchanged.
    Misuse(Violation),
    Closed(ConnectionClosed),
}

/// What to do after the protocol's mutex is released.
#[derive(Default)]
struct Leaving {
    wait_for_close: bool,
    raise_close_exc: bool,
    original_exc: Option<Cause>,
}

impl<R: Threads> Shared<R> {
    /// Lets the caller use the protocol under its mutex and in the expected state, and sends the result.
    ///
    /// If the connection is closing, before or afterwards, waits until it is closed, at most until the deadline.
    pub(super) fn send_context(
        &self,
        expected_state: State,
        interact: impl FnOnce(&mut Protocol) -> Result<(), SendError>,
    ) -> Result<(), ContextError> {
        let mut leaving = self.interact(expected_state, interact).map_err(ContextError::Misuse)?;
        // The mutex is free now. Otherwise recv_events could not terminate.
        if leaving.wait_for_close && !self.wait_for_recv_events() {
            tracing::info!(target: "websockets", "close: peer did not answer in time, closing the socket");
            leaving.original_exc = Some(Cause::CloseTimedOut);
            leaving.raise_close_exc = true;
            let held = self.protocol_mutex.lock();
            self.set_recv_exc(&held, Cause::CloseTimedOut);
        }
        if !leaving.raise_close_exc {
            return Ok(());
        }
        self.close_socket();
        self.recv_events_finished.wait(None);
        let mut closed = self.attributes.lock().protocol.close_exc();
        closed.cause = leaving.original_exc.or(closed.cause);
        Err(ContextError::Closed(closed))
    }

    /// The part under the protocol's mutex.
    fn interact(
        &self,
        expected_state: State,
        interact: impl FnOnce(&mut Protocol) -> Result<(), SendError>,
    ) -> Result<Leaving, Violation> {
        let mut held = self.protocol_mutex.lock();
        let state = self.attributes.lock().protocol.state();
        if state != expected_state {
            return Ok(Leaving { wait_for_close: true, raise_close_exc: true, original_exc: None });
        }
        let mut leaving = Leaving::default();
        let interacted = interact(&mut self.attributes.lock().protocol);
        match interacted {
            Ok(()) => {}
            Err(SendError::Misuse(violation)) => return Err(violation),
            // Another thread has changed the state without the mutex.
            Err(SendError::InvalidState(_)) => {
                leaving.raise_close_exc = true;
                leaving.original_exc = Some(Cause::Internal(InternalError("InvalidState")));
                return Ok(leaving);
            }
        }
        {
            let mut attributes = self.attributes.lock();
            if attributes.protocol.close_expected() {
                leaving.wait_for_close = true;
                assert!(
                    attributes.close_deadline.is_none(),
                    "the state was {state}, so no thread is closing"
                );
                attributes.close_deadline = Some(Deadline::after(&self.runtime, self.settings.close_timeout));
            }
        }
        match self.send_data(&mut held) {
            Ok(()) if leaving.wait_for_close => {
                tracing::info!(target: "websockets", "close: sent close frame");
            }
            Ok(()) => {}
            Err(error) => {
                leaving = Leaving {
                    wait_for_close: false,
                    raise_close_exc: true,
                    original_exc: Some(Cause::Socket(error.kind())),
                };
            }
        }
        Ok(leaving)
    }

    /// Waits until the background thread has ended. Returns `true` if that was before the deadline for closing.
    fn wait_for_recv_events(&self) -> bool {
        let deadline = self.attributes.lock().close_deadline;
        let timeout = deadline.map_or(self.settings.close_timeout, |deadline| deadline.left(&self.runtime));
        self.recv_events_finished.wait(Some(timeout))
    }
}
