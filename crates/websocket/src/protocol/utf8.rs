//! Validates UTF-8 that arrives in pieces (RFC 6455, section 8.1). Fails at the first byte that cannot be right.

/// The bytes are not UTF-8, whatever may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

/// Validates a text piece by piece. Remembers at most three bytes of a character that is cut by the end of a piece.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    cut: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes the next piece. Fails at the first byte that cannot stand there, even if its character is incomplete.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        // A character that was cut takes its bytes one at a time, at most three.
        while self.length > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            self.cut[self.length] = byte;
            self.length += 1;
            piece = rest;
            match std::str::from_utf8(&self.cut[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        let Err(error) = simdutf8::compat::from_utf8(piece) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(NotUtf8);
        }
        let rest = &piece[error.valid_up_to()..];
        self.cut[..rest.len()].copy_from_slice(rest);
        self.length = rest.len();
        Ok(())
    }

    /// Ends the text, and begins another. Fails if the text ends inside a character.
    pub(super) fn finish(&mut self) -> Result<(), NotUtf8> {
        if self.length == 0 { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Validates byte by byte. Returns the index of the byte at which it failed.
    fn fails_at(bytes: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        bytes.iter().position(|byte| utf8.push(&[*byte]).is_err())
    }

    #[test]
    fn text_may_split_but_not_end_mid_character() {
        let text = "κόσμε – 𝄞 €".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut utf8 = Utf8::default();
                for piece in [&text[..first], &text[first..second], &text[second..]] {
                    utf8.push(piece).unwrap();
                }
                utf8.finish().unwrap();
            }
        }
        let mut utf8 = Utf8::default();
        utf8.push(&text[..text.len() - 1]).unwrap();
        assert_eq!(utf8.finish(), Err(NotUtf8));
    }

    #[test]
    fn the_first_impossible_byte_fails_immediately() {
        assert_eq!(fails_at(b"ab\xff"), Some(2));
        assert_eq!(fails_at(b"\xc0"), Some(0), "overlong");
        assert_eq!(fails_at(b"\xe0\x80"), Some(1), "overlong");
        assert_eq!(fails_at(b"\xed\xa0"), Some(1), "a surrogate");
        assert_eq!(fails_at(b"\xf4\x90"), Some(1), "beyond U+10FFFF");
        assert_eq!(fails_at(b"\xf0\x9d\x84\x9e"), None);
    }

    #[test]
    fn pieces_agree_with_the_whole_for_random_bytes() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut rng = rand::rngs::StdRng::from_seed([3; 32]);
        let alphabet = ["a", "é", "€", "𝄞", "𐍈"].map(str::as_bytes);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..rng.random_range(0..6))
                .flat_map(|_| alphabet[rng.random_range(0..alphabet.len())].iter().copied())
                .collect();
            if let Some(byte) = bytes.len().checked_sub(1).map(|last| rng.random_range(0..=last)) {
                bytes[byte] = rng.random();
            }
            let cut = rng.random_range(0..=bytes.len());
            let mut utf8 = Utf8::default();
            let in_two = utf8.push(&bytes[..cut]).and_then(|()| utf8.push(&bytes[cut..]));
            let in_two = in_two.and_then(|()| utf8.finish());
            assert_eq!(in_two.is_ok(), std::str::from_utf8(&bytes).is_ok(), "{bytes:x?} cut at {cut}");
        }
    }
}
