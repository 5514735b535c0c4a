//! Probes: what code says of itself to a simulation that may be watching.
//!
//! [`always!`](crate::always) states what must hold, [`sometimes!`](crate::sometimes) what some run of a test should
//! reach, [`buggify!`](crate::buggify) asks whether to do a rare but allowed thing now. Protocol code carries them in
//! production at next to no cost, and needs no dependency on the simulation: that one installs its [`Hooks`] here.
//!
//! # Invariants
//!
//! - Without hooks a probe is one load of a static and one branch. Its condition is not even evaluated.
//! - Outside of a simulated run a probe does nothing, and `buggify!` is `false`, hooks or not.
//!
//! # Not here
//!
//! What a simulation makes of probes: crate `wavetank`.

use std::sync::OnceLock;

/// What a simulation does with probes. Plain functions: they find their run, if any, by the thread they are called on.
#[doc(hidden)]
#[derive(Debug)]
pub struct Hooks {
    /// Whether the calling thread simulates a run.
    pub is_simulating: fn() -> bool,
    /// An `always!` that does not hold.
    pub broken: fn(what: &'static str, place: &'static str),
    /// A `sometimes!` that was evaluated.
    pub sometimes: fn(what: &'static str, reached: bool),
    /// A `buggify!` that was evaluated.
    pub buggify: fn(point: BuggifyPoint, probability: f64) -> bool,
}

/// Which `buggify!` asks.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct BuggifyPoint {
    /// Its name, or the path of the function it stands in.
    pub name: &'static str,
    /// The source place, which tells points of one name apart within a run. Never shown or recorded: lines move.
    pub place: &'static str,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Has probes report to `hooks`. The first call of a process counts.
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

/// States what must hold whenever it is evaluated: in a simulated run, the first time it does not fails the run, in any
/// build, with a symptom that names it. `always!(CONDITION, "WHAT")`.
///
/// The run ends there for a thread; a task runs on to its next suspension, so code after it must not rely on the
/// condition. (It does not panic: production code would not either.)
///
/// # Outside of a simulated run
///
/// Does nothing, and does not evaluate the condition, which therefore must have no effect of its own. Use `assert!` for
/// what must stop production, too.
///
/// # Example: a window that is never exceeded
///
/// ```
/// # let (in_flight, window) = (3, 8);
/// wavetank_runtime::always!(in_flight <= window, "no more than the window is in flight");
/// ```
#[macro_export]
macro_rules! always {
    ($condition:expr, $what:literal $(,)?) => {
        // Nested, because a user's edition may have no let chains.
        if let ::core::option::Option::Some(hooks) = $crate::probe::hooks() {
            if !$condition {
                (hooks.broken)($what, $crate::__place!());
            }
        }
    };
}

/// States what some run of a sweep should reach: `sometimes!(CONDITION, "WHAT")`. A test that never sees the condition
/// true in any of its seeds says so when it ends, or fails, as it likes.
///
/// Points are told apart by their text. A point is known from its first evaluation, true or not: one on a line that no
/// run executes is unknown, and a test that wants it reached has to name it.
///
/// # Outside of a simulated run
///
/// Does nothing, and does not evaluate the condition, which therefore must have no effect of its own.
///
/// # Example: the rare path, taken
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

/// Tells whether to do a rare but allowed thing now: give up early, take the small buffer, answer late.
/// `buggify!()`, `buggify!(PROBABILITY)`, `buggify!(PROBABILITY, "NAME")`.
///
/// In two phases: a run first chooses whether the point is enabled at all (one run in four), and an enabled point is
/// true with the given probability, by default 25 %, each time it is evaluated. So a run has few odd things in
/// earnest instead of all of them a little.
///
/// # Outside of a simulated run
///
/// `false`.
///
/// # Determinism
///
/// A choice for each point and for each evaluation of an enabled one, in the lane `buggify`; the default answer is
/// `false`. A point is called by its name, or by the path of its function (a second one in the same function has
/// `#2`, in the order in which the run came by); never by its line, so recordings survive edits. Name a point that
/// recordings should keep when its function is renamed.
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

/// The source place of a probe.
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
