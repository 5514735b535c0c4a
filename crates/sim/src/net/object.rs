//! Sockets and listeners as plain numbers, for layers that know no network and reports that describe them.

use super::{ListenerId, Network, SocketId};

impl SocketId {
    /// The socket as a number: even, so that it is no listener.
    pub(crate) const fn object(self) -> u64 {
        self.0 << 1
    }
}

impl ListenerId {
    /// The listener as a number: odd, so that it is no socket.
    pub(crate) const fn object(self) -> u64 {
        (self.0 as u64) << 1 | 1
    }
}

impl Network {
    /// Describes a socket or listener by its number: "client:49152 -> server:80", "server:80".
    pub(crate) fn describe_object(&self, object: u64) -> String {
        if object & 1 == 1 {
            let listener = ListenerId((object >> 1) as u32);
            return self.describe_listener(listener).unwrap_or_else(|| "a closed listener".to_owned());
        }
        let socket = SocketId(object >> 1);
        self.connections.get(socket.connection()).map_or_else(
            || "a connection that is over".to_owned(),
            |connection| self.describe_socket(connection, socket.side()),
        )
    }
}
