//! A client that is given no roots trusts those of the system, and no others.
//!
//! Where the system has its roots is set by an environment variable here, so the client has a process of its own.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the environment of a process is what is tested")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wavetank_runtime::{
    BlockingListener as _, ListenOptions, SocketOptions, Std, ThreadHandle as _, Threads as _,
};
use wavetank_websocket::OpenError;
use wavetank_websocket::blocking::{Client, Server};
use wavetank_websocket::handshake::AcceptOptions;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/certificate.pem");
const STRANGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/stranger.pem");
const KEY: &[u8] = include_bytes!("../testdata/key.pem");
/// The server's address, for the process that is the client.
const ADDRESS: &str = "WAVETANK_TEST_SERVER";

fn server_options() -> AcceptOptions {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    AcceptOptions::new().tls(Arc::new(builder.with_single_cert(vec![certificate], key).expect("a pair")))
}

/// Serves one client, which runs in a process whose system has the certificates of this file, and returns what it
/// printed.
fn client_where_the_roots_are(file: &str) -> String {
    let listener =
        Std.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ListenOptions::new()).expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = Std.spawn("server", move || {
        let (stream, _) = listener.accept().expect("a client");
        // The client may not like the certificate.
        if let Ok(socket) = Server::new(Std).options(server_options()).accept(stream) {
            let _closed = socket.wait_closed();
        }
    });
    let client = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "the_client", "--nocapture"])
        .env("SSL_CERT_FILE", file)
        .env_remove("SSL_CERT_DIR")
        .env(ADDRESS, address.to_string())
        .output()
        .expect("a process");
    // Had the client not even tried, the server would wait for ever.
    drop(Std.connect(address, SocketOptions::new(), None));
    serving.expect("a thread").join().expect("no panic");
    String::from_utf8(client.stdout).expect("text")
}

#[test]
fn a_system_root_certificate_is_trusted() {
    let said = client_where_the_roots_are(CERTIFICATE);
    assert!(said.contains("connected"), "{said}");
}

#[test]
fn a_certificate_unknown_to_the_system_is_refused() {
    let said = client_where_the_roots_are(STRANGER);
    assert!(said.contains("refused: TLS"), "{said}");
}

#[test]
fn missing_system_roots_fail_before_anything_is_sent() {
    let said = client_where_the_roots_are("/dev/null");
    assert!(said.contains("failed: the opening cannot be set up: TLS cannot be set up"), "{said}");
    assert!(said.contains("No CA certificates"), "{said}");
}

/// What the client's process does. In other processes there is no server to connect to.
#[test]
fn the_client() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let request = format!("wss://{address}/").parse().expect("a URL");
    match Client::new(Std).connect(request) {
        Ok(_socket) => println!("connected"),
        Err(OpenError::Tls { error, .. }) => println!("refused: TLS: {error}"),
        Err(other) => println!("failed: {other}"),
    }
}
