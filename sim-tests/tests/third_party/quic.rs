//! quinn: two streams of a connection are independent, so the later one may arrive first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig};
use wavetank::runtime::{Datagrams, Runtime, SocketOptions};
use wavetank::{Host, Sim, Udp};
use wavetank_sim_tests::deterministic_tls::{SERVER_NAME, client_config, server_config};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn endpoint(host: Host, server: Option<ServerConfig>) -> Fallible<Endpoint> {
    let socket = host.bind_udp(([0, 0, 0, 0], 443).into(), SocketOptions::new()).await?;
    let config = EndpointConfig::default();
    Ok(Endpoint::new_with_abstract_socket(config, server, Arc::new(socket), Arc::new(host))?)
}

async fn accept(host: Host) -> Fallible<Connection> {
    let tls = QuicServerConfig::try_from(server_config())?;
    let endpoint = endpoint(host, Some(ServerConfig::with_crypto(Arc::new(tls)))).await?;
    let connection = endpoint.accept().await.expect("the endpoint is open").await?;
    Ok(connection)
}

async fn connect(host: Host) -> Fallible<(Endpoint, Connection)> {
    let server = host.resolve("server", 443).await?[0];
    let tls = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client_config())?));
    let endpoint = endpoint(host, None).await?;
    let connection = endpoint.connect_with(tls, server, SERVER_NAME)?.await?;
    Ok((endpoint, connection))
}

#[wavetank::test(finds = "a command came before the login")]
fn commands_follow_the_login(sim: &mut Sim) {
    sim.udp(Udp::unreliable());
    sim.server("server", async |host| {
        let connection = accept(host).await?;
        let logged_in = Arc::new(AtomicBool::new(false));
        while let Ok(mut stream) = connection.accept_uni().await {
            let logged_in = logged_in.clone();
            drop(host.spawn("stream", async move {
                let message = stream.read_to_end(1000).await.expect("the client waits for it");
                // The bug: the streams of a connection have no order.
                if message == b"login" {
                    logged_in.store(true, Ordering::SeqCst);
                } else {
                    assert!(logged_in.load(Ordering::SeqCst), "a command came before the login");
                }
            }));
        }
        wavetank::Ok(())
    });
    sim.client("client", async |host| {
        let (endpoint, connection) = connect(host).await?;
        let (mut login, mut command) = (connection.open_uni().await?, connection.open_uni().await?);
        login.write_all(b"login").await?;
        login.finish()?;
        host.sleep(Duration::from_millis(1)).await; // Else one datagram carries both.
        command.write_all(b"command").await?;
        command.finish()?;
        login.stopped().await?;
        command.stopped().await?;
        connection.close(0_u8.into(), b"");
        endpoint.wait_idle().await;
        wavetank::Ok(())
    });
}

#[wavetank::test(seeds = 30)]
fn a_megabyte_crosses_an_unreliable_network(sim: &mut Sim) {
    sim.udp(Udp::unreliable());
    sim.server("server", async |host| {
        let connection = accept(host).await?;
        let (mut send, mut receive) = connection.accept_bi().await?;
        let bytes = receive.read_to_end(1 << 20).await?;
        send.write_all(&bytes).await?;
        send.finish()?;
        connection.closed().await;
        wavetank::Ok(())
    });
    sim.client("client", async |host| {
        let (endpoint, connection) = connect(host).await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        let bytes: Vec<u8> = (0..1_u32 << 20).map(|index| (index % 251) as u8).collect();
        send.write_all(&bytes).await?;
        send.finish()?;
        assert!(receive.read_to_end(1 << 20).await? == bytes, "the bytes are echoed");
        connection.close(0_u8.into(), b"");
        endpoint.wait_idle().await;
        wavetank::Ok(())
    });
}
