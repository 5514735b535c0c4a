//! Masking (RFC 6455, section 5.3): XOR with four bytes, over and over.
//!
//! Plain loops over words, which the compiler vectorises: no hand-written SIMD here.

use std::mem::MaybeUninit;

/// Masks or unmasks `data`, whose first byte meets the first byte of `mask`.
#[inline]
pub(super) fn apply(data: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// Returns the mask as it stands `offset` bytes into a payload.
#[inline]
pub(super) fn at_offset(mut mask: [u8; 4], offset: usize) -> [u8; 4] {
    mask.rotate_left(offset % 4);
    mask
}

/// The mask four times, in either order of bytes.
#[inline]
fn repeated(mask: [u8; 4]) -> u128 {
    let once = u128::from(u32::from_ne_bytes(mask));
    let twice = once | once << 32;
    twice | twice << 64
}

/// Appends `payload`, masked, to `output`: in one pass, as a copy that is masked afterwards costs half as much again.
#[inline]
#[expect(unsafe_code, reason = "zeroing the room first would cost as much as masking")]
pub(super) fn append(output: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    output.reserve(payload.len());
    let room = &mut output.spare_capacity_mut()[..payload.len()];
    copy(room, payload, mask);
    let length = output.len() + payload.len();
    // SAFETY: the `payload.len()` bytes behind the length are reserved, and `copy` writes all of a room that is as long as
    // the payload.
    unsafe { output.set_len(length) }
}

/// Writes all of `room`, which is as long as `payload`: in whole registers, of which the last may overlap with the one before.
#[inline]
fn copy(room: &mut [MaybeUninit<u8>], payload: &[u8], mask: [u8; 4]) {
    let key = repeated(mask);
    let (chunks, rest) = payload.as_chunks::<16>();
    let (room_chunks, room_rest) = room.as_chunks_mut::<16>();
    for (room, bytes) in room_chunks.iter_mut().zip(chunks) {
        *room = (u128::from_ne_bytes(*bytes) ^ key).to_ne_bytes().map(MaybeUninit::new);
    }
    if payload.len() < 16 {
        for ((room, byte), key) in room_rest.iter_mut().zip(rest).zip(key.to_ne_bytes()) {
            room.write(byte ^ key);
        }
    } else if !rest.is_empty()
        && let (Some(bytes), Some(room)) = (payload.last_chunk::<16>(), room.last_chunk_mut::<16>())
    {
        let key = repeated(at_offset(mask, payload.len() - 16));
        *room = (u128::from_ne_bytes(*bytes) ^ key).to_ne_bytes().map(MaybeUninit::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytewise(data: &[u8], mask: [u8; 4]) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect()
    }

    #[test]
    fn masking_is_what_the_rfc_writes_bytewise_at_every_length_and_offset() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let data: Vec<u8> = (0..24_581).map(|i| (i * 7) as u8).collect();
        for length in (0..70).chain([8191, 8192, 8195, data.len()]) {
            let expected = bytewise(&data[..length], mask);
            let mut in_place = data[..length].to_vec();
            apply(&mut in_place, mask);
            assert_eq!(in_place, expected);

            let mut appended = vec![9];
            append(&mut appended, &data[..length], mask);
            assert_eq!(appended[1..], expected);

            for cut in (0..=length).take(9) {
                let mut in_two = data[..length].to_vec();
                apply(&mut in_two[..cut], mask);
                apply(&mut in_two[cut..], at_offset(mask, cut));
                assert_eq!(in_two, expected);
            }
        }
    }
}
