//! [`Runtime`] on Tokio.
//!
//! # Invariants
//!
//! - The clock and the timers are those of `tokio::time`: pausing Tokio's clock pauses them.
//! - The handle is empty: every call uses the Tokio runtime of the calling task.
//!
//! # Not here
//!
//! Streams and listeners ([`tcp`]), UDP ([`udp`]), Unix sockets (`unix`).

pub mod tcp;
pub mod udp;
#[cfg(unix)]
pub mod unix;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

use crate::join::panic_message;
use crate::{Instant, JoinError, ListenOptions, Runtime, SocketOptions, clock};

/// The async runtime for production: the Tokio runtime of the calling task.
///
/// Every method except `fill_random` panics if there is no such runtime, or if it was built without time or I/O.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = tcp::TcpStream;
    type Listener = tcp::TcpListener;
    type Sleep = Sleep;
    type TaskHandle<T: Send + 'static> = TaskHandle<T>;

    fn now(&self) -> Instant {
        clock::from_std(tokio::time::Instant::now().into_std())
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep { timer: tokio::time::sleep_until(to_tokio(deadline)) }
    }

    // Tokio keeps names only with its `tracing` feature, which would slow down every production build.
    fn spawn<F>(&self, _name: &str, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "the runtime's own implementation")]
        TaskHandle { task: tokio::spawn(future) }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    async fn connect(&self, address: SocketAddr, options: SocketOptions) -> io::Result<tcp::TcpStream> {
        tcp::connect(address, options).await
    }

    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<tcp::TcpListener> {
        tcp::listen(address, options)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        crate::entropy::fill(buffer);
    }
}

fn to_tokio(instant: Instant) -> tokio::time::Instant {
    tokio::time::Instant::from_std(clock::to_std(instant))
}

pin_project! {
    /// A Tokio timer. Its resolution is one millisecond, rounded up.
    #[derive(Debug)]
    #[must_use = "a timer does nothing unless it is polled"]
    pub struct Sleep {
        #[pin]
        timer: tokio::time::Sleep,
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.project().timer.poll(context)
    }
}

impl crate::Sleep for Sleep {
    fn deadline(&self) -> Instant {
        clock::from_std(self.timer.deadline().into_std())
    }

    fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().timer.reset(to_tokio(deadline));
    }
}

/// A handle to a Tokio task.
#[derive(Debug)]
pub struct TaskHandle<T> {
    task: JoinHandle<T>,
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.task).poll(context));
        Poll::Ready(result.map_err(|error| match error.try_into_panic() {
            Ok(payload) => JoinError::Panicked(panic_message(&*payload)),
            Err(_) => JoinError::Cancelled,
        }))
    }
}

impl<T: Send + 'static> crate::TaskHandle<T> for TaskHandle<T> {
    fn abort(&self) {
        self.task.abort();
    }

    fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;
    use crate::{Sleep as _, Std, TaskHandle as _, Threads as _};

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_a_paused_tokio_clock_exactly() {
        let start = Tokio.now();
        assert_eq!(Tokio.now(), start);
        tokio::time::advance(Duration::from_nanos(1_234_567)).await;
        assert_eq!(Tokio.now() - start, Duration::from_nanos(1_234_567));
        Tokio.sleep(Duration::from_secs(3600)).await;
        // Tokio's paused clock jumps in whole milliseconds.
        assert!(Tokio.now() - start < Duration::from_secs(3601));
        assert!(Tokio.now() - start >= Duration::from_secs(3600));
    }

    #[test]
    fn a_clock_paused_before_the_anchor_still_advances() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        Std.sleep(Duration::from_millis(5));
        clock::now();
        let moved = runtime.block_on(async {
            let start = Tokio.now();
            tokio::time::advance(Duration::from_millis(1)).await;
            Tokio.now() - start
        });
        assert_eq!(moved, Duration::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_can_be_reset_at_any_time() {
        let start = Tokio.now();
        let mut timer = pin!(Tokio.sleep(Duration::from_secs(1)));
        assert_eq!(timer.deadline(), start + Duration::from_secs(1));
        timer.as_mut().reset(start + Duration::from_secs(5));
        timer.as_mut().await;
        assert_eq!(Tokio.now() - start, Duration::from_secs(5));
        timer.as_mut().reset(start + Duration::from_secs(7));
        timer.as_mut().await;
        assert_eq!(Tokio.now() - start, Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_of_the_longest_duration_waits() {
        let forever = Tokio.sleep(Duration::MAX);
        assert!(tokio::time::timeout(Duration::from_secs(1), forever).await.is_err());
    }

    #[tokio::test]
    async fn join_reports_the_panic_message_or_cancelled() {
        let task = Tokio.spawn("faulty", async { panic!("out of {}", "cheese") });
        let result: Result<(), JoinError> = task.await;
        assert_eq!(result, Err(JoinError::Panicked("out of cheese".to_owned())));

        let task = Tokio.spawn("patient", std::future::pending::<()>());
        assert!(!task.is_finished());
        task.abort();
        assert_eq!(task.await, Err(JoinError::Cancelled));

        let task = Tokio.spawn("quick", async { 7 });
        assert_eq!(task.await, Ok(7));
    }

    #[tokio::test]
    async fn an_address_as_text_resolves_to_itself() {
        let addresses = Tokio.resolve("::1", 80).await.expect("text of an address resolves");
        assert_eq!(addresses, ["[::1]:80".parse().expect("an address")]);
    }
}
