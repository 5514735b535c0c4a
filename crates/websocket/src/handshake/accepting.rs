//! The server's side of the opening: TLS, the request, the application's answer.

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustls::ServerConnection;
use wavetank_runtime::Instant;

use super::accept_options::AcceptOptions;
use super::head::{HeadError, HeadReader, RequestHead};
use super::server_request::Request;
use super::server_response;
use super::wire::Wire;
use crate::Config;
use crate::deflate::{Parameters, negotiation};
use crate::error::{CLIENT, OpenError, RequestError, Stage};
use crate::protocol::{Connection, Role};
use crate::session::Session;
use crate::session::tls_wire::TlsWire;

/// How much room a read is offered.
const READ_BYTES: usize = 4 * 1024;

/// What the driver does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is moved once in the life of a connection")]
pub enum AcceptStep {
    /// Writes what there is to write, and reads on.
    Continue,
    /// Asks the application about the [`request`](Accepting::request), calls [`accept`](Accepting::accept),
    /// [`accept_with`](Accepting::accept_with) or [`refuse`](Accepting::refuse), and processes again.
    Request,
    /// Goes on with the session. It already holds what came after the request, and its first output is the response.
    Done(Box<Session>, Agreed),
    /// Writes the rest of the output (the refusal), shuts the transport down, and drops it.
    Failed(OpenError),
}

/// What was agreed on with the client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Agreed {
    /// The client's request.
    pub request: Request,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<String>,
    /// The compression that was agreed on.
    pub compression: Option<Parameters>,
}

/// The server's side of the opening.
#[derive(Debug)]
pub struct Accepting {
    options: AcceptOptions,
    config: Config,
    chance: StdRng,
    deadline: Instant,
    phase: Phase,
    wire: Wire,
}

#[derive(Debug)]
enum Phase {
    Head(HeadReader),
    /// The application decides.
    Asked(Box<Request>),
    /// The application accepted.
    Answered(Box<Agreed>),
    /// The application refused, or its answer is invalid.
    Refused(OpenError),
    Over,
}

impl Accepting {
    /// Begins to wait for a client's request. The session will follow `config`. `seed` is fresh entropy.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if TLS cannot be set up.
    pub fn new(
        options: AcceptOptions,
        config: Config,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, OpenError> {
        let mut wire = Wire::new(READ_BYTES);
        if let Some(server) = &options.tls {
            let tls = ServerConnection::new(server.clone())
                .map_err(|error| OpenError::Setup(format!("TLS cannot be set up: {error}")))?;
            wire.begin_tls(TlsWire::new(tls));
        }
        Ok(Self {
            deadline: now + config.open_timeout,
            options,
            config,
            chance: StdRng::from_seed(seed),
            phase: Phase::Head(HeadReader::of_request()),
            wire,
        })
    }

    /// Returns when the driver has to [give up](Self::give_up).
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the buffer to which the driver appends what it read. It has room for a read.
    pub fn input(&mut self) -> &mut BytesMut {
        self.wire.input()
    }

    /// Notes that the transport has reached its end. [`process`](Self::process) returns what follows.
    pub fn end_of_input(&mut self) {
        self.wire.end_of_input();
    }

    /// Returns the bytes to write.
    pub fn output(&self) -> &[u8] {
        self.wire.output()
    }

    /// Removes the first `count` bytes of [`output`](Self::output): they are written.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn output_written(&mut self, count: usize) {
        self.wire.output_written(count);
    }

    /// Returns the request, from [`AcceptStep::Request`] until it is answered.
    pub fn request(&self) -> Option<&Request> {
        match &self.phase {
            Phase::Asked(request) => Some(request),
            _ => None,
        }
    }

    /// Processes what [`input`](Self::input) holds.
    pub fn process(&mut self, now: Instant) -> AcceptStep {
        if let Err(error) = self.wire.decrypt() {
            return self.fail(OpenError::Tls { peer: CLIENT.to_owned(), error });
        }
        match &mut self.phase {
            Phase::Head(reader) => {
                let taken = reader.take(&mut self.wire.arrived, self.options.head_limit());
                self.head_taken(taken)
            }
            Phase::Asked(_) => AcceptStep::Request,
            Phase::Answered(_) => self.done(now),
            Phase::Refused(_) => self.refused(),
            Phase::Over => AcceptStep::Continue,
        }
    }

    fn head_taken(&mut self, taken: Result<Option<BytesMut>, HeadError>) -> AcceptStep {
        let head = match taken {
            Ok(Some(head)) => RequestHead::parse(&head),
            Ok(None) if self.wire.has_ended() => {
                return self.fail(OpenError::Ended { stage: self.stage(), peer: CLIENT.to_owned() });
            }
            Ok(None) => return AcceptStep::Continue,
            Err(error) => Err(error),
        };
        let request = head.map_err(|error| match error {
            HeadError::TooLarge => RequestError::HeadTooLarge { limit_bytes: self.options.head_limit() },
            HeadError::Malformed(beginning) => RequestError::NotHttp { beginning },
        });
        let request = request.and_then(|head| Request::check(head, self.wire.is_in_tls()));
        let request = request.and_then(|request| {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# If the server does not wish to accept this connection, it MUST return an appropriate HTTP error
            //# code (e.g., 403 Forbidden) and abort the WebSocket handshake described in this section.
            if self.options.origins.allow(request.origin.as_deref()) {
                Ok(request)
            } else {
                Err(RequestError::Origin(request.origin))
            }
        });
        match request {
            Ok(request) => {
                self.phase = Phase::Asked(Box::new(request));
                AcceptStep::Request
            }
            Err(error) => {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
                //# the server MUST stop processing the client's handshake and return an HTTP response with an
                //# appropriate error code (such as 400 Bad Request).
                let refusal = server_response::refuse_broken(&error);
                self.wire.write(&refusal);
                self.fail(OpenError::Request(error))
            }
        }
    }

    /// Accepts the request with the first of the server's subprotocols that the client offers, or with none.
    ///
    /// # Panics
    ///
    /// If no request waits for an answer.
    pub fn accept(&mut self) {
        let offered = &self.request().expect("there is no request to be answered").subprotocols;
        let chosen = self.options.subprotocols.iter().find(|name| offered.contains(name)).cloned();
        self.answer(chosen, &HeaderMap::new());
    }

    /// Accepts the request with a subprotocol that the client offers (or none), and with further headers in the
    /// response.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if the client does not offer the subprotocol, or if the handshake itself sets a header. The
    /// request still waits for an answer.
    ///
    /// # Panics
    ///
    /// If no request waits for an answer.
    pub fn accept_with(&mut self, subprotocol: Option<&str>, headers: &HeaderMap) -> Result<(), OpenError> {
        let request = self.request().expect("there is no request to be answered");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# The value chosen MUST be derived from the client's handshake, specifically by selecting one of the
        //# values from the |Sec-WebSocket-Protocol| field that the server is willing to use for this connection
        //# (if any).
        if let Some(name) = subprotocol
            && !request.subprotocols.iter().any(|offered| offered == name)
        {
            return Err(OpenError::Setup(format!("the client does not offer the subprotocol {name:?}")));
        }
        refuse_own(headers, |name| name.starts_with("sec-websocket-") || name == "upgrade")?;
        self.answer(subprotocol.map(str::to_owned), headers);
        Ok(())
    }

    /// Refuses the request with a status, headers and a body. The driver closes the transport after that.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if the status is informational (below 200), or if the answer itself sets a header:
    /// `Connection`, or the length of the body. The request still waits for an answer.
    ///
    /// # Panics
    ///
    /// If no request waits for an answer.
    pub fn refuse(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), OpenError> {
        assert!(self.request().is_some(), "there is no request to be answered");
        if status.is_informational() {
            return Err(OpenError::Setup(format!("the status {status} refuses nothing")));
        }
        refuse_own(headers, |_name| false)?;
        self.refuse_because(OpenError::Refused(status), status, headers, body);
        Ok(())
    }

    /// Answers the request with 500, because `error` makes the application's own answer impossible.
    /// [`process`](Self::process) returns the error.
    pub(crate) fn refuse_for_setup(&mut self, error: OpenError) {
        self.refuse_because(error, StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), b"");
    }

    fn refuse_because(&mut self, error: OpenError, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        self.wire.write(&server_response::refuse(status, headers, body));
        self.phase = Phase::Refused(error);
    }

    /// Gives up because the deadline passed.
    pub fn give_up(self) -> OpenError {
        OpenError::TimedOut { stage: self.stage(), peer: CLIENT.to_owned() }
    }

    /// Gives up because the transport failed.
    pub fn transport_failed(self, error: std::io::Error) -> OpenError {
        OpenError::Io { stage: self.stage(), peer: CLIENT.to_owned(), error }
    }

    fn answer(&mut self, subprotocol: Option<String>, headers: &HeaderMap) {
        let Phase::Asked(request) = std::mem::replace(&mut self.phase, Phase::Over) else { return };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# Extensions not listed by the client MUST NOT be listed.
        let chosen = negotiation::wanted(&self.config.compression)
            .and_then(|wanted| negotiation::choose(wanted, &request.offers));
        let extensions = chosen.as_ref().map(|(_, header)| &**header);
        let response = server_response::accept(&request.key, subprotocol.as_deref(), extensions, headers);
        self.wire.write(&response);
        let compression = chosen.map(|(agreed, _)| agreed);
        self.phase = Phase::Answered(Box::new(Agreed { request: *request, subprotocol, compression }));
    }

    fn done(&mut self, now: Instant) -> AcceptStep {
        let Phase::Answered(agreed) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return AcceptStep::Continue;
        };
        let seed = self.chance.random();
        let connection = Connection::new(Role::Server, self.config.clone(), agreed.compression, seed, now);
        let wire = std::mem::replace(&mut self.wire, Wire::new(READ_BYTES));
        let session = wire.into_session(connection, now);
        AcceptStep::Done(Box::new(session), *agreed)
    }

    fn refused(&mut self) -> AcceptStep {
        let Phase::Refused(error) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return AcceptStep::Continue;
        };
        self.fail(error)
    }

    fn fail(&mut self, error: OpenError) -> AcceptStep {
        self.wire.close();
        self.phase = Phase::Over;
        AcceptStep::Failed(error)
    }

    fn stage(&self) -> Stage {
        if self.wire.is_in_tls_handshake() { Stage::Tls } else { Stage::Handshake }
    }
}

/// Refuses the application's headers that every answer sets itself, and those in `also`, which the handshake sets.
fn refuse_own(headers: &HeaderMap, also: impl Fn(&str) -> bool) -> Result<(), OpenError> {
    let own =
        |name: &str| ["connection", "content-length", "transfer-encoding"].contains(&name) || also(name);
    match headers.keys().find(|name| own(name.as_str())) {
        Some(name) => {
            Err(OpenError::Setup(format!("the handshake sets the header {name} itself: leave it out")))
        }
        None => Ok(()),
    }
}
