//! Openings through a proxy that fail.

use std::time::Duration;

use wavetank_runtime::{BlockingListener, Std};

use super::peer::{Peer, listen};
use super::{LONG, quiet, spawn};
use crate::Config;
use crate::blocking::Client;
use crate::error::Fault;
use crate::handshake::{ClientRequest, Proxies, Proxy};

#[test]
fn a_silent_proxy_is_named_as_the_fault() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.read_until_end()
    });
    let proxy = Proxy::parse(&address.to_string()).expect("a proxy");
    let request = ClientRequest::new("ws://user:secret@example.test/").expect("a URL");
    let config = Config { open_timeout: Duration::from_millis(100), ..quiet(LONG) };
    let request = request.proxies(Proxies::always(proxy));
    let error = Client::new(Std).config(config).connect(request).expect_err("the proxy is silent");
    assert_eq!((error.fault(), error.peer()), (Fault::Proxy, Some(address.to_string())), "{error}");
    assert!(serving(), "the stream is closed");
}
