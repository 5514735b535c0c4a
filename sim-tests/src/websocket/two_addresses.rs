//! A host whose lookups find two addresses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wavetank::Host;
use wavetank_runtime::__private::RawLocks;
use wavetank_runtime::{Instant, ListenOptions, Runtime, SocketOptions, Threads, WaitOutcome};

/// A host that finds another host's address before the one it looked up. Otherwise the same as the host.
#[derive(Debug, Clone, Copy)]
pub struct TwoAddresses {
    host: Host,
    first: &'static str,
}

impl TwoAddresses {
    /// Makes lookups of `host` find the address of `first`, and then the right one.
    #[must_use]
    pub const fn new(host: Host, first: &'static str) -> Self {
        Self { host, first }
    }
}

impl Runtime for TwoAddresses {
    type Stream = <Host as Runtime>::Stream;
    type Listener = <Host as Runtime>::Listener;
    type Sleep = <Host as Runtime>::Sleep;
    type TaskHandle<T: Send + 'static> = <Host as Runtime>::TaskHandle<T>;

    fn now(&self) -> Instant {
        Runtime::now(&self.host)
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        self.host.sleep_until(deadline)
    }

    fn spawn<F>(&self, name: &str, future: F) -> Self::TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Runtime::spawn(&self.host, name, future)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Runtime::resolve(&self.host, self.first, port).await?;
        addresses.extend(Runtime::resolve(&self.host, host, port).await?);
        Ok(addresses)
    }

    async fn connect(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::Stream> {
        Runtime::connect(&self.host, address, options).await
    }

    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        Runtime::listen(&self.host, address, options).await
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        Runtime::fill_random(&self.host, buffer);
    }
}

impl Threads for TwoAddresses {
    type Stream = <Host as Threads>::Stream;
    type Listener = <Host as Threads>::Listener;
    type ThreadHandle<T: Send + 'static> = <Host as Threads>::ThreadHandle<T>;

    fn now(&self) -> Instant {
        Threads::now(&self.host)
    }

    fn sleep(&self, duration: Duration) {
        Threads::sleep(&self.host, duration);
    }

    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<Self::ThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Threads::spawn(&self.host, name, body)
    }

    fn yield_now(&self) {
        self.host.yield_now();
    }

    fn access(&self, object: &'static str, index: usize) {
        self.host.access(object, index);
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Threads::resolve(&self.host, self.first, port)?;
        addresses.extend(Threads::resolve(&self.host, host, port)?);
        Ok(addresses)
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::Stream> {
        Threads::connect(&self.host, address, options, timeout)
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        Threads::listen(&self.host, address, options)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        Threads::fill_random(&self.host, buffer);
    }
}

impl RawLocks for TwoAddresses {
    type RawMutex<T: Send> = <Host as RawLocks>::RawMutex<T>;
    type RawGuard<'a, T: Send + 'a> = <Host as RawLocks>::RawGuard<'a, T>;
    type RawCondvar = <Host as RawLocks>::RawCondvar;

    fn raw_mutex<T: Send>(&self, name: &'static str, value: T) -> Self::RawMutex<T> {
        self.host.raw_mutex(name, value)
    }

    fn raw_lock<T: Send>(mutex: &Self::RawMutex<T>) -> Self::RawGuard<'_, T> {
        <Host as RawLocks>::raw_lock(mutex)
    }

    fn raw_try_lock<T: Send>(mutex: &Self::RawMutex<T>) -> Option<Self::RawGuard<'_, T>> {
        <Host as RawLocks>::raw_try_lock(mutex)
    }

    fn raw_into_inner<T: Send>(mutex: Self::RawMutex<T>) -> T {
        <Host as RawLocks>::raw_into_inner(mutex)
    }

    fn raw_condvar(&self, name: &'static str) -> Self::RawCondvar {
        self.host.raw_condvar(name)
    }

    fn raw_wait<'a, T: Send + 'a>(
        condvar: &Self::RawCondvar,
        guard: Self::RawGuard<'a, T>,
    ) -> Self::RawGuard<'a, T> {
        <Host as RawLocks>::raw_wait(condvar, guard)
    }

    fn raw_wait_timeout<'a, T: Send + 'a>(
        condvar: &Self::RawCondvar,
        guard: Self::RawGuard<'a, T>,
        timeout: Duration,
    ) -> (Self::RawGuard<'a, T>, WaitOutcome) {
        <Host as RawLocks>::raw_wait_timeout(condvar, guard, timeout)
    }

    fn raw_notify_one(condvar: &Self::RawCondvar) {
        <Host as RawLocks>::raw_notify_one(condvar);
    }

    fn raw_notify_all(condvar: &Self::RawCondvar) {
        <Host as RawLocks>::raw_notify_all(condvar);
    }
}
