//! `tokio-yamux`.

use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_yamux::{Config, Control, Session as Inner};

use super::{Accepting, Acceptor, Boxed, Opener, Opening, Session, Windows};
use crate::transport::End;

struct Commands(Control);

struct Accepted(mpsc::UnboundedReceiver<Boxed>);

pub fn start(client: End, server: End, windows: Windows) -> Session {
    // It has no tuning: the larger window is what tuning makes of the others.
    let max_stream_window_size = match windows {
        Windows::Fixed => 256 * 1024,
        Windows::Tuned => 16 * 1024 * 1024,
    };
    let config = Config { max_stream_window_size, accept_backlog: 20_000, ..Config::default() };
    let mut client = Inner::new_client(client, config);
    let control = client.control();
    tokio::spawn(async move { while let Some(Ok(_)) = client.next().await {} });
    let mut server = Inner::new_server(server, config);
    let (accepting, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(stream)) = server.next().await {
            let _ = accepting.send(Box::new(stream) as Boxed);
        }
    });
    (Box::new(Commands(control)), Box::new(Accepted(accepted)))
}

impl Opener for Commands {
    fn open(&self) -> Opening<'_> {
        let mut control = self.0.clone();
        Box::pin(async move { Box::new(control.open_stream().await.expect("a stream")) as Boxed })
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let mut control = self.0.clone();
        tokio::spawn(async move { control.close().await });
    }
}

impl Acceptor for Accepted {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(self.0.recv())
    }
}
