//! Ours.

use wavetank_multiplexer::{Config, Window};
use wavetank_runtime::Tokio;

use super::{Accepting, Acceptor, Boxed, Opener, Opening, Session, Windows};
use crate::transport::End;

struct Ours(wavetank_multiplexer::Session<Tokio>);

pub fn start(client: End, server: End, windows: Windows) -> Session {
    let window = match windows {
        Windows::Fixed => Window::Fixed(256 * 1024),
        Windows::Tuned => Window::default(),
    };
    let mut config = Config::default();
    config.window(window);
    config.limits().inbound_streams(20_000).accept_backlog(20_000).unacknowledged_opens(20_000);
    let client = wavetank_multiplexer::Session::client(Tokio, client, config.clone());
    let server = wavetank_multiplexer::Session::server(Tokio, server, config);
    (Box::new(Ours(client)), Box::new(Ours(server)))
}

impl Opener for Ours {
    fn open(&self) -> Opening<'_> {
        Box::pin(async { Box::new(self.0.open().await.expect("a stream")) as Boxed })
    }
}

impl Acceptor for Ours {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(async { self.0.accept().await.ok().map(|stream| Box::new(stream) as Boxed) })
    }
}
