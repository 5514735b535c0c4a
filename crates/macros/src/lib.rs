//! The `#[wavetank::test]` attribute. Documented where it is used: in the `wavetank` crate.
