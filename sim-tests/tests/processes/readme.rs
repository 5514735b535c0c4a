//! The README's test of an ordinary program, and a chat on std that it can stand for.

/// A server that hands each line to all members, with a thread for each, and its member.
mod chat {
    use std::io::{self, BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    pub(super) fn main() -> io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:80")?;
        let members = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
        for stream in listener.incoming() {
            let (stream, members) = (stream?, Arc::clone(&members));
            thread::spawn(move || {
                members.lock().expect("no panic").push(stream.try_clone()?);
                for line in BufReader::new(stream).lines() {
                    let line = line?;
                    // A member whose connection is broken leaves.
                    members.lock().expect("no panic").retain_mut(|member| writeln!(member, "{line}").is_ok());
                }
                io::Result::Ok(())
            });
        }
        Ok(())
    }

    /// Joins and speaks, again after each broken connection, until the own line has come back.
    pub(super) fn join(server: &str, name: &str) -> io::Result<()> {
        while !speak(server, name).unwrap_or(false) {
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn speak(server: &str, name: &str) -> io::Result<bool> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        writeln!(stream, "{name}: hello")?;
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if line == format!("{name}: hello") {
                return Ok(true);
            }
            assert!(line.ends_with(": hello"), "a line is whole: {line}");
        }
        Ok(false)
    }
}

#[wavetank::test]
fn the_chat_survives_resets(sim: &mut wavetank::Sim) {
    sim.faults(wavetank::Faults::none().resets());
    sim.process("server", chat::main); // TcpListener::bind, tokio::spawn, std::thread::spawn, ...
    sim.process_client("ann", || chat::join("server:80", "ann"));
    sim.process_client("bob", || chat::join("server:80", "bob"));
}
