//! The opening handshake of a scripted server.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank_runtime::{ListenOptions, Listener as _, Runtime};

use super::cut::{Cut, CutStream};
use super::peer::Peer;

/// How a server answers the opening handshake. By default it answers at once, and sends nothing right after the
/// answer.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// How long after the request the answer is sent.
    pub late: Duration,
    /// What is sent in the same write, right after the answer.
    pub glued: Vec<u8>,
    /// Where the server's stream ends early.
    pub cut: Option<Cut>,
    /// The same, counted in bytes that the server has read. The first is that of the request.
    pub cut_reading: Option<Cut>,
    /// If set, each byte of the answer (and of what follows it in the same write) is sent alone, with this pause after
    /// it.
    pub dribble: Option<Duration>,
    /// A status instead of the upgrade, such as `503 Service Unavailable`; the connection ends with it.
    pub refusal: Option<&'static str>,
    /// The same with the body "No." and without its length. The stream stays open until the client ends it.
    pub unended_refusal: Option<&'static str>,
    /// The same without a body, once a part of the request has come. No more of it is read, and the stream stays open.
    pub early_refusal: Option<&'static str>,
    /// Further lines of the head of the answer, each with its end of line.
    pub headers: &'static str,
}

/// Listens on port 80, opens every connection as `opening` says, and runs `script` with it in a task of its own. It is
/// the main of a host, and never ends by itself.
///
/// If `script` returns an error, its connection ends. That is not a failure.
///
/// # Errors
///
/// The system's, for listening and accepting.
pub async fn serve<R, F>(
    host: R,
    opening: Opening,
    script: impl Fn(Peer<R>) -> F + Send + Sync + Clone + 'static,
) -> io::Result<()>
where
    R: Runtime,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    serve_each(host, |_| opening.clone(), script).await
}

/// Does what [`serve`] does, with an opening for each connection. Connections are numbered from 0 in the order of
/// their arrival.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_each<R, F>(
    host: R,
    opening: impl Fn(u64) -> Opening,
    script: impl Fn(Peer<R>) -> F + Send + Sync + Clone + 'static,
) -> io::Result<()>
where
    R: Runtime,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    for number in 0.. {
        let (stream, _) = listener.accept().await?;
        let (opening, script, local) = (opening(number), script.clone(), host.clone());
        let _detached = host.spawn("connection", async move {
            if let Ok(Some(peer)) = open(local, stream, &opening).await {
                // The client has to notice a lost connection.
                let _ = script(peer).await;
            }
        });
    }
    Ok(())
}

/// The bytes of the answer to a request with `key`.
#[must_use]
pub fn answer(key: &str) -> Vec<u8> {
    let accept = BASE64.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The length of the answer to any request, in bytes.
#[must_use]
pub fn answer_length() -> u64 {
    answer("").len() as u64
}

async fn open<R: Runtime>(host: R, stream: R::Stream, opening: &Opening) -> io::Result<Option<Peer<R>>> {
    let mut stream = CutStream::new(stream, opening.cut, opening.cut_reading);
    if let Some(status) = opening.early_refusal {
        stream.read_exact(&mut [0; 100]).await?;
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
        host.sleep(Duration::from_secs(1000)).await;
        return Ok(None);
    }
    let key = read_request(&mut stream).await?;
    host.sleep(opening.late).await;
    if let Some(status) = opening.refusal {
        let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(refusal.as_bytes()).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    if let Some(status) = opening.unended_refusal {
        stream.write_all(format!("HTTP/1.1 {status}\r\n\r\nNo.").as_bytes()).await?;
        while stream.read(&mut [0; 64]).await? > 0 {}
        return Ok(None);
    }
    let mut bytes = answer(&key);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(opening.headers.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&opening.glued);
    let mut peer = Peer::new(host, stream);
    match opening.dribble {
        None => peer.output.send(&bytes).await?,
        Some(pause) => peer.output.dribble(&bytes, pause).await?,
    }
    Ok(Some(peer))
}

/// Reads a request, and returns its key.
///
/// # Panics
///
/// If RFC 6455 (section 4.1) does not allow the request.
async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Reads byte by byte, so that what follows the request is checked with the frames.
        head.push(stream.read_u8().await?);
        assert!(head.len() < 10_000, "the request: a head without an end");
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    assert!(request.parse(&head).is_ok_and(|parsed| parsed.is_complete()), "the request: no HTTP");
    assert_eq!((request.method, request.version), (Some("GET"), Some(1)), "the request: no GET of HTTP/1.1");
    let header = |name: &str| {
        let mut values = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let value = values.next().and_then(|header| std::str::from_utf8(header.value).ok());
        assert!(values.next().is_none(), "the request: {name} twice");
        value.unwrap_or_else(|| panic!("the request: no {name}"))
    };
    assert!(header("Upgrade").eq_ignore_ascii_case("websocket"), "the request: Upgrade");
    assert!(header("Connection").eq_ignore_ascii_case("upgrade"), "the request: Connection");
    assert_eq!(header("Sec-WebSocket-Version"), "13", "the request: Sec-WebSocket-Version");
    assert!(!header("Host").is_empty(), "the request: Host");
    let key = header("Sec-WebSocket-Key");
    assert!(BASE64.decode(key).is_ok_and(|key| key.len() == 16), "the request: Sec-WebSocket-Key");
    Ok(key.to_owned())
}
