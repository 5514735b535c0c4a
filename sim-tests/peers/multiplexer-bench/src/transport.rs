//! What the sessions run over.

use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A transport of any kind.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// One end of it.
pub type End = Box<dyn Transport>;

/// A kind of transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A pipe in memory, of 256 KiB.
    Duplex,
    /// TCP over loopback, without Nagle's delay.
    Tcp,
    /// The same with socket buffers of 256 KiB, so that the kernel holds less than the windows allow.
    SmallTcp,
    /// A pipe in memory that delivers 25 ms later, each way, at 100 MB/s.
    Delayed,
}

/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// Bytes a second of [`Link::Delayed`].
pub const DELAYED_RATE: u64 = 100_000_000;

impl Link {
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplex => "duplex",
            Self::Tcp => "TCP",
            Self::SmallTcp => "TCP with 256 KiB socket buffers",
            Self::Delayed => "50 ms link",
        }
    }

    fn socket(self) -> TcpSocket {
        let socket = TcpSocket::new_v4().expect("a socket");
        if self == Self::SmallTcp {
            socket.set_send_buffer_size(256 * 1024).expect("an option");
            socket.set_recv_buffer_size(256 * 1024).expect("an option");
        }
        socket
    }

    /// Makes both ends.
    pub async fn connect(self) -> (End, End) {
        match self {
            Self::Duplex => {
                let (one, other) = duplex(256 * 1024);
                (Box::new(one), Box::new(other))
            }
            Self::Tcp | Self::SmallTcp => {
                let (listening, connecting) = (self.socket(), self.socket());
                listening.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
                let listener = listening.listen(1).expect("it is bound");
                let address = listener.local_addr().expect("it is bound");
                let (one, other) = tokio::join!(connecting.connect(address), listener.accept());
                let (one, other) = (one.expect("connected"), other.expect("accepted").0);
                one.set_nodelay(true).expect("an option");
                other.set_nodelay(true).expect("an option");
                (Box::new(one), Box::new(other))
            }
            Self::Delayed => {
                let (one, near) = duplex(1 << 20);
                let (far, other) = duplex(1 << 20);
                delay_both_ways(near, far);
                (Box::new(one), Box::new(other))
            }
        }
    }
}

fn delay_both_ways(near: DuplexStream, far: DuplexStream) {
    let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
    delay(near_read, far_write);
    delay(far_read, near_write);
}

fn delay(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut free_at = Instant::now();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // Timers are late by a millisecond or two: while something waits to be sent, that is made up for.
            let read = match from.read(&mut buffer).now_or_never() {
                Some(read) => read,
                None => {
                    let read = from.read(&mut buffer).await;
                    free_at = free_at.max(Instant::now());
                    read
                }
            };
            let Ok(count @ 1..) = read else { return };
            free_at += Duration::from_nanos(count as u64 * 1_000_000_000 / DELAYED_RATE);
            let at = free_at.max(Instant::now()) + DELAY;
            if sender.send((at, buffer[..count].to_vec())).is_err() {
                return;
            }
            if free_at > Instant::now() + Duration::from_millis(2) {
                sleep_until(free_at).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((at, bytes)) = receiver.recv().await {
            if at > Instant::now() {
                sleep_until(at).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _gone = to.shutdown().await;
    });
}
