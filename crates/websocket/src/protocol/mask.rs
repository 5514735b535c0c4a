//! Masking (RFC 6455, section 5.3): XOR with four bytes, over and over.
//!
//! Plain loops over words, which the compiler vectorises: no hand-written SIMD here. What is sent and long it vectorises a
//! second time, for processors with AVX2, which is chosen when the program runs.

use std::mem::MaybeUninit;

/// From this length on a payload is worth a look at what the processor can do.
const LONG: usize = 256;

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
    if payload.len() < LONG {
        copy_short(room, payload, mask)
    } else {
        copy_long(room, payload, mask)
    }
    let length = output.len() + payload.len();
    // SAFETY: the `payload.len()` bytes behind the length are reserved, and `copy_short` and `copy_long` write all of a room
    // that is as long as the payload.
    unsafe { output.set_len(length) }
}

/// Writes all of `room`, which is as long as `payload`: in whole registers, of which the last may overlap with the one before.
#[inline]
fn copy_short(room: &mut [MaybeUninit<u8>], payload: &[u8], mask: [u8; 4]) {
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

/// As [`copy_short`], with the widest registers that there are.
#[expect(
    unsafe_code,
    reason = "the way to functions for processors that have more than is taken for granted"
)]
fn copy_long(room: &mut [MaybeUninit<u8>], payload: &[u8], mask: [u8; 4]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { copy_avx2(room, payload, mask) };
    }
    copy_words(room, payload, mask);
}

/// [`copy_words`], which the compiler makes use AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn copy_avx2(room: &mut [MaybeUninit<u8>], payload: &[u8], mask: [u8; 4]) {
    copy_words(room, payload, mask);
}

#[inline(always)]
fn copy_words(room: &mut [MaybeUninit<u8>], payload: &[u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks::<8>();
    let (room_words, room_rest) = room.as_chunks_mut::<8>();
    for (room, bytes) in room_words.iter_mut().zip(words) {
        let masked = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        *room = masked.map(MaybeUninit::new);
    }
    for ((room, byte), key) in room_rest.iter_mut().zip(rest).zip(word.to_ne_bytes()) {
        room.write(byte ^ key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytewise(data: &[u8], mask: [u8; 4]) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect()
    }

    #[expect(unsafe_code, reason = "what the tests give is initialized")]
    fn initialized(bytes: &[MaybeUninit<u8>]) -> Vec<u8> {
        // SAFETY: every byte was initialized before it was given to be written.
        bytes.iter().map(|byte| unsafe { byte.assume_init() }).collect()
    }

    #[test]
    fn masking_is_what_the_rfc_writes_bytewise_at_every_length_and_offset() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let data: Vec<u8> = (0..24_581).map(|i| (i * 7) as u8).collect();
        for length in (0..2 * LONG + 20).chain([8191, 8192, 8195, data.len()]) {
            let expected = bytewise(&data[..length], mask);
            let mut in_place = data[..length].to_vec();
            apply(&mut in_place, mask);
            assert_eq!(in_place, expected);

            let mut appended = vec![9];
            append(&mut appended, &data[..length], mask);
            assert_eq!(appended[1..], expected);

            let mut in_words = vec![MaybeUninit::new(0); length];
            copy_words(&mut in_words, &data[..length], mask);
            let mut in_registers = vec![MaybeUninit::new(0); length];
            copy_short(&mut in_registers, &data[..length], mask);
            assert_eq!(
                (initialized(&in_words), initialized(&in_registers)),
                (expected.clone(), expected.clone())
            );

            for cut in (0..=length).take(9) {
                let mut in_two = data[..length].to_vec();
                apply(&mut in_two[..cut], mask);
                apply(&mut in_two[cut..], at_offset(mask, cut));
                assert_eq!(in_two, expected);
            }
        }
    }
}
