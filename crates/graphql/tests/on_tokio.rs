//! The driver on Tokio: what an event costs, and that a connection leaves time to others.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;
use wavetank_graphql::{Config, Engine, Operation, Request, RequestErrors, Server, Upgrade, memory};
use wavetank_runtime::{Runtime as _, Tokio};

/// A stream that counts how often it is polled, and gives what is sent to it.
struct Polled {
    polls: Arc<AtomicUsize>,
    events: Option<mpsc::UnboundedReceiver<()>>,
}

impl Stream for Polled {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        match &mut self.events {
            None => Poll::Pending,
            Some(events) => events.poll_recv(context).map(|event| event.map(|()| "{}".to_owned())),
        }
    }
}

/// The query `event` gives what is sent to it, `hot` is always ready, and everything else is silent.
struct Counting {
    idle: Arc<AtomicUsize>,
    active: Arc<AtomicUsize>,
    events: std::sync::Mutex<Option<mpsc::UnboundedReceiver<()>>>,
}

struct Hot;

impl Stream for Hot {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<String>> {
        Poll::Ready(Some("{}".to_owned()))
    }
}

impl Engine for Counting {
    type Context = ();
    type Payload = String;

    async fn prepare(&self, request: Request, _context: Arc<()>) -> Result<Operation<String>, RequestErrors> {
        Ok(Operation::Subscription(match request.query.as_str() {
            "event" => {
                let events = self.events.lock().expect("no panic").take();
                Box::pin(Polled { polls: Arc::clone(&self.active), events })
            }
            "hot" => Box::pin(Hot),
            _ => Box::pin(Polled { polls: Arc::clone(&self.idle), events: None }),
        }))
    }
}

fn subscribe(id: usize, query: &str) -> String {
    format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{query}"}}}}"#)
}

#[tokio::test]
async fn an_event_polls_its_operation_alone() {
    const IDLE: usize = 10_000;
    const EVENTS: usize = 100;
    let (send, receive) = mpsc::unbounded_channel();
    let (idle, active) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let events = std::sync::Mutex::new(Some(receive));
    let engine = Counting { idle: Arc::clone(&idle), active: Arc::clone(&active), events };
    let server = Server::new(Tokio, engine).config(Config::new().operations_max(IDLE + 1));
    let (transport, mut client) = memory::pair(Some("graphql-transport-ws"), 64);
    let connection = Tokio.spawn("connection", server.serve(transport, Upgrade::new()));
    client.send(r#"{"type":"connection_init"}"#).await;
    client.recv_text().await.expect("an acknowledgement");
    for id in 0..IDLE {
        client.send(subscribe(id, "idle")).await;
    }
    client.send(subscribe(IDLE, "event")).await;
    client.send(r#"{"type":"ping"}"#).await;
    client.recv_text().await.expect("a pong");
    while active.load(Ordering::Relaxed) == 0 || idle.load(Ordering::Relaxed) < IDLE {
        tokio::task::yield_now().await;
    }
    assert_eq!((idle.load(Ordering::Relaxed), active.load(Ordering::Relaxed)), (IDLE, 1));
    for _ in 0..EVENTS {
        send.send(()).expect("the stream is there");
        client.recv_text().await.expect("a result");
    }
    assert_eq!(idle.load(Ordering::Relaxed), IDLE, "no idle operation is polled again");
    assert!(active.load(Ordering::Relaxed) <= 1 + 2 * EVENTS, "one poll an event, and one to wait");
    drop(client);
    connection.await.expect("no panic");
    assert_eq!(server.operations(), 0);
}

#[tokio::test]
async fn a_hot_connection_leaves_time_to_others() {
    let engine =
        Counting { idle: Arc::default(), active: Arc::default(), events: std::sync::Mutex::default() };
    let server = Server::new(Tokio, engine);
    let (transport, mut client) = memory::pair(Some("graphql-transport-ws"), 1 << 20);
    let connection = Tokio.spawn("connection", server.serve(transport, Upgrade::new()));
    client.send(r#"{"type":"connection_init"}"#).await;
    client.recv_text().await.expect("an acknowledgement");
    client.send(subscribe(1, "hot")).await;
    // On one thread, beside a stream that is always ready and a transport that takes everything.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut results = 0;
    while let Poll::Ready(Some(_)) = client.poll_recv(&mut Context::from_waker(std::task::Waker::noop())) {
        results += 1;
    }
    assert!(results > 0 && results <= 100 * 256, "{results} results in 100 turns");
    drop(client);
    connection.await.expect("no panic");
}
