//! Any request to a server for a WebSocket: no panic, and the same answer for every split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavetank_runtime::Instant;
use wavetank_websocket::RequestError;
use wavetank_websocket::handshake::{AcceptOptions, AcceptStep, Accepting};
use wavetank_websocket::{Config, OpenError};

const NOW: Instant = Instant::from_nanos(1);

fuzz_target!(|data: &[u8]| {
    let Some((&size, request)) = data.split_first() else { return };
    let whole = outcome(request, request.len().max(1));
    let split = outcome(request, usize::from(size).max(1));
    assert_eq!(whole, split);
});

/// Returns a server's answer to a request that comes in pieces.
fn outcome(request: &[u8], piece: usize) -> (String, Vec<u8>) {
    let options = AcceptOptions::new().subprotocols(["chat"]).head_bytes_max(4096);
    let mut accepting = Accepting::new(options, Config::default(), [7; 32], NOW).unwrap();
    let mut pieces = request.chunks(piece);
    loop {
        match pieces.next() {
            Some(piece) => accepting.input().extend_from_slice(piece),
            None => accepting.end_of_input(),
        }
        loop {
            match accepting.process(NOW) {
                AcceptStep::Continue => break,
                AcceptStep::Request => accepting.accept(),
                AcceptStep::Done(mut session, agreed) => {
                    // The target `frames` covers the frames after the request. The response is the beginning of the
                    // output.
                    let output = session.output();
                    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
                    return (format!("{agreed:?}"), output[..end.unwrap() + 4].to_vec());
                }
                // The error also reports how much had arrived, which depends on the split.
                AcceptStep::Failed(OpenError::Request(RequestError::NotHttp { .. })) => {
                    let status = accepting.output().split(|byte| *byte == b'\r').next();
                    return ("no HTTP".to_owned(), status.unwrap_or_default().to_vec());
                }
                AcceptStep::Failed(error) => return (format!("{error:?}"), accepting.output().to_vec()),
            }
        }
    }
}
