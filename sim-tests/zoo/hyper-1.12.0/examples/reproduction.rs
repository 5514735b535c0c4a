//! hyper 1.12.0: a client connection whose upload is answered early takes no further request.
//!
//! No runtime and no timing: every future is polled by hand, over a pipe in memory. Fails if the bug does not show.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the pipe takes.
const PIPE: usize = 4_096;

/// Whether a future was woken, as an executor keeps it.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Uploads so many bytes to a server that answers before it reads. Returns how many bytes the server has read, and
/// whether the connection takes another request then.
fn upload(length: usize) -> (usize, bool) {
    let (client_end, mut server) = tokio::io::duplex(PIPE);
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    // Of the other parts no wake-up counts: they are polled when it is their turn.
    let mut other = Context::from_waker(Waker::noop());

    let mut handshake = pin!(http1::handshake(TokioIo::new(client_end)));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut other) else {
        panic!("the handshake waits for nothing")
    };
    let mut connection = pin!(connection);
    // As an executor does: while it is woken.
    let mut run = || {
        while woken.0.swap(false, Ordering::SeqCst) {
            assert!(connection.as_mut().poll(&mut context).is_pending());
        }
    };
    let body = Full::new(Bytes::from(vec![7; length]));
    let request = Request::post("/").header("host", "server").body(body).expect("the request is valid");
    let mut sending = Box::pin(sender.send_request(request));
    run();

    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert!(Pin::new(&mut server).poll_write(&mut other, answer).is_ready());
    run();
    assert!(sending.as_mut().poll(&mut other).is_ready(), "there is an answer");
    drop(sending);

    // Now the server reads.
    let (mut received, mut bytes) = (0, [0; PIPE]);
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut server).poll_read(&mut other, &mut buffer);
        if read.is_pending() {
            break;
        }
        received += buffer.filled().len();
        run();
    }
    (received, sender.poll_ready(&mut other).is_ready())
}

fn main() {
    let (received, is_ready) = upload(100);
    assert!(received > 100 && is_ready, "an upload that fits the pipe leaves a connection that can be used");
    let (received, is_ready) = upload(10_000);
    assert!(received > 10_000, "the server has read all of it");
    assert!(!is_ready, "not reproduced: the connection takes another request");
    println!("reproduced: the server has read {received} bytes, and the connection takes no request");
}
