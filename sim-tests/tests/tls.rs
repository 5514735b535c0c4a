//! `tokio-rustls` in the simulator: every handshake of a seed is the same, byte for byte.
//!
//! The trace shows the hash of what each side received, so two runs with other bytes differ.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wavetank::runtime::{ListenOptions, Listener as _, Runtime, SocketOptions};
use wavetank::{Sim, Sweep};
use wavetank_sim_tests::deterministic_tls::{self, SERVER_NAME};

const CERTIFICATE: &[u8] = include_bytes!("../testdata/ecdsa.pem");
const KEY: &[u8] = include_bytes!("../testdata/ecdsa.key.pem");

/// Shows a hash of all that was received, when it is dropped.
struct Hashed<S> {
    stream: S,
    who: &'static str,
    received: DefaultHasher,
    bytes: usize,
}

impl<S> Hashed<S> {
    fn new(who: &'static str, stream: S) -> Self {
        Self { stream, who, received: DefaultHasher::new(), bytes: 0 }
    }
}

impl<S> Drop for Hashed<S> {
    fn drop(&mut self) {
        tracing::info!("{} received {} bytes: {:x}", self.who, self.bytes, self.received.finish());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hashed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received.write(&buffer.filled()[before..]);
        self.bytes += buffer.filled().len() - before;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hashed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A server that echoes over TLS, and a client that asks it.
fn echo(sim: &mut Sim, client: Arc<ClientConfig>, server: Arc<ServerConfig>) {
    sim.server("server", async move |host| {
        let listener = host.listen(([0, 0, 0, 0], 443).into(), ListenOptions::new()).await?;
        let (stream, _) = listener.accept().await?;
        let acceptor = TlsAcceptor::from(Arc::clone(&server));
        let mut stream = acceptor.accept(Hashed::new("server", stream)).await?;
        while let Ok(byte) = stream.read_u8().await {
            stream.write_u8(byte).await?;
            stream.flush().await?;
        }
        wavetank::Ok(())
    });
    sim.client("client", async move |host| {
        let address = host.resolve("server", 443).await?[0];
        let stream = host.connect(address, SocketOptions::new()).await?;
        let name = ServerName::try_from(SERVER_NAME)?;
        let stream = Hashed::new("client", stream);
        let mut stream = TlsConnector::from(client).connect(name, stream).await?;
        for byte in 0..3 {
            stream.write_u8(byte).await?;
            stream.flush().await?;
            assert_eq!(stream.read_u8().await?, byte);
        }
        stream.shutdown().await?;
        wavetank::Ok(())
    });
}

/// Sweeps with one worker and with two, every seed twice.
fn is_the_same_in_every_run(name: &str, body: fn(&mut Sim)) {
    let sweep = |workers| {
        let sweep =
            Sweep::new(format!("tls::{name}"), env!("CARGO_MANIFEST_DIR")).package(env!("CARGO_PKG_NAME"));
        sweep.seeds(100).check_every(1).workers(workers).run(body)
    };
    let (alone, beside) = (sweep(1), sweep(2));
    assert_eq!(alone.trace_hash(), beside.trace_hash());
    assert_eq!(alone.checked(), alone.seeds());
}

#[test]
fn our_provider_repeats_every_byte() {
    is_the_same_in_every_run("our_provider_repeats_every_byte", |sim| {
        echo(sim, deterministic_tls::client_config(), deterministic_tls::server_config());
    });
}

/// On Linux the entropy and the clock that rustls and ring ask the system for are the run's.
#[test]
#[cfg(target_os = "linux")]
fn rings_own_provider_repeats_every_byte_with_ecdsa() {
    is_the_same_in_every_run("rings_own_provider_repeats_every_byte_with_ecdsa", |sim| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("the certificate is PEM");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("the key is PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("the certificate is a trust anchor");
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let client = client.with_safe_default_protocol_versions().expect("the provider has both");
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_safe_default_protocol_versions().expect("the provider has both");
        let server =
            server.with_no_client_auth().with_single_cert(vec![certificate], key).expect("the key fits");
        let client = client.with_root_certificates(roots).with_no_client_auth();
        echo(sim, Arc::new(client), Arc::new(server));
    });
}
