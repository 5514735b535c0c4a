//! Masking (RFC 6455, section 5.3): XOR with four bytes that repeat.
//!
//! Plain loops over words, which the compiler vectorises: no hand-written SIMD here.

/// Returns the mask as one word in the machine's byte order.
#[inline]
fn word(mask: [u8; 4]) -> u64 {
    let once = u64::from(u32::from_ne_bytes(mask));
    once | once << 32
}

/// Masks or unmasks `data`. Its first byte is combined with the first byte of `mask`.
#[inline]
pub(super) fn apply(data: &mut [u8], mask: [u8; 4]) {
    let key = word(mask);
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// Copies `payload`, masked, to `room`, which has the same length. One pass: masking after copying costs half as much
/// again.
#[inline]
pub(super) fn copy(room: &mut [u8], payload: &[u8], mask: [u8; 4]) {
    let key = word(mask);
    let (words, rest) = payload.as_chunks::<8>();
    let (room_words, room_rest) = room.as_chunks_mut::<8>();
    for (room, bytes) in room_words.iter_mut().zip(words) {
        *room = (u64::from_ne_bytes(*bytes) ^ key).to_ne_bytes();
    }
    for ((room, byte), key) in room_rest.iter_mut().zip(rest).zip(key.to_ne_bytes()) {
        *room = byte ^ key;
    }
}

/// Returns the mask rotated so that it begins `offset` bytes into a payload.
#[inline]
pub(super) fn at_offset(mut mask: [u8; 4], offset: usize) -> [u8; 4] {
    mask.rotate_left(offset % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytewise(data: &[u8], mask: [u8; 4]) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect()
    }

    #[test]
    fn masking_matches_the_rfc_at_any_offset() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let data: Vec<u8> = (0..24_581).map(|i| (i * 7) as u8).collect();
        for length in (0..70).chain([8191, 8192, 8195, data.len()]) {
            let expected = bytewise(&data[..length], mask);
            let mut in_place = data[..length].to_vec();
            apply(&mut in_place, mask);
            assert_eq!(in_place, expected);

            let mut copied = vec![9; length];
            copy(&mut copied, &data[..length], mask);
            assert_eq!(copied, expected);

            for cut in (0..=length).take(9) {
                let mut in_two = data[..length].to_vec();
                apply(&mut in_two[..cut], mask);
                apply(&mut in_two[cut..], at_offset(mask, cut));
                assert_eq!(in_two, expected);
            }
        }
    }
}
