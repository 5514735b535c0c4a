//! The cells of the comparison: transport, size, kind and window.

use std::fmt;

use crate::payload::Kind;

/// What carries the bytes, and what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Receiving from memory.
    Decode,
    /// Sending into nothing, flushed after each message.
    Encode,
    /// Echoes through `tokio::io::duplex` with 64 KiB, the peer in the same thread.
    Duplex,
    /// Echoes over TCP on loopback, the peer in another thread.
    Loopback,
    /// The same with blocking clients.
    Blocking,
}

/// A cell.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Transport and work.
    pub setting: Setting,
    /// Bytes of payload.
    pub size: usize,
    /// Text or binary.
    pub kind: Kind,
    /// Messages under way at most; 1 is a closed loop.
    pub window: u64,
}

impl Cell {
    /// Whether work is measured by the thread's processor time, which a busy machine does not disturb, as nothing is
    /// waited for; elsewhere by wall time.
    pub fn by_processor_time(&self) -> bool {
        matches!(self.setting, Setting::Decode | Setting::Encode | Setting::Duplex)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = match self.setting {
            Setting::Decode => "decode",
            Setting::Encode => "encode",
            Setting::Duplex => "duplex",
            Setting::Loopback => "loopback",
            Setting::Blocking => "blocking",
        };
        let kind = match self.kind {
            Kind::Text => "text",
            Kind::Binary => "binary",
        };
        let size = match self.size {
            0..1024 => format!("{}B", self.size),
            1024..1_048_576 => format!("{}KiB", self.size >> 10),
            _ => format!("{}MiB", self.size >> 20),
        };
        write!(f, "{setting}/{size}/{kind}")?;
        match self.setting {
            Setting::Decode | Setting::Encode => Ok(()),
            _ => write!(f, "/w{}", self.window),
        }
    }
}

/// All cells.
///
/// 256 messages of 4 MiB are left out, as no round sends so many; and of the blocking cells with a window those that
/// would have a client send more than sockets hold before it reads.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for setting in [Setting::Decode, Setting::Encode, Setting::Duplex, Setting::Loopback, Setting::Blocking] {
        for size in [16, 1 << 10, 64 << 10, 4 << 20] {
            for kind in [Kind::Text, Kind::Binary] {
                for window in [1, 16, 256] {
                    let under_way = size * window as usize;
                    let wanted = match setting {
                        Setting::Decode | Setting::Encode => window == 1,
                        Setting::Duplex | Setting::Loopback => under_way < 256 << 20,
                        Setting::Blocking => window == 1 || under_way <= 256 << 10,
                    };
                    if wanted {
                        cells.push(Cell { setting, size, kind, window });
                    }
                }
            }
        }
    }
    cells
}
