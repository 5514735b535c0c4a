//! h2 0.4.20: a server lowers the initial window of streams, and an upload hangs.
//!
//! No runtime and no timing: every future is polled by hand, over a pipe in memory. Fails if the bug does not show.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::{client, server};
use http::Request;

const UPLOAD: usize = 40_000;
/// What the client sends before it has seen the SETTINGS of the server.
const EARLY: usize = 20_000;

/// Counts the wake-ups of all parts.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Uploads to a server with this initial window. Returns how many bytes arrive, and the window as the server sees it.
fn upload(window: u32) -> (usize, isize) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let (client_end, server_end) = tokio::io::duplex(1 << 20);

    // The client begins before the SETTINGS of the server arrive.
    let mut handshake = pin!(client::handshake(client_end));
    let Poll::Ready(Ok((mut sender, mut client))) = handshake.as_mut().poll(&mut context) else {
        panic!("the client's handshake waits for nothing")
    };
    assert!(sender.poll_ready(&mut context).is_ready());
    let request = Request::post("http://server/").body(()).expect("the request is valid");
    let (_response, mut body) = sender.send_request(request, false).expect("the client is ready");
    body.send_data(Bytes::from(vec![7; EARLY]), false).expect("the window is 65,535");
    assert!(Pin::new(&mut client).poll(&mut context).is_pending());

    let mut builder = server::Builder::new();
    builder.initial_window_size(window);
    let mut handshake = pin!(builder.handshake::<_, Bytes>(server_end));
    let Poll::Ready(Ok(mut server)) = handshake.as_mut().poll(&mut context) else {
        panic!("the preface has arrived")
    };
    let Poll::Ready(Some(Ok((request, _respond)))) = server.poll_accept(&mut context) else {
        panic!("the request has arrived")
    };
    let mut incoming = request.into_body();
    let (mut received, mut sent) = (0, EARLY);
    body.reserve_capacity(UPLOAD - sent);
    // Polls everything until no part is woken any more.
    loop {
        let before = (received, sent, woken.0.load(Ordering::SeqCst));
        assert!(server.poll_accept(&mut context).is_pending());
        while let Poll::Ready(Some(Ok(data))) = incoming.poll_data(&mut context) {
            received += data.len();
            incoming.flow_control().release_capacity(data.len()).expect("it has been received");
        }
        assert!(server.poll_accept(&mut context).is_pending());
        let _ = Pin::new(&mut client).poll(&mut context);
        while sent < UPLOAD
            && let Poll::Ready(Some(granted)) = body.poll_capacity(&mut context)
        {
            let granted = granted.expect("the connection is open").min(UPLOAD - sent);
            sent += granted;
            body.send_data(Bytes::from(vec![7; granted]), sent == UPLOAD).expect("the window allows it");
        }
        let _ = Pin::new(&mut client).poll(&mut context);
        if before == (received, sent, woken.0.load(Ordering::SeqCst)) {
            return (received, incoming.flow_control().available_capacity());
        }
    }
}

fn main() {
    assert_eq!(upload(65_535).0, UPLOAD, "with the default window, everything arrives");
    let (received, available) = upload(20_000);
    assert!(received < UPLOAD, "not reproduced: everything arrives");
    println!(
        "reproduced: the server has received and released {received} of {UPLOAD} bytes and has {available} bytes to \
         give, and sends no WINDOW_UPDATE"
    );
}
