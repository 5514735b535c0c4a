//! What a parked task or thread waits for, in words for a deadlock report.

use std::sync::Arc;

use crate::choice::fnv1a;
use crate::time::{Nanos, milliseconds};

/// A task or thread of a run, numbered in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(u32);

impl TaskId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A host as the scheduler knows it: a label of its tasks.
pub(crate) type HostIndex = usize;

/// Something that operations of several tasks touch: a lock, a socket, memory that the test names. Equal in all runs of
/// a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId(u64);

impl ObjectId {
    /// Names and sockets do not share numbers.
    const NAMED: u64 = 1 << 63;

    /// What the steps of a host touch that touch nothing known.
    pub(crate) const fn of_host(host: HostIndex) -> Self {
        // As if its name were empty: the offset of FNV-1a.
        Self((0xcbf2_9ce4_8422_2325 ^ (host as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | Self::NAMED)
    }

    /// The object of this name on `host`.
    pub(crate) fn named(host: HostIndex, name: &str) -> Self {
        Self((fnv1a(name.as_bytes()) ^ (host as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | Self::NAMED)
    }

    /// An element of an object that is an array; the object itself for index 0.
    pub(crate) const fn element(self, index: usize) -> Self {
        Self((self.0 ^ (index as u64).wrapping_mul(0xd1b5_4a32_d192_ed03)) | Self::NAMED)
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// The object with this number.
    #[cfg(all(feature = "process", not(miri)))]
    pub(crate) const fn of_number(number: u64) -> Self {
        Self(number)
    }

    const fn socket(number: u64) -> Self {
        Self(number & !Self::NAMED)
    }
}

/// A wait and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) on: Wait,
    pub(crate) since: Nanos,
}

/// The operation at which a task is: the second half of a point's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Operation {
    pub(crate) verb: &'static str,
    /// The lock or condition variable, empty for operations that have no named object.
    pub(crate) object: &'static str,
}

impl Operation {
    pub(crate) const fn new(verb: &'static str) -> Self {
        Self { verb, object: "" }
    }

    pub(crate) const fn on(verb: &'static str, object: &'static str) -> Self {
        Self { verb, object }
    }

    /// Returns `true` if both are the same text at the same address, as one place in the program uses. It is for a hot
    /// place, because comparing short texts is surprisingly slow. `false` does not mean that they differ.
    pub(crate) fn is_same_text(self, other: Self) -> bool {
        let same = |a: &str, b: &str| std::ptr::eq(a, b);
        same(self.verb, other.verb) && same(self.object, other.object)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.object.is_empty() {
            f.write_str(self.verb)
        } else {
            write!(f, "{} {}", self.verb, self.object)
        }
    }
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Wait {
    /// A lock that another thread holds.
    Lock { name: &'static str, holder: TaskId } = 0,
    /// A notification.
    Condvar { name: &'static str, until: Option<Nanos> } = 1,
    /// A point in time.
    Sleep { until: Nanos } = 2,
    /// The end of a task or thread.
    Join { task: TaskId } = 3,
    /// Input or output: a socket must become ready. The module that made it describes it.
    Io { verb: &'static str, object: u64, until: Option<Nanos> } = 4,
    /// A lock, condition or channel of an unmodified program. Numbered in the order in which threads began to wait.
    #[cfg_attr(not(feature = "process"), expect(dead_code, reason = "only processes wait for one"))]
    Futex { number: u32, until: Option<Nanos> } = 5,
    /// One of several descriptors of an unmodified program.
    #[cfg_attr(not(feature = "process"), expect(dead_code, reason = "only processes wait for them"))]
    Poll { until: Option<Nanos> } = 6,
}

/// What the description of a wait needs to know.
pub(crate) trait Names {
    /// Returns the name of a task.
    fn task(&self, task: TaskId) -> Arc<str>;

    /// Describes a socket.
    fn object(&self, object: u64) -> String;
}

/// Whether the description of a wait says until when it lasts. Symptoms must not, because times differ from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Shown,
    Hidden,
}

impl Wait {
    /// Describes what a task waits for: "for the lock `a`, held by server/main", "to read client:49152 -> server:80".
    pub(crate) fn describe(self, names: &impl Names, shown: Until) -> String {
        let is_shown = shown == Until::Shown;
        match self {
            Self::Lock { name, holder } => format!("for the lock `{name}`, held by {}", names.task(holder)),
            Self::Condvar { name, until: None } => format!("for a notification on `{name}`"),
            Self::Condvar { name, until: Some(until) } if is_shown => {
                format!("for a notification on `{name}`, until {}", milliseconds(until))
            }
            Self::Condvar { name, until: Some(_) } => {
                format!("for a notification on `{name}`, with a timeout")
            }
            Self::Sleep { until } if is_shown => format!("until {}", milliseconds(until)),
            Self::Sleep { .. } => "for a timer".to_owned(),
            Self::Join { task } => format!("for the end of {}", names.task(task)),
            Self::Io { verb, object, until: Some(until) } if is_shown => {
                format!("to {verb} {}, until {}", names.object(object), milliseconds(until))
            }
            Self::Io { verb, object, .. } => format!("to {verb} {}", names.object(object)),
            Self::Futex { number, until } => {
                format!("for a lock, a condition or a thread (futex {number}){}", timeout(until, is_shown))
            }
            Self::Poll { until } => format!("for its sockets (poll){}", timeout(until, is_shown)),
        }
    }

    /// Returns what the waiting task, of `host`, touches when it goes on.
    pub(crate) fn object(&self, host: HostIndex) -> Option<ObjectId> {
        match self {
            Self::Lock { name, .. } | Self::Condvar { name, .. } => Some(ObjectId::named(host, name)),
            Self::Io { object, .. } => Some(ObjectId::socket(*object)),
            Self::Sleep { .. } | Self::Join { .. } | Self::Futex { .. } | Self::Poll { .. } => None,
        }
    }

    /// Returns what the waiting task is about to do, in one word.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Lock { .. } => "lock",
            Self::Condvar { .. } => "wait",
            Self::Sleep { .. } => "sleep",
            Self::Join { .. } => "join",
            Self::Io { verb, .. } => verb,
            Self::Futex { .. } => "futex",
            Self::Poll { .. } => "poll",
        }
    }

    /// Returns `true` if the stall oracle looks at this wait: only others can end it.
    pub(crate) const fn can_stall(&self) -> bool {
        match self {
            Self::Lock { .. } | Self::Join { .. } => true,
            Self::Condvar { until, .. } => until.is_none(),
            // A program whose workers have nothing to do waits so.
            Self::Sleep { .. } | Self::Futex { .. } | Self::Poll { .. } => false,
            // A listener waits for clients without limit.
            Self::Io { verb, until, .. } => until.is_none() && !matches!(verb.as_bytes(), b"accept"),
        }
    }
}

/// The end of the description of a wait that may have a timeout.
fn timeout(until: Option<Nanos>, is_shown: bool) -> String {
    match until {
        None => String::new(),
        Some(until) if is_shown => format!(", until {}", milliseconds(until)),
        Some(_) => ", with a timeout".to_owned(),
    }
}
