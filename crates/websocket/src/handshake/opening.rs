//! The client's side of the opening: proxy, TLS, the upgrade, redirects.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use url::Url;
use wavetank_runtime::Instant;

use super::body::BodyReader;
use super::client_request::ClientRequest;
use super::head::{HeadError, HeadReader, ResponseHead, single};
use super::proxy::{Proxies, Proxy, Tunnel};
use super::target::{Target, without_user_info};
use super::upgrade::{Agreement, Upgrade};
use super::wire::Wire;
use crate::Config;
use crate::deflate::Parameters;
use crate::error::{HandshakeError, OpenError, ProxyError, RedirectError, Rejection, Stage};
use crate::protocol::{Connection, Role};
use crate::session::Session;
use crate::session::tls_options::TlsSetupError;

/// How much room a read is offered.
const READ_BYTES: usize = 8 * 1024;

/// How long the body of a refusal is waited for after its head.
const REFUSAL_BODY: Duration = Duration::from_secs(1);

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port of the target or the proxy.
    Tcp {
        /// A name, or the text of an address (IPv6 without brackets).
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Writes what there is to write, and reads on.
    Continue,
    /// Drops the transport, and connects to the new [`endpoint`](Opening::endpoint): the server sent us elsewhere.
    Reconnect,
    /// Goes on with the session. What came with the server's answer is in it already.
    Done(Box<Session>, Response),
    /// Drops the transport, after it wrote what output there still is (TLS may have a parting word).
    Failed(OpenError),
}

/// What the server answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// Where the session is with, at the end of all redirects; without user and password.
    pub url: Url,
    /// All headers of the `101`.
    pub headers: HeaderMap,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The compression that was agreed on.
    pub compression: Option<Parameters>,
}

/// The client's side of the opening.
#[derive(Debug)]
pub struct Opening {
    request: ClientRequest,
    config: Config,
    chance: StdRng,
    deadline: Instant,
    redirects: u32,
    /// What the transport leads to first, if it is not the target itself.
    proxy: Option<Proxy>,
    /// The transport was given by the caller: there is no other.
    transport_is_given: bool,
    phase: Phase,
    wire: Wire,
    /// The transport has carried something.
    connected: bool,
}

#[derive(Debug)]
enum Phase {
    Proxy(Tunnel),
    /// The request is on its way.
    Upgrade {
        upgrade: Upgrade,
        head: HeadReader,
    },
    /// The server refused; its body may say why.
    Refusal {
        head: ResponseHead,
        body: BodyReader,
    },
    /// The outcome is known.
    Over,
}

impl Opening {
    /// Begins to ask for `request`; the session will follow `config`. `seed` is fresh entropy, from which keys and the
    /// session's masks are drawn.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if TLS cannot be set up.
    pub fn new(
        request: ClientRequest,
        config: Config,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, OpenError> {
        let deadline = now + config.open_timeout;
        let mut opening = Self {
            request,
            config,
            chance: StdRng::from_seed(seed),
            deadline,
            redirects: 0,
            proxy: None,
            transport_is_given: false,
            phase: Phase::Over,
            wire: Wire::new(READ_BYTES),
            connected: false,
        };
        opening.start()?;
        Ok(opening)
    }

    /// The same, over a transport to the target that the caller has already: there is no proxy, and no redirect to
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if TLS cannot be set up.
    pub fn over_transport(
        request: ClientRequest,
        config: Config,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, OpenError> {
        let request = ClientRequest { proxies: Proxies::none(), ..request };
        let mut opening = Self::new(request, config, seed, now)?;
        opening.transport_is_given = true;
        Ok(opening)
    }

    /// Where the driver is to connect to.
    pub fn endpoint(&self) -> Endpoint {
        if let Some(path) = &self.request.unix_path {
            return Endpoint::Unix(path.clone());
        }
        match self.proxy() {
            Some(proxy) => Endpoint::Tcp { host: proxy.host().to_owned(), port: proxy.port() },
            None => {
                let target = &self.request.target;
                Endpoint::Tcp { host: target.host(), port: target.port() }
            }
        }
    }

    /// When the driver is to [give up](Self::give_up). May come closer with [`process`](Self::process).
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Where the driver appends what it read. There is room for a good read.
    pub fn input(&mut self) -> &mut BytesMut {
        self.wire.input()
    }

    /// The transport has reached its end; [`process`](Self::process) says what that means.
    pub fn end_of_input(&mut self) {
        self.wire.end_of_input();
    }

    /// What is to be written.
    pub fn output(&self) -> &[u8] {
        self.wire.output()
    }

    /// The first `count` bytes of [`output`](Self::output) are written.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn output_written(&mut self, count: usize) {
        self.connected |= count > 0;
        self.wire.output_written(count);
    }

    /// Takes in what [`input`](Self::input) holds.
    pub fn process(&mut self, now: Instant) -> Step {
        if let Err(error) = self.wire.decrypt() {
            let peer = self.server();
            return self.fail(OpenError::Tls { peer, error });
        }
        match self.advance(now) {
            Ok(Some(step)) => step,
            Ok(None) if self.wire.has_ended() && !matches!(self.phase, Phase::Over) => {
                let error = self.interrupted(|stage, peer| OpenError::Ended { stage, peer });
                self.fail(error)
            }
            Ok(None) => Step::Continue,
            Err(error) => self.fail(error),
        }
    }

    /// Gives up because the time is over: what is known of the failure by now.
    pub fn give_up(mut self) -> OpenError {
        self.interrupted(|stage, peer| OpenError::TimedOut { stage, peer })
    }

    /// Gives up because the transport failed: what is known of the failure by now.
    pub fn transport_failed(mut self, error: std::io::Error) -> OpenError {
        if !self.connected {
            return OpenError::Connect { endpoint: self.endpoint().to_string(), error };
        }
        self.interrupted(|stage, peer| OpenError::Io { stage, peer, error })
    }

    /// What an opening that breaks off here came to: a server's refusal without (all of) its body is one.
    fn interrupted(&mut self, otherwise: impl FnOnce(Stage, String) -> OpenError) -> OpenError {
        let ended = self.wire.has_ended();
        match &mut self.phase {
            Phase::Refusal { head, body } => {
                if ended {
                    body.end_of_input();
                }
                rejected(self.request.url(), head, body)
            }
            _ => otherwise(self.stage(), self.peer()),
        }
    }

    fn fail(&mut self, error: OpenError) -> Step {
        self.phase = Phase::Over;
        Step::Failed(error)
    }

    fn stage(&self) -> Stage {
        match &self.phase {
            _ if !self.connected => Stage::Connect,
            Phase::Proxy(_) => Stage::Proxy,
            _ if self.wire.is_in_tls_handshake() => Stage::Tls,
            _ => Stage::Handshake,
        }
    }

    /// The peer that the opening is under way with, as errors name it.
    fn peer(&self) -> String {
        match self.stage() {
            Stage::Connect | Stage::Proxy => self.endpoint().to_string(),
            Stage::Tls | Stage::Handshake => self.server(),
        }
    }

    fn server(&self) -> String {
        if self.request.unix_path.is_some() {
            return self.endpoint().to_string();
        }
        self.request.target.authority()
    }

    fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Begins anew, on a new transport.
    fn start(&mut self) -> Result<(), OpenError> {
        self.wire = Wire::new(READ_BYTES);
        self.connected = false;
        let target = &self.request.target;
        self.proxy = match &self.request.unix_path {
            Some(_) => None,
            None => self.request.proxies.choose(target)?,
        };
        let mut output = BytesMut::new();
        let phase = self.proxy().map(|proxy| Phase::Proxy(Tunnel::start(proxy, target, &mut output)));
        self.wire.plain = output;
        match phase {
            Some(phase) => self.phase = phase,
            None => self.begin_upgrade()?,
        }
        Ok(())
    }

    /// The target is at the other end of the transport: begins TLS, if there is any, and the request.
    fn begin_upgrade(&mut self) -> Result<(), OpenError> {
        let target = &self.request.target;
        let upgrade = Upgrade::new(self.chance.random(), &self.config.compression);
        let text = upgrade.write(&self.request);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If /secure/ is true, the client MUST perform a TLS handshake over the connection after opening the
        //# connection and before sending the handshake data
        if target.is_secure() {
            // A proxy may have let something through with its answer.
            self.wire.begin_tls(self.request.tls.connect(&target.host()).map_err(tls_setup)?);
        }
        self.wire.write(&text);
        self.phase = Phase::Upgrade { upgrade, head: HeadReader::of_response() };
        Ok(())
    }

    /// Does all that can be done with the input. `None`: it takes more.
    fn advance(&mut self, now: Instant) -> Result<Option<Step>, OpenError> {
        let limit_bytes = self.request.head_bytes_max;
        loop {
            match &mut self.phase {
                Phase::Proxy(tunnel) => {
                    let wire = &mut self.wire;
                    match tunnel.process(&mut wire.arrived, &mut wire.plain, limit_bytes) {
                        Ok(true) => self.tunnel_opened()?,
                        Ok(false) => return Ok(None),
                        Err(error) => return Err(self.proxy_failed(error)),
                    }
                }
                Phase::Upgrade { head, .. } => {
                    let head = match head.take(&mut self.wire.arrived, limit_bytes) {
                        Ok(None) => return Ok(None),
                        Ok(Some(head)) => ResponseHead::parse(&head),
                        Err(error) => Err(error),
                    };
                    let head = head.map_err(|error| self.broken(head_error(error, limit_bytes)))?;
                    if let Some(step) = self.answered(head, now)? {
                        return Ok(Some(step));
                    }
                }
                Phase::Refusal { head, body } => {
                    let done = body.read(&mut self.wire.arrived);
                    return if done { Err(rejected(self.request.url(), head, body)) } else { Ok(None) };
                }
                Phase::Over => return Ok(None),
            }
        }
    }

    fn tunnel_opened(&mut self) -> Result<(), OpenError> {
        self.begin_upgrade()?;
        self.wire.decrypt().map_err(|error| OpenError::Tls { peer: self.server(), error })
    }

    fn broken(&self, error: HandshakeError) -> OpenError {
        OpenError::Handshake { peer: self.server(), error }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the connection could not be opened, either because a direct connection failed or because any proxy
    //# used returned an error, then the client MUST _Fail the WebSocket Connection_ and abort the connection
    //# attempt.
    fn proxy_failed(&self, error: ProxyError) -> OpenError {
        let proxy = self.proxy().map(Proxy::authority).unwrap_or_default();
        OpenError::Proxy { proxy, target: self.request.target.authority(), error }
    }

    /// The server's answer: an acceptance, a redirect, a refusal, or one that says nothing yet.
    fn answered(&mut self, head: ResponseHead, now: Instant) -> Result<Option<Step>, OpenError> {
        match head.status {
            StatusCode::SWITCHING_PROTOCOLS => self.accepted(head, now).map(Some),
            // RFC 9110, section 15.2: "A client MUST be able to parse one or more 1xx responses ... prior to a final
            // response".
            status if status.is_informational() => Ok(None),
            status if is_redirect(status) && self.request.redirects_max > 0 => {
                self.redirected(&head).map(Some)
            }
            _ => {
                let body = BodyReader::new(&head, self.request.body_bytes_max);
                self.phase = Phase::Refusal { head, body };
                // The body only explains. Without a length it lasts until the end of a transport that may stay open.
                self.deadline = self.deadline.min(now + REFUSAL_BODY);
                Ok(None)
            }
        }
    }

    fn accepted(&mut self, head: ResponseHead, now: Instant) -> Result<Step, OpenError> {
        let Phase::Upgrade { upgrade, .. } = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Ok(Step::Continue);
        };
        let Agreement { subprotocol, compression } =
            upgrade.check(&head, &self.request.subprotocols).map_err(|error| self.broken(error))?;
        let connection =
            Connection::new(Role::Client, self.config.clone(), compression, self.chance.random(), now);
        let wire = std::mem::replace(&mut self.wire, Wire::new(READ_BYTES));
        let session = wire.into_session(connection, now);
        let url = self.request.url().clone();
        let response = Response { url, headers: head.headers, subprotocol, compression };
        Ok(Step::Done(Box::new(session), response))
    }

    fn redirected(&mut self, head: &ResponseHead) -> Result<Step, OpenError> {
        let location = single(&head.headers, &LOCATION).ok().flatten();
        let location =
            location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
        match self.redirect_target(&location) {
            Ok(target) => {
                self.redirects += 1;
                self.request.follow(target);
                self.start()?;
                Ok(Step::Reconnect)
            }
            Err(error) => {
                let location = without_user_info(&location);
                Err(OpenError::Redirect { url: Box::new(self.request.url().clone()), location, error })
            }
        }
    }

    fn redirect_target(&self, location: &str) -> Result<Target, RedirectError> {
        let from = &self.request.target;
        if self.redirects >= self.request.redirects_max {
            return Err(RedirectError::TooMany(self.redirects));
        }
        if location.is_empty() {
            return Err(RedirectError::Location("it is missing"));
        }
        let target = from.join(location).map_err(RedirectError::Location)?;
        if from.is_secure() && !target.is_secure() {
            return Err(RedirectError::Downgrade);
        }
        let is_elsewhere = self.request.unix_path.is_some() && !target.has_origin_of(from);
        if self.transport_is_given || is_elsewhere {
            return Err(RedirectError::OtherTransport);
        }
        Ok(target)
    }
}

/// Those that keep the method `GET` (RFC 9110, section 15.4).
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn rejected(url: &Url, head: &mut ResponseHead, body: &mut BodyReader) -> OpenError {
    let (body, complete) = body.finish();
    let headers = std::mem::take(&mut head.headers);
    OpenError::Rejected(Box::new(Rejection {
        url: url.clone(),
        status: head.status,
        headers,
        body,
        complete,
    }))
}

fn head_error(error: HeadError, limit_bytes: usize) -> HandshakeError {
    match error {
        HeadError::TooLarge => HandshakeError::HeadTooLarge { limit_bytes },
        HeadError::Malformed(beginning) => HandshakeError::NotHttp { beginning },
    }
}

fn tls_setup(error: TlsSetupError) -> OpenError {
    OpenError::Setup(match error {
        TlsSetupError::Name(name) => {
            format!("invalid TLS server name {name:?}: set a DNS name or an IP address")
        }
        TlsSetupError::Setup(error) => format!("TLS cannot be set up: {error}"),
    })
}
