//! Opening connections: names, addresses, and the bytes of the opening handshake, all within one time limit.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{
    BlockingLocalSockets, BlockingStream, Condvar, Instant, Mutex, SocketOptions, Threads,
};

use super::dial;
use super::reconnect::Reconnect;
use super::socket::WebSocket;
use super::stop::{Stop, Stopped, Stopper};
use super::wire::{BoxWire, Local, Tcp, is_temporary};
use crate::config::socket_options;
use crate::handshake::{ClientRequest, Endpoint, Opened, Opening, Response, Step};
use crate::session::Session;
use crate::{Config, OpenError};

/// Bytes of a read at most.
const READ_BYTES: usize = 16 * 1024;

/// How long a write waits for room before there is a look at what the server says.
const WRITE_STEP: Duration = Duration::from_millis(50);

/// How long such a look waits.
const READ_STEP: Duration = Duration::from_millis(1);

/// Connects to a Unix socket; a function, because not every world has them.
type DialUnix<T> = fn(&T, &Path, SocketOptions, Option<Duration>) -> io::Result<BoxWire>;

/// Opens connections as a client. Cheap to clone.
///
/// # Defaults
///
/// [`Config::default`]; the system's [`SocketOptions`]; TCP without Nagle's algorithm; no Unix sockets.
///
/// ```no_run
/// use wavetank_runtime::Std;
/// use wavetank_websocket::blocking::Client;
/// use wavetank_websocket::{CloseCode, Error};
///
/// let socket = Client::new(Std).connect("wss://example.com/chat".parse()?)?;
/// let sender = socket.clone();
/// std::thread::Builder::new().spawn(move || sender.send("hello"))?;
/// loop {
///     match socket.recv() {
///         Ok(message) => println!("{message:?}"),
///         Err(Error::Closed(outcome)) => break println!("{outcome}"),
///         Err(other) => return Err(other.into()),
///     }
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client<T: Threads> {
    threads: T,
    config: Config,
    options: SocketOptions,
    dial_unix: Option<DialUnix<T>>,
}

impl<T: Threads> Client<T> {
    /// Opens connections on these threads, [`Std`](wavetank_runtime::Std) in production, with the default [`Config`].
    #[must_use]
    pub fn new(threads: T) -> Self {
        Self {
            threads,
            config: Config::default(),
            options: socket_options(SocketOptions::new()),
            dial_unix: None,
        }
    }

    /// Sets limits, keepalive, deadlines and compression of the connections.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the options of TCP and Unix sockets. Where they leave
    /// [`unsent_bytes`](SocketOptions::unsent_bytes) open it is 128 KiB, as the [keepalive](crate::Keepalive) needs it.
    #[must_use]
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        self.options = socket_options(options);
        self
    }

    /// Allows requests with a [Unix path](ClientRequest::unix_path).
    #[must_use]
    pub fn unix_sockets(mut self) -> Self
    where
        T: BlockingLocalSockets,
    {
        self.dial_unix = Some(|threads, path, options, timeout| {
            Ok(Box::new(Local(threads.connect_unix(path, options, timeout)?)))
        });
        self
    }

    /// Opens a connection: looks up the name, connects to the first of its addresses that answers, through a proxy if
    /// there is one, agrees on TLS, follows redirects, and upgrades. All that has one time limit, the
    /// [open timeout](Config::open_timeout).
    ///
    /// # Errors
    ///
    /// Why the opening failed, and whose fault it was. An attempt to connect to an address that lost the race against
    /// another one ends with the open timeout, on a thread of its own; nothing else is left open. Where the time is up
    /// during the lookup of a name, the thread that looks it up ends when the system's resolver gives up.
    pub fn connect(&self, request: ClientRequest) -> Result<WebSocket<T>, OpenError> {
        self.open(request, None)
    }

    /// Opens a connection as [`connect`](Self::connect), unless another thread [stops](Stopper::stop) it: then this
    /// returns at once, wherever it is.
    ///
    /// ```no_run
    /// use wavetank_runtime::Std;
    /// use wavetank_websocket::blocking::{Client, Stopper};
    ///
    /// let stopper = Stopper::new(Std);
    /// let stops = stopper.clone();
    /// std::thread::Builder::new().spawn(move || stops.stop())?;
    /// let socket = Client::new(Std).connect_stoppable("wss://example.com/chat".parse()?, &stopper)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect), and [`OpenError::Stopped`]. Names are looked up and addresses are dialled
    /// on another thread: stopped meanwhile, it ends when the system gives up, at the open timeout at the latest for
    /// addresses, and what it connected to is closed.
    pub fn connect_stoppable(
        &self,
        request: ClientRequest,
        stopper: &Stopper<T>,
    ) -> Result<WebSocket<T>, OpenError> {
        self.open(request, Some(stopper.shared()))
    }

    pub(super) fn open(
        &self,
        request: ClientRequest,
        stop: Option<&Arc<Stop<T>>>,
    ) -> Result<WebSocket<T>, OpenError> {
        if request.is_for_unix() && self.dial_unix.is_none() {
            return Err(OpenError::Setup(
                "the request is for a Unix socket: make the client with `unix_sockets`".to_owned(),
            ));
        }
        let now = self.threads.now();
        let mut opening = Opening::new(request, self.config.clone(), seed(&self.threads), now)?;
        loop {
            let dialled = match stop {
                None => self.dial(opening.endpoint(), opening.deadline()),
                Some(stop) => {
                    let (client, endpoint, deadline) = (self.clone(), opening.endpoint(), opening.deadline());
                    stop.run(deadline, move || client.dial(endpoint, deadline))?
                }
            };
            let wire = match dialled {
                Ok(wire) => wire,
                Err(_) if opening.deadline() <= self.threads.now() => return Err(opening.give_up()),
                Err(error) => return Err(opening.transport_failed(error)),
            };
            match self.exchange_stoppable(opening, wire, stop)? {
                Exchanged::Open(session, wire, response) => return self.start(*session, wire, response),
                Exchanged::Elsewhere(redirected) => opening = *redirected,
            }
        }
    }

    /// Opens a connection over a stream to the request's target that the caller has already.
    ///
    /// # Errors
    ///
    /// Why the opening failed. A redirect to elsewhere is one: there is only this stream.
    pub fn connect_over<S: BlockingStream>(
        &self,
        stream: S,
        request: ClientRequest,
    ) -> Result<WebSocket<T>, OpenError> {
        self.open_over(stream, request, None)
    }

    /// Opens a connection as [`connect_over`](Self::connect_over), unless another thread [stops](Stopper::stop) it:
    /// then this shuts the stream down and returns at once.
    ///
    /// # Errors
    ///
    /// Those of [`connect_over`](Self::connect_over), and [`OpenError::Stopped`].
    pub fn connect_over_stoppable<S: BlockingStream>(
        &self,
        stream: S,
        request: ClientRequest,
        stopper: &Stopper<T>,
    ) -> Result<WebSocket<T>, OpenError> {
        self.open_over(stream, request, Some(stopper.shared()))
    }

    fn open_over<S: BlockingStream>(
        &self,
        stream: S,
        request: ClientRequest,
        stop: Option<&Arc<Stop<T>>>,
    ) -> Result<WebSocket<T>, OpenError> {
        let now = self.threads.now();
        let opening = Opening::over_transport(request, self.config.clone(), seed(&self.threads), now)?;
        match self.exchange_stoppable(opening, Box::new(Tcp(stream)), stop)? {
            Exchanged::Open(session, wire, response) => self.start(*session, wire, response),
            Exchanged::Elsewhere(_) => {
                unreachable!("an opening over a stream of the caller's goes nowhere else")
            }
        }
    }

    /// Opens one connection after another, each when the one before is lost.
    #[must_use]
    pub fn reconnect(&self, request: ClientRequest) -> Reconnect<T> {
        Reconnect::new(self.clone(), request)
    }

    pub(super) fn threads(&self) -> &T {
        &self.threads
    }

    /// Connects to where the opening wants to go.
    fn dial(&self, endpoint: Endpoint, deadline: Instant) -> io::Result<BoxWire> {
        match endpoint {
            Endpoint::Tcp { host, port } => {
                let addresses = match host.parse::<IpAddr>() {
                    Ok(address) => vec![SocketAddr::new(address, port)],
                    Err(_) => resolve(&self.threads, host, port, deadline)?,
                };
                let stream = self.dial_first(&addresses, deadline)?;
                // Messages are written whole: there is nothing to wait for.
                stream.set_nodelay(true)?;
                Ok(Box::new(Tcp(stream)))
            }
            Endpoint::Unix(path) => match self.dial_unix {
                Some(dial) => dial(&self.threads, &path, self.options, Some(self.left(deadline)?)),
                None => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the client was not made with `unix_sockets`",
                )),
            },
        }
    }

    /// Connects to the first address that answers.
    fn dial_first(&self, addresses: &[SocketAddr], deadline: Instant) -> io::Result<T::Stream> {
        let (threads, options) = (self.threads.clone(), self.options);
        let connect = move |address, timeout| threads.connect(address, options, Some(timeout));
        dial::first(&self.threads, addresses, deadline, connect)
    }

    fn left(&self, deadline: Instant) -> io::Result<Duration> {
        left(&self.threads, deadline).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// Goes through the opening on `wire`.
    fn exchange(&self, mut opening: Opening, mut wire: BoxWire) -> Result<Exchanged, OpenError> {
        let mut buffer = vec![0; READ_BYTES];
        // Once writing fails, what the server said before may still be there to read.
        let mut deaf: Option<io::Error> = None;
        loop {
            // A server may answer before it has read everything, or read no more before its words are read.
            let mut waits = false;
            while deaf.is_none() && !waits && !opening.output().is_empty() {
                let until = opening.deadline().min(self.threads.now() + WRITE_STEP);
                match write(&self.threads, &mut wire, opening.output(), until) {
                    Ok(Some(count)) => opening.output_written(count),
                    Ok(None) => waits = true,
                    Err(error) => deaf = Some(error),
                }
            }
            let deadline = opening.deadline();
            let until = if waits { deadline.min(self.threads.now() + READ_STEP) } else { deadline };
            match read(&self.threads, &mut wire, &mut buffer, until) {
                Ok(Some(0)) if deaf.is_none() => opening.end_of_input(),
                Ok(Some(0)) => return Err(opening.transport_failed(deaf.expect("writing has failed"))),
                Ok(Some(count)) => opening.input().extend_from_slice(&buffer[..count]),
                Ok(None) if waits && self.threads.now() < deadline => continue,
                Ok(None) => return Err(opening.give_up()),
                Err(error) => return Err(opening.transport_failed(deaf.unwrap_or(error))),
            }
            match opening.process(self.threads.now()) {
                Step::Continue => {}
                Step::Reconnect => return Ok(Exchanged::Elsewhere(Box::new(opening))),
                Step::Done(session, response) => {
                    return Ok(Exchanged::Open(session, wire, Box::new(response)));
                }
                Step::Failed(error) => {
                    // TLS has a parting word, which may be lost.
                    if matches!(error, OpenError::Tls { .. }) {
                        let _lost = write(&self.threads, &mut wire, opening.output(), opening.deadline());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Goes through the opening on `wire`, until `stop` is used.
    fn exchange_stoppable(
        &self,
        opening: Opening,
        wire: BoxWire,
        stop: Option<&Arc<Stop<T>>>,
    ) -> Result<Exchanged, OpenError> {
        let Some(stop) = stop else { return self.exchange(opening, wire) };
        let registered = match wire.duplicate() {
            Ok(second) => stop.register(second)?,
            Err(error) => return Err(opening.transport_failed(error)),
        };
        let exchanged = self.exchange(opening, wire);
        stop.release(registered)?;
        exchanged
    }

    fn start(
        &self,
        session: Session,
        wire: BoxWire,
        response: Box<Response>,
    ) -> Result<WebSocket<T>, OpenError> {
        let opened = Opened::Client(*response);
        WebSocket::start(&self.threads, session, wire, self.config.close_timeout, opened)
    }
}

/// How far an exchange of bytes with one server has led.
enum Exchanged {
    Open(Box<Session>, BoxWire, Box<Response>),
    Elsewhere(Box<Opening>),
}

impl From<Stopped> for OpenError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Fresh entropy.
pub(super) fn seed<T: Threads>(threads: &T) -> [u8; 32] {
    let mut seed = [0; 32];
    threads.fill_random(&mut seed);
    seed
}

/// Writes some of `bytes`; `None`: the time is up.
pub(super) fn write<T: Threads>(
    threads: &T,
    wire: &mut BoxWire,
    bytes: &[u8],
    deadline: Instant,
) -> io::Result<Option<usize>> {
    within(threads, deadline, |timeout| {
        wire.set_write_timeout(Some(timeout))?;
        match wire.write(bytes)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    })
}

/// Reads; `None`: the time is up.
pub(super) fn read<T: Threads>(
    threads: &T,
    wire: &mut BoxWire,
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<Option<usize>> {
    within(threads, deadline, |timeout| {
        wire.set_read_timeout(Some(timeout))?;
        wire.read(buffer)
    })
}

/// Repeats `attempt`, which is given the time that is left, while it fails for the time being; `None`: the time is up.
fn within<T: Threads>(
    threads: &T,
    deadline: Instant,
    mut attempt: impl FnMut(Duration) -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    while let Some(left) = left(threads, deadline) {
        match attempt(left) {
            Err(error) if is_temporary(&error) => {}
            result => return result.map(Some),
        }
    }
    Ok(None)
}

/// The time until `deadline`, at least a millisecond: no timer is finer, and zero is no timeout. `None`: it is up.
pub(super) fn left<T: Threads>(threads: &T, deadline: Instant) -> Option<Duration> {
    let left = deadline - threads.now();
    (!left.is_zero()).then(|| left.max(Duration::from_millis(1)))
}

/// Looks up `host`, until `deadline`. The system's resolver knows no time limit, so it has a thread of its own.
fn resolve<T: Threads>(
    threads: &T,
    host: String,
    port: u16,
    deadline: Instant,
) -> io::Result<Vec<SocketAddr>> {
    let answer = Arc::new(Answer {
        addresses: Mutex::new(threads, "resolver answer", None),
        there: Condvar::new(threads, "resolver"),
    });
    let (resolver, asked) = (threads.clone(), Arc::clone(&answer));
    drop(threads.spawn("websocket resolver", move || {
        let addresses = resolver.resolve(&host, port);
        *asked.addresses.lock() = Some(addresses);
        asked.there.notify_all();
    })?);
    let mut addresses = answer.addresses.lock();
    loop {
        if let Some(addresses) = addresses.take() {
            return addresses;
        }
        let left = left(threads, deadline).ok_or(io::ErrorKind::TimedOut)?;
        addresses = answer.there.wait_timeout(addresses, left).0;
    }
}

/// Where a resolver puts what it found.
struct Answer<T: Threads> {
    addresses: Mutex<T, Option<io::Result<Vec<SocketAddr>>>>,
    there: Condvar<T>,
}

impl<T: Threads> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}
