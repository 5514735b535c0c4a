//! Probes: macros by which code reports to a simulation, if one is running.
//!
//! [`always!`](crate::always) states what must hold. [`sometimes!`](crate::sometimes) states what some run of a test
//! should reach. [`buggify!`](crate::buggify) asks whether to do a rare but allowed thing now. Protocol code keeps them
//! in production: they cost next to nothing and need no dependency on the simulator, which installs its [`Hooks`] here.
//!
//! # Invariants
//!
//! - Without hooks a probe is one load of a static and one branch. Its condition is not evaluated.
//! - Outside a simulated run a probe does nothing and `buggify!` is `false`, with or without hooks.
//!
//! # Not here
//!
//! What a simulation does with probes: crate `wavetank`.

use std::fmt;
use std::sync::OnceLock;

/// What a simulation does with probes. The functions find their run by the thread that calls them.
#[doc(hidden)]
#[derive(Debug)]
pub struct Hooks {
    /// Whether the calling thread simulates a run.
    pub is_simulating: fn() -> bool,
    /// An `always!` that does not hold.
    pub broken: fn(what: fmt::Arguments<'_>, place: &'static str),
    /// A `sometimes!` that was evaluated.
    pub sometimes: fn(what: &'static str, reached: bool),
    /// A `buggify!` that was evaluated.
    pub buggify: fn(point: BuggifyPoint, probability: f64) -> bool,
}

/// The `buggify!` that asks.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct BuggifyPoint {
    /// Its name, or the path of the function that contains it.
    pub name: &'static str,
    /// The place in the source. It distinguishes points of one name within a run. It is never shown or recorded,
    /// because lines move.
    pub place: &'static str,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Makes probes report to `hooks`. Only the first call in a process has an effect.
#[doc(hidden)]
pub fn install(hooks: Hooks) {
    let _ = HOOKS.set(hooks);
}

/// Returns the hooks if this thread simulates a run.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn hooks() -> Option<&'static Hooks> {
    HOOKS.get().filter(|hooks| (hooks.is_simulating)())
}

/// Returns the path of the function that contains `inner`, an item nested in it.
#[doc(hidden)]
#[must_use]
pub fn path_around<T>(_inner: &T) -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit_once("::").map_or(path, |(around, _)| around)
}

/// States what must hold whenever it is evaluated: `always!(CONDITION, "WHAT")`,
/// or with the values that show why: `always!(CONDITION, "WHAT {}", VALUE)`. Numbers do not tell two symptoms apart.
///
/// In a simulated run, the first condition that does not hold fails the run, in any build, with a symptom that names
/// it. It does not panic, as production code would not either: a thread stops there, and a task runs on to its next
/// suspension. Code after it must not rely on the condition.
///
/// # Outside a simulated run
///
/// Does nothing and does not evaluate the condition. The condition must therefore have no side effect. Use `assert!`
/// for what must also stop production.
///
/// # Example: a window that is never exceeded
///
/// ```
/// # let (in_flight, window) = (3, 8);
/// wavetank_runtime::always!(in_flight <= window, "no more than the window is in flight");
/// wavetank_runtime::always!(in_flight <= window, "{in_flight} B in flight, in a window of {window} B");
/// ```
#[macro_export]
macro_rules! always {
    ($condition:expr, $($what:tt)+) => {
        // Nested, because a user's edition may have no let chains.
        if let ::core::option::Option::Some(hooks) = $crate::probe::hooks() {
            if !$condition {
                (hooks.broken)(::core::format_args!($($what)+), $crate::__place!());
            }
        }
    };
}

/// States what some run of a sweep should reach: `sometimes!(CONDITION, "WHAT")`.
///
/// If the condition is false in all seeds of a test, the test prints a note when it ends, or fails if its options
/// require the point.
///
/// The text identifies the point. A test knows a point after its first evaluation, true or false. It does not know a
/// point on a line that no run executes, so a test that requires such a point must name it.
///
/// # Outside a simulated run
///
/// Does nothing and does not evaluate the condition. The condition must therefore have no side effect.
///
/// # Example: a rare path is taken
///
/// ```
/// # let attempts = 2;
/// wavetank_runtime::sometimes!(attempts > 1, "a request is sent again");
/// ```
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $what:literal $(,)?) => {
        if let ::core::option::Option::Some(hooks) = $crate::probe::hooks() {
            (hooks.sometimes)($what, $condition);
        }
    };
}

/// Returns `true` to do a rare but allowed thing now: give up early, take the small buffer, answer late.
/// `buggify!()`, `buggify!(PROBABILITY)`, `buggify!(PROBABILITY, "NAME")`.
///
/// A run first chooses whether the point is enabled at all; one run in four enables it. An enabled point is true with
/// the given probability, by default 25 %, each time it is evaluated. So a run does a few odd things often instead of
/// all of them rarely.
///
/// # Outside a simulated run
///
/// Returns `false`.
///
/// # Determinism
///
/// Chooses in the lane `buggify`, once for each point and once for each evaluation of an enabled point. The default
/// value is `false`. The point has the given name, or the path of its function; further points of one function get
/// `#2`, `#3`, in the order in which the run reaches them. Its line does not matter, so recordings survive edits. Name
/// a point to keep recordings valid when its function is renamed.
///
/// # Example: a batch that is cut short
///
/// ```
/// let batch = if wavetank_runtime::buggify!() { 1 } else { 64 };
/// # assert_eq!(batch, 64);
/// ```
#[macro_export]
macro_rules! buggify {
    () => {
        $crate::buggify!(0.25)
    };
    ($probability:expr $(,)?) => {
        $crate::buggify!($probability, {
            fn here() {}
            $crate::probe::path_around(&here)
        })
    };
    ($probability:expr, $name:expr $(,)?) => {
        match $crate::probe::hooks() {
            ::core::option::Option::Some(hooks) => {
                let point = $crate::probe::BuggifyPoint { name: $name, place: $crate::__place!() };
                (hooks.buggify)(point, $probability)
            }
            ::core::option::Option::None => false,
        }
    };
}

/// The place of a probe in the source.
#[doc(hidden)]
#[macro_export]
macro_rules! __place {
    () => {
        ::core::concat!(::core::file!(), ":", ::core::line!(), ":", ::core::column!())
    };
}

#[cfg(test)]
mod tests {
    use super::path_around;

    #[test]
    fn probes_outside_a_run_do_not_evaluate_conditions() {
        let mut looked = 0;
        let mut look = || {
            looked += 1;
            false
        };
        crate::always!(look(), "nothing is looked at");
        crate::sometimes!(look(), "nothing is looked at");
        assert!(!crate::buggify!() && !crate::buggify!(1.0) && !crate::buggify!(1.0, "always"));
        assert_eq!(looked, 0);
    }

    #[test]
    fn a_point_has_the_path_of_its_function() {
        fn here() {}
        let path = "wavetank_runtime::probe::tests::a_point_has_the_path_of_its_function";
        assert_eq!(path_around(&here), path);
    }
}
