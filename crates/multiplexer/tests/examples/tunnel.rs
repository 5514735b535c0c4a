//! `tunnel` between a target and local programs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use wavetank_runtime::{Std, ThreadHandle as _, Threads as _};

use super::processes::Process;

/// Both ends of a tunnel to a target.
struct Tunnel {
    server: Process,
    client: Process,
    /// Where the tunnel waits for tunnels.
    server_address: String,
    target_address: String,
    /// Where local programs connect.
    local: String,
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn serve(address: &str, target: &str) -> (Process, String) {
    let mut server = Process::start("tunnel", &["serve", address, "--allow", target]);
    let line = server.line().expect("it waits");
    let bound = line.strip_prefix("waiting for tunnels on ").expect("an address").to_owned();
    (server, bound)
}

impl Tunnel {
    fn to(target: &TcpListener) -> Self {
        let target_address = target.local_addr().expect("it is bound").to_string();
        let (server, server_address) = serve("127.0.0.1:0", &target_address);
        let forward = format!("127.0.0.1:0={target_address}");
        let mut client = Process::start("tunnel", &["connect", &server_address, "--forward", &forward]);
        let line = client.line().expect("it forwards");
        let local =
            line.strip_prefix("forwarding ").and_then(|line| line.split_once(" to ")).expect("an address");
        let local = local.0.to_owned();
        Self { server, client, server_address, target_address, local }
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(&self.local).expect("the tunnel listens"))
    }
}

/// A test that hangs says so.
fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    stream
}

fn accept(target: &TcpListener) -> TcpStream {
    patient(target.accept().expect("the tunnel connects").0)
}

#[test]
fn a_half_close_still_gets_its_answer() {
    let target = listener();
    let tunnel = Tunnel::to(&target);
    let mut local = tunnel.connect();
    local.write_all(b"question").expect("sent");
    local.shutdown(Shutdown::Write).expect("half-closed");
    let mut far = accept(&target);
    let mut question = Vec::new();
    far.read_to_end(&mut question).expect("an end, and no error");
    assert_eq!(question, b"question");
    let answer = vec![7; 1 << 20];
    far.write_all(&answer).expect("sent");
    drop(far);
    let mut read = Vec::new();
    local.read_to_end(&mut read).expect("an end, and no error");
    assert!(read == answer, "{} bytes", read.len());
}

/// Both ends of a connection through the tunnel, over which something has gone.
fn ends(tunnel: &Tunnel, target: &TcpListener) -> (TcpStream, TcpStream) {
    let mut local = tunnel.connect();
    local.write_all(b"hello").expect("sent");
    let mut far = accept(target);
    far.read_exact(&mut [0; 5]).expect("hello");
    (local, far)
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let target = listener();
    let tunnel = Tunnel::to(&target);
    for far_resets in [true, false] {
        let (local, far) = ends(&tunnel, &target);
        let (resetting, mut other) = if far_resets { (far, local) } else { (local, far) };
        reset(resetting);
        let error = other.read(&mut [0]).expect_err("a reset is no end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_stuck_program_blocks_no_other() {
    let target = listener();
    let tunnel = Tunnel::to(&target);
    let stuck = tunnel.connect();
    let mut far_stuck = accept(&target);
    let flooding = Std.spawn("flooding", move || {
        // More than all buffers hold: it ends when the other side goes.
        while far_stuck.write_all(&[0; 1 << 16]).is_ok() {}
    });
    let flooding = flooding.expect("a thread");
    for _ in 0..20 {
        let mut local = tunnel.connect();
        local.write_all(b"ping").expect("sent");
        let mut far = accept(&target);
        let mut bytes = [0; 4];
        far.read_exact(&mut bytes).expect("ping");
        far.write_all(&bytes).expect("sent");
        local.read_exact(&mut bytes).expect("pong");
    }
    drop(stuck);
    flooding.join().expect("no panic");
}

#[test]
fn a_lost_connection_is_made_again() {
    let target = listener();
    let mut tunnel = Tunnel::to(&target);
    assert!(tunnel.client.line().expect("it connects").starts_with("connected to "));
    let mut local = tunnel.connect();
    local.write_all(b"hello").expect("sent");
    let _far = accept(&target);
    tunnel.server.child.kill().expect("killed");
    tunnel.server.code();
    let error = local.read(&mut [0]).expect_err("a lost connection is no end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (server, _) = serve(&tunnel.server_address, &tunnel.target_address);
    tunnel.server = server;
    assert!(tunnel.client.line().expect("it connects again").starts_with("connected to "));
    let mut local = tunnel.connect();
    local.write_all(b"again").expect("sent");
    let mut bytes = [0; 5];
    accept(&target).read_exact(&mut bytes).expect("it is forwarded");
    assert_eq!(&bytes, b"again");
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a linger can be set");
    drop(stream);
}

/// Waits for the reset of a connection whose other side has sent FIN, without sending anything.
fn wait_for_reset(stream: &TcpStream) {
    for _ in 0..1000 {
        if stream.take_error().expect("a socket has a state").is_some() {
            return;
        }
        Std.sleep(Duration::from_millis(10));
    }
    panic!("the reset is not passed on");
}

#[test]
fn a_reset_behind_fin_is_passed_on() {
    let target = listener();
    let tunnel = Tunnel::to(&target);
    for far_resets in [true, false] {
        let (local, far) = ends(&tunnel, &target);
        let (resetting, mut other) = if far_resets { (far, local) } else { (local, far) };
        resetting.shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(other.read(&mut [0]).expect("FIN"), 0);
        reset(resetting);
        wait_for_reset(&other);
    }
}

#[test]
fn a_waiting_connection_shortens_the_backoff() {
    let target = listener();
    let mut tunnel = Tunnel::to(&target);
    assert!(tunnel.client.line().expect("it connects").starts_with("connected to "));
    tunnel.server.child.kill().expect("killed");
    tunnel.server.code();
    // Attempts fail after 0.5 s, 1.5 s and 3.5 s. The next one would come after 7.5 s.
    Std.sleep(Duration::from_millis(3700));
    let (server, _) = serve(&tunnel.server_address, &tunnel.target_address);
    tunnel.server = server;
    let begin = Std.now();
    tunnel.connect().write_all(b"hello").expect("sent");
    accept(&target).read_exact(&mut [0; 5]).expect("it is forwarded");
    assert!(Std.now() - begin < Duration::from_millis(2500), "{:?}", Std.now() - begin);
}

#[test]
fn a_server_survives_a_full_descriptor_table() {
    let target = listener();
    let target_address = target.local_addr().expect("it is bound").to_string();
    let arguments = ["serve", "127.0.0.1:0", "--allow", &target_address];
    let mut server = Process::start_with_few_files(16, "tunnel", &arguments);
    let line = server.line().expect("it waits");
    let address = line.strip_prefix("waiting for tunnels on ").expect("an address");
    let many: Vec<TcpStream> =
        (0..32).map(|_| TcpStream::connect(address).expect("the backlog has room")).collect();
    Std.sleep(Duration::from_secs(1));
    assert!(server.child.try_wait().expect("it can be asked").is_none(), "it has ended");
    drop(many);
    let forward = format!("127.0.0.1:0={target_address}");
    let mut client = Process::start("tunnel", &["connect", address, "--forward", &forward]);
    let line = client.line().expect("it forwards");
    let local =
        line.strip_prefix("forwarding ").and_then(|line| line.split_once(" to ")).expect("an address").0;
    let mut stream = patient(TcpStream::connect(local).expect("the tunnel listens"));
    stream.write_all(b"hello").expect("sent");
    accept(&target).read_exact(&mut [0; 5]).expect("it is forwarded");
}

#[test]
fn output_without_a_reader_harms_nothing() {
    let target = listener();
    let target_address = target.local_addr().expect("it is bound").to_string();
    // A port that was just free.
    let address = listener().local_addr().expect("it is bound").to_string();
    let mut server = Process::start_unread("tunnel", &["serve", &address, "--allow", &target_address]);
    let connected = (0..100).any(|_| {
        Std.sleep(Duration::from_millis(100));
        TcpStream::connect(&address).is_ok()
    });
    assert!(connected && server.try_wait().expect("it can be asked").is_none());
    server.kill().expect("killed");
    server.wait().expect("it can be waited for");
}

#[test]
fn a_target_that_is_not_allowed_resets() {
    let target = listener();
    let (_server, server_address) = serve("127.0.0.1:0", "127.0.0.1:9");
    let forward = format!("127.0.0.1:0={}", target.local_addr().expect("it is bound"));
    let mut client = Process::start("tunnel", &["connect", &server_address, "--forward", &forward]);
    let line = client.line().expect("it forwards");
    let local =
        line.strip_prefix("forwarding ").and_then(|line| line.split_once(" to ")).expect("an address").0;
    let mut stream = patient(TcpStream::connect(local).expect("the tunnel listens"));
    let error = stream.read(&mut [0]).expect_err("nothing is forwarded");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn help_and_bad_arguments() {
    for asking in [&["--help"][..], &["serve", "--help"], &["connect", "x:1", "-h"]] {
        let mut help = Process::start("tunnel", asking);
        assert!(help.line().expect("help").starts_with("Forwards local TCP ports"));
        assert_eq!(help.code(), Some(0), "{asking:?}");
    }
    let bad: [&[&str]; 10] = [
        &[],
        &["serve"],
        &["serve", "127.0.0.1:0", "--allow", "garbage"],
        &["serve", "127.0.0.1:0", "--allow", "x:0"],
        &["serve", "localhost:0", "--allow", "x:1"],
        &["connect", "x:1", "--forward", "nonsense"],
        &["connect", "x:1", "--forward", "x=nonsense"],
        &["connect", "x:1", "--forward", "127.0.0.1:0=a b:1"],
        &["connect", "[::x]:1", "--forward", "127.0.0.1:0=x:1"],
        &["dig", "127.0.0.1:1"],
    ];
    for bad in bad {
        assert_eq!(Process::start("tunnel", bad).code(), Some(2), "{bad:?}");
    }
}
