//! Heads of HTTP messages: found in what arrives, parsed once they are whole, never longer than a limit.
//!
//! What does not begin as a head is refused at once: a peer of another protocol may wait for an answer for ever.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::deflate::extensions::is_token_byte;

/// How many headers a message may have.
const HEADERS_MAX: usize = 128;

/// How many bytes an error shows of input that is not a head.
const SHOWN_BYTES: usize = 32;

/// How long the method of a request may be. The longest that is registered has 17 bytes.
const METHOD_BYTES_MAX: usize = 32;

/// What is wrong with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadError {
    TooLarge,
    /// It is not HTTP/1; how it begins, see [`beginning`].
    Malformed(String),
}

/// How `bytes` begin, as text for an error: at most 32 of them, and escaped what is not printable.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii().to_string()
}

/// Which message a head is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

/// Finds the end of a head, without looking at any byte twice.
#[derive(Debug)]
pub(crate) struct HeadReader {
    message: Message,
    /// What came begins as a head does.
    begun: bool,
    /// No head ends before here.
    searched: usize,
}

impl HeadReader {
    pub(crate) const fn of_request() -> Self {
        Self { message: Message::Request, begun: false, searched: 0 }
    }

    pub(crate) const fn of_response() -> Self {
        Self { message: Message::Response, begun: false, searched: 0 }
    }

    /// Takes a whole head off `input`, up to and with its empty line, once it is there. Bytes behind it stay.
    pub(crate) fn take(
        &mut self,
        input: &mut BytesMut,
        limit_bytes: usize,
    ) -> Result<Option<BytesMut>, HeadError> {
        let within = &input[..input.len().min(limit_bytes)];
        if !self.begun {
            self.begun = match self.message {
                Message::Request => begins_as_request(within, self.searched),
                Message::Response => begins_as_response(within),
            }
            .ok_or_else(|| HeadError::Malformed(beginning(within)))?;
        }
        match end_of_head(within, self.searched) {
            Some(end) => {
                (self.begun, self.searched) = (false, 0);
                Ok(Some(input.split_to(end)))
            }
            None if input.len() >= limit_bytes => Err(HeadError::TooLarge),
            None => {
                // The last three bytes may be the beginning of what ends it.
                self.searched = within.len().saturating_sub(3);
                Ok(None)
            }
        }
    }
}

/// Whether `bytes` begin as a response of HTTP/1 (RFC 9112, section 4); `None`: they cannot, `false`: there are too
/// few to tell.
fn begins_as_response(bytes: &[u8]) -> Option<bool> {
    const VERSION: &[u8] = b"HTTP/1.";
    let bytes = without_empty_line(bytes);
    if bytes.len() < VERSION.len() {
        return VERSION.starts_with(bytes).then_some(false);
    }
    bytes.starts_with(VERSION).then_some(true)
}

/// Whether `bytes` begin as a request of HTTP/1 (RFC 9112, section 3); `None`: they cannot, `false`: there are too
/// few to tell. The first line does not end before `searched`.
fn begins_as_request(bytes: &[u8], searched: usize) -> Option<bool> {
    let all = bytes.len();
    let bytes = without_empty_line(bytes);
    let searched = searched.saturating_sub(all - bytes.len());
    let within = &bytes[..bytes.len().min(METHOD_BYTES_MAX + 1)];
    match within.iter().position(|byte| !is_token_byte(*byte)) {
        None => return (within.len() <= METHOD_BYTES_MAX).then_some(false),
        Some(end) if end == 0 || within[end] != b' ' => return None,
        Some(_) => {}
    }
    let Some(end) = bytes[searched..].iter().position(|byte| *byte == b'\n') else { return Some(false) };
    let end = searched + end;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let version = line.split_last_chunk::<9>()?.1;
    version.starts_with(b" HTTP/1.").then_some(true)
}

/// RFC 9112, section 2.2: an empty line before the first one is passed over. Part of one is left out as well.
fn without_empty_line(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
        [b'\r'] => &[],
        _ => bytes,
    }
}

/// Where the first empty line from `start` on ends; a line may end in a bare LF (RFC 9112, section 2.2).
fn end_of_head(bytes: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    while let Some(offset) = bytes[position..].iter().position(|byte| *byte == b'\n') {
        let next = position + offset + 1;
        match &bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => position = next,
        }
    }
    None
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

impl ResponseHead {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        whole(response.parse(bytes), bytes)?;
        // HTTP/1.0 cannot switch protocols, but may refuse.
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        match (response.version, status) {
            (Some(0), Some(StatusCode::SWITCHING_PROTOCOLS)) => Err(HeadError::Malformed(beginning(bytes))),
            (Some(_), Some(status)) => Ok(Self { status, headers: header_map(response.headers, bytes)? }),
            _ => Err(HeadError::Malformed(beginning(bytes))),
        }
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Unchanged from the request: a path with a query, or a whole URL.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl RequestHead {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        whole(request.parse(bytes), bytes)?;
        let (Some(1), Some(method), Some(target)) = (request.version, request.method, request.path) else {
            return Err(HeadError::Malformed(beginning(bytes)));
        };
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed(beginning(bytes)))?;
        Ok(Self { method, target: target.to_owned(), headers: header_map(request.headers, bytes)? })
    }
}

fn whole(parsed: httparse::Result<usize>, bytes: &[u8]) -> Result<(), HeadError> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLarge),
        // The reader of heads gave us all of it.
        Ok(httparse::Status::Partial) | Err(_) => Err(HeadError::Malformed(beginning(bytes))),
    }
}

fn header_map(headers: &[httparse::Header<'_>], bytes: &[u8]) -> Result<HeaderMap, HeadError> {
    let malformed = || HeadError::Malformed(beginning(bytes));
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| malformed())?;
        map.try_append(name, value).map_err(|_| HeadError::TooLarge)?;
    }
    Ok(map)
}

/// The only value of a header. `Err`: there are several.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, &'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(second)) => Err(second),
        (first, None) => Ok(first),
    }
}

/// Whether a header that is a list of tokens (it may be repeated) has `token`, ignoring case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a header that is a list of tokens and may be repeated. Empty ones are left out.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// All values of a header, as an error shows them.
pub(crate) fn shown(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter();
    let shown =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>();
    (!shown.is_empty()).then(|| shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_head_is_found_without_its_rest() {
        let text = b"HTTP/1.1 101 X\r\nA: b\r\n\r\nrest\r\n\r\n";
        for cut in 0..text.len() {
            let mut reader = HeadReader::of_response();
            let mut input = BytesMut::from(&text[..cut]);
            let early = reader.take(&mut input, 1000).unwrap();
            input.extend_from_slice(&text[cut..]);
            let head = early.or_else(|| reader.take(&mut input, 1000).unwrap()).unwrap();
            assert_eq!((&head[..], &input[..]), text.split_at(24), "{cut}");
        }
    }

    #[test]
    fn a_head_is_never_longer_than_its_limit() {
        let text = b"HTTP/1.1 101 X\r\nA: b\r\n\r\n";
        for (limit, expected) in [(24, true), (23, false)] {
            let taken = HeadReader::of_response().take(&mut BytesMut::from(&text[..]), limit);
            assert_eq!(taken.is_ok(), expected);
        }
        for (mut reader, start) in
            [(HeadReader::of_response(), "HTTP/1.1 101 "), (HeadReader::of_request(), "GET /")]
        {
            let mut endless = BytesMut::from(&*format!("{start:x<100}"));
            assert_eq!(reader.take(&mut endless, 101), Ok(None));
            assert_eq!(reader.take(&mut endless, 100), Err(HeadError::TooLarge));
        }
    }

    /// At how many bytes of `text` it is found not to be a head, and how that begins.
    fn refused(reader: impl Fn() -> HeadReader, text: &[u8]) -> Option<(usize, String)> {
        let mut dripping = reader();
        let found = (1..=text.len()).find_map(|count| {
            match dripping.take(&mut BytesMut::from(&text[..count]), 1000) {
                Ok(_) => None,
                Err(HeadError::Malformed(beginning)) => Some((count, beginning)),
                Err(HeadError::TooLarge) => panic!("{count} bytes are not too many"),
            }
        });
        let at_once = reader().take(&mut BytesMut::from(text), 1000);
        assert_eq!(at_once.is_err(), found.is_some(), "however the bytes are split");
        found
    }

    #[test]
    fn an_impossible_response_fails_at_the_revealing_byte() {
        for (text, count, beginning) in [
            (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], 1, "S"),
            (b"220 mail.example.test ESMTP\r\n", 1, "2"),
            (b"\x15\x03\x01\x00\x02\x02\x28", 1, "\\x15"),
            (b"HTTP/2 200\r\n", 6, "HTTP/2"),
            (b"HTTPS", 5, "HTTPS"),
            (b"\r\nHello", 4, "\\r\\nHe"),
            (b"\rH", 2, "\\rH"),
        ] {
            assert_eq!(refused(HeadReader::of_response, text), Some((count, beginning.to_owned())));
        }
        for text in [&b"\r\nHTTP/1.1 101 X"[..], b"\nHTTP/1.0 200", b"HTTP/1.1 200 X\r\n"] {
            assert_eq!(refused(HeadReader::of_response, text), None);
        }
    }

    #[test]
    fn an_impossible_request_fails_at_the_revealing_byte() {
        for (text, count, beginning) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], 1, "\\x16"),
            (b"SSH-2.0-OpenSSH_9.9\r\n", 20, "SSH-2.0-OpenSSH_9.9\\r"),
            (b" / HTTP/1.1", 1, " "),
            (b"PRI * HTTP/2.0\r\n", 16, "PRI * HTTP/2.0\\r\\n"),
            (b"GET /\r\n", 7, "GET /\\r\\n"),
            (b"EHLO example.test\r\n", 19, "EHLO example.test\\r\\n"),
            (&[b'x'; 40], 33, &"x".repeat(32)),
        ] {
            assert_eq!(refused(HeadReader::of_request, text), Some((count, beginning.to_owned())));
        }
        for text in [
            &b"\r\nGET / HTTP/1.1\r\nA: b"[..],
            b"BASELINE-CONTROL / HTTP/1.1\n",
            b"GET / HTTP/1.0\r\n",
            b"GET /",
        ] {
            assert_eq!(refused(HeadReader::of_request, text), None);
        }
    }

    #[test]
    fn too_many_headers_are_too_large_a_head() {
        let many = format!("HTTP/1.1 200 X\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(ResponseHead::parse(many.as_bytes()).unwrap_err(), HeadError::TooLarge);
        let enough = format!("HTTP/1.1 200 X\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX));
        assert_eq!(ResponseHead::parse(enough.as_bytes()).unwrap().headers.len(), HEADERS_MAX);
    }

    #[test]
    fn http_1_0_can_only_refuse() {
        assert!(ResponseHead::parse(b"HTTP/1.0 404 X\r\n\r\n").is_ok());
        assert!(ResponseHead::parse(b"HTTP/1.0 101 X\r\n\r\n").is_err());
        assert!(RequestHead::parse(b"GET / HTTP/1.0\r\n\r\n").is_err());
        assert!(RequestHead::parse(b"GET / HTTP/1.1\r\n\r\n").is_ok());
    }

    #[test]
    fn lists_of_tokens_span_headers_in_any_case() {
        let text = b"HTTP/1.1 101 X\r\nConnection: keep-alive\r\nconnection: , uPgRaDe ,x\r\n\r\n";
        let head = ResponseHead::parse(text).unwrap();
        assert!(has_token(&head.headers, &http::header::CONNECTION, "Upgrade"));
        assert!(!has_token(&head.headers, &http::header::CONNECTION, "Up"));
        assert_eq!(shown(&head.headers, &http::header::CONNECTION).unwrap(), "keep-alive, , uPgRaDe ,x");
        assert!(single(&head.headers, &http::header::CONNECTION).is_err());
    }
}
