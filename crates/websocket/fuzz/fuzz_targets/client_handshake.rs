//! Any answer to a client's handshake, direct or through a proxy: no panic, and the same outcome for every split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavetank_runtime::Instant;
use wavetank_websocket::{HandshakeError, ProxyError};
use wavetank_websocket::handshake::{ClientRequest, Opening, Proxies, Proxy, Step};
use wavetank_websocket::{Config, OpenError};

const NOW: Instant = Instant::from_nanos(1);

fuzz_target!(|data: &[u8]| {
    let Some((&[way, size], answer)) = data.split_first_chunk::<2>() else { return };
    let whole = outcome(way, answer, answer.len().max(1));
    let split = outcome(way, answer, usize::from(size).max(1));
    assert_eq!(whole, split);
});

/// Returns the outcome of an opening whose peer answers in pieces.
fn outcome(way: u8, answer: &[u8], piece: usize) -> String {
    let mut request =
        ClientRequest::new("ws://example.test/").unwrap().head_bytes_max(4096).body_bytes_max(256);
    let proxy = match way % 3 {
        0 => None,
        1 => Some("http://proxy:1"),
        _ => Some("socks5://user:password@proxy:1"),
    };
    if let Some(proxy) = proxy {
        request = request.proxies(Proxies::always(Proxy::parse(proxy).unwrap()));
    }
    let mut opening = Opening::new(request, Config::default(), [7; 32], NOW).unwrap();
    let mut pieces = answer.chunks(piece);
    loop {
        let written = opening.output().len();
        opening.output_written(written);
        match pieces.next() {
            Some(piece) => opening.input().extend_from_slice(piece),
            None => opening.end_of_input(),
        }
        match opening.process(NOW) {
            Step::Continue => {}
            Step::Reconnect => return format!("reconnect to {}", opening.endpoint()),
            Step::Done(_, response) => return format!("{response:?}"),
            // The error also reports how much had arrived, which depends on the split.
            Step::Failed(OpenError::Handshake { error: HandshakeError::NotHttp { .. }, .. }) => {
                return "no HTTP".to_owned();
            }
            Step::Failed(OpenError::Proxy { error: ProxyError::Malformed { .. }, .. }) => {
                return "no proxy".to_owned();
            }
            Step::Failed(error) => return format!("{error:?}"),
        }
    }
}
