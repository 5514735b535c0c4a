//! Heads of HTTP messages: found in what arrives, parsed once they are whole, never longer than a limit.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// How many headers a message may have.
const HEADERS_MAX: usize = 128;

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    TooLarge,
    Malformed,
}

/// Finds the end of a head, without looking at any byte twice.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// No head ends before here.
    searched: usize,
}

impl HeadReader {
    /// Takes a whole head off `input`, up to and with its empty line, once it is there. Bytes behind it stay.
    pub(crate) fn take(
        &mut self,
        input: &mut BytesMut,
        limit_bytes: usize,
    ) -> Result<Option<BytesMut>, HeadError> {
        let within = &input[..input.len().min(limit_bytes)];
        match end_of_head(within, self.searched) {
            Some(end) => {
                self.searched = 0;
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
        whole(response.parse(bytes))?;
        // HTTP/1.0 cannot switch protocols, but may refuse.
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        match (response.version, status) {
            (Some(0), Some(StatusCode::SWITCHING_PROTOCOLS)) => Err(HeadError::Malformed),
            (Some(_), Some(status)) => Ok(Self { status, headers: header_map(response.headers)? }),
            _ => Err(HeadError::Malformed),
        }
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// As it stands in the request: a path with a query, or a whole URL.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl RequestHead {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        whole(request.parse(bytes))?;
        let (Some(1), Some(method), Some(target)) = (request.version, request.method, request.path) else {
            return Err(HeadError::Malformed);
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed)?;
        Ok(Self { method, target: target.to_owned(), headers: header_map(request.headers)? })
    }
}

fn whole(parsed: httparse::Result<usize>) -> Result<(), HeadError> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLarge),
        // The reader of heads gave us all of it.
        Ok(httparse::Status::Partial) | Err(_) => Err(HeadError::Malformed),
    }
}

fn header_map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| HeadError::Malformed)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| HeadError::Malformed)?;
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

/// Whether a header that is a list of tokens (it may be repeated) has `token`, in whatever case.
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
    fn a_head_is_found_however_it_is_split_and_what_follows_stays() {
        let text = b"HTTP/1.1 101 X\r\nA: b\r\n\r\nrest\r\n\r\n";
        for cut in 0..text.len() {
            let mut reader = HeadReader::default();
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
            let taken = HeadReader::default().take(&mut BytesMut::from(&text[..]), limit);
            assert_eq!(taken.is_ok(), expected);
        }
        let mut endless = BytesMut::from(&[b'x'; 100][..]);
        assert_eq!(HeadReader::default().take(&mut endless, 100), Err(HeadError::TooLarge));
        assert_eq!(HeadReader::default().take(&mut endless, 101), Ok(None));
    }

    #[test]
    fn too_many_headers_are_too_large_a_head() {
        let many = format!("HTTP/1.1 200 X\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(ResponseHead::parse(many.as_bytes()).unwrap_err(), HeadError::TooLarge);
        let enough = format!("HTTP/1.1 200 X\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX));
        assert_eq!(ResponseHead::parse(enough.as_bytes()).unwrap().headers.len(), HEADERS_MAX);
    }

    #[test]
    fn http_1_0_may_refuse_but_neither_ask_nor_upgrade() {
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
