//! A connection of a host as one of tonic's server.

use tonic::transport::server::{Connected, TcpConnectInfo};
use wavetank_runtime::Stream;

use crate::host::{SimStream, StreamSocket};

/// Requests carry both addresses of their connection, as over TCP.
impl<S: StreamSocket> Connected for SimStream<S> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: self.local_addr().ok(), remote_addr: self.peer_addr().ok() }
    }
}
