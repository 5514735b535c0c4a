//! HTTP on threads: `tiny_http` with a pool of threads, and `ureq`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use wavetank::{Faults, Sim};

/// Answers `/take` with the number of tickets that are left, and takes one.
fn serve(takes_at_once: bool) -> io::Result<()> {
    let server = Arc::new(tiny_http::Server::http("0.0.0.0:80").map_err(io::Error::other)?);
    let left = Arc::new(AtomicU32::new(2));
    let workers: Vec<_> = (0..2)
        .map(|_| (Arc::clone(&server), Arc::clone(&left)))
        .map(|(server, left)| {
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    let ticket = if takes_at_once {
                        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok()
                    } else {
                        // The bug: another worker gives the same ticket away while this one writes to its disk.
                        let ticket = left.load(Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(1));
                        left.store(ticket.saturating_sub(1), Ordering::SeqCst);
                        (ticket > 0).then_some(ticket)
                    };
                    let text = ticket.map_or("none".to_owned(), |ticket| ticket.to_string());
                    let _ = request.respond(tiny_http::Response::from_string(text));
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    Ok(())
}

/// Takes a ticket, and asks again as long as the connection breaks.
fn take() -> io::Result<String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    let mut answer = agent.get("http://server/take").call().map_err(io::Error::other)?;
    answer.body_mut().read_to_string().map_err(io::Error::other)
}

fn two_buyers(sim: &mut Sim, takes_at_once: bool) {
    sim.process("server", move || serve(takes_at_once));
    sim.process_client("buyers", || {
        let buyers = ["ann", "bob"]
            .map(|name| thread::Builder::new().name(name.to_owned()).spawn(take).expect("a thread"));
        let tickets = buyers.map(|buyer| buyer.join().expect("no panic"));
        if let [Ok(one), Ok(other)] = &tickets {
            assert!(one == "none" || one != other, "two tickets with one number");
        }
        io::Result::Ok(())
    });
}

#[wavetank::test(seeds = 300, finds = "two tickets with one number")]
fn workers_of_tiny_http_sell_a_ticket_twice(sim: &mut Sim) {
    two_buyers(sim, false);
}

#[wavetank::test(seeds = 100)]
fn tickets_taken_at_once_are_sold_once(sim: &mut Sim) {
    sim.faults(Faults::none().partitions());
    two_buyers(sim, true);
}

/// A connection that is reset has no peer address, and what had arrived before can still be read. tiny_http 0.12
/// unwraps the address (`client.rs`, line 153).
#[wavetank::test(seeds = 1000, finds = "panic in server/")]
fn a_reset_before_the_request_panics_tiny_http(sim: &mut Sim) {
    sim.faults(Faults::none().resets());
    two_buyers(sim, true);
}
