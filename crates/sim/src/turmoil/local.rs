//! Unix stream sockets for a host inside of turmoil: [`LocalSockets`] for tasks, [`BlockingLocalSockets`] for threads.
//!
//! turmoil has none, and they never leave a host. So these are the simulator's own, of the sans-I/O network that
//! every run has and whose TCP and UDP are not used here. Nothing in it takes time, so it does not matter which clock
//! it sees. The scheduler wakes what it makes ready on the host. (Tokio's own sockets, which work inside of turmoil
//! with its `enable_tokio_io`, are real ones, in real files.)
//!
//! # Invariants
//!
//! - A crash of the host closes its sockets before its tasks are dropped; paths stay (the driver of the host sees to
//!   it).

use std::io;
use std::path::Path;
use std::time::Duration;

use wavetank_runtime::{BlockingLocalSockets, ListenOptions, LocalSockets, SocketOptions};

use super::TurmoilHost;
use crate::host::{SimBlockingUnixListener, SimBlockingUnixStream, SimUnixListener, SimUnixStream};

impl LocalSockets for TurmoilHost {
    type UnixStream = SimUnixStream;
    type UnixListener = SimUnixListener;

    async fn connect_unix(&self, path: &Path, options: SocketOptions) -> io::Result<SimUnixStream> {
        LocalSockets::connect_unix(&self.inner, path, options).await
    }

    async fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<SimUnixListener> {
        LocalSockets::listen_unix(&self.inner, path, options).await
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        LocalSockets::unlink_unix(&self.inner, path)
    }
}

impl BlockingLocalSockets for TurmoilHost {
    type UnixStream = SimBlockingUnixStream;
    type UnixListener = SimBlockingUnixListener;

    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<SimBlockingUnixStream> {
        BlockingLocalSockets::connect_unix(&self.inner, path, options, timeout)
    }

    fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<SimBlockingUnixListener> {
        BlockingLocalSockets::listen_unix(&self.inner, path, options)
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        BlockingLocalSockets::unlink_unix(&self.inner, path)
    }
}
