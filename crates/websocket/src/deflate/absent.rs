//! The codec of builds without the feature `compression`: there are no values of its types.

use bytes::BytesMut;

/// Compresses nothing.
#[derive(Debug)]
pub(crate) enum Compressor {}

impl Compressor {
    pub(crate) fn compress(&mut self, _input: &[u8], _last: bool, _output: &mut BytesMut) {
        match *self {}
    }

    pub(crate) fn feed(&mut self, _input: &[u8], _output: &mut BytesMut) {
        match *self {}
    }

    pub(crate) fn forget(&mut self) {
        match *self {}
    }

    pub(crate) fn rest(&mut self) {
        match *self {}
    }
}

/// Inflates nothing.
#[derive(Debug)]
pub(crate) enum Decompressor {}

/// The same as where there is a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "no message is inflated")]
pub(crate) enum InflateError {
    TooLarge,
    Corrupt,
}

/// The same as where there is a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) read: usize,
    pub(crate) done: bool,
}

impl Decompressor {
    pub(crate) fn rest(&mut self) {
        match *self {}
    }

    pub(crate) fn decompress(
        &mut self,
        _input: &[u8],
        _last: bool,
        _output: &mut BytesMut,
        _limit: usize,
        _most: usize,
    ) -> Result<Progress, InflateError> {
        match *self {}
    }
}
