//! Takes the place of proxies in builds without the feature `proxies`: none is ever used.

use bytes::BytesMut;

use super::target::Target;
use crate::OpenError;
use crate::error::ProxyError;

/// No proxy for anything.
#[derive(Debug, Clone)]
pub(super) struct Proxies;

impl Proxies {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) fn choose(&self, _target: &Target) -> Result<Option<Proxy>, OpenError> {
        Ok(None)
    }
}

/// There is none.
#[derive(Debug)]
pub(super) enum Proxy {}

impl Proxy {
    pub(super) fn host(&self) -> &str {
        match *self {}
    }

    pub(super) fn port(&self) -> u16 {
        match *self {}
    }

    pub(super) fn authority(&self) -> String {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub(super) enum Tunnel {}

impl Tunnel {
    pub(super) fn start(proxy: &Proxy, _target: &Target, _output: &mut BytesMut) -> Self {
        match *proxy {}
    }

    pub(super) fn process(
        &mut self,
        _input: &mut BytesMut,
        _output: &mut BytesMut,
        _limit_bytes: usize,
    ) -> Result<bool, ProxyError> {
        match *self {}
    }
}
