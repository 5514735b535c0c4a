//! `yamux`, whose connection is polled by a task for inbound and outbound streams alike.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

use super::{Accepting, Acceptor, Boxed, Opener, Opening, Session, Windows};
use crate::transport::End;

struct Commands(mpsc::UnboundedSender<oneshot::Sender<Boxed>>);

/// What is accepted; the commands end the session when they are dropped.
struct Accepted(mpsc::UnboundedReceiver<Boxed>, #[expect(dead_code, reason = "kept")] Commands);

pub fn start(client: End, server: End, windows: Windows) -> Session {
    let (commands, _) = drive(client, Mode::Client, windows);
    let (other, accepted) = drive(server, Mode::Server, windows);
    (Box::new(commands), Box::new(Accepted(accepted, other)))
}

struct Driver {
    connection: Connection<Compat<End>>,
    commands: mpsc::UnboundedReceiver<oneshot::Sender<Boxed>>,
    accepting: mpsc::UnboundedSender<Boxed>,
    opening: VecDeque<oneshot::Sender<Boxed>>,
}

impl Driver {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.commands.poll_recv(context) {
                Poll::Ready(Some(answer)) => self.opening.push_back(answer),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        loop {
            while !self.opening.is_empty()
                && let Poll::Ready(opened) = self.connection.poll_new_outbound(context)
            {
                let answer = self.opening.pop_front().expect("it is not empty");
                let _ = answer.send(Box::new(opened.expect("a stream").compat()));
            }
            match self.connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    let _ = self.accepting.send(Box::new(stream.compat()));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn drive(end: End, mode: Mode, windows: Windows) -> (Commands, mpsc::UnboundedReceiver<Boxed>) {
    let mut config = Config::default();
    // In this order: each of the two is checked against the other.
    config.set_max_connection_receive_window(None).set_max_num_streams(20_000);
    // Its windows stay at 256 KiB where the connection may not hold more than that for each stream.
    let limit = match windows {
        Windows::Fixed => Some(20_000 * 256 * 1024),
        Windows::Tuned => None,
    };
    config.set_max_connection_receive_window(limit);
    let (commands, receiver) = mpsc::unbounded_channel();
    let (accepting, accepted) = mpsc::unbounded_channel();
    let mut driver = Driver {
        connection: Connection::new(end.compat(), config, mode),
        commands: receiver,
        accepting,
        opening: VecDeque::new(),
    };
    tokio::spawn(async move { poll_fn(|context| driver.poll(context)).await });
    (Commands(commands), accepted)
}

impl Opener for Commands {
    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            let (answer, opened) = oneshot::channel();
            self.0.send(answer).expect("the session is open");
            opened.await.expect("a stream")
        })
    }
}

impl Acceptor for Accepted {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(self.0.recv())
    }
}
