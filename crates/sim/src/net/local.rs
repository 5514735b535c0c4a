//! Unix stream sockets within one host: paths, listeners, and connections that take no time.
//!
//! This is not TCP: both ends are in one kernel, so there are no segments, no latency and no faults. A write puts its
//! bytes into the peer's queue, and a close is known at once. The model is Linux's `net/unix/af_unix.c`.
//!
//! # Invariants
//!
//! - A call that returns `Pending` is followed by a [`Ready`] when it is worth another try.
//! - Every host has its own paths. A path stays after its listener is gone, until it is unlinked.
//! - Every host has the directories `/`, `/dev/shm`, `/run`, `/tmp` and `/var/run`, the working directory, and those
//!   that were [made](Network::local_make_directory) in them. A socket is not a directory.
//! - A backlog of `n` keeps `n + 1` connections, as with TCP.
//!
//! # Not here
//!
//! One connection (`pair`). Permissions.

mod pair;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::task::Poll;

use wavetank_runtime::__private::check_path;
use wavetank_runtime::{ListenOptions, SocketOptions};

pub(crate) use trace::LocalEvent;

use super::connection::Errno;
use super::{HostId, Network, Outside, Ready};
use pair::{Owner, Pair};
use trace::LocalEventKind;

/// The directories that every host has, beside the working directory.
const DIRECTORIES: [&str; 7] = ["/", "/dev", "/dev/shm", "/run", "/tmp", "/var", "/var/run"];

/// One end of a connection. Not used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalId(u32);

/// A listener. Not used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalListenerId(u32);

impl LocalId {
    const fn new(pair: u32, side: usize) -> Self {
        Self(pair << 1 | side as u32)
    }

    const fn pair(self) -> u32 {
        self.0 >> 1
    }

    const fn side(self) -> usize {
        (self.0 & 1) as usize
    }

    pub(super) const fn number(self) -> u64 {
        self.0 as u64
    }

    pub(super) const fn from_number(number: u64) -> Self {
        Self(number as u32)
    }
}

impl LocalListenerId {
    pub(super) const fn number(self) -> u64 {
        self.0 as u64
    }

    pub(super) const fn from_number(number: u64) -> Self {
        Self(number as u32)
    }
}

#[derive(Debug)]
struct LocalListener {
    backlog: usize,
    accepted: SocketOptions,
    queue: VecDeque<LocalId>,
    reported: bool,
    room_reported: bool,
}

impl LocalListener {
    fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

/// All Unix sockets of a network.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// The listener at each path, open or not.
    paths: BTreeMap<(HostId, PathBuf), LocalListenerId>,
    /// Directories beyond those that every host has.
    directories: BTreeSet<(HostId, PathBuf)>,
    listeners: BTreeMap<LocalListenerId, LocalListener>,
    /// The path of each listener, also after it is gone.
    places: Vec<(HostId, PathBuf)>,
    pairs: BTreeMap<u32, Pair>,
    /// Of `listeners` and `pairs`, by host: a run with many hosts asks for those of each.
    listeners_of_hosts: BTreeSet<(HostId, LocalListenerId)>,
    pairs_of_hosts: BTreeSet<(HostId, u32)>,
    /// The listener of each pair, and its number on its host. Kept after the pair is gone.
    births: Vec<(LocalListenerId, u32)>,
    /// Connections so far, by host.
    counts: BTreeMap<HostId, u32>,
}

impl Local {
    pub(super) fn report_taken(&mut self, ready: Ready) {
        match ready {
            Ready::Local(id, direction) => {
                if let Some(pair) = self.pairs.get_mut(&id.pair()) {
                    pair.ends[id.side()].reported[direction as usize] = false;
                }
            }
            Ready::LocalListener(id) => {
                if let Some(listener) = self.listeners.get_mut(&id) {
                    listener.reported = false;
                }
            }
            Ready::LocalRoom(id) => {
                if let Some(listener) = self.listeners.get_mut(&id) {
                    listener.room_reported = false;
                }
            }
            Ready::Socket(..) | Ready::Listener(_) | Ready::Datagram(_) => {}
        }
    }

    /// Checks that the directories of `path` exist.
    fn check_directories(&self, host: HostId, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1).filter(|directory| directory.parent().is_some()) {
            let place = (host, directory.to_owned());
            if self.paths.contains_key(&place) {
                return Err(errno(libc::ENOTDIR));
            }
            let stands = directory.file_name().is_none()
                || DIRECTORIES.iter().any(|known| directory == Path::new(known));
            if !stands && !self.directories.contains(&place) {
                return Err(errno(libc::ENOENT));
            }
        }
        Ok(())
    }

    fn host_of(&self, pair: u32) -> HostId {
        self.host_of_listener(self.births[pair as usize].0)
    }

    fn host_of_listener(&self, listener: LocalListenerId) -> HostId {
        self.places[listener.0 as usize].0
    }

    fn listeners_of(&self, host: HostId) -> impl Iterator<Item = LocalListenerId> {
        let all = (host, LocalListenerId(0))..=(host, LocalListenerId(u32::MAX));
        self.listeners_of_hosts.range(all).map(|(_, listener)| *listener)
    }

    fn pairs_of(&self, host: HostId) -> impl Iterator<Item = u32> {
        self.pairs_of_hosts.range((host, 0)..=(host, u32::MAX)).map(|(_, pair)| *pair)
    }
}

impl Network {
    /// Makes a directory of `host`, with all parents.
    ///
    /// # Errors
    ///
    /// `NotADirectory` if a socket is at the path or at a parent.
    pub(crate) fn local_make_directory(&mut self, host: HostId, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().filter(|directory| directory.file_name().is_some()) {
            let place = (host, directory.to_owned());
            if self.local.paths.contains_key(&place) {
                return Err(errno(libc::ENOTDIR));
            }
            self.local.directories.insert(place);
        }
        Ok(())
    }

    /// Creates a socket at `path` of `host` and listens on it.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if anything is at the path, `NotFound` if its directory is missing, and those of [`check_path`].
    pub(crate) fn local_listen(
        &mut self,
        host: HostId,
        path: &Path,
        options: ListenOptions,
    ) -> io::Result<LocalListenerId> {
        check_path(path)?;
        self.local.check_directories(host, path)?;
        let place = (host, path.to_owned());
        let is_directory = self.local.directories.contains(&place)
            || DIRECTORIES.iter().any(|known| path == Path::new(known));
        if self.local.paths.contains_key(&place) || is_directory {
            return Err(errno(libc::EADDRINUSE));
        }
        let id = LocalListenerId(u32::try_from(self.local.places.len()).expect("fewer than 2^32 listeners"));
        self.local.places.push(place.clone());
        self.local.paths.insert(place, id);
        let listener = LocalListener {
            backlog: options.backlog as usize,
            accepted: options.accepted,
            queue: VecDeque::new(),
            reported: false,
            room_reported: false,
        };
        self.local.listeners.insert(id, listener);
        self.local.listeners_of_hosts.insert((host, id));
        Ok(id)
    }

    /// Removes the socket at `path` from the file system of `host`.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub(crate) fn local_unlink(&mut self, host: HostId, path: &Path) -> io::Result<()> {
        match self.local.paths.remove(&(host, path.to_owned())) {
            Some(_) => Ok(()),
            None => Err(errno(libc::ENOENT)),
        }
    }

    /// Finds what is at `path` of `host`.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there, and those of [`check_path`].
    pub(crate) fn local_find(&self, host: HostId, path: &Path) -> io::Result<LocalListenerId> {
        check_path(path)?;
        self.local.check_directories(host, path)?;
        self.local.paths.get(&(host, path.to_owned())).copied().ok_or_else(|| errno(libc::ENOENT))
    }

    /// Connects to a listener. `Pending` means that its backlog is full.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if it is closed.
    pub(crate) fn local_connect(
        &mut self,
        outside: &mut dyn Outside,
        id: LocalListenerId,
        options: SocketOptions,
    ) -> Poll<io::Result<LocalId>> {
        let local = &mut self.local;
        let index = u32::try_from(local.births.len()).expect("fewer than 2^32 connections");
        let host = local.places[id.0 as usize].0;
        let Some(listener) = local.listeners.get_mut(&id) else {
            outside.local_event(LocalEvent {
                listener: id,
                number: None,
                from: 0,
                what: LocalEventKind::Refused,
            });
            return Poll::Ready(Err(errno(libc::ECONNREFUSED)));
        };
        if listener.is_full() {
            return Poll::Pending;
        }
        let count = local.counts.entry(host).or_default();
        *count += 1;
        local.births.push((id, *count));
        let pair = Pair::new(index, [options, listener.accepted]);
        listener.queue.push_back(LocalId::new(index, 1));
        if !listener.reported {
            listener.reported = true;
            self.wire.ready.push(Ready::LocalListener(id));
        }
        local.pairs.insert(index, pair);
        local.pairs_of_hosts.insert((host, index));
        let socket = LocalId::new(index, 0);
        self.tell_local(outside, socket, LocalEventKind::Connected);
        Poll::Ready(Ok(socket))
    }

    /// Takes the oldest connection that waits.
    ///
    /// # Errors
    ///
    /// `EBADF` once the listener is closed.
    pub(crate) fn local_accept(&mut self, id: LocalListenerId) -> Poll<io::Result<LocalId>> {
        let local = &mut self.local;
        let Some(listener) = local.listeners.get_mut(&id) else {
            return Poll::Ready(Err(errno(libc::EBADF)));
        };
        let Some(socket) = listener.queue.pop_front() else { return Poll::Pending };
        if !listener.room_reported {
            listener.room_reported = true;
            self.wire.ready.push(Ready::LocalRoom(id));
        }
        let pair = local.pairs.get_mut(&socket.pair()).expect("a connection lives while it is queued");
        pair.ends[1].owner = Owner::Application;
        Poll::Ready(Ok(socket))
    }

    /// Closes a listener and resets the connections that it has not accepted. The path stays.
    pub(crate) fn local_close_listener(&mut self, outside: &mut dyn Outside, id: LocalListenerId) {
        let Some(listener) = self.local.listeners.remove(&id) else { return };
        let host = self.local.host_of_listener(id);
        self.local.listeners_of_hosts.remove(&(host, id));
        self.wire.ready.extend([Ready::LocalListener(id), Ready::LocalRoom(id)]);
        for socket in listener.queue {
            self.end_local(outside, socket);
        }
    }

    /// Reads what has arrived, up to the size of `buffer`; 0 is the end.
    ///
    /// # Errors
    ///
    /// After everything has been read: `ConnectionReset`, once, if the peer was closed with unread bytes.
    pub(crate) fn local_read(
        &mut self,
        outside: &mut dyn Outside,
        id: LocalId,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(pair) = self.local.pairs.get_mut(&id.pair()) else {
            return Poll::Ready(Err(errno(libc::EBADF)));
        };
        let polled = pair.read(id.side(), buffer, &mut self.wire.ready);
        if let Poll::Ready(Ok(count @ 1..)) = polled {
            let bytes = u32::try_from(count).unwrap_or(u32::MAX);
            self.tell_local(outside, id, LocalEventKind::Read { bytes });
        }
        polled
    }

    /// Writes as much of `bytes` as the send buffer has room for. `waited` is `true` if this call has found no room
    /// before.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` once the peer reads no more; `ConnectionReset`, once, if that comes while the call waits and is
    /// due to unread bytes.
    pub(crate) fn local_write(
        &mut self,
        outside: &mut dyn Outside,
        id: LocalId,
        bytes: &[u8],
        waited: bool,
    ) -> Poll<io::Result<usize>> {
        let Some(pair) = self.local.pairs.get_mut(&id.pair()) else {
            return Poll::Ready(Err(errno(libc::EBADF)));
        };
        let polled = pair.write(id.side(), bytes, waited, &mut self.wire.ready);
        if let Poll::Ready(Ok(count @ 1..)) = polled {
            let bytes = u32::try_from(count).unwrap_or(u32::MAX);
            self.tell_local(outside, id, LocalEventKind::Wrote { bytes });
        }
        polled
    }

    /// Returns `true` if a write found no room, and the socket has not woken its writer since.
    pub(crate) fn local_awaits_room(&self, id: LocalId) -> bool {
        self.local.pairs.get(&id.pair()).is_some_and(|pair| pair.ends[id.side()].writer_waits)
    }

    /// Shuts down reading, writing or both.
    pub(crate) fn local_shutdown(&mut self, outside: &mut dyn Outside, id: LocalId, how: Shutdown) {
        if let Some(pair) = self.local.pairs.get_mut(&id.pair()) {
            pair.shutdown(id.side(), how, &mut self.wire.ready);
            self.tell_local(outside, id, LocalEventKind::ShutDown { how: how.into() });
        }
    }

    /// Closes an end, because its last handle was dropped.
    pub(crate) fn local_close(&mut self, outside: &mut dyn Outside, id: LocalId) {
        self.end_local(outside, id);
    }

    /// Describes the sockets that the applications of `host` hold: connections, then listeners.
    pub(super) fn open_local_sockets(&self, host: HostId) -> Vec<u64> {
        let local = &self.local;
        let pairs = local.pairs_of(host).filter_map(|index| Some((index, local.pairs.get(&index)?)));
        let ends = pairs.flat_map(|(index, pair)| {
            let lost = (0..2).filter(|&side| pair.ends[side].owner == Owner::Application);
            lost.map(move |side| LocalId::new(index, side).object())
        });
        ends.chain(local.listeners_of(host).map(LocalListenerId::object)).collect()
    }

    /// Closes all sockets of a host whose process or machine is gone. Paths stay, as files do.
    pub(super) fn local_vanish(&mut self, outside: &mut dyn Outside, host: HostId) {
        let listeners: Vec<LocalListenerId> = self.local.listeners_of(host).collect();
        let pairs: Vec<u32> = self.local.pairs_of(host).collect();
        listeners.into_iter().for_each(|id| self.local_close_listener(outside, id));
        for index in pairs {
            for side in [0, 1] {
                self.end_local(outside, LocalId::new(index, side));
            }
        }
    }

    fn end_local(&mut self, outside: &mut dyn Outside, id: LocalId) {
        let Some(pair) = self.local.pairs.get_mut(&id.pair()) else { return };
        let Some(reset) = pair.close(id.side(), &mut self.wire.ready) else { return };
        let over = pair.is_over();
        self.tell_local(outside, id, LocalEventKind::Closed { reset });
        if over {
            self.local.pairs.remove(&id.pair());
            let host = self.local.host_of(id.pair());
            self.local.pairs_of_hosts.remove(&(host, id.pair()));
        }
    }

    fn tell_local(&self, outside: &mut dyn Outside, id: LocalId, what: LocalEventKind) {
        let (listener, number) = self.local.births[id.pair() as usize];
        outside.local_event(LocalEvent { listener, number: Some(number), from: id.side() as u8, what });
    }
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno)
}
