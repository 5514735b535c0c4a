//! The target that is being compiled, as the command that replays a failure names it.
//!
//! The macro runs inside the compiler, and cargo says everything in its call: the kind of the target in the
//! environment, the features as `--cfg`, the file of the target as an argument.

use std::path::Path;

/// The kind of the target that is being compiled.
#[derive(Debug)]
pub(crate) enum Kind {
    Library,
    /// A binary or an example, by its name.
    Binary(String),
    /// An integration test or a benchmark.
    Integration,
}

/// The target that is being compiled.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    /// The options of `cargo test` that select it, and the features that are on.
    pub(crate) options: String,
}

impl Target {
    /// Returns the target that this process compiles.
    pub(crate) fn current() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "cargo names the target in the environment of the compiler"
        )]
        let variable = |name| std::env::var(name).ok();
        let kind = match variable("CARGO_BIN_NAME") {
            Some(name) => Kind::Binary(name),
            None if variable("CARGO_TARGET_TMPDIR").is_some() => Kind::Integration,
            None => Kind::Library,
        };
        let arguments: Vec<String> = std::env::args().collect();
        Self { options: options(&kind, &arguments), kind }
    }
}

fn options(kind: &Kind, arguments: &[String]) -> String {
    let mut options = feature_options(arguments);
    options.push(match kind {
        Kind::Library => "--lib".to_owned(),
        Kind::Binary(name)
            if after("--out-dir", arguments).is_some_and(|folder| folder.ends_with("examples")) =>
        {
            format!("--example {name}")
        }
        Kind::Binary(name) => format!("--bin {name}"),
        Kind::Integration => integration(arguments),
    });
    options.join(" ")
}

fn after<'a>(option: &str, arguments: &'a [String]) -> Option<&'a str> {
    arguments.iter().skip_while(|argument| *argument != option).nth(1).map(String::as_str)
}

/// Returns the option that selects an integration test or a benchmark. The compiler knows the name of the target with
/// `_` in place of `-`. The file usually has the right name; otherwise each `_` becomes cargo's pattern for any letter.
fn integration(arguments: &[String]) -> String {
    let crate_name = after("--crate-name", arguments).unwrap_or_default();
    let file = arguments
        .iter()
        .map(Path::new)
        .find(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let named = file.map(|file| if file.ends_with("main.rs") { file.parent().unwrap_or(file) } else { file });
    let name = named.and_then(Path::file_stem).and_then(|name| name.to_str());
    let name = match name.filter(|name| name.replace('-', "_") == crate_name) {
        Some(name) => name.to_owned(),
        None if crate_name.contains('_') => format!("'{}'", crate_name.replace('_', "?")),
        None => crate_name.to_owned(),
    };
    let is_benchmark = file.is_some_and(|file| file.components().any(|part| part.as_os_str() == "benches"));
    format!("--{} {name}", if is_benchmark { "bench" } else { "test" })
}

/// Returns the options that turn on the features that are on, and no others.
fn feature_options(arguments: &[String]) -> Vec<String> {
    let values = |option: &'static str| {
        arguments
            .iter()
            .zip(arguments.iter().skip(1))
            .filter(move |(name, _)| *name == option)
            .map(|(_, value)| value)
    };
    let mut on: Vec<&str> =
        values("--cfg").filter_map(|cfg| cfg.strip_prefix("feature=\"")?.strip_suffix('"')).collect();
    on.sort_unstable();
    let mut options = Vec::new();
    let has_default =
        values("--check-cfg").any(|cfg| cfg.starts_with("cfg(feature, ") && cfg.contains("\"default\""));
    if has_default && !on.contains(&"default") {
        options.push("--no-default-features".to_owned());
    }
    on.retain(|&name| name != "default");
    if !on.is_empty() {
        options.push(format!("--features {}", on.join(",")));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &str =
        "--check-cfg cfg(docsrs,test) --check-cfg cfg(feature,•values(\"default\",•\"std\",•\"tls\"))";

    /// Cuts a command line at its blanks; `•` is a blank inside of an argument.
    fn arguments(line: &str) -> Vec<String> {
        line.split(' ').map(|argument| argument.replace('•', " ")).collect()
    }

    #[test]
    fn the_options_name_the_compiled_target() {
        let options = |kind: Kind, line: &str| options(&kind, &arguments(line));
        assert_eq!(options(Kind::Library, "rustc --crate-name chat src/lib.rs --test"), "--lib");
        let tool = || Kind::Binary("chat-tool".to_owned());
        let line = "rustc --crate-name chat_tool src/main.rs --out-dir /w/target/debug/deps";
        assert_eq!(options(tool(), line), "--bin chat-tool");
        let line = "rustc --crate-name chat_tool examples/chat-tool.rs --out-dir /w/target/debug/examples";
        assert_eq!(options(tool(), line), "--example chat-tool");
    }

    #[test]
    fn an_integration_test_is_named_by_its_file() {
        let options = |line: &str| options(&Kind::Integration, &arguments(line));
        assert_eq!(options("rustc --crate-name one_file tests/one-file.rs"), "--test one-file");
        assert_eq!(options("rustc --crate-name folder chat/tests/folder/main.rs"), "--test folder");
        assert_eq!(options("rustc --crate-name speed_of benches/speed-of.rs"), "--bench speed-of");
        assert_eq!(options("rustc --crate-name else_where other/x.rs"), "--test 'else?where'");
        assert_eq!(options("rustc --crate-name elsewhere other/x.rs"), "--test elsewhere");
    }

    #[test]
    fn the_options_turn_on_the_same_features() {
        let options = |line: &str| feature_options(&arguments(line)).join(" ");
        assert_eq!(options("rustc --cfg tokio_unstable"), "");
        assert_eq!(options(&format!("rustc --cfg feature=\"default\" {CHECK}")), "");
        assert_eq!(options(&format!("rustc {CHECK}")), "--no-default-features");
        let on = "rustc --cfg feature=\"tls\" --cfg feature=\"std\"";
        assert_eq!(options(&format!("{on} {CHECK}")), "--no-default-features --features std,tls");
        assert_eq!(options(&format!("{on} --cfg feature=\"default\" {CHECK}")), "--features std,tls");
        assert_eq!(options(on), "--features std,tls");
    }
}
