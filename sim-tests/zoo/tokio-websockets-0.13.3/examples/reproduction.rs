//! tokio-websockets 0.13.3: the reader of a split stream flushes with the waker of the writer and forgets it. The
//! writer is not woken.
//!
//! No runtime and no timing: everything is polled by hand. The stream behaves as a Linux socket: it has room for some
//! bytes, and wakes a writer when a third of it is free. It keeps the last waker only, as tokio's streams. Fails if the
//! bug does not show.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets::{Message, ServerBuilder};

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), woken.into())
}

const ROOM: usize = 100;
/// A ping without content from a client.
const PING: [u8; 6] = [0x89, 0x80, 1, 2, 3, 4];

#[derive(Default)]
struct Buffers {
    unsent: usize,
    writer: Option<Waker>,
    input: VecDeque<u8>,
}

#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Buffers>>);

impl Socket {
    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.0.lock().expect("no thread has panicked")
    }

    /// The peer takes this number of bytes.
    fn sends(&self, bytes: usize) {
        let mut buffers = self.buffers();
        buffers.unsent -= bytes;
        if ROOM - buffers.unsent >= ROOM / 3
            && let Some(writer) = buffers.writer.take()
        {
            writer.wake();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut buffers = self.buffers();
        // One ping at a time.
        let bytes = read.remaining().min(PING.len()).min(buffers.input.len());
        if bytes == 0 {
            return Poll::Pending;
        }
        read.put_slice(&buffers.input.drain(..bytes).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut buffers = self.buffers();
        let written = bytes.len().min(ROOM - buffers.unsent);
        if written == 0 {
            buffers.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        buffers.unsent += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn main() {
    let socket = Socket::default();
    let (mut sink, mut stream) = ServerBuilder::new().serve(socket.clone()).split();
    let ((writer_woken, writer_waker), (_, reader_waker)) = (counting(), counting());
    let mut send = pin!(sink.send(Message::binary(vec![7; 108])));
    // 100 of 110 bytes are written, and the writer waits.
    assert!(send.as_mut().poll(&mut Context::from_waker(&writer_waker)).is_pending());
    // There is room for the rest, but less than a third, so that the writer is not woken yet.
    socket.sends(12);
    // The reader answers pings, and flushes the message of the writer with them.
    socket.buffers().input.extend([PING, PING].concat());
    let mut context = Context::from_waker(&reader_waker);
    let mut pings = 0;
    while let Poll::Ready(Some(message)) = stream.poll_next_unpin(&mut context) {
        pings += usize::from(message.expect("pings are valid").is_ping());
    }
    assert_eq!(pings, 2);
    // The peer takes everything, and the reader runs again.
    socket.sends(ROOM);
    assert!(stream.poll_next_unpin(&mut context).is_pending());
    let unsent = socket.buffers().unsent;
    socket.sends(unsent);
    let woken = writer_woken.0.load(Ordering::SeqCst);
    assert_eq!(woken, 0, "not reproduced: the writer is woken");
    println!("reproduced: the message is sent, and its writer is not woken");
    assert!(send.as_mut().poll(&mut Context::from_waker(&writer_waker)).is_ready());
    println!("polled without a cause, the writer ends at once");
}
