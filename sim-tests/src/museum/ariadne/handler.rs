//! The handler of one connection: `graphql_transport_ws.py`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wavetank_runtime::{Runtime, TaskHandle as _};

use super::Version;
use super::websocket::{Exception, WebSocket};

/// Messages of the protocol. They have no payload here, so whole texts are compared.
pub(super) mod message {
    pub(in super::super) const CONNECTION_INIT: &str = r#"{"type":"connection_init"}"#;
    pub(in super::super) const CONNECTION_ACK: &str = r#"{"type":"connection_ack"}"#;
    pub(in super::super) const PING: &str = r#"{"type":"ping"}"#;
    pub(in super::super) const PONG: &str = r#"{"type":"pong"}"#;
}

/// The close codes of the handler.
pub(super) mod code {
    pub(in super::super) const NORMAL: u16 = 1000;
    pub(in super::super) const UNKNOWN_MESSAGE: u16 = 4400;
    pub(in super::super) const INIT_TIMEOUT: u16 = 4408;
    pub(in super::super) const TOO_MANY_INITS: u16 = 4429;
}

/// Settings of a handler.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    version: Version,
    connection_init_wait_timeout: Duration,
    on_connect_takes: Duration,
}

impl Settings {
    /// The defaults of the original, with the order of operations of `version`: a minute for `connection_init`, and an
    /// `on_connect` that accepts at once.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self {
            version,
            connection_init_wait_timeout: Duration::from_secs(60),
            on_connect_takes: Duration::ZERO,
        }
    }

    /// Sets the timeout for `connection_init`.
    #[must_use]
    pub const fn connection_init_wait_timeout(mut self, timeout: Duration) -> Self {
        self.connection_init_wait_timeout = timeout;
        self
    }

    /// Sets how long the user's `on_connect` takes to accept, for example to look up a token.
    #[must_use]
    pub const fn on_connect_takes(mut self, time: Duration) -> Self {
        self.on_connect_takes = time;
        self
    }
}

/// An exception that leaves the handler, and what the handler was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uncaught {
    during: &'static str,
    exception: Exception,
}

impl Uncaught {
    fn during(during: &'static str) -> impl Fn(Exception) -> Self {
        move |exception| Self { during, exception }
    }
}

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.during, self.exception)
    }
}

#[derive(Debug, Default)]
struct ClientContext {
    connection_init_received: AtomicBool,
}

/// Serves WebSocket connections of the `graphql-transport-ws` protocol.
#[derive(Clone, Debug)]
pub struct Handler<R: Runtime> {
    runtime: R,
    settings: Settings,
}

impl<R: Runtime> Handler<R> {
    /// Makes a handler.
    pub fn new(runtime: &R, settings: Settings) -> Self {
        Self { runtime: runtime.clone(), settings }
    }

    pub(super) async fn handle_websocket(&self, websocket: Arc<WebSocket>) -> Result<(), Uncaught> {
        let context = Arc::new(ClientContext::default());
        let accepting = Uncaught::during("accepting");
        let mut timer = match self.settings.version {
            // The first bug: accepting takes time, and the timer already runs.
            Version::V0_26_0 => {
                let timer = self.start_timer(&websocket, &context);
                websocket.accept().await.map_err(accepting)?;
                timer
            }
            Version::V0_26_1 | Version::Fixed => {
                websocket.accept().await.map_err(accepting)?;
                self.start_timer(&websocket, &context)
            }
        };
        let served = self.handle_messages(&websocket, &context, &mut timer).await;
        if self.settings.version == Version::Fixed {
            timer.abort();
        }
        served
    }

    fn start_timer(&self, websocket: &Arc<WebSocket>, context: &Arc<ClientContext>) -> R::TaskHandle<()> {
        let (handler, websocket, context) = (self.clone(), Arc::clone(websocket), Arc::clone(context));
        let timeout = self.settings.connection_init_wait_timeout;
        tracing::info!("starts the timer: connection_init has to come within {timeout:?}");
        self.runtime.spawn("connection_init_timeout", async move {
            handler.handle_connection_init_timeout(&websocket, &context).await;
        })
    }

    async fn handle_connection_init_timeout(&self, websocket: &WebSocket, context: &ClientContext) {
        self.runtime.sleep(self.settings.connection_init_wait_timeout).await;
        if context.connection_init_received.load(Ordering::Relaxed) || websocket.is_disconnected() {
            return;
        }
        tracing::info!(
            "timer: no connection_init, closes with {}, the socket is {}",
            code::INIT_TIMEOUT,
            websocket.application_state()
        );
        // An error means that the client has disconnected.
        let _ = websocket.close(code::INIT_TIMEOUT);
    }

    async fn handle_messages(
        &self,
        websocket: &WebSocket,
        context: &ClientContext,
        timer: &mut R::TaskHandle<()>,
    ) -> Result<(), Uncaught> {
        while !websocket.is_disconnected() {
            let message = match websocket.receive_text().await {
                Ok(message) => message,
                Err(Exception::Disconnect) => break,
                Err(exception) => return Err(Uncaught { during: "receiving", exception }),
            };
            match self.settings.version {
                // The second bug: the timer may have closed the socket while the message was on its way.
                Version::V0_26_0 | Version::V0_26_1 => {}
                Version::Fixed if websocket.is_disconnected() => break,
                Version::Fixed => {}
            }
            self.handle_message(websocket, &message, context, timer).await?;
        }
        Ok(())
    }

    async fn handle_message(
        &self,
        websocket: &WebSocket,
        message: &str,
        context: &ClientContext,
        timer: &mut R::TaskHandle<()>,
    ) -> Result<(), Uncaught> {
        match message {
            message::CONNECTION_INIT => self
                .handle_connection_init(websocket, context, timer)
                .await
                .map_err(Uncaught::during("handling connection_init")),
            message::PING => {
                tracing::info!("ping has come: answers, the socket is {}", websocket.application_state());
                match websocket.send_text(message::PONG) {
                    Err(Exception::Disconnect) => Ok(()),
                    ponged => ponged.map_err(Uncaught::during("handling ping")),
                }
            }
            message::PONG => Ok(()),
            _ => websocket.close(code::UNKNOWN_MESSAGE).map_err(Uncaught::during("handling a message")),
        }
    }

    async fn handle_connection_init(
        &self,
        websocket: &WebSocket,
        context: &ClientContext,
        timer: &mut R::TaskHandle<()>,
    ) -> Result<(), Exception> {
        if context.connection_init_received.swap(true, Ordering::Relaxed) {
            return websocket.close(code::TOO_MANY_INITS);
        }
        if self.settings.version == Version::Fixed {
            timer.abort();
        }
        tracing::info!(
            "connection_init has come: calls on_connect, the socket is {}",
            websocket.application_state()
        );
        if !self.settings.on_connect_takes.is_zero() {
            self.runtime.sleep(self.settings.on_connect_takes).await;
        }
        match websocket.send_text(message::CONNECTION_ACK) {
            Ok(()) => Ok(()),
            Err(_) => {
                tracing::info!("cannot send connection_ack, closes");
                if self.settings.version == Version::Fixed && websocket.is_disconnected() {
                    return Ok(());
                }
                websocket.close(code::NORMAL)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use wavetank_runtime::Tokio;

    use super::super::websocket::Event;
    use super::super::wire::Packet;
    use super::*;

    const TOO_LATE: Exception =
        Exception::RuntimeError("Cannot call \"send\" once a close message has been sent.");

    /// A step of the server. All tasks run between two steps.
    #[derive(Clone, Copy)]
    enum Step {
        Connect,
        Receive(&'static str),
        Disconnect,
    }

    /// Runs `steps` and returns how the handler ended and what it sent.
    fn handle(settings: Settings, steps: &[Step]) -> (Result<(), Uncaught>, Vec<Packet>) {
        let (events, receive) = mpsc::channel(8);
        let (send, mut sent) = mpsc::unbounded_channel();
        let socket = Arc::new(WebSocket::new(receive, send));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let ended = runtime.expect("a runtime").block_on(async {
            let handler = Handler::new(&Tokio, settings);
            let handling = Tokio.spawn("app", async move { handler.handle_websocket(socket).await });
            for step in steps {
                // Longer than the resolution of Tokio's timers, so that a timeout of zero has passed.
                Tokio.sleep(Duration::from_millis(5)).await;
                let event = match *step {
                    Step::Connect => Event::Connect,
                    Step::Receive(text) => Event::Receive(text.into()),
                    Step::Disconnect => Event::Disconnect,
                };
                // The handler may have ended.
                let _ = events.send(event).await;
            }
            handling.await.expect("the handler does not panic")
        });
        (ended, std::iter::from_fn(|| sent.try_recv().ok()).collect())
    }

    fn at_once(version: Version) -> Settings {
        Settings::new(version).connection_init_wait_timeout(Duration::ZERO)
    }

    #[test]
    fn an_early_timer_refuses_a_late_connect_event() {
        let (ended, sent) = handle(at_once(Version::V0_26_0), &[Step::Connect, Step::Disconnect]);
        assert_eq!(ended, Err(Uncaught { during: "accepting", exception: TOO_LATE }));
        assert_eq!(sent, [Packet::Refuse]);
        for version in [Version::V0_26_1, Version::Fixed] {
            let (ended, sent) = handle(at_once(version), &[Step::Connect, Step::Disconnect]);
            assert_eq!((ended, sent), (Ok(()), vec![Packet::Accept, Packet::Close(4408)]), "{version:?}");
        }
    }

    #[test]
    fn only_the_fix_ignores_messages_after_closing() {
        for (text, during) in
            [(message::CONNECTION_INIT, "handling connection_init"), (message::PING, "handling ping")]
        {
            let steps = [Step::Connect, Step::Receive(text)];
            let (ended, sent) = handle(at_once(Version::V0_26_1), &steps);
            assert_eq!(ended, Err(Uncaught { during, exception: TOO_LATE }));
            assert_eq!(sent, [Packet::Accept, Packet::Close(4408)]);
            let (ended, sent) = handle(at_once(Version::Fixed), &steps);
            assert_eq!((ended, sent), (Ok(()), vec![Packet::Accept, Packet::Close(4408)]));
        }
    }

    #[test]
    fn an_unknown_message_closes_with_4400() {
        let steps = [Step::Connect, Step::Receive("{}")];
        let (ended, sent) = handle(Settings::new(Version::Fixed), &steps);
        assert_eq!((ended, sent), (Ok(()), vec![Packet::Accept, Packet::Close(4400)]));
    }
}
