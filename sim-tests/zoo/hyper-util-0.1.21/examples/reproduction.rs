//! hyper-util 0.1.21: two ways in which `client::pool::singleton` forgets a user that waits for a connection.
//!
//! No runtime and no timing: every future is polled by hand. Fails if a bug does not show.

use std::future::{Future, Ready, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use hyper_util::client::pool::singleton::Singleton;
use tokio::sync::oneshot;
use tower_service::Service;

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), woken.into())
}

/// A connection that ends when the flag is set.
#[derive(Clone, Default)]
struct Connection(Arc<AtomicBool>);

impl Service<()> for Connection {
    type Response = ();
    type Error = io::Error;
    type Future = Ready<io::Result<()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let has_ended = self.0.load(Ordering::SeqCst);
        Poll::Ready(if has_ended { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) })
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// Makes connections when [`made`](Self::made) says so.
#[derive(Clone, Default)]
struct Connect(Arc<Mutex<Vec<oneshot::Sender<Connection>>>>);

impl Connect {
    /// Ends the oldest attempt. Returns `false` if no user waits for it.
    fn made(&self, connection: Connection) -> bool {
        self.0.lock().expect("no thread has panicked").remove(0).send(connection).is_ok()
    }
}

impl Service<()> for Connect {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (made, connection) = oneshot::channel();
        self.0.lock().expect("no thread has panicked").push(made);
        Box::pin(async move { connection.await.map_err(io::Error::other) })
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A future of the first connection is dropped after its result. It removes a user that waits for the second.
fn a_finished_waiter_removes_another() {
    let connect = Connect::default();
    let mut pool = Singleton::new(connect.clone());
    let (_, waker) = counting();
    // The first connection: `a` makes it, `b` waits for it.
    let (mut a, mut b) = (pool.call(()), pool.call(()));
    assert!(poll(&mut a, &waker).is_pending());
    assert!(poll(&mut b, &waker).is_pending());
    assert!(connect.made(Connection::default()));
    assert!(poll(&mut a, &waker).is_ready());
    // `b` is woken. Before it runs, the connection is given up.
    pool.retain(|_| false);
    // The second connection: `c` makes it, `d` waits for it with the id that `b` had.
    let (mut c, mut d) = (pool.call(()), pool.call(()));
    let (d_woken, d_waker) = counting();
    assert!(poll(&mut c, &waker).is_pending());
    assert!(poll(&mut d, &d_waker).is_pending());
    // `b` gets its result, and its future is dropped, as `.await` does.
    assert!(matches!(poll(&mut b, &waker), Poll::Ready(Ok(_))));
    drop(b);
    // That dropped the sender of `d`'s result, so `d` is woken and polled. It has no place any more.
    assert!(poll(&mut d, &d_waker).is_pending());
    let before = d_woken.count();
    assert!(connect.made(Connection::default()));
    assert!(poll(&mut c, &waker).is_ready());
    assert_eq!(d_woken.count(), before, "not reproduced: the waiter is woken");
    println!("reproduced: the second connection is made, and the user that waits for it is not woken");
}

/// Two users share a connection that ends. The error of the second discards the connection that the first is making.
fn a_stale_error_discards_a_new_connection() {
    let connect = Connect::default();
    let mut pool = Singleton::new(connect.clone());
    let (woken, waker) = counting();
    let mut context = Context::from_waker(&waker);
    let first_connection = Connection::default();
    let mut first = pool.call(());
    assert!(poll(&mut first, &waker).is_pending());
    assert!(connect.made(first_connection.clone()));
    let Poll::Ready(Ok(mut first)) = poll(&mut first, &waker) else { panic!("the connection is made") };
    let mut second = pool.call(());
    let Poll::Ready(Ok(mut second)) = poll(&mut second, &waker) else { panic!("the pool has a connection") };
    first_connection.0.store(true, Ordering::SeqCst);
    // The first user notices the end, and connects again.
    assert!(matches!(first.poll_ready(&mut context), Poll::Ready(Err(_))));
    let mut again = pool.call(());
    assert!(poll(&mut again, &waker).is_pending());
    let before = woken.count();
    // The second user notices the end of the old connection.
    assert!(matches!(second.poll_ready(&mut context), Poll::Ready(Err(_))));
    assert!(!connect.made(Connection::default()), "not reproduced: the new connection is kept");
    assert_eq!(woken.count(), before, "not reproduced: the user is woken");
    println!("reproduced: the new connection is discarded, and the user that waits for it is not woken");
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut again, &waker).is_ready()));
    assert!(polled.is_err(), "not reproduced: a poll without a cause does not panic");
    println!("reproduced: polled without a cause, that user panics");
}

fn main() {
    a_finished_waiter_removes_another();
    a_stale_error_discards_a_new_connection();
}
