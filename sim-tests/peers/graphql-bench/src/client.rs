//! The client of all contenders.

use std::future::poll_fn;

use futures::StreamExt;
use futures::stream::BoxStream;

use crate::pipe::{Receiver, Sender, pipe};
use crate::{Contender, Ends};

pub struct Client {
    sender: Sender,
    receiver: Receiver,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Next,
    Complete,
    Ack,
    Other,
}

impl Client {
    /// Starts a server's end and is acknowledged by it.
    pub async fn connect(contender: &Contender) -> Self {
        let ((sender, from_client), (to_client, receiver)) = (pipe(), pipe());
        tokio::spawn((contender.serve)(Ends { receiver: from_client, sender: to_client }));
        let mut client = Self { sender, receiver };
        client.send(r#"{"type":"connection_init"}"#.to_owned()).await;
        while client.hear().await.0 != Kind::Ack {}
        client
    }

    /// Has the results of a subscription sent to it without a handler, in the simplest frames.
    pub fn of_engine(mut results: BoxStream<'static, String>) -> Self {
        let ((sender, from_client), (to_client, receiver)) = (pipe(), pipe());
        tokio::spawn(async move {
            let _from_client = from_client;
            while let Some(result) = results.next().await {
                if poll_fn(|context| to_client.poll_room(context)).await.is_err() {
                    return;
                }
                to_client.put(format!(r#"{{"type":"next","id":"1","payload":{result}}}"#));
            }
        });
        Self { sender, receiver }
    }

    pub async fn send(&self, text: String) {
        poll_fn(|context| self.sender.poll_room(context)).await.expect("the server is there");
        self.sender.put(text);
    }

    pub async fn subscribe(&self, id: &str, query: &str) {
        self.send(format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{query}"}}}}"#)).await;
    }

    pub async fn complete(&self, id: &str) {
        self.send(format!(r#"{{"type":"complete","id":"{id}"}}"#)).await;
    }

    /// Receives a message.
    pub async fn hear(&mut self) -> (Kind, String) {
        let text = poll_fn(|context| self.receiver.poll_take(context)).await.expect("the server is there");
        // All contenders write the type first.
        let kind = match &text.as_bytes()[9..] {
            [b'n', ..] => Kind::Next,
            [b'c', b'o', b'm', ..] => Kind::Complete,
            [b'c', ..] => Kind::Ack,
            _ => Kind::Other,
        };
        (kind, text)
    }

    /// Receives until a message of this kind comes. Returns how many came before, and the message.
    pub async fn until(&mut self, wanted: Kind) -> (usize, String) {
        let mut before = 0;
        loop {
            let (kind, text) = self.hear().await;
            if kind == wanted {
                return (before, text);
            }
            before += 1;
        }
    }

    /// Asks a query and waits for its end: what was sent before is handled then.
    pub async fn round_trip(&mut self) {
        self.subscribe("round trip", "{ hello }").await;
        while !is_of(&self.until(Kind::Complete).await.1, "round trip") {}
    }
}

/// Whether a message is about this operation.
pub fn is_of(text: &str, id: &str) -> bool {
    text.split("\"id\":\"").nth(1).is_some_and(|rest| rest.split('"').next() == Some(id))
}
