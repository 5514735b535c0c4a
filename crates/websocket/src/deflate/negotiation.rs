//! How both sides come to agree on [`Parameters`] (RFC 7692, sections 5 and 7.1).
//!
//! A client always says that it understands `client_max_window_bits`: whatever a server then asks for can be done.

use std::fmt::Write as _;

use super::Parameters;
use super::extensions::Extension;
use crate::Compression;

/// What a configuration wants; `None`: no compression, as always without the feature.
pub(crate) fn wanted(compression: &Compression) -> Option<Parameters> {
    let wanted = Parameters {
        server_no_context_takeover: compression.server_no_context_takeover,
        client_no_context_takeover: compression.client_no_context_takeover,
        server_max_window_bits: compression.server_max_window_bits,
        client_max_window_bits: compression.client_max_window_bits,
    };
    (cfg!(feature = "compression") && compression.enabled).then(|| wanted.in_range())
}

/// The extension's name on the wire.
pub(crate) const NAME: &str = "permessage-deflate";

/// What is wrong with a server's answer. Each fails the connection (RFC 7692, section 5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The header does not follow the grammar of RFC 6455, section 9.1.
    #[error("the header does not follow the grammar of RFC 6455, section 9.1")]
    Malformed,
    /// An extension that was not offered.
    #[error("the extension {0:?} was not offered")]
    NotOffered(String),
    /// The same extension twice.
    #[error("permessage-deflate was chosen twice")]
    Repeated,
    /// A parameter that RFC 7692 does not define, or not here, or twice, or with a value that it cannot have.
    #[error("the parameter {name}{} is unknown, repeated, not asked for or out of range", display_value(.value))]
    Parameter {
        /// Its name.
        name: String,
        /// Its value, if it has one.
        value: Option<String>,
    },
    /// The server accepted the offer without confirming this limit.
    #[error(
        "the server did not confirm {0}: `Compression::require_limits(false)` goes on without the limit, \
         `Compression::enabled(false)` without compression"
    )]
    Unconfirmed(&'static str),
}

fn display_value(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!("={value}")).unwrap_or_default()
}

/// What a client offers to get `wanted`.
pub(crate) fn offer(wanted: Parameters) -> String {
    let wanted = wanted.in_range();
    let mut header = NAME.to_owned();
    if wanted.server_no_context_takeover {
        header.push_str("; server_no_context_takeover");
    }
    if wanted.client_no_context_takeover {
        header.push_str("; client_no_context_takeover");
    }
    if wanted.server_max_window_bits < 15 {
        write_bits(&mut header, "server_max_window_bits", wanted.server_max_window_bits);
    }
    if wanted.client_max_window_bits < 15 {
        write_bits(&mut header, "client_max_window_bits", wanted.client_max_window_bits);
    } else {
        header.push_str("; client_max_window_bits");
    }
    header
}

/// Checks what a server chose (`None`: no compression) against what was offered (`None`: nothing). If it confirms
/// fewer limits than were offered, that is an error where they are required; else there are fewer.
pub(crate) fn check_response(
    wanted: Option<Parameters>,
    requires_limits: bool,
    chosen: &[Extension],
) -> Result<Option<Parameters>, NegotiationError> {
    let Some(first) = chosen.first() else { return Ok(None) };
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the
    //# use of an extension that was not present in the client's handshake (the server has indicated an
    //# extension not requested by the client), the client MUST _Fail the WebSocket Connection_.
    if let Some(other) = chosen.iter().find(|extension| !is_deflate(extension) || wanted.is_none()) {
        return Err(NegotiationError::NotOffered(other.name.clone()));
    }
    if chosen.len() > 1 {
        return Err(NegotiationError::Repeated);
    }
    let wanted = wanted.unwrap_or_default().in_range();
    let found = Found::read(first, Side::Response)?;
    // Section 7.1.1.1: a server accepts by including the parameter in its response.
    if requires_limits && wanted.server_no_context_takeover && !found.server_no_context_takeover {
        return Err(NegotiationError::Unconfirmed("server_no_context_takeover"));
    }
    // Section 7.1.2.1: a server that accepts includes the parameter "with the same or smaller value as the offer".
    let server_max_window_bits = found.server_max_window_bits.unwrap_or(15);
    if requires_limits && server_max_window_bits > wanted.server_max_window_bits {
        return Err(NegotiationError::Unconfirmed("server_max_window_bits"));
    }
    Ok(Some(Parameters {
        server_no_context_takeover: found.server_no_context_takeover,
        // What we offered about ourselves is a hint (sections 7.1.1.2 and 7.1.2.2); we do it whatever the answer.
        client_no_context_takeover: found.client_no_context_takeover || wanted.client_no_context_takeover,
        server_max_window_bits,
        client_max_window_bits: found.client_bits().min(wanted.client_max_window_bits),
    }))
}

/// Chooses the first acceptable of a client's offers, and gives the header of the response.
///
/// Offers with unknown, repeated or impossible parameters are declined (RFC 7692, section 7.1), not failed.
pub(crate) fn choose(wanted: Parameters, offers: &[Extension]) -> Option<(Parameters, String)> {
    let wanted = wanted.in_range();
    let found = offers
        .iter()
        .filter(|offer| is_deflate(offer))
        .find_map(|offer| Found::read(offer, Side::Offer).ok())?;
    let agreed = Parameters {
        server_no_context_takeover: found.server_no_context_takeover || wanted.server_no_context_takeover,
        client_no_context_takeover: found.client_no_context_takeover || wanted.client_no_context_takeover,
        server_max_window_bits: found.server_max_window_bits.unwrap_or(15).min(wanted.server_max_window_bits),
        // Section 7.1.2.2: only a client that offered the parameter may be limited by it.
        client_max_window_bits: match found.client_max_window_bits {
            Some(_) => found.client_bits().min(wanted.client_max_window_bits),
            None => 15,
        },
    };
    let mut header = NAME.to_owned();
    if agreed.server_no_context_takeover {
        header.push_str("; server_no_context_takeover");
    }
    if agreed.client_no_context_takeover {
        header.push_str("; client_no_context_takeover");
    }
    if found.server_max_window_bits.is_some() || agreed.server_max_window_bits < 15 {
        write_bits(&mut header, "server_max_window_bits", agreed.server_max_window_bits);
    }
    if agreed.client_max_window_bits < 15 {
        write_bits(&mut header, "client_max_window_bits", agreed.client_max_window_bits);
    }
    Some((agreed, header))
}

fn write_bits(header: &mut String, name: &str, bits: u8) {
    write!(header, "; {name}={bits}").expect("writing to a string");
}

fn is_deflate(extension: &Extension) -> bool {
    extension.name.eq_ignore_ascii_case(NAME)
}

/// Whose parameters are read: they differ in whether `client_max_window_bits` needs a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Offer,
    Response,
}

/// The parameters of an offer or a response.
#[derive(Default)]
struct Found {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)`: named, without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Found {
    fn read(extension: &Extension, side: Side) -> Result<Self, NegotiationError> {
        let mut found = Self::default();
        for (name, value) in &extension.parameters {
            if found.take(name, value.as_deref(), side).is_none() {
                return Err(NegotiationError::Parameter { name: name.clone(), value: value.clone() });
            }
        }
        Ok(found)
    }

    /// `None`: unknown, repeated, or a value that it cannot have (RFC 7692, section 7.1).
    fn take(&mut self, name: &str, value: Option<&str>, side: Side) -> Option<()> {
        match (name, value) {
            ("server_no_context_takeover", None) if !self.server_no_context_takeover => {
                self.server_no_context_takeover = true;
            }
            ("client_no_context_takeover", None) if !self.client_no_context_takeover => {
                self.client_no_context_takeover = true;
            }
            ("server_max_window_bits", Some(value)) if self.server_max_window_bits.is_none() => {
                self.server_max_window_bits = Some(window_bits(value)?);
            }
            ("client_max_window_bits", Some(value)) if self.client_max_window_bits.is_none() => {
                self.client_max_window_bits = Some(Some(window_bits(value)?));
            }
            ("client_max_window_bits", None)
                if self.client_max_window_bits.is_none() && side == Side::Offer =>
            {
                self.client_max_window_bits = Some(None);
            }
            _ => return None,
        }
        Some(())
    }

    fn client_bits(&self) -> u8 {
        self.client_max_window_bits.flatten().unwrap_or(15)
    }
}

/// RFC 7692, section 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::extensions;
    use super::*;

    fn parsed(header: &str) -> Vec<Extension> {
        extensions::parse([header.as_bytes()]).unwrap()
    }

    fn answer(wanted: Parameters, header: &str) -> Result<Option<Parameters>, NegotiationError> {
        check_response(Some(wanted), true, &parsed(header))
    }

    fn narrow() -> Parameters {
        Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 10,
            client_max_window_bits: 11,
        }
    }

    #[test]
    fn offers_state_preferences_and_accept_own_window_limits() {
        assert_eq!(offer(Parameters::default()), "permessage-deflate; client_max_window_bits");
        assert_eq!(
            offer(narrow()),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=11"
        );
    }

    #[test]
    fn a_plain_response_is_compression_by_default_parameters() {
        assert_eq!(answer(Parameters::default(), "permessage-deflate"), Ok(Some(Parameters::default())));
        assert_eq!(answer(Parameters::default(), ""), Ok(None));
    }

    #[test]
    fn a_server_may_limit_both_windows_unasked() {
        let header = r#"Permessage-Deflate; server_max_window_bits="9"; client_max_window_bits=8; client_no_context_takeover"#;
        let expected = Parameters {
            server_no_context_takeover: false,
            client_no_context_takeover: true,
            server_max_window_bits: 9,
            client_max_window_bits: 8,
        };
        assert_eq!(answer(Parameters::default(), header), Ok(Some(expected)));
    }

    #[test]
    fn unknown_repeated_and_impossible_response_parameters_fail() {
        for parameter in [
            "unknown",
            "Server_no_context_takeover",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=9; client_max_window_bits=9",
        ] {
            let failure = answer(Parameters::default(), &format!("permessage-deflate; {parameter}"));
            assert!(matches!(failure, Err(NegotiationError::Parameter { .. })), "{parameter}: {failure:?}");
        }
    }

    #[test]
    fn a_server_must_confirm_demanded_parameters() {
        let unconfirmed = |name| Err(NegotiationError::Unconfirmed(name));
        assert_eq!(
            answer(narrow(), "permessage-deflate; server_max_window_bits=10"),
            unconfirmed("server_no_context_takeover")
        );
        for bits in ["", "; server_max_window_bits=11"] {
            assert_eq!(
                answer(narrow(), &format!("permessage-deflate; server_no_context_takeover{bits}")),
                unconfirmed("server_max_window_bits")
            );
        }
        let smaller = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
        assert_eq!(answer(narrow(), smaller), Ok(Some(Parameters { server_max_window_bits: 9, ..narrow() })));
    }

    #[test]
    fn a_client_may_go_on_without_limits() {
        let found = check_response(Some(narrow()), false, &parsed("permessage-deflate"));
        let expected = Parameters {
            server_no_context_takeover: false,
            server_max_window_bits: 15,
            // What it said of itself holds.
            ..narrow()
        };
        assert_eq!(found, Ok(Some(expected)));
        let unknown = check_response(Some(narrow()), false, &parsed("permessage-deflate; unknown"));
        assert!(unknown.is_err());
    }

    #[test]
    fn unoffered_and_repeated_extensions_fail() {
        let other = NegotiationError::NotOffered("x-other".to_owned());
        assert_eq!(answer(Parameters::default(), "x-other"), Err(other.clone()));
        assert_eq!(answer(Parameters::default(), "permessage-deflate, x-other"), Err(other));
        assert_eq!(
            answer(Parameters::default(), "permessage-deflate, permessage-deflate"),
            Err(NegotiationError::Repeated)
        );
        assert_eq!(
            check_response(None, true, &parsed("permessage-deflate")),
            Err(NegotiationError::NotOffered("permessage-deflate".to_owned()))
        );
    }

    #[test]
    fn a_server_takes_the_first_understood_offer() {
        let offers = parsed(
            "x-other, permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, \
             permessage-deflate",
        );
        let (agreed, header) = choose(Parameters::default(), &offers).unwrap();
        assert_eq!(agreed, Parameters { server_max_window_bits: 10, ..Parameters::default() });
        assert_eq!(header, "permessage-deflate; server_max_window_bits=10");
        assert_eq!(
            choose(Parameters::default(), &parsed("permessage-deflate; server_max_window_bits")),
            None
        );
    }

    #[test]
    fn a_server_limits_only_consenting_clients() {
        let (agreed, header) = choose(narrow(), &parsed("permessage-deflate")).unwrap();
        assert_eq!(agreed, Parameters { client_max_window_bits: 15, ..narrow() });
        assert_eq!(
            header,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10"
        );
        let (agreed, header) =
            choose(narrow(), &parsed("permessage-deflate; client_max_window_bits=9")).unwrap();
        assert_eq!(agreed.client_max_window_bits, 9);
        assert!(header.ends_with("; client_max_window_bits=9"), "{header}");
    }

    #[test]
    fn clients_accept_what_servers_choose_from_their_offer() {
        for client in [Parameters::default(), narrow()] {
            for server in
                [Parameters::default(), narrow(), Parameters { server_max_window_bits: 8, ..narrow() }]
            {
                let (agreed, header) = choose(server, &parsed(&offer(client))).unwrap();
                assert_eq!(answer(client, &header), Ok(Some(agreed)), "{client:?} {server:?}");
            }
        }
    }
}
