//! The checks against a server of another ecosystem, for both clients, with and without TLS.
//!
//! The path selects the server's behaviour: see `echo.py`. What a server cannot do, its check goes without.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use wavetank_runtime::{Runtime as _, SocketOptions, Tokio};
use wavetank_websocket::handshake::{ClientRequest, TlsOptions};
use wavetank_websocket::{Cause, CloseCode, Compression, Config, Error, Kind, Message, Text};

use crate::Result;
use crate::clients::{Client, Socket, Tasks, Threads};

/// A server, and the client that connects to it.
struct Peer<'a> {
    client: &'a dyn Client,
    url: &'a str,
    tls: TlsOptions,
    /// Whether it compresses.
    compresses: bool,
}

/// What a server must be able to do for a check, beyond `/echo` and `/close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Compression,
    /// It confirms limits of compression that it accepts (RFC 7692, sections 7.1.1.1 and 7.1.2.1).
    Limits,
    /// `/fragments`
    Fragments,
    /// `/pings`
    Pings,
    /// `/drop`
    Drop,
}

impl Need {
    fn parse(name: &str) -> Result<Self> {
        match name {
            "compression" => Ok(Self::Compression),
            "limits" => Ok(Self::Limits),
            "fragments" => Ok(Self::Fragments),
            "pings" => Ok(Self::Pings),
            "drop" => Ok(Self::Drop),
            _ => Err(format!("{name:?} is not compression, limits, fragments, pings or drop").into()),
        }
    }
}

/// A check, its name, and its need.
type Check = (&'static str, Need, fn(&Peer<'_>) -> Result);

const CHECKS: &[Check] = &[
    ("messages of all sizes come back", Need::Nothing, messages_of_all_sizes_come_back),
    ("without compression too", Need::Nothing, without_compression_messages_come_back),
    ("compression saves bytes both ways", Need::Compression, compression_saves_bytes_both_ways),
    ("every window and takeover is agreed on", Need::Limits, every_window_and_takeover_is_agreed_on),
    ("without confirmed limits too", Need::Compression, unconfirmed_limits_are_gone_without),
    ("16 MiB come back", Need::Nothing, sixteen_mebibytes_come_back),
    (
        "their fragments, with pings between them, are one message",
        Need::Fragments,
        their_fragments_are_one_message,
    ),
    ("our fragments are one message", Need::Nothing, our_fragments_are_one_message),
    ("they answer our pings", Need::Nothing, they_answer_our_pings),
    ("we answer their pings", Need::Pings, we_answer_their_pings),
    ("our close code comes back", Need::Nothing, our_close_code_comes_back),
    ("their close code is the outcome", Need::Nothing, their_close_code_is_the_outcome),
    ("an end without a Close frame is not clean", Need::Drop, an_end_without_a_close_frame_is_abnormal),
    ("the subprotocol is agreed on", Need::Nothing, the_subprotocol_is_agreed_on),
];

/// Runs the checks against the servers at both URLs with both clients, `without` those that need one of these
/// (separated by commas), and prints all failures.
pub(crate) fn run(without: &str, certificate: &str, plain: &str, secure: &str) -> Result {
    let names = without.split(',').filter(|name| !name.is_empty());
    let mut missing = names.map(Need::parse).collect::<Result<Vec<_>>>()?;
    let compresses = !missing.contains(&Need::Compression);
    if !compresses {
        missing.push(Need::Limits);
    }
    let checks = || CHECKS.iter().filter(|(_, need, _)| !missing.contains(need));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let roots = Arc::new(roots);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tasks = Tasks { runtime: runtime.handle().clone() };
    let clients: [(&str, &dyn Client); 2] = [("async", &tasks), ("blocking", &Threads)];
    let mut failures = 0;
    for (name, client) in clients {
        for url in [plain, secure] {
            let peer = Peer { client, url, tls: TlsOptions::new().roots(Arc::clone(&roots)), compresses };
            let start = Tokio.now();
            for (what, _, check) in checks() {
                if let Err(error) = check(&peer) {
                    failures += 1;
                    println!("  {name}, {url}: FAILED: {what}: {error}");
                }
            }
            println!("  {name}, {url}: {} checks in {:.1?}", checks().count(), Tokio.now() - start);
        }
    }
    if failures == 0 { Ok(()) } else { Err(format!("{failures} checks failed").into()) }
}

impl Peer<'_> {
    fn request(&self, path: &str) -> Result<ClientRequest> {
        Ok(ClientRequest::new(&format!("{}{path}", self.url))?.tls(self.tls.clone()))
    }

    fn connect(&self, path: &str) -> Result<Box<dyn Socket>> {
        self.connect_with(path, Compression::default())
    }

    fn connect_with(&self, path: &str, compression: Compression) -> Result<Box<dyn Socket>> {
        let mut config = Config::default();
        *config.compression() = compression;
        Ok(self.client.connect(self.request(path)?, config, SocketOptions::new())?)
    }
}

/// Returns a message of `length` bytes that zlib compresses to about half. A text has characters of one to four bytes.
fn message(chance: &mut StdRng, kind: Kind, length: usize) -> Message {
    match kind {
        Kind::Binary => {
            Message::Binary((0..length).map(|_| chance.random_range(0..16u8)).collect::<Vec<_>>().into())
        }
        Kind::Text => {
            let mut text = String::with_capacity(length);
            while text.len() < length {
                let widest = (length - text.len()).min(4) - 1;
                text.push(['w', 'é', '€', '𝄞'][chance.random_range(0..=widest)]);
            }
            Message::Text(Text::from(text))
        }
    }
}

fn expect_echo(socket: &dyn Socket, sent: &Message) -> Result {
    let received = socket.recv()?;
    if received == *sent { Ok(()) } else { Err(format!("{} came back changed", describe(sent)).into()) }
}

fn describe(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("a text of {} bytes", text.len()),
        Message::Binary(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(what().into()) }
}

/// Closes and expects a clean end, which shows that the server found no fault.
fn close(socket: &dyn Socket) -> Result {
    let closed = socket.close(CloseCode::NORMAL, "");
    expect(closed.is_clean() && closed.code() == 1000, || format!("the end is not clean: {closed}"))
}

/// Sends messages with lengths around each limit of the frame format, several at a time, and expects them back in
/// order.
fn exchange(socket: &dyn Socket) -> Result {
    let mut chance = StdRng::seed_from_u64(1);
    for kind in [Kind::Text, Kind::Binary] {
        for lengths in [
            &[0, 1, 2, 100, 0][..],
            &[125, 126, 127, 255, 256, 257],
            &[65_534, 65_535, 65_536, 65_537],
            &[1 << 20, 0, 3 << 19],
        ] {
            let messages: Vec<Message> =
                lengths.iter().map(|&length| message(&mut chance, kind, length)).collect();
            for message in &messages {
                socket.send(message)?;
            }
            for message in &messages {
                expect_echo(socket, message)?;
            }
        }
    }
    close(socket)
}

fn messages_of_all_sizes_come_back(peer: &Peer<'_>) -> Result {
    let socket = peer.connect("/echo")?;
    let agreed = socket.compression().is_some();
    expect(agreed == peer.compresses, || format!("compression was agreed on: {agreed}"))?;
    exchange(&*socket)
}

fn without_compression_messages_come_back(peer: &Peer<'_>) -> Result {
    let socket = peer.connect_with("/echo", Compression::default().enabled(false).clone())?;
    expect(socket.compression().is_none(), || "compression was agreed on".to_owned())?;
    exchange(&*socket)
}

fn compression_saves_bytes_both_ways(peer: &Peer<'_>) -> Result {
    let socket = peer.connect("/echo")?;
    let zeros = Message::Binary(Bytes::from(vec![0; 1 << 20]));
    socket.send(&zeros)?;
    expect_echo(&*socket, &zeros)?;
    let statistics = socket.statistics();
    let (sent, received) = (statistics.bytes_sent, statistics.bytes_received);
    expect(sent < 10_000 && received < 10_000, || {
        format!("1 MiB of zeros took {sent} and {received} bytes")
    })?;
    close(&*socket)
}

fn every_window_and_takeover_is_agreed_on(peer: &Peer<'_>) -> Result {
    exchange_with_limits(peer, true)
}

fn unconfirmed_limits_are_gone_without(peer: &Peer<'_>) -> Result {
    exchange_with_limits(peer, false)
}

/// Exchanges messages with every window, with and without takeover, which the server has to confirm or not.
fn exchange_with_limits(peer: &Peer<'_>, required: bool) -> Result {
    for bits in 9..=15 {
        for forgetful in [false, true] {
            let mut compression = Compression::default();
            compression.server_max_window_bits(bits).client_max_window_bits(bits).threshold(0);
            compression.server_no_context_takeover(forgetful).client_no_context_takeover(forgetful);
            let socket = peer.connect_with("/echo", compression.require_limits(required).clone())?;
            let agreed = socket.compression().ok_or("no compression was agreed on")?;
            let fits = agreed.server_max_window_bits <= bits
                && agreed.client_max_window_bits <= bits
                && (agreed.server_no_context_takeover || !forgetful);
            expect(fits || !required, || {
                format!("asked for {bits} bits, forgetful: {forgetful}; agreed on {agreed:?}")
            })?;
            let mut chance = StdRng::seed_from_u64(u64::from(bits));
            // The same message twice, so that a kept window finds the second. Longer than any window.
            let long = message(&mut chance, Kind::Binary, 100_000);
            for message in [&long, &long, &message(&mut chance, Kind::Text, 0), &long] {
                socket.send(message)?;
                expect_echo(&*socket, message)?;
            }
            close(&*socket)?;
        }
    }
    Ok(())
}

fn sixteen_mebibytes_come_back(peer: &Peer<'_>) -> Result {
    let mut chance = StdRng::seed_from_u64(16);
    let incompressible: Vec<u8> = (0..16 << 20).map(|_| chance.random()).collect();
    for message in [Message::Binary(incompressible.into()), message(&mut chance, Kind::Text, 16 << 20)] {
        let socket = peer.connect("/echo")?;
        socket.send(&message)?;
        expect_echo(&*socket, &message)?;
        close(&*socket)?;
    }
    Ok(())
}

fn their_fragments_are_one_message(peer: &Peer<'_>) -> Result {
    let mut chance = StdRng::seed_from_u64(3);
    for compression in [Compression::default(), Compression::default().enabled(false).clone()] {
        let socket = peer.connect_with("/fragments", compression)?;
        for length in [3, 1000, 300_000] {
            for kind in [Kind::Text, Kind::Binary] {
                let message = message(&mut chance, kind, length);
                socket.send(&message)?;
                expect_echo(&*socket, &message)?;
            }
        }
        // The same message in pieces, as they arrive.
        let message = message(&mut chance, Kind::Binary, 300_000);
        socket.send(&message)?;
        let mut pieces = vec![socket.recv_fragment()?];
        while !pieces[pieces.len() - 1].last {
            pieces.push(socket.recv_fragment()?);
        }
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.data.iter().copied()).collect();
        expect(Message::Binary(whole.into()) == message, || "the pieces are not the message".to_owned())?;
        expect(pieces.len() >= 3, || format!("{} pieces of three frames", pieces.len()))?;
        expect(socket.statistics().pings_received >= 14, || "no pings came between".to_owned())?;
        close(&*socket)?;
    }
    Ok(())
}

fn our_fragments_are_one_message(peer: &Peer<'_>) -> Result {
    let text = "wé€𝄞".repeat(1000);
    for compression in [Compression::default(), Compression::default().enabled(false).clone()] {
        let socket = peer.connect_with("/echo", compression)?;
        // 999 is inside a character.
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(999).collect();
        socket.send_pieces(Kind::Text, &pieces)?;
        expect_echo(&*socket, &Message::Text(Text::from(text.as_str())))?;
        socket.send_pieces(Kind::Binary, &[b"", b"a", b"", b"b"])?;
        expect_echo(&*socket, &Message::Binary(Bytes::from_static(b"ab")))?;
        close(&*socket)?;
    }
    Ok(())
}

fn they_answer_our_pings(peer: &Peer<'_>) -> Result {
    let socket = peer.connect("/echo")?;
    for _ in 0..20 {
        let latency = socket.ping()?;
        expect(latency < Duration::from_secs(10), || format!("a latency of {latency:?}"))?;
    }
    close(&*socket)
}

fn we_answer_their_pings(peer: &Peer<'_>) -> Result {
    let socket = peer.connect("/pings")?;
    for _ in 0..20 {
        socket.send(&Message::Text(Text::from("ping me")))?;
        expect_echo(&*socket, &Message::Text(Text::from("pong")))?;
    }
    close(&*socket)
}

fn our_close_code_comes_back(peer: &Peer<'_>) -> Result {
    for code in [1000, 1001, 1008, 1011, 3000, 4999] {
        let socket = peer.connect("/echo")?;
        let closed = socket.close(CloseCode::new(code).ok_or("a code")?, "für heute genug");
        // A server answers with the code that it received (RFC 6455, section 5.5.1: "typically").
        let good = closed.is_clean() && closed.code() == code && closed.cause == Cause::Local;
        expect(good, || format!("we closed with {code}: {closed}"))?;
    }
    Ok(())
}

fn their_close_code_is_the_outcome(peer: &Peer<'_>) -> Result {
    for code in [1000, 1001, 1008, 1011, 3000, 4999] {
        let socket = peer.connect(&format!("/close/{code}/enough"))?;
        let Err(Error::Closed(closed)) = socket.recv() else { return Err("a message".into()) };
        let reason = closed.received.as_ref().map(|frame| frame.reason.as_str());
        let good = closed.is_clean() && closed.code() == code && closed.cause == Cause::Peer;
        expect(good && reason == Some("enough"), || format!("they closed with {code}: {closed}"))?;
        expect(socket.closed() == closed, || "another outcome".to_owned())?;
    }
    Ok(())
}

fn an_end_without_a_close_frame_is_abnormal(peer: &Peer<'_>) -> Result {
    let socket = peer.connect("/drop")?;
    let Err(Error::Closed(closed)) = socket.recv() else { return Err("a message".into()) };
    expect(!closed.is_clean() && closed.code() == 1006, || format!("they dropped: {closed}"))
}

fn the_subprotocol_is_agreed_on(peer: &Peer<'_>) -> Result {
    let request = peer.request("/echo")?.subprotocol("other")?.subprotocol("echo")?;
    let socket = peer.client.connect(request, Config::default(), SocketOptions::new())?;
    expect(socket.subprotocol().as_deref() == Some("echo"), || format!("{:?}", socket.subprotocol()))?;
    close(&*socket)
}
