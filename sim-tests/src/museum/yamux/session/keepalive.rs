//! Pings: they prove that the connection works and that a stalled writer does not wait for the network.

use std::time::Duration;

use wavetank_runtime::Threads;

use super::super::Error;
use super::super::frame::{Flags, Frame};
use super::Shared;

impl<R: Threads> Shared<R> {
    /// Sends a ping at every interval until the session ends or an answer is missing.
    pub(super) fn keepalive(&self) {
        while self.sleep(self.config.keep_alive_interval) {
            match self.ping() {
                Ok(_) => tracing::info!("keepalive: the peer answered a ping"),
                Err(Error::SessionShutdown) => return,
                Err(error) => {
                    tracing::info!("keepalive: {error}, ends the session");
                    return self.exit();
                }
            }
        }
    }

    /// Waits for `duration`. Returns `true` if the session still exists.
    fn sleep(&self, duration: Duration) -> bool {
        let until = self.runtime.now() + duration;
        let mut table = self.table.lock();
        while !table.shutdown {
            let left = until - self.runtime.now();
            if left.is_zero() {
                return true;
            }
            table = self.shut.wait_timeout(table, left).0;
        }
        false
    }

    pub(super) fn ping(&self) -> Result<Duration, Error> {
        let start = self.runtime.now();
        let number = {
            let mut table = self.table.lock();
            let number = table.next_ping;
            table.next_ping = number.wrapping_add(1);
            table.pings.insert(number);
            number
        };
        self.outbox.send(Frame::ping(Flags::SYN, number))?;
        let until = self.runtime.now() + self.config.connection_write_timeout;
        let mut table = self.table.lock();
        while table.pings.contains(&number) {
            if table.shutdown {
                return Err(Error::SessionShutdown);
            }
            let left = until - self.runtime.now();
            if left.is_zero() {
                table.pings.remove(&number);
                return Err(Error::PingTimeout);
            }
            table = self.ponged.wait_timeout(table, left).0;
        }
        Ok(self.runtime.now() - start)
    }

    /// Receives the answer to a ping.
    pub(super) fn pong(&self, number: u32) {
        self.table.lock().pings.remove(&number);
        self.ponged.notify_all();
    }
}
