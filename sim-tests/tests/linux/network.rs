//! Two machines of real Linux with a network between them: network namespaces, joined by a relay that can drop packets.
//!
//! Each machine has a TUN device. The relay reads packets from one and writes them to the other. A *pair* is an
//! address on each machine; pairs share the machines, and each has a partition of its own. So hundreds of scripts run
//! at once.
//!
//! It needs root, `/dev/net/tun` and the command `ip`, and neither netem nor nft.
#![expect(unsafe_code, reason = "namespaces and TUN devices have no safe interface")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wavetank::runtime::{Instant, Std, Threads};

/// Pairs that a network has.
pub(crate) const PAIRS: usize = 4096;

/// A namespace with its end of the network.
#[derive(Debug)]
struct Machine {
    namespace: File,
    tun: File,
}

/// Two machines and the relay between them. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Network {
    machines: [Arc<Machine>; 2],
    partitions: Arc<Partitions>,
    relay: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Partitions {
    /// By pair, then by the machine that sends.
    cut: Vec<[AtomicBool; 2]>,
    over: AtomicBool,
    /// How long the relay keeps each packet.
    delay: Duration,
}

impl Network {
    /// Makes two machines, with settings of `/proc/sys` for both.
    ///
    /// # Errors
    ///
    /// Where namespaces or TUN devices cannot be made.
    pub(crate) fn new(delay: Duration, settings: &[(&str, &str)]) -> io::Result<Self> {
        let machines = [Arc::new(Machine::new(0, settings)?), Arc::new(Machine::new(1, settings)?)];
        let cut = (0..PAIRS).map(|_| Default::default()).collect();
        let partitions = Arc::new(Partitions { cut, over: AtomicBool::new(false), delay });
        let [a, b] = machines.clone();
        let shared = Arc::clone(&partitions);
        let relay =
            std::thread::Builder::new().name("relay".to_owned()).spawn(move || relay([&a, &b], &shared))?;
        Ok(Self { machines, partitions, relay: Some(relay) })
    }

    /// The address of a pair on a machine.
    pub(crate) fn address(pair: usize, machine: usize) -> Ipv4Addr {
        let [high, low] = u16::try_from(pair + 1).expect("few pairs").to_be_bytes();
        Ipv4Addr::new(10, 1 + machine as u8, high, low)
    }

    /// Runs `body`, whose sockets belong to a machine.
    pub(crate) fn on<T>(&self, machine: usize, body: impl FnOnce() -> T) -> T {
        let home = current_namespace().expect("the thread has a namespace");
        enter(&self.machines[machine].namespace).expect("the machine has a namespace");
        let result = body();
        enter(&home).expect("the thread had a namespace");
        result
    }

    /// Drops the packets of a pair that `machine` sends, or no longer.
    pub(crate) fn cut(&self, pair: usize, machine: usize, cut: bool) {
        self.partitions.cut[pair][machine].store(cut, Ordering::SeqCst);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.partitions.over.store(true, Ordering::SeqCst);
        if let Some(relay) = self.relay.take() {
            // A relay that has panicked has said so.
            let _ = relay.join();
        }
    }
}

impl Machine {
    fn new(number: usize, settings: &[(&str, &str)]) -> io::Result<Self> {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // On a thread of its own: it cannot leave a namespace behind that others run in.
        let thread = std::thread::Builder::new().spawn(move || -> io::Result<Self> {
            // SAFETY: it concerns this thread alone, and takes no memory.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
            let namespace = current_namespace()?;
            let tun = open_tun()?;
            let (own, other) = (number + 1, 2 - number);
            ip("link set lo up")?;
            ip("link set relay up mtu 1500")?;
            // What connects without a local address gets this one.
            ip(&format!("addr add 10.{own}.255.254/32 dev relay"))?;
            ip(&format!("route add local 10.{own}.0.0/16 dev lo"))?;
            ip(&format!("route add 10.{other}.0.0/16 dev relay"))?;
            for (name, value) in settings {
                fs::write(format!("/proc/sys/{name}"), value)?;
            }
            Ok(Self { namespace, tun })
        })?;
        thread.join().map_err(|_| io::Error::other("the set-up of a namespace has panicked"))?
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn current_namespace() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the call concerns this thread alone.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

fn open_tun() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let tun = options.open("/dev/net/tun")?;
    // SAFETY: all zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (byte, name) in request.ifr_name.iter_mut().zip(b"relay") {
        *byte = *name as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open and `request` lives through the call.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as libc::Ioctl, &raw mut request) })?;
    Ok(tun)
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("`ip {arguments}`: {}", said.trim())))
}

/// Waits until a descriptor can be read, for at most some milliseconds.
fn wait(descriptors: [BorrowedFd<'_>; 2], milliseconds: i32) -> [bool; 2] {
    let mut polled = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `polled` holds two entries and lives through the call.
    unsafe { libc::poll(polled.as_mut_ptr(), 2, milliseconds) };
    polled.map(|entry| entry.revents & libc::POLLIN != 0)
}

fn relay(machines: [&Machine; 2], partitions: &Partitions) {
    let mut buffer = vec![0; 70_000];
    let mut waiting: std::collections::VecDeque<(Instant, usize, Vec<u8>)> = Default::default();
    while !partitions.over.load(Ordering::SeqCst) {
        let patience = if waiting.is_empty() { 50 } else { 1 };
        let ready = wait(machines.map(|machine| machine.tun.as_fd()), patience);
        for from in [0, 1] {
            // The device does not block.
            while ready[from]
                && let Ok(count) = (&machines[from].tun).read(&mut buffer)
            {
                let packet = &buffer[..count];
                if partitions.passes(from, packet) {
                    waiting.push_back((now() + partitions.delay, 1 - from, packet.to_vec()));
                }
            }
        }
        while waiting.front().is_some_and(|(at, ..)| *at <= now())
            && let Some((_, to, packet)) = waiting.pop_front()
        {
            // A full queue loses packets, as on any network.
            let _ = (&machines[to].tun).write(&packet);
        }
    }
}

fn now() -> Instant {
    Std.now()
}

impl Partitions {
    fn passes(&self, from: usize, packet: &[u8]) -> bool {
        // The source address of IPv4; anything else is noise of a new device.
        let (Some(4), Some(source)) = (packet.first().map(|byte| byte >> 4), packet.get(12..16)) else {
            return false;
        };
        let number = usize::from(u16::from_be_bytes([source[2], source[3]]));
        match number.checked_sub(1).and_then(|pair| self.cut.get(pair)) {
            Some(cut) => !cut[from].load(Ordering::SeqCst),
            None => true,
        }
    }
}
