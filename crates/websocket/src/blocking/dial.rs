//! Connecting to one of several addresses: the next is tried soon beside one that does not answer (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

use super::open::left;

/// How long an attempt to reach one address goes on alone before the next address is tried beside it (RFC 8305,
/// section 5, recommends this value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The attempts to connect, each on a thread of its own.
struct Race<T: Threads, S: Send + 'static> {
    state: Mutex<T, State<S>>,
    news: Condvar<T>,
}

struct State<S> {
    /// The first stream that connected.
    winner: Option<S>,
    failed: usize,
    /// The first failure.
    failure: Option<io::Error>,
    /// The caller has gone, with a stream or without.
    over: bool,
}

/// Connects to the first of `addresses` that answers, until `deadline`. Each gets a head start of [`ATTEMPT_DELAY`]
/// before the next, or less if it fails earlier. `connect` is given the time that is left.
///
/// Threads whose attempts come too late end by themselves, at the deadline at the latest.
pub(super) fn first<T: Threads, S: Send + 'static>(
    threads: &T,
    addresses: &[SocketAddr],
    deadline: Instant,
    connect: impl Fn(SocketAddr, Duration) -> io::Result<S> + Clone + Send + 'static,
) -> io::Result<S> {
    let time_left = || left(threads, deadline).ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut));
    if let [only] = addresses {
        return connect(*only, time_left()?);
    }
    let state = State { winner: None, failed: 0, failure: None, over: false };
    let race = Arc::new(Race {
        state: Mutex::new(threads, "attempts to connect", state),
        news: Condvar::new(threads, "attempts to connect"),
    });
    let mut waiting = addresses.iter();
    let (mut started, mut next_at) = (0, threads.now());
    loop {
        let mut state = race.state.lock();
        if let Some(stream) = state.winner.take() {
            state.over = true;
            return Ok(stream);
        }
        let none_runs = state.failed == started;
        let is_time = none_runs || next_at <= threads.now();
        if is_time && let Some(address) = waiting.next() {
            drop(state);
            start(threads, &race, *address, time_left()?, connect.clone());
            started += 1;
            next_at = threads.now() + ATTEMPT_DELAY;
            continue;
        }
        if none_runs {
            return Err(state.failure.take().unwrap_or_else(|| io::ErrorKind::NotFound.into()));
        }
        let until = if waiting.len() > 0 { next_at.min(deadline) } else { deadline };
        match left(threads, until) {
            Some(time) => drop(race.news.wait_timeout(state, time)),
            None if until == deadline => {
                state.over = true;
                return Err(io::ErrorKind::TimedOut.into());
            }
            None => {}
        }
    }
}

/// Starts an attempt. One that cannot have a thread has failed.
fn start<T: Threads, S: Send + 'static>(
    threads: &T,
    race: &Arc<Race<T, S>>,
    address: SocketAddr,
    timeout: Duration,
    connect: impl Fn(SocketAddr, Duration) -> io::Result<S> + Send + 'static,
) {
    let attempt = Arc::clone(race);
    let started = threads.spawn("websocket dialler", move || attempt.tell(connect(address, timeout)));
    if let Err(error) = started {
        race.tell(Err(error));
    }
}

impl<T: Threads, S: Send + 'static> Race<T, S> {
    /// Takes the result of an attempt. A stream that comes too late is dropped.
    fn tell(&self, result: io::Result<S>) {
        let mut state = self.state.lock();
        let late = match result {
            Ok(stream) if state.winner.is_none() && !state.over => {
                state.winner = Some(stream);
                None
            }
            Ok(stream) => Some(stream),
            Err(error) => {
                state.failed += 1;
                state.failure.get_or_insert(error);
                None
            }
        };
        self.news.notify_all();
        drop(state);
        drop(late);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use wavetank_runtime::Std;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn far() -> Instant {
        Std.now() + Duration::from_secs(600)
    }

    #[test]
    fn a_silent_address_does_not_delay_the_next() {
        // The first answers only once the second has: one after the other, none would.
        let (tell, told) = mpsc::channel();
        let told = Arc::new(std::sync::Mutex::new(told));
        let connect = move |address: SocketAddr, _timeout| {
            if address.port() == 1 {
                told.lock().expect("one thread").recv().expect("the second attempt comes");
            } else {
                tell.send(()).expect("the first attempt waits");
            }
            Ok(address.port())
        };
        let port = first(&Std, &[address(1), address(2)], far(), connect).expect("a stream");
        assert!([1, 2].contains(&port));
    }

    #[test]
    fn addresses_that_refuse_are_followed_at_once() {
        let connect = |address: SocketAddr, _timeout| match address.port() {
            3 => Ok(3),
            port => Err(io::Error::other(format!("{port} refuses"))),
        };
        let refusing = [address(1), address(2)];
        assert_eq!(
            first(&Std, &[refusing[0], refusing[1], address(3)], far(), connect).expect("one listens"),
            3
        );
        let error = first(&Std, &refusing, far(), connect).expect_err("both refuse");
        assert_eq!(error.to_string(), "1 refuses");
        assert_eq!(
            first(&Std, &[], far(), connect).expect_err("there is none").kind(),
            io::ErrorKind::NotFound
        );
    }
}
