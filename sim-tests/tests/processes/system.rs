//! What a process sees of its system: names, datagrams, pipes, its machine, and that another OS process sees the same.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use wavetank::{Sim, Sweep, sometimes};

#[wavetank::test]
fn datagrams_and_names_reach_other_hosts(sim: &mut Sim) {
    sim.process("server", || {
        let socket = UdpSocket::bind("0.0.0.0:53")?;
        let mut buffer = [0; 100];
        loop {
            let (count, from) = socket.recv_from(&mut buffer)?;
            socket.send_to(&buffer[..count], from)?;
        }
        #[expect(unreachable_code, reason = "it says which error there is")]
        io::Result::Ok(())
    });
    sim.process_client("client", || {
        let found: Vec<_> = "server:53".to_socket_addrs()?.collect();
        assert_eq!(found, ["192.168.0.1:53".parse().expect("an address")]);
        assert!("nowhere:53".to_socket_addrs().is_err());
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.connect("server:53")?;
        socket.send(b"who?")?;
        let mut answer = [0; 100];
        assert_eq!(socket.recv(&mut answer)?, 4);
        assert_eq!(&answer[..4], b"who?");
        socket.set_nonblocking(true)?;
        assert_eq!(socket.recv(&mut answer).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        io::Result::Ok(())
    });
}

#[wavetank::test]
fn pipes_and_pairs_stay_within_a_process(sim: &mut Sim) {
    sim.process_client("client", || {
        let (mut reader, mut writer) = io::pipe()?;
        let thread = std::thread::spawn(move || writer.write_all(&[7; 200_000]));
        let mut all = Vec::new();
        reader.read_to_end(&mut all)?;
        thread.join().expect("no panic")?;
        assert_eq!(all, [7; 200_000]);
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all(b"hello")?;
        drop(one);
        let mut text = String::new();
        other.read_to_string(&mut text)?;
        assert_eq!(text, "hello");
        io::Result::Ok(())
    });
}

#[wavetank::test]
fn a_connect_without_an_answer_times_out(sim: &mut Sim) {
    sim.process_client("client", || {
        let begin = Instant::now();
        let address = "192.168.7.7:80".parse().expect("an address");
        let error =
            TcpStream::connect_timeout(&address, Duration::from_millis(100)).expect_err("no host has it");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!((100..2_000).contains(&begin.elapsed().as_millis()));
    });
}

/// Each host has entropy, a process id and processors of its own, and the same in each run of a seed.
#[test]
fn each_process_has_a_machine_of_its_own() {
    let sweep = Sweep::new("processes::machine", env!("CARGO_MANIFEST_DIR")).seeds(20).check_every(1);
    sweep.run(|sim| {
        sim.process("server", || {
            let listener = TcpListener::bind("0.0.0.0:80")?;
            let (mut stream, _) = listener.accept()?;
            stream.write_all(&std::process::id().to_le_bytes())?;
            stream.write_all(&RandomState::new().hash_one(1).to_le_bytes())
        });
        sim.process_client("client", || {
            let mut stream = TcpStream::connect("server:80")?;
            let (mut id, mut hash) = ([0; 4], [0; 8]);
            stream.read_exact(&mut id)?;
            stream.read_exact(&mut hash)?;
            let own = RandomState::new().hash_one(1);
            assert_ne!(u32::from_le_bytes(id), std::process::id());
            assert_ne!(u64::from_le_bytes(hash), own);
            assert_eq!(std::thread::available_parallelism()?.get(), 2);
            // Lines of the trace, and so of its hash.
            println!("entropy {own:x}");
            tracing::info!(own, "entropy");
            sometimes!(own.is_multiple_of(2), "entropy is even");
            io::Result::Ok(())
        });
    });
}

/// A program that makes no call is ended by the watchdog, which names it.
#[test]
fn a_loop_without_calls_is_named() {
    let looping = std::panic::catch_unwind(|| {
        Sweep::new("processes::looping", env!("CARGO_MANIFEST_DIR"))
            .seeds(1)
            .watchdog(Duration::from_secs(2))
            .run(|sim| {
                sim.process_client("client", || {
                    loop {
                        std::hint::spin_loop();
                    }
                });
            });
    });
    let report = looping.expect_err("it fails");
    let report = report.downcast_ref::<String>().expect("a report");
    assert!(report.contains("stuck in client/main"), "{report}");
}

/// The body of a sweep whose hash is printed for [`two_os_processes_give_the_same_hash`].
#[test]
fn of_std_programs() {
    let passed = Sweep::new("processes::of_std_programs", env!("CARGO_MANIFEST_DIR")).seeds(200).run(|sim| {
        sim.process("server", super::echo::std_echo);
        super::echo::client(sim);
    });
    println!("of_std_programs: {:#018x}", passed.trace_hash());
}

#[test]
fn of_tokio_programs() {
    let passed =
        Sweep::new("processes::of_tokio_programs", env!("CARGO_MANIFEST_DIR")).seeds(200).run(|sim| {
            sim.process("server", || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                runtime.block_on(super::echo::tokio_echo())
            });
            super::echo::client(sim);
        });
    println!("of_tokio_programs: {:#018x}", passed.trace_hash());
}

#[test]
fn two_os_processes_give_the_same_hash() {
    let hashes = || -> Vec<String> {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this is a program"));
        command.args(["system::of_", "--nocapture", "--test-threads=1"]).env("WAVETANK_BASE_SEED", "0x5eed");
        let output = command.output().expect("the child starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines()
            .filter_map(|line| line.split_once("programs: "))
            .map(|(_, hash)| hash.to_owned())
            .collect()
    };
    let first = hashes();
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first, hashes());
}
