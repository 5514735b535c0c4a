//! Reports of runs inside turmoil: they add what turmoil's own messages do not say.

use super::*;

#[test]
fn errors_of_turmoils_sockets_name_the_address() {
    let found = find("refused-by-turmoil", |sim| {
        idle_host(sim, "server");
        sim.client("client", async |_: TurmoilHost| {
            TcpStream::connect("server:80").await?;
            Ok(())
        });
    });
    let expected = "error in client: connection refused: 192.168.0.1:80";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[test]
fn a_refused_connect_is_in_the_trace() {
    let found = find("refused-by-the-runtime", |sim| {
        idle_host(sim, "server");
        sim.client_thread("client", |host: TurmoilHost| {
            let server = Threads::resolve(&host, "server", 80)?[0];
            Threads::connect(&host, server, SocketOptions::new(), None).map(drop)
        });
    });
    let expected = "error in client: Connection refused (os error 111)";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
    let trace = found.trace().render();
    assert!(trace.contains("client/main  client -> server:80 refused"), "{trace}");
}

#[test]
fn the_trace_shows_drops_but_not_ticks() {
    let found = find("a-drop", |sim| {
        sim.trace_level(tracing::Level::TRACE);
        sim.builder().simulation_duration(Duration::from_secs(1));
        idle_host(sim, "server");
        sim.client("client", async |_: TurmoilHost| {
            turmoil::partition("client", "server");
            let socket = turmoil::net::UdpSocket::bind("0.0.0.0:80").await?;
            socket.send_to(b"ping", "server:80").await?;
            socket.recv_from(&mut []).await?;
            Ok(())
        });
    });
    let trace = found.trace().render();
    assert!(trace.contains("| Drop src=192.168.0.2:80 dst=192.168.0.1:80 protocol=UDP"), "{trace}");
    assert!(!trace.contains("step "), "{trace}");
}

#[test]
fn invalid_builder_settings_are_a_set_up_error() {
    let found = std::panic::catch_unwind(|| {
        find("latencies", |sim| {
            sim.builder().min_message_latency(Duration::from_secs(1));
            sim.client("client", async |_: TurmoilHost| Ok(()));
        })
    });
    let report = found.expect_err("a mistake of the test, not a bug that it finds");
    let report = report.downcast_ref::<String>().expect("a report");
    assert!(report.contains("latencies is not set up to run"), "{report}");
    let expected = "turmoil's builder: Maximum message latency must be greater than minimum.";
    assert!(report.contains(expected), "{report}");
}
