//! How processes end: by exit, panic, abort, a fault, a crash of their host, a call that is not simulated.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Crash, Faults, Sim, Sweep, Symptom, SymptomKind};

/// Returns how a client process fails.
fn failure(name: &str, main: fn()) -> Symptom {
    let failed = Sweep::new(name, env!("CARGO_MANIFEST_DIR"))
        .seeds(1)
        .first_failure(move |sim| sim.process_client("client", main));
    failed.expect("it fails").symptom().clone()
}

#[track_caller]
fn assert_fails(name: &str, main: fn(), kind: SymptomKind, detail: &str) {
    let symptom = failure(name, main);
    assert_eq!(symptom.kind(), kind, "{symptom}");
    assert!(symptom.detail().contains(detail), "{symptom}");
}

#[test]
fn a_failing_process_names_host_thread_and_cause() {
    assert_fails(
        "fate::exit",
        || std::process::exit(3),
        SymptomKind::HostError,
        "client: it exited with status 3",
    );
    assert_fails(
        "fate::panic",
        || panic!("the hull is open"),
        SymptomKind::Panic,
        "client/main: the hull is open",
    );
    let in_thread = || {
        let worker = std::thread::Builder::new().name("worker".to_owned());
        let worker = worker.spawn(|| panic!("the mast is gone")).expect("a thread starts");
        assert!(worker.join().is_err());
    };
    assert_fails("fate::thread", in_thread, SymptomKind::Panic, "client/worker: the mast is gone");
    assert_fails(
        "fate::abort",
        || std::process::abort(),
        SymptomKind::Panic,
        "client/main: the process aborted",
    );
    let overflow = || {
        fn deeper(depth: u64) -> u64 {
            let frame = [depth; 64];
            std::hint::black_box(&frame);
            if depth == u64::MAX { 0 } else { deeper(depth + 1) + frame[7] }
        }
        std::hint::black_box(deeper(0));
    };
    assert_fails("fate::overflow", overflow, SymptomKind::Panic, "client/main: its stack overflowed");
    #[expect(unsafe_code, reason = "a fault is what is tested")]
    // SAFETY: none: the fault is what is tested.
    let fault = || unsafe { std::hint::black_box(std::ptr::dangling_mut::<u64>()).write_volatile(1) };
    assert_fails("fate::fault", fault, SymptomKind::Panic, "client/main: SIGSEGV");
}

#[test]
fn caught_panics_and_plain_exits_are_no_failure() {
    Sweep::new("fate::fine", env!("CARGO_MANIFEST_DIR")).seeds(20).run(|sim| {
        sim.process_client("catches", || assert!(std::panic::catch_unwind(|| panic!("caught")).is_err()));
        sim.process_client("exits", || {
            std::thread::spawn(|| std::thread::sleep(Duration::from_secs(1_000)));
            std::thread::spawn(|| std::process::exit(0));
            loop {
                std::thread::park();
            }
        });
    });
}

#[test]
fn a_call_that_is_not_simulated_is_named() {
    let pair = || drop(std::os::unix::net::UnixListener::bind("/run/x.sock"));
    assert_fails("fate::unix", pair, SymptomKind::Uncontrolled, "client/main calls `socket(AF_UNIX)`");
    #[expect(unsafe_code, reason = "std has no such call")]
    // SAFETY: takes no pointers that it would follow.
    let timer = || assert_eq!(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) }, -1);
    assert_fails("fate::timer", timer, SymptomKind::Uncontrolled, "client/main calls `timerfd_create`");
    let command = || drop(std::process::Command::new("true").spawn());
    assert_fails("fate::command", command, SymptomKind::Uncontrolled, "client/main calls `");
}

/// Counts the bytes of each connection, for ever.
fn counter() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80")?;
    loop {
        let (mut stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            let mut byte = [0];
            while let Ok(1) = stream.read(&mut byte) {
                if stream.write_all(&byte).is_err() {
                    break;
                }
            }
        });
    }
}

fn crashed_server(sim: &mut Sim, how: Crash) {
    sim.process("server", counter);
    sim.client("operator", async move |host| {
        host.sleep(Duration::from_millis(50)).await;
        host.inject().crash("server", how);
        host.sleep(Duration::from_millis(100)).await;
        host.inject().restart("server");
    });
    sim.process_client("client", || {
        let mut answers = 0;
        while answers < 3 {
            let Ok(mut stream) = TcpStream::connect("server:80") else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            for _ in 0..40 {
                std::thread::sleep(Duration::from_millis(5));
                let mut answer = [0];
                if stream.write_all(b"?").is_err() || !matches!(stream.read(&mut answer), Ok(1)) {
                    break;
                }
                answers += 1;
            }
        }
        io::Result::Ok(())
    });
}

#[test]
fn a_crashed_process_is_started_again() {
    for how in [Crash::Process, Crash::Machine] {
        let name = format!("fate::crash_{how:?}");
        Sweep::new(name, env!("CARGO_MANIFEST_DIR")).seeds(50).run(move |sim| crashed_server(sim, how));
    }
}

#[test]
fn drawn_crashes_leave_other_processes_alone() {
    Sweep::new("fate::drawn", env!("CARGO_MANIFEST_DIR")).seeds(100).run(|sim| {
        sim.faults(Faults::none().crashes());
        sim.process("server", counter);
        sim.process_client("client", || {
            for _ in 0..5 {
                if let Ok(mut stream) = TcpStream::connect("server:80") {
                    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                    let _ = stream.write_all(b"?");
                    let _ = stream.read(&mut [0]);
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            io::Result::Ok(())
        });
    });
}
