//! Sockets and listeners as plain numbers, for modules that know no network and for reports.

use super::connection::Place;
use super::{HostId, ListenerId, LocalId, LocalListenerId, Network, SocketId, UdpId};

/// Numbers below are those of TCP: sockets have 34 bits.
const UDP: u64 = 1 << 62;
const LOCAL: u64 = 2 << 62;
const LOCAL_LISTENER: u64 = 3 << 62;
const KIND: u64 = 0b11 << 62;

impl SocketId {
    /// Returns the socket as a number. It is even, so it is not a listener.
    pub(crate) const fn object(self) -> u64 {
        self.0 << 1
    }
}

impl ListenerId {
    /// Returns the listener as a number. It is odd, so it is not a socket.
    pub(crate) const fn object(self) -> u64 {
        (self.0 as u64) << 1 | 1
    }
}

impl UdpId {
    /// The socket as a number.
    pub(crate) const fn object(self) -> u64 {
        UDP | self.0 as u64
    }
}

impl LocalId {
    /// The socket as a number.
    pub(crate) const fn object(self) -> u64 {
        LOCAL | self.number()
    }
}

impl LocalListenerId {
    /// The listener as a number.
    pub(crate) const fn object(self) -> u64 {
        LOCAL_LISTENER | self.number()
    }
}

impl Network {
    /// Returns everything of `host` that an application has open, except ends of TCP connections, by its number, with a
    /// label before its [description](Self::describe_object).
    pub(crate) fn open_objects(&self, host: HostId) -> Vec<(u64, &'static str)> {
        let listeners = self.open_listeners(host).into_iter().map(|id| (id.object(), "the listener "));
        let datagrams = self.open_udp_sockets(host).into_iter().map(|id| (id.object(), ""));
        let local = self.open_local_sockets(host).into_iter().map(|object| (object, "the Unix socket "));
        listeners.chain(datagrams).chain(local).collect()
    }

    /// Describes a socket or listener by its number, also when it is gone: "client:49152 -> server:80", "server:80".
    ///
    /// # Panics
    ///
    /// Only on a bug here: the number is of no object of this network.
    pub(crate) fn describe_object(&self, object: u64) -> String {
        let number = object & !KIND;
        match object & KIND {
            UDP => return self.describe_udp_socket(UdpId(number as u32)),
            LOCAL => return self.describe_local(LocalId::from_number(number)),
            LOCAL_LISTENER => return self.describe_local_listener(LocalListenerId::from_number(number)),
            _ => {}
        }
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
        format!("{}:{port}", host.map_or("unknown", |host| self.host_name(host)))
    }
}
