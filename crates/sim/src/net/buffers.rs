//! Counts socket buffers as Linux does: by the memory that messages take, not by their bytes.
//!
//! A message is in a socket buffer structure of 256 B, with a head from one of the kernel's size classes and perhaps
//! pages behind it. So the number of small messages fills a buffer, not their bytes. The figures are those of Linux
//! 6.18 with pages of 4 KiB. `wmem_default` and `rmem_default` are 212,992 B.

/// `sk_buff`, and the structure at the end of each head (`skb_shared_info`).
const STRUCTURE: u64 = 256;
const TRAILER: u64 = 320;

const PAGE: u64 = 4096;

/// The most that a head holds of the bytes of a message (`SKB_MAX_HEAD(0)`).
const HEAD_MAX: u64 = PAGE - TRAILER;

/// `net.core.wmem_default` and `rmem_default`.
const DEFAULT: u64 = 212_992;

/// `net.core.wmem_max` and `rmem_max`: the largest size that a socket may ask for.
const ASKED_MAX: u64 = 4_194_304;

/// `SOCK_MIN_SNDBUF` and `SOCK_MIN_RCVBUF`.
const SEND_MIN: u64 = 4608;
const RECEIVE_MIN: u64 = 2304;

/// Returns the send buffer of a socket that asks for `bytes` (`SO_SNDBUF`).
pub(super) fn send_buffer(bytes: Option<u32>) -> u64 {
    bytes.map_or(DEFAULT, |bytes| doubled(bytes).max(SEND_MIN))
}

/// Returns the receive buffer of a socket that asks for `bytes` (`SO_RCVBUF`).
pub(super) fn receive_buffer(bytes: Option<u32>) -> u64 {
    bytes.map_or(DEFAULT, |bytes| doubled(bytes).max(RECEIVE_MIN))
}

fn doubled(bytes: u32) -> u64 {
    u64::from(bytes).min(ASKED_MAX) * 2
}

/// Returns the memory of a head of `bytes`, with its structure. Heads come in powers of two.
fn head(bytes: u64) -> u64 {
    STRUCTURE + (bytes + TRAILER).next_power_of_two().max(512)
}

/// Returns the most bytes that a Unix stream with this send buffer puts into one message (`unix_stream_sendmsg`).
pub(super) fn unix_message_max(send_buffer: u64) -> u64 {
    const PAGES_MAX: u64 = 8 * PAGE;
    (send_buffer / 2 - 64).min(HEAD_MAX + PAGES_MAX)
}

/// Returns the memory of a message of `bytes` in a Unix stream.
pub(super) fn unix_message(bytes: u64) -> u64 {
    let in_pages = bytes.saturating_sub(HEAD_MAX).next_multiple_of(PAGE).min(bytes);
    head(bytes - in_pages) + in_pages.next_multiple_of(PAGE)
}

/// Returns the memory of a datagram of `bytes` (`__ip_append_data`), with room for headers before its bytes.
pub(super) fn datagram(bytes: u64) -> u64 {
    const HEADERS: u64 = 59;
    /// Heads up to this come from a cache of their own (`SKB_SMALL_HEAD_CACHE_SIZE`).
    const SMALL: u64 = 576;
    const HEAD_MAX: u64 = 4 * PAGE - TRAILER;
    match bytes + HEADERS {
        ..=256 => STRUCTURE + SMALL,
        with_headers @ ..=HEAD_MAX => head(with_headers),
        _ => STRUCTURE + SMALL + bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of `bytes` that fit while less than `buffer` is taken.
    fn unix_count(asked: Option<u32>, bytes: u64) -> u64 {
        send_buffer(asked).div_ceil(unix_message(bytes))
    }

    #[test]
    fn unix_messages_fill_buffers_as_on_linux() {
        let observed = [
            (None, 1, 278),
            (None, 100, 278),
            (None, 500, 167),
            (None, 1000, 93),
            (None, 4096, 44),
            (None, 5000, 34),
            (None, 20_000, 11),
            (Some(4096), 1, 11),
            (Some(4096), 500, 7),
            (Some(4096), 1000, 4),
            (Some(65_536), 1, 171),
            (Some(65_536), 1000, 57),
            (Some(65_536), 20_000, 7),
            (Some(1 << 20), 1, 2731),
        ];
        for (asked, bytes, count) in observed {
            assert_eq!(unix_count(asked, bytes), count, "{bytes} B at {asked:?}");
        }
        assert_eq!(unix_message_max(send_buffer(Some(4096))), 4032);
        assert_eq!(unix_message_max(send_buffer(None)), 36_544);
    }

    #[test]
    fn datagrams_fill_buffers_as_on_linux() {
        let observed = [
            (None, 0, 256),
            (None, 197, 256),
            (None, 198, 166),
            (None, 645, 166),
            (None, 646, 92),
            (None, 1669, 92),
            (None, 1670, 48),
            (None, 3717, 48),
            (None, 3718, 25),
            (None, 7813, 25),
            (None, 7814, 12),
            (None, 16_005, 12),
            (None, 20_000, 10),
            (None, 60_000, 3),
            (Some(4096), 1, 9),
            (Some(4096), 1000, 3),
            (Some(65_536), 1, 157),
            (Some(65_536), 20_000, 6),
        ];
        for (asked, bytes, count) in observed {
            assert_eq!(receive_buffer(asked) / datagram(bytes), count, "{bytes} B at {asked:?}");
        }
    }
}
