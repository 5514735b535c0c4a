//! Why a command cannot do what it was asked to: what is wrong, and what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// A problem to tell the user about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    what: String,
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn of_file(path: &Path, doing: &str, error: &io::Error) -> Self {
        Self::new(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// A name that nothing has. `kind` is the kind of thing, and `known` are the names that exist.
    pub(crate) fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let problem = Self::new(format!("no {kind} matches `{name}`"));
        let nearest = nearest(name, known);
        if nearest.is_empty() {
            return problem;
        }
        let nearest: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
        problem.help(format!("did you mean {}?", nearest.join(" or ")))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// The maximum number of proposed names.
const NEAREST_MAX: usize = 3;

/// The names whose last parts are most like that of `name`, or that contain it.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let likeness = |known: &str| {
        if known.contains(name) { 1.0 } else { strsim::jaro_winkler(last(name), last(known)) }
    };
    let mut all: Vec<(f64, &str)> = known.into_iter().map(|known| (likeness(known), known)).collect();
    all.retain(|(likeness, _)| *likeness > 0.7);
    all.sort_by(|(one, a), (other, b)| other.total_cmp(one).then(a.cmp(b)));
    all.dedup_by(|one, other| one.1 == other.1);
    all.into_iter().take(NEAREST_MAX).map(|(_, name)| name).collect()
}

fn last(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_gets_the_nearest_ones() {
        let known = ["chat::closes", "chat::opens", "files::reads"];
        let problem = Problem::unknown("test", "chat::close_s", known);
        assert_eq!(
            problem.to_string(),
            "no test matches `chat::close_s`\n  help: did you mean `chat::closes`?"
        );
        assert_eq!(nearest("clsoes", known), ["chat::closes"]);
        assert_eq!(nearest("zzz", known), [""; 0]);
    }
}
