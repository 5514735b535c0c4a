//! Why another attempt is made, and when: what both clients report of their attempts.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use url::Url;

use crate::{Closed, OpenError};

/// An error of a hook, of any type: the `?` operator converts any error, and `into()` a text.
pub type HookError = Box<dyn StdError + Send + Sync>;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The opening failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The hook failed on the new connection, which was closed for that.
    #[error("the hook failed on the new connection to {url}: {error}")]
    Resume {
        /// What was asked for, without user and password.
        url: Url,
        /// What the hook said.
        #[source]
        error: HookError,
    },
}

impl Failure {
    /// Returns whether another attempt may well succeed: what [`OpenError::is_transient`] says, and `true` for hooks,
    /// of whose errors nothing is known here. What clients go by where the application does not decide.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Resume { .. } => true,
        }
    }
}

/// Describes the next attempt to an application. Its text is a line for a log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Retry<'a> {
    /// Why.
    pub reason: Reason<'a>,
    /// How long from now it will be begun.
    pub delay: Duration,
    /// The how many-th it is since a connection has [lasted](super::BackoffPolicy::lasting), or since the beginning;
    /// from 1.
    pub number: u32,
}

/// Why another attempt is made.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Reason<'a> {
    /// The connection that was returned is over.
    Closed(&'a Closed),
    /// The attempt before failed.
    Failed(&'a Failure),
}

impl fmt::Display for Retry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Closed(closed) => write!(f, "{closed}")?,
            Reason::Failed(failure) => write!(f, "{failure}")?,
        }
        write!(f, "; trying again in {:.1} s", self.delay.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;
    use crate::error::Stage;

    fn url() -> Url {
        Url::parse("ws://example.com/").expect("a URL")
    }

    #[test]
    fn a_retry_says_why_and_when() {
        fn text(reason: Reason<'_>) -> String {
            Retry { reason, delay: Duration::from_millis(2345), number: 1 }.to_string()
        }
        let closed =
            Closed { sent: None, received: None, cause: Cause::EndOfInput { inside_message: false } };
        assert_eq!(
            text(Reason::Closed(&closed)),
            "the peer ended the transport without a Close frame (we sent no Close, the peer sent no Close); \
             trying again in 2.3 s"
        );
        let timed_out = OpenError::TimedOut { stage: Stage::Tls, peer: "example.com:443".to_owned() };
        assert_eq!(
            text(Reason::Failed(&timed_out.into())),
            "the opening with example.com:443 timed out during the TLS handshake; trying again in 2.3 s"
        );
        let failure = Failure::Resume { url: url(), error: "no such room".into() };
        assert_eq!(
            text(Reason::Failed(&failure)),
            "the hook failed on the new connection to ws://example.com/: no such room; trying again in 2.3 s"
        );
    }

    #[test]
    fn hook_failures_and_ended_openings_are_transient() {
        assert!(Failure::Resume { url: url(), error: "later".into() }.is_transient());
        assert!(!Failure::Open(OpenError::Setup(String::new())).is_transient());
        let ended = OpenError::Ended { stage: Stage::Connect, peer: String::new() };
        assert!(Failure::Open(ended).is_transient());
    }
}
