//! What a test's body gets.

/// A simulation that is being built.
#[derive(Debug)]
pub struct Sim {
    _private: (),
}
