//! The reader thread: feeds the session with what the peer sends, while no caller does.
//!
//! It reads outside the lock and never writes, so neither a caller nor a stuck peer keeps it from hearing the pong or
//! the Close frame that is there. It waits for the application only while the session does not want to read.
//!
//! When what it has read was waited for by a caller, it leaves the read permit to that caller, and looks every
//! [`LINGER`](super::reading::LINGER) whether callers still read. Beside a caller that waits in one read for longer
//! it sleeps, until that caller has gone.

use wavetank_runtime::Threads;

use super::reading::{ReadPermit, look};
use super::shared::{Reader, Shared};

/// The body of the thread. It ends with the connection.
pub(super) fn run<T: Threads>(shared: &Shared<T>, permit: ReadPermit) {
    let mut guard = shared.lock();
    // What came glued to the opening handshake is there already.
    guard.session.process(shared.threads.now());
    guard.fresh = true;
    guard.read_permit = Some(permit);
    shared.settle(&mut guard);
    while !guard.is_gone() {
        let until = guard.leave(shared.threads.now());
        if guard.has_input_left() && !guard.receiving {
            guard = shared.go_on(guard);
            shared.settle(&mut guard);
        } else if guard.can_read()
            && until.is_none_or(|until| guard.needs_reader(until))
            && let Some(permit) = guard.read_permit.take()
        {
            guard.left_to_callers = false;
            guard = look(shared, guard, permit, None).0;
        } else {
            guard.reader = Reader::Rests(until);
            guard = shared.wait(&shared.intake, guard, until);
            guard.reader = Reader::Busy;
        }
    }
}
