//! Turns `#[wavetank::test] fn name(sim: &mut Sim) { .. }` into a `#[test]` that sweeps.
//!
//! Works on tokens, not on compiler values, so tests need no compiler.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, LitInt, LitStr, Result, ReturnType, Signature, Token, Type};

use crate::target::{Kind, Target};

/// The number of seeds of a test without the option `seeds`.
const SEEDS: u64 = 100;

const ALLOWED_OPTIONS: &str = "allowed are `seeds = NUMBER`, `base_seed = NUMBER`, \
     `finds = \"PART OF A SYMPTOM\"`, `past = \"PART OF A SYMPTOM\"`, `deviations = NUMBER`, \
     `sometimes = \"required\"` and `reaches = \"POINT\"`";

/// Returns the `#[test]` function.
///
/// # Errors
///
/// If an option or a part of the signature is wrong; the error has its span.
pub(crate) fn expand(options: TokenStream, function: TokenStream, target: &Target) -> Result<TokenStream> {
    let Options { seeds, base_seed, deviations, past, finds, sometimes_required, reaches } =
        syn::parse2(options)?;
    let mut body: ItemFn = syn::parse2(function)?;
    check_signature(&body.sig)?;
    // The attributes go to the outer function, which the harness sees. Lints among them also apply to what is nested.
    let attributes = std::mem::take(&mut body.attrs);
    if let Some(test) = attributes.iter().find(|attribute| attribute.path().is_ident("test")) {
        return Err(Error::new(
            test.span(),
            "`#[wavetank::test]` already makes this a test: remove `#[test]`",
        ));
    }
    let visibility = std::mem::replace(&mut body.vis, syn::Visibility::Inherited);
    let name = body.sig.ident.clone();
    let name_text = name.unraw().to_string();
    let seeds = seeds.unwrap_or_else(|| quote! { #SEEDS });
    // What `cargo wavetank` finds in the executable.
    let seeds_text = seeds.to_string().trim_end_matches("u64").to_owned();
    let finds_text = finds.as_deref().unwrap_or_default();
    let is_binary = matches!(target.kind, Kind::Binary(_));
    let is_integration = matches!(target.kind, Kind::Integration);
    let target_options = &target.options;
    let base_seed = base_seed.map(|base_seed| quote! { .base_seed(#base_seed) });
    let deviations = deviations.map(|count| quote! { .deviations(#count) });
    let sweep = quote! {
        ::wavetank::Sweep::new(
            ::core::concat!(::core::module_path!(), "::", #name_text),
            ::core::env!("CARGO_MANIFEST_DIR"),
        )
        .package(::core::env!("CARGO_PKG_NAME"))
        .built(::wavetank::__private::Built {
            is_binary: #is_binary,
            is_integration: #is_integration,
            options: #target_options,
        })
        .listed(::core::concat!(
            "\u{1}wavetank test\u{1}", ::core::env!("CARGO_PKG_NAME"),
            "\u{1}", ::core::module_path!(), "::", #name_text,
            "\u{1}", ::core::file!(), "\u{1}", ::core::line!(),
            "\u{1}", #seeds_text, "\u{1}", #finds_text, "\u{2}",
        ))
        .seeds(#seeds)
        #base_seed
        #deviations
        #(.past(#past))*
    };
    let is_to_panic = attributes.iter().any(|attribute| attribute.path().is_ident("should_panic"));
    let unrecorded = is_to_panic.then(|| quote! { .without_recordings() });
    let required = sometimes_required.map(|()| quote! { .sometimes_required() });
    let run = match finds {
        None => quote! { #sweep #unrecorded #required #(.reaches(#reaches))*.run_simulated(#name); },
        // The snapshot's macro must expand in the user's crate, so that the snapshot is stored beside the user's file.
        Some(symptom) => quote! {
            let found = #sweep.finds(#symptom).find_simulated(#name);
            if let ::core::option::Option::Some(trace) = found.trace_to_review() {
                ::wavetank::__private::insta::assert_snapshot!(#name_text, trace);
            }
        },
    };
    Ok(quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() {
            #body
            #run
        }
    })
}

#[derive(Debug, Default)]
struct Options {
    seeds: Option<TokenStream>,
    base_seed: Option<u64>,
    deviations: Option<u32>,
    past: Vec<String>,
    finds: Option<String>,
    sometimes_required: Option<()>,
    reaches: Vec<String>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let (mut demand, mut seeds_at) = (None, None);
        for pair in Punctuated::<Pair, Token![,]>::parse_terminated(input)? {
            if pair.name == "sometimes" || pair.name == "reaches" {
                demand.get_or_insert_with(|| pair.name.clone());
            }
            if pair.name == "seeds" {
                seeds_at = Some(pair.name.span());
            }
            options.set(pair)?;
        }
        if let (Some(seeds), Some(_)) = (seeds_at, options.deviations) {
            return Err(Error::new(seeds, "a test with `deviations` runs no seeds: remove `seeds`"));
        }
        if let Some(demand) = demand.filter(|_| options.finds.is_some()) {
            return Err(Error::new(
                demand.span(),
                format!("`{demand}` is for passing tests: a test that `finds` a bug ends at the bug"),
            ));
        }
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, pair: Pair) -> Result<()> {
        let name = pair.name.clone();
        match name.to_string().as_str() {
            "seeds" => set(&mut self.seeds, pair.seeds()?, &name),
            "base_seed" => {
                let number = pair.number("the first seed of the test")?;
                set(&mut self.base_seed, number.base10_parse()?, &name)
            }
            "deviations" => {
                let number = pair.number("how many choices may differ from the default")?;
                let number = positive(&number, "`deviations = 0` is the default run alone")?;
                set(&mut self.deviations, number.base10_parse()?, &name)
            }
            "past" => {
                self.past.push(pair.symptom("a part of the known symptom")?);
                Ok(())
            }
            "finds" => set(&mut self.finds, pair.symptom("a part of the expected symptom")?, &name),
            "sometimes" => match pair.value {
                Value::Text(text) if text.value() == "required" => {
                    set(&mut self.sometimes_required, (), &name)
                }
                _ => Err(Error::new(
                    name.span(),
                    "`sometimes` can be \"required\": the test fails unless it reaches every point",
                )),
            },
            "reaches" => {
                let point = pair.text("the text of a `sometimes!` that some seed must reach")?;
                self.reaches.push(point.value());
                Ok(())
            }
            other => Err(Error::new(name.span(), format!("unknown option `{other}`: {ALLOWED_OPTIONS}"))),
        }
    }
}

fn set<T>(option: &mut Option<T>, value: T, name: &Ident) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(name.span(), format!("`{name}` is set twice"))),
    }
}

/// Refuses 0, and says what that would mean.
fn positive<'a>(number: &'a LitInt, meaning_of_zero: &str) -> Result<&'a LitInt> {
    if number.base10_digits() == "0" {
        return Err(Error::new(number.span(), format!("{meaning_of_zero}: use at least 1")));
    }
    Ok(number)
}

/// One option as written: a name and its value.
struct Pair {
    name: Ident,
    value: Value,
}

enum Value {
    Number(LitInt),
    Text(LitStr),
    /// Of a number that stands elsewhere.
    Constant(syn::Path),
}

impl Pair {
    /// The value as a number. `what` says what the number is for.
    fn number(&self, what: &str) -> Result<LitInt> {
        match &self.value {
            Value::Number(number) => Ok(number.clone()),
            other => Err(Error::new(other.span(), format!("`{}` is a number: {what}", self.name))),
        }
    }

    /// The value as a text. `what` says what the text is for.
    fn text(&self, what: &str) -> Result<LitStr> {
        match &self.value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(Error::new(other.span(), format!("`{}` is a text: {what}", self.name))),
        }
    }

    /// The value as a part of a symptom. An empty one would be part of any.
    fn symptom(&self, what: &str) -> Result<String> {
        let text = self.text(what)?;
        if text.value().trim().is_empty() {
            return Err(Error::new(text.span(), format!("`{}` is empty: give {what}", self.name)));
        }
        Ok(text.value())
    }

    /// The value as a number of seeds, which may be a constant.
    fn seeds(&self) -> Result<TokenStream> {
        if let Value::Constant(path) = &self.value {
            return Ok(quote! { #path });
        }
        let number = self.number("how many seeds the test runs")?;
        let count: u64 = positive(&number, "`seeds = 0` tests nothing")?.base10_parse()?;
        Ok(quote! { #count })
    }
}

impl Value {
    fn span(&self) -> Span {
        match self {
            Self::Number(number) => number.span(),
            Self::Text(text) => text.span(),
            Self::Constant(path) => path.span(),
        }
    }
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let not_an_option = |span: Span| Error::new(span, format!("not an option: {ALLOWED_OPTIONS}"));
        let name: Ident = input.parse().map_err(|error| not_an_option(error.span()))?;
        input.parse::<Token![=]>().map_err(|_| not_an_option(name.span()))?;
        let value = if input.peek(LitInt) {
            Value::Number(input.parse()?)
        } else if input.peek(LitStr) {
            Value::Text(input.parse()?)
        } else if name == "seeds" && input.peek(Ident) {
            Value::Constant(input.parse()?)
        } else {
            return Err(input.error(format!("expected a number or a text in quotes: {ALLOWED_OPTIONS}")));
        };
        Ok(Self { name, value })
    }
}

/// Refuses every signature except `fn name(sim: &mut Sim)`.
fn check_signature(signature: &Signature) -> Result<()> {
    const WANTED: &str = "a simulation must be `fn name(sim: &mut Sim)`";
    let refuse = |span: Span, why: &str| Err(Error::new(span, format!("{WANTED}: {why}")));
    if let Some(keyword) = &signature.asyncness {
        return refuse(
            keyword.span(),
            "remove `async`: this function builds the hosts, and the hosts are async",
        );
    }
    if let Some(keyword) = &signature.constness {
        return refuse(keyword.span(), "remove `const`");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi.span(), "remove `extern`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(signature.generics.span(), "remove its parameters: nothing could choose them");
    }
    if let ReturnType::Type(_, returned) = &signature.output {
        return refuse(returned.span(), "remove the return type: a host reports an error by its own result");
    }
    let mut arguments = signature.inputs.iter();
    match (arguments.next(), arguments.next()) {
        (Some(FnArg::Typed(argument)), None) => match &*argument.ty {
            Type::Reference(reference) if reference.mutability.is_some() => Ok(()),
            other => refuse(other.span(), "its argument must be `&mut Sim`"),
        },
        (Some(FnArg::Receiver(receiver)), _) => refuse(receiver.span(), "it must not be a method"),
        (_, Some(second)) => refuse(second.span(), "it must have exactly one argument"),
        (None, _) => refuse(signature.ident.span(), "it must have exactly one argument"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expands the function in the second text with the options in the first.
    fn expand_text(options: &str, function: &str) -> Result<TokenStream> {
        let target = Target { kind: Kind::Integration, options: "--features tls --test chat".to_owned() };
        expand(options.parse().expect("tokens"), function.parse().expect("tokens"), &target)
    }

    /// Returns the message and the part of `text` that it points at.
    fn error_in(text: &str, result: Result<TokenStream>) -> (String, String) {
        let error = result.expect_err("it is refused");
        let (start, end) = (error.span().start(), error.span().end());
        assert_eq!((start.line, end.line), (1, 1), "one line of text");
        let pointed_at = text.chars().skip(start.column).take(end.column - start.column).collect();
        (error.to_string(), pointed_at)
    }

    fn refused_option(options: &str) -> (String, String) {
        error_in(options, expand_text(options, "fn closes(sim: &mut Sim) {}"))
    }

    fn refused_function(function: &str) -> (String, String) {
        error_in(function, expand_text("", function))
    }

    fn same(expanded: Result<TokenStream>, expected: TokenStream) {
        assert_eq!(expanded.expect("it expands").to_string(), expected.to_string());
    }

    #[test]
    fn a_simulation_becomes_a_test_with_its_attributes() {
        let function =
            "#[should_panic(expected = \"x\")] /// Doc.\n pub(crate) fn closes(sim: &mut Sim) { body(sim) }";
        same(
            expand_text("", function),
            quote! {
                #[should_panic(expected = "x")]
                #[doc = " Doc."]
                #[::core::prelude::v1::test]
                pub(crate) fn closes() {
                    fn closes(sim: &mut Sim) { body(sim) }
                    ::wavetank::Sweep::new(
                        ::core::concat!(::core::module_path!(), "::", "closes"),
                        ::core::env!("CARGO_MANIFEST_DIR"),
                    )
                    .package(::core::env!("CARGO_PKG_NAME"))
                    .built(::wavetank::__private::Built {
                        is_binary: false,
                        is_integration: true,
                        options: "--features tls --test chat",
                    })
                    .listed(::core::concat!(
                        "\u{1}wavetank test\u{1}", ::core::env!("CARGO_PKG_NAME"),
                        "\u{1}", ::core::module_path!(), "::", "closes",
                        "\u{1}", ::core::file!(), "\u{1}", ::core::line!(),
                        "\u{1}", "100", "\u{1}", "", "\u{2}",
                    ))
                    .seeds(100u64)
                    .without_recordings()
                    .run_simulated(closes);
                }
            },
        );
    }

    #[test]
    fn a_finding_test_reviews_its_trace() {
        same(
            expand_text("finds = \"not closed\", seeds = 5_000,", "fn r#loop(_: &mut wavetank::Sim) {}"),
            quote! {
                #[::core::prelude::v1::test]
                fn r#loop() {
                    fn r#loop(_: &mut wavetank::Sim) {}
                    let found = ::wavetank::Sweep::new(
                        ::core::concat!(::core::module_path!(), "::", "loop"),
                        ::core::env!("CARGO_MANIFEST_DIR"),
                    )
                    .package(::core::env!("CARGO_PKG_NAME"))
                    .built(::wavetank::__private::Built {
                        is_binary: false,
                        is_integration: true,
                        options: "--features tls --test chat",
                    })
                    .listed(::core::concat!(
                        "\u{1}wavetank test\u{1}", ::core::env!("CARGO_PKG_NAME"),
                        "\u{1}", ::core::module_path!(), "::", "loop",
                        "\u{1}", ::core::file!(), "\u{1}", ::core::line!(),
                        "\u{1}", "5000", "\u{1}", "not closed", "\u{2}",
                    ))
                    .seeds(5000u64)
                    .finds("not closed")
                    .find_simulated(r#loop);
                    if let ::core::option::Option::Some(trace) = found.trace_to_review() {
                        ::wavetank::__private::insta::assert_snapshot!("loop", trace);
                    }
                }
            },
        );
    }

    #[test]
    fn a_test_may_set_its_first_seed() {
        for base_seed in ["0xff", "0x0000_00ff", "255"] {
            let options = format!("seeds = 5, base_seed = {base_seed}");
            let expanded = expand_text(&options, "fn closes(sim: &mut Sim) {}").expect("it expands");
            let calls = quote! { .seeds(5u64).base_seed(255u64).run_simulated(closes) };
            assert!(expanded.to_string().contains(&calls.to_string()), "{expanded}");
        }
    }

    #[test]
    fn a_test_may_enumerate_and_know_symptoms() {
        let options = "deviations = 2, past = \"deadlock\", past = \"stall\"";
        let expanded = expand_text(options, "fn closes(sim: &mut Sim) {}").expect("it expands").to_string();
        let calls =
            quote! { .seeds(100u64).deviations(2u32).past("deadlock").past("stall").run_simulated(closes) };
        assert!(expanded.contains(&calls.to_string()), "{expanded}");
    }

    #[test]
    fn a_test_says_which_points_it_must_reach() {
        let options = "seeds = 5, sometimes = \"required\", reaches = \"a\", reaches = \"b\"";
        let expanded = expand_text(options, "fn closes(sim: &mut Sim) {}").expect("it expands").to_string();
        let calls =
            quote! { .seeds(5u64).sometimes_required().reaches("a").reaches("b").run_simulated(closes) };
        assert!(expanded.contains(&calls.to_string()), "{expanded}");
    }

    #[test]
    fn a_bad_option_is_refused_at_its_span() {
        let allowed = ALLOWED_OPTIONS;
        for (options, message, pointed_at) in [
            ("seeds = 5, speed = 3", format!("unknown option `speed`: {allowed}"), "speed"),
            ("seeds = \"5\"", "`seeds` is a number: how many seeds the test runs".to_owned(), "\"5\""),
            ("base_seed = \"1\"", "`base_seed` is a number: the first seed of the test".to_owned(), "\"1\""),
            ("base_seed = 1, base_seed = 1", "`base_seed` is set twice".to_owned(), "base_seed"),
            (
                "base_seed = 0x1_0000_0000_0000_0000",
                "number too large to fit in target type".to_owned(),
                "0x1_0000_0000_0000_0000",
            ),
            ("finds = 5", "`finds` is a text: a part of the expected symptom".to_owned(), "5"),
            ("finds = \" \"", "`finds` is empty: give a part of the expected symptom".to_owned(), "\" \""),
            (
                "sometimes = \"often\"",
                "`sometimes` can be \"required\": the test fails unless it reaches every point".to_owned(),
                "sometimes",
            ),
            (
                "reaches = 3",
                "`reaches` is a text: the text of a `sometimes!` that some seed must reach".to_owned(),
                "3",
            ),
            (
                "reaches = \"a\", finds = \"b\"",
                "`reaches` is for passing tests: a test that `finds` a bug ends at the bug".to_owned(),
                "reaches",
            ),
            ("deviations = 0", "`deviations = 0` is the default run alone: use at least 1".to_owned(), "0"),
            (
                "deviations = \"2\"",
                "`deviations` is a number: how many choices may differ from the default".to_owned(),
                "\"2\"",
            ),
            (
                "seeds = 5, deviations = 2",
                "a test with `deviations` runs no seeds: remove `seeds`".to_owned(),
                "seeds",
            ),
            ("past = \"\"", "`past` is empty: give a part of the known symptom".to_owned(), "\"\""),
            ("past = 5", "`past` is a text: a part of the known symptom".to_owned(), "5"),
            ("seeds = 1, seeds = 2", "`seeds` is set twice".to_owned(), "seeds"),
            ("seeds = 0", "`seeds = 0` tests nothing: use at least 1".to_owned(), "0"),
            ("base_seed = x", format!("expected a number or a text in quotes: {allowed}"), "x"),
            ("seeds(5)", format!("not an option: {allowed}"), "seeds"),
            ("5", format!("not an option: {allowed}"), "5"),
            (
                "seeds = 99999999999999999999",
                "number too large to fit in target type".to_owned(),
                "99999999999999999999",
            ),
        ] {
            assert_eq!(refused_option(options), (message, pointed_at.to_owned()), "{options}");
        }
    }

    #[test]
    fn a_bad_signature_is_refused_at_its_span() {
        for (function, why, pointed_at) in [
            ("async fn a(sim: &mut Sim) {}", "remove `async`: this function builds the hosts", "async"),
            ("const fn a(sim: &mut Sim) {}", "remove `const`", "const"),
            ("extern \"C\" fn a(sim: &mut Sim) {}", "remove `extern`", "extern \"C\""),
            ("fn a<T>(sim: &mut Sim) {}", "remove its parameters", "<T>"),
            ("fn a(sim: &mut Sim) -> io::Result<()> {}", "remove the return type", "io::Result<()>"),
            ("fn a() {}", "it must have exactly one argument", "a"),
            ("fn a(sim: &mut Sim, more: u32) {}", "it must have exactly one argument", "more: u32"),
            ("fn a(sim: &Sim) {}", "its argument must be `&mut Sim`", "&Sim"),
            ("fn a(sim: Sim) {}", "its argument must be `&mut Sim`", "Sim"),
            ("fn a(&mut self) {}", "it must not be a method", "&mut self"),
        ] {
            let (message, found) = refused_function(function);
            assert!(message.starts_with("a simulation must be `fn name(sim: &mut Sim)`: "), "{message}");
            assert!(message.contains(why), "{message}");
            assert_eq!(found, pointed_at, "{function}");
        }
        let (message, _) = refused_function("#[test] fn a(sim: &mut Sim) {}");
        assert_eq!(message, "`#[wavetank::test]` already makes this a test: remove `#[test]`");
        assert!(expand_text("", "struct NotAFunction;").is_err());
    }
}
