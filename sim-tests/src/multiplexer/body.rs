//! Bodies of which a reader can check every byte.
//!
//! The byte at offset `o` of the body with seed `s` is the low 8 bits of `o + (o >> 8) + (o >> 16) + 13 * s`. No two
//! places within 64 KiB look alike. So a reader notices at once if a byte is lost, doubled or taken from another
//! stream.

use std::io::{self, Read, Write};
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Returns the byte at `offset`.
#[must_use]
pub fn byte(seed: u32, offset: u64) -> u8 {
    (offset.wrapping_add(offset >> 8).wrapping_add(offset >> 16).wrapping_add(13 * u64::from(seed))) as u8
}

/// Returns a part of a body.
#[must_use]
pub fn bytes(seed: u32, range: Range<u64>) -> Vec<u8> {
    range.map(|offset| byte(seed, offset)).collect()
}

/// Checks a part of a body that begins at `from`.
///
/// # Panics
///
/// If a byte differs.
pub fn check(seed: u32, from: u64, bytes: &[u8]) {
    for (offset, &found) in (from..).zip(bytes) {
        let expected = byte(seed, offset);
        assert_eq!(found, expected, "body {seed}, offset {offset}");
    }
}

/// Writes a part of a body in writes of `chunk` bytes. Returns how many bytes were taken, and the error
/// that stopped it.
pub async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    seed: u32,
    range: Range<u64>,
    chunk: usize,
) -> (u64, io::Result<()>) {
    let mut offset = range.start;
    while offset < range.end {
        let piece = bytes(seed, offset..range.end.min(offset + chunk as u64));
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match writer.write(rest).await {
                Ok(0) => return (offset - range.start, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    rest = &rest[count..];
                    offset += count as u64;
                }
                Err(error) => return (offset - range.start, Err(error)),
            }
        }
    }
    (offset - range.start, Ok(()))
}

/// Reads at most `count` bytes of a body, beginning at offset `from`. Returns how many bytes came before the end, and
/// the error that stopped it.
pub async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    seed: u32,
    from: u64,
    count: u64,
) -> (u64, io::Result<()>) {
    let mut buffer = vec![0; 32 * 1024];
    let mut read = 0;
    while read < count {
        let length = (count - read).min(buffer.len() as u64) as usize;
        match reader.read(&mut buffer[..length]).await {
            Ok(0) => break,
            Ok(length) => {
                check(seed, from + read, &buffer[..length]);
                read += length as u64;
            }
            Err(error) => return (read, Err(error)),
        }
    }
    (read, Ok(()))
}

/// Sends everything back until the end, then ends the other direction. Returns the number of bytes.
///
/// # Errors
///
/// Those of the stream.
pub async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * 1024];
    let mut echoed = 0;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            stream.shutdown().await?;
            return Ok(echoed);
        }
        stream.write_all(&buffer[..length]).await?;
        echoed += length as u64;
    }
}

/// As [`write()`], on a thread.
pub fn write_blocking(
    writer: &mut impl Write,
    seed: u32,
    range: Range<u64>,
    chunk: usize,
) -> (u64, io::Result<()>) {
    let mut offset = range.start;
    while offset < range.end {
        let piece = bytes(seed, offset..range.end.min(offset + chunk as u64));
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match writer.write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    offset += count as u64;
                }
                Err(error) => return (offset - range.start, Err(error)),
            }
        }
    }
    (offset - range.start, Ok(()))
}

/// As [`read`], on a thread.
pub fn read_blocking(reader: &mut impl Read, seed: u32, from: u64, count: u64) -> (u64, io::Result<()>) {
    let mut buffer = vec![0; 32 * 1024];
    let mut read = 0;
    while read < count {
        let length = (count - read).min(buffer.len() as u64) as usize;
        match reader.read(&mut buffer[..length]) {
            Ok(0) => break,
            Ok(length) => {
                check(seed, from + read, &buffer[..length]);
                read += length as u64;
            }
            Err(error) => return (read, Err(error)),
        }
    }
    (read, Ok(()))
}

/// As [`echo`], on a thread, without ending the other direction.
///
/// # Errors
///
/// Those of the stream.
pub fn echo_blocking(stream: &mut (impl Read + Write)) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * 1024];
    let mut echoed = 0;
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(echoed);
        }
        stream.write_all(&buffer[..length])?;
        echoed += length as u64;
    }
}
