//! Sockets and listeners as plain numbers, for layers that know no network and reports that describe them.

use super::connection::Place;
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
    /// Describes a socket or listener by its number, also when it is gone: "client:49152 -> server:80", "server:80".
    ///
    /// # Panics
    ///
    /// Only on a bug here: the number is of no object of this network.
    pub(crate) fn describe_object(&self, object: u64) -> String {
        if object & 1 == 1 {
            let place =
                self.listener_place(ListenerId((object >> 1) as u32)).expect("a listener of this network");
            return self.describe_place((Some(place.0), place.1));
        }
        let socket = SocketId(object >> 1);
        let places = self.connections.places(socket.connection()).expect("a socket of this network");
        let [own, peer] = [socket.side(), 1 - socket.side()].map(|side| self.describe_place(places[side]));
        format!("{own} -> {peer}")
    }

    fn describe_place(&self, (host, port): Place) -> String {
        format!("{}:{port}", host.map_or("nobody", |host| self.host_name(host)))
    }
}
