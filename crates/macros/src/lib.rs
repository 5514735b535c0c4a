//! The `#[wavetank::test]` attribute. Its documentation is in the `wavetank` crate, which re-exports it.

use proc_macro::TokenStream;

mod simulation;
mod target;

#[expect(missing_docs, reason = "documented on the re-export in the wavetank crate, where its links resolve")]
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    simulation::expand(options.into(), function.into(), &target::Target::current())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
