//! The body of a response that refuses: the beginning of it, for people to read.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::head::{ResponseHead, has_token, single};

/// The longest line with the size of a chunk.
const CHUNK_LINE_BYTES: usize = 1024;

/// Reads a body up to a limit.
#[derive(Debug)]
pub(crate) struct BodyReader {
    framing: Framing,
    body: BytesMut,
    limit_bytes: usize,
    complete: bool,
}

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// The size of a chunk comes next.
    ChunkSize,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line's end after a chunk comes next.
    ChunkEnd,
    /// It ends with the transport.
    UntilEnd,
}

impl BodyReader {
    pub(crate) fn new(head: &ResponseHead, limit_bytes: usize) -> Self {
        let length = single(&head.headers, &CONTENT_LENGTH).ok().flatten();
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let framing = if matches!(head.status.as_u16(), 204 | 304) {
            Framing::Length(0)
        } else if has_token(&head.headers, &TRANSFER_ENCODING, "chunked") {
            Framing::ChunkSize
        } else {
            length.map_or(Framing::UntilEnd, Framing::Length)
        };
        Self { framing, body: BytesMut::new(), limit_bytes, complete: false }
    }

    /// Takes from `input`; `true`: nothing more is needed.
    pub(crate) fn read(&mut self, input: &mut BytesMut) -> bool {
        loop {
            match self.framing {
                Framing::Length(0) => {
                    self.complete = true;
                    return true;
                }
                _ if input.is_empty() => return false,
                Framing::Length(left) => {
                    let taken = self.take(input, left);
                    self.framing = Framing::Length(left - taken);
                }
                Framing::UntilEnd => {
                    self.take(input, u64::MAX);
                }
                Framing::Chunk(0) => self.framing = Framing::ChunkEnd,
                Framing::Chunk(left) => {
                    let taken = self.take(input, left);
                    self.framing = Framing::Chunk(left - taken);
                }
                Framing::ChunkEnd => match &input[..] {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.framing = Framing::ChunkSize;
                    }
                    [b'\r'] => return false,
                    _ => return true,
                },
                Framing::ChunkSize => match httparse::parse_chunk_size(input) {
                    // Trailers are of no use here.
                    Ok(httparse::Status::Complete((_, 0))) => self.framing = Framing::Length(0),
                    Ok(httparse::Status::Complete((line, size))) => {
                        input.advance(line);
                        self.framing = Framing::Chunk(size);
                    }
                    Ok(httparse::Status::Partial) if input.len() < CHUNK_LINE_BYTES => return false,
                    Ok(httparse::Status::Partial) | Err(_) => return true,
                },
            }
            if self.body.len() >= self.limit_bytes && self.framing != Framing::Length(0) {
                // More may follow, or not: a chunk that ends here may be the last, which is not waited for.
                return true;
            }
        }
    }

    /// The transport has ended.
    pub(crate) fn end_of_input(&mut self) {
        self.complete |= self.framing == Framing::UntilEnd && self.body.len() < self.limit_bytes;
    }

    /// The body, and whether all of it is there.
    pub(crate) fn finish(&mut self) -> (Bytes, bool) {
        (std::mem::take(&mut self.body).freeze(), self.complete)
    }

    fn take(&mut self, input: &mut BytesMut, most: u64) -> u64 {
        let room = self.limit_bytes - self.body.len();
        let count = input.len().min(room).min(usize::try_from(most).unwrap_or(usize::MAX));
        self.body.extend_from_slice(&input.split_to(count));
        count as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, whether it is complete, and whether its end was seen before the transport's.
    fn read(headers: &str, body: &[u8], limit_bytes: usize) -> (Vec<u8>, bool, bool) {
        let text = format!("HTTP/1.1 404 X\r\n{headers}\r\n");
        let head = ResponseHead::parse(text.as_bytes()).unwrap();
        let outcomes = (0..=body.len()).map(|cut| {
            let mut reader = BodyReader::new(&head, limit_bytes);
            let mut input = BytesMut::from(&body[..cut]);
            let mut ended = reader.read(&mut input);
            input.extend_from_slice(&body[cut..]);
            ended = ended || reader.read(&mut input);
            if !ended {
                reader.end_of_input();
            }
            let (body, complete) = reader.finish();
            (body.to_vec(), complete, ended)
        });
        let mut outcomes = outcomes.collect::<Vec<_>>();
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0)
    }

    #[test]
    fn bodies_end_by_length_chunks_or_transport() {
        assert_eq!(read("Content-Length: 3\r\n", b"abcd", 9), (b"abc".to_vec(), true, true));
        assert_eq!(read("Content-Length: 3\r\n", b"ab", 9), (b"ab".to_vec(), false, false));
        assert_eq!(read("", b"abcd", 9), (b"abcd".to_vec(), true, false));
        let chunks = b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        assert_eq!(read("Transfer-Encoding: chunked\r\n", chunks, 9), (b"abc".to_vec(), true, true));
        assert_eq!(read("Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n", 9), (b"ab".to_vec(), false, false));
        assert_eq!(read("Transfer-Encoding: chunked\r\n", b"z\r\n", 9), (vec![], false, true));
        assert_eq!(read("Transfer-Encoding: chunked\r\n", b"1\r\nabc", 9), (b"a".to_vec(), false, true));
    }

    #[test]
    fn a_body_is_cut_at_its_limit() {
        assert_eq!(read("Content-Length: 4\r\n", b"abcd", 3), (b"abc".to_vec(), false, true));
        assert_eq!(read("Content-Length: 3\r\n", b"abcd", 3), (b"abc".to_vec(), true, true));
        assert_eq!(read("", b"abcd", 3), (b"abc".to_vec(), false, true));
        assert_eq!(
            read("Transfer-Encoding: chunked\r\n", b"ffffff\r\nabcd", 3),
            (b"abc".to_vec(), false, true)
        );
    }
}
