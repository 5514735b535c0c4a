//! The thread that reads frames and passes them to their streams: the original's `recv` goroutine.

use std::io::{self, BufReader, Read as _};
use std::sync::Arc;

use wavetank_runtime::Threads;

use super::super::Error;
use super::super::attributes::State;
use super::super::frame::{Flags, Frame, HEADER_BYTES, Header, Kind};
use super::super::stream::StreamShared;
use super::Shared;

impl<R: Threads> Shared<R> {
    /// Reads frames until the connection ends or the peer breaks the protocol. Then ends the session.
    pub(super) fn recv(&self, conn: R::Stream) {
        let mut conn = BufReader::new(conn);
        let error = loop {
            if let Err(error) = self.recv_frame(&mut conn) {
                break error;
            }
        };
        if let Error::Protocol(what) = error {
            tracing::info!("the peer broke the protocol: {what}");
        }
        self.exit();
    }

    fn recv_frame(&self, conn: &mut BufReader<R::Stream>) -> Result<(), Error> {
        let mut header = [0; HEADER_BYTES];
        conn.read_exact(&mut header)?;
        let header = Header::decode(header)?;
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.handle_stream_message(header, conn),
            Kind::Ping if header.flags.contains(Flags::SYN) => {
                self.outbox.send_no_wait(Frame::ping(Flags::ACK, header.length))
            }
            Kind::Ping => {
                self.pong(header.length);
                Ok(())
            }
        }
    }

    fn handle_stream_message(&self, header: Header, conn: &mut BufReader<R::Stream>) -> Result<(), Error> {
        if header.flags.contains(Flags::SYN) {
            self.incoming_stream(header.stream)?;
        }
        let stream = self.table.lock().streams.get(&header.stream).cloned();
        let Some(stream) = stream else {
            // The frame crossed the end of the stream. It is drained and never answered.
            if header.kind == Kind::Data {
                io::copy(&mut conn.take(header.length.into()), &mut io::sink())?;
            }
            return Ok(());
        };
        if stream.process_flags(header.flags)? {
            self.forget(header.stream);
        }
        if header.kind == Kind::WindowUpdate {
            stream.grow_send_window(header.length);
            return Ok(());
        }
        if header.length == 0 {
            return Ok(());
        }
        stream.admit(header.length)?;
        let mut data = vec![0; header.length as usize];
        conn.read_exact(&mut data)?;
        stream.receive(self, &data)
    }

    /// Queues a stream that the peer opened, or resets it if the backlog is full.
    fn incoming_stream(&self, id: u32) -> Result<(), Error> {
        let refused = {
            let mut table = self.table.lock();
            if table.streams.contains_key(&id) {
                return Err(Error::Protocol("duplicate stream initiated"));
            }
            let refused = table.backlog.len() >= self.config.accept_backlog;
            if !refused {
                let stream = Arc::new(StreamShared::new(&self.runtime, id, State::SynReceived));
                table.streams.insert(id, Arc::clone(&stream));
                table.backlog.push_back(stream);
            }
            refused
        };
        if refused {
            tracing::info!("the backlog is full: sends RST");
            return self.outbox.send_no_wait(Frame::window_update(id, Flags::RST, 0));
        }
        self.accepted.notify_one();
        Ok(())
    }
}
