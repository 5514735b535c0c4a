//! What peers do wrong, by the sentence of the RFC that forbids it.

use super::CloseCode;

/// A violation of the protocol by the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A client must not accept masked frames.
    #[error("the server masked a frame")]
    MaskedFrame,
    /// A server must not accept unmasked frames.
    #[error("the client sent a frame without a mask")]
    UnmaskedFrame,
    /// RSV2 or RSV3, or RSV1 without compression.
    #[error("a reserved bit is set that no negotiated extension defines")]
    ReservedBit,
    /// Opcodes 3–7 and 11–15.
    #[error("the opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// RSV1 elsewhere than on the first frame of a message.
    #[error("a continuation or control frame claims to be compressed (RSV1)")]
    CompressedContinuationOrControl,
    /// A 16-bit length below 126, or a 64-bit length below 65,536.
    #[error("the length of a frame is not encoded in the fewest bytes")]
    LengthNotMinimal,
    /// The most significant bit of a 64-bit length.
    #[error("the length of a frame has its most significant bit set")]
    LengthOutOfRange,
    /// A continuation while no message is unfinished.
    #[error("a continuation frame came while there was nothing to continue")]
    StrayContinuation,
    /// A text or binary frame before the previous message's last fragment.
    #[error("a new message began inside an unfinished one")]
    UnfinishedMessage,
    /// A control frame without FIN.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    #[error("a control frame has more than 125 bytes")]
    ControlTooLong,
    /// A Close frame whose body is a single byte.
    #[error("the body of a Close frame is one byte long, and a code has two")]
    CloseOneByte,
    /// A code that must not be on the wire.
    #[error("a Close frame has the code {0}, which must not be sent")]
    CloseCode(u16),
    /// A reason that is not UTF-8.
    #[error("the reason of a Close frame is not valid UTF-8")]
    CloseReasonNotUtf8,
    /// A text that is not UTF-8.
    #[error("a text message is not valid UTF-8")]
    TextNotUtf8,
    /// A compressed message that cannot be inflated.
    #[error("a compressed message cannot be inflated")]
    CorruptCompression,
}

impl Violation {
    /// Returns the section that has the rule, as in `RFC 6455, section 5.2`.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::MaskedFrame | Self::UnmaskedFrame => "RFC 6455, section 5.1",
            Self::ReservedBit | Self::ReservedOpcode(_) | Self::LengthNotMinimal | Self::LengthOutOfRange => {
                "RFC 6455, section 5.2"
            }
            Self::StrayContinuation | Self::UnfinishedMessage => "RFC 6455, section 5.4",
            Self::FragmentedControl | Self::ControlTooLong => "RFC 6455, section 5.5",
            Self::CloseOneByte | Self::CloseReasonNotUtf8 => "RFC 6455, section 5.5.1",
            Self::CloseCode(_) => "RFC 6455, section 7.4",
            Self::TextNotUtf8 => "RFC 6455, section 8.1",
            Self::CompressedContinuationOrControl => "RFC 7692, section 6",
            Self::CorruptCompression => "RFC 7692, section 7.2.2",
        }
    }

    /// Returns the code that the connection is failed with: 1002, or 1007 for data that does not fit its kind.
    #[must_use]
    pub const fn code(self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 | Self::CorruptCompression => {
                CloseCode::INVALID_DATA
            }
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
