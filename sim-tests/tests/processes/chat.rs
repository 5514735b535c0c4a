//! A chat server on tokio with workers, and its race: who leaves and who posts.
//!
//! The server knows nothing of the simulation.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wavetank::{Sim, Sweep};

/// The members of the only room, by number.
#[derive(Default)]
struct Room {
    members: Mutex<BTreeMap<usize, mpsc::UnboundedSender<String>>>,
    next: AtomicUsize,
    is_checked_twice: bool,
}

impl Room {
    fn join(&self, sender: mpsc::UnboundedSender<String>) -> usize {
        // The bug: another member can take the number in between.
        let number = if self.is_checked_twice {
            self.next.fetch_add(1, Ordering::SeqCst)
        } else {
            let number = self.next.load(Ordering::SeqCst);
            self.members.lock().expect("no member panics").retain(|_, member| !member.is_closed());
            std::thread::yield_now();
            self.next.store(number + 1, Ordering::SeqCst);
            number
        };
        self.members.lock().expect("no member panics").insert(number, sender);
        number
    }

    fn post(&self, from: usize, line: &str) {
        for (number, member) in &*self.members.lock().expect("no member panics") {
            if *number != from {
                let _ = member.send(format!("{from}: {line}\n"));
            }
        }
    }
}

async fn serve(room: Arc<Room>, lines: BufReader<OwnedReadHalf>, number: usize) -> io::Result<()> {
    let mut lines = lines.lines();
    while let Some(line) = lines.next_line().await? {
        room.post(number, &line);
    }
    room.members.lock().expect("no member panics").remove(&number);
    Ok(())
}

fn chat(is_checked_twice: bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let room = Arc::new(Room { is_checked_twice, ..Room::default() });
        loop {
            let (stream, _) = listener.accept().await?;
            let room = Arc::clone(&room);
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let (sender, mut lines) = mpsc::unbounded_channel::<String>();
                let number = room.join(sender);
                tokio::spawn(serve(room, BufReader::new(reader), number));
                writer.write_all(b"welcome\n").await?;
                while let Some(line) = lines.recv().await {
                    writer.write_all(line.as_bytes()).await?;
                }
                io::Result::Ok(())
            });
        }
    })
}

/// Joins, posts a line, and waits for that of the other member.
async fn member(name: &str) -> io::Result<()> {
    let (reader, mut writer) = TcpStream::connect("server:80").await?.into_split();
    let mut lines = BufReader::new(reader).lines();
    assert_eq!(lines.next_line().await?.as_deref(), Some("welcome"));
    // Both are there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    writer.write_all(format!("I am {name}\n").as_bytes()).await?;
    let heard = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
    let heard = heard.expect("the other member is heard")?;
    assert!(heard.is_some_and(|line| line.contains("I am ")));
    Ok(())
}

fn two_members(sim: &mut Sim, is_checked_twice: bool) {
    sim.process("server", move || chat(is_checked_twice));
    for name in ["ann", "bob"] {
        sim.process_client(name, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(member(name))
        });
    }
}

#[test]
fn members_with_one_number_do_not_hear_each_other() {
    let found = Sweep::new("processes::chat", env!("CARGO_MANIFEST_DIR"))
        .seeds(500)
        .finds("the other member is heard")
        .find(|sim| two_members(sim, false));
    insta::assert_snapshot!(found.trace_to_review().expect("it is reviewed"));
}

#[test]
fn members_with_numbers_of_their_own_hear_each_other() {
    Sweep::new("processes::fixed_chat", env!("CARGO_MANIFEST_DIR"))
        .seeds(200)
        .run(|sim| two_members(sim, true));
}
