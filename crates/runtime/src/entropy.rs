//! The system's entropy.

/// Fills `buffer` with entropy fit for keys.
///
/// # Panics
///
/// If the system has no entropy: no caller could make safe keys without it.
#[expect(clippy::expect_used, reason = "the documented panic")]
pub(crate) fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the system gives entropy");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fills_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        fill(&mut first);
        fill(&mut second);
        assert_ne!(first, second);
    }
}
