//! std's Unix streams and listeners, with the options of the runtime traits.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::local::check_path;
use crate::{
    BlockingLocalSockets, BlockingUnixListener, BlockingUnixStream, ListenOptions, SocketOptions, Std,
};

/// A Unix stream of std.
#[derive(Debug)]
pub struct UnixStream {
    inner: std::os::unix::net::UnixStream,
}

/// A Unix listener of std.
#[derive(Debug)]
pub struct UnixListener {
    inner: std::os::unix::net::UnixListener,
    accepted: SocketOptions,
}

impl BlockingLocalSockets for Std {
    type UnixStream = UnixStream;
    type UnixListener = UnixListener;

    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<UnixStream> {
        check_path(path)?;
        if timeout == Some(Duration::ZERO) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the connect timeout is zero: use a positive duration, or `None` for no limit",
            ));
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Some(bytes) = options.send_buffer_bytes {
            socket.set_send_buffer_size(bytes as usize)?;
        }
        let address = SockAddr::unix(path)?;
        // The timeout of a write also limits a connect (unix(7), SO_SNDTIMEO).
        socket.set_write_timeout(timeout)?;
        loop {
            match socket.connect(&address) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
                }
                result => break result?,
            }
        }
        socket.set_write_timeout(None)?;
        Ok(UnixStream { inner: socket.into() })
    }

    fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<UnixListener> {
        check_path(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        Ok(UnixListener { inner: socket.into(), accepted: options.accepted })
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        unlink(path)
    }
}

impl BlockingUnixStream for UnixStream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()? })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }
}

impl Read for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.read_vectored(buffers)
    }
}

impl Write for UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl BlockingUnixListener for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        let (inner, _unnamed) = self.inner.accept()?;
        if let Some(bytes) = self.accepted.send_buffer_bytes {
            // Unlike with TCP, the stream inherits nothing from the listener.
            SockRef::from(&inner).set_send_buffer_size(bytes as usize)?;
        }
        Ok(UnixStream { inner })
    }
}

/// Removes a socket from the file system, and nothing else.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    // A wrong path must not delete a file.
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file at this path is not a socket"));
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_are_unlinked() {
        let path = std::env::temp_dir().join(format!("wavetank-unlink-{}", std::process::id()));
        std::fs::write(&path, "precious").expect("a temporary file");
        assert_eq!(unlink(&path).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput));
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
        std::fs::remove_file(&path).expect("still there");
        assert_eq!(unlink(&path).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
