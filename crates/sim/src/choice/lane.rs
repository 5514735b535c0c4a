//! Lanes: the sources of randomness of a run, by kind.
//!
//! A lane has a kind and a scope: the link from client to server, or the schedule of a host of turmoil. Its text names
//! it in recordings and selects its stream of the seed, so the texts never change.

use std::fmt;
use std::sync::Arc;

/// What a lane decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LaneKind {
    /// Which task or thread runs next.
    Schedule,
    /// How long a task that was woken is delayed.
    WokenDelay,
    /// How long a task or thread that was preempted is delayed.
    PreemptedDelay,
    /// After how many operations a task is preempted.
    Budget,
    /// Where in its code a task or thread is preempted, in an instrumented build.
    Block,
    /// Which operations get a spurious `Pending`.
    Pending,
    /// Which parked tasks get a spurious wake-up.
    Spurious,
    /// Which of the perturbations above a run has.
    Swarm,
    /// How long segments of a link take.
    Link,
    /// What happens to the datagrams of a link.
    Datagrams,
    /// Which faults there are, when, and for how long.
    Fault,
    /// Which reads and writes of a host are short.
    Short,
    /// What an awkward stream of the test does.
    Adversary,
    /// When the test cancels a future.
    Cancel,
    /// Which `buggify!` are true.
    Buggify,
    /// Values that the test draws.
    Test,
    /// The seed of turmoil's own randomness.
    Turmoil,
    /// Bytes that code under test reads. They are not choices: they are neither recorded nor shrunk.
    Entropy,
}

impl LaneKind {
    const ALL: [Self; 18] = [
        Self::Schedule,
        Self::WokenDelay,
        Self::PreemptedDelay,
        Self::Budget,
        Self::Block,
        Self::Pending,
        Self::Spurious,
        Self::Swarm,
        Self::Link,
        Self::Datagrams,
        Self::Fault,
        Self::Short,
        Self::Adversary,
        Self::Cancel,
        Self::Buggify,
        Self::Test,
        Self::Turmoil,
        Self::Entropy,
    ];

    /// The first word of a lane's text. Recordings contain it, and the stream of a lane depends on it.
    const fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::WokenDelay => "withhold",
            Self::PreemptedDelay => "hold",
            Self::Budget => "budget",
            Self::Block => "block",
            Self::Pending => "pending",
            Self::Spurious => "spurious",
            Self::Swarm => "swarm",
            Self::Link => "link",
            Self::Datagrams => "datagrams",
            Self::Fault => "fault",
            Self::Short => "short",
            Self::Adversary => "adversary",
            Self::Cancel => "cancel",
            Self::Buggify => "buggify",
            Self::Test => "test",
            Self::Turmoil => "turmoil",
            Self::Entropy => "entropy",
        }
    }
}

/// Returns the name of a choice point, or the word of a lane's kind, for reports. Recordings keep older words, by which
/// streams of the seed are selected.
pub(crate) fn spoken(point: &str) -> String {
    let (scope, operation) = point.rsplit_once(' ').unwrap_or(("", point));
    let operation = match operation {
        "withhold" => "delay-of-woken",
        "hold" => "delay",
        "hold-after" => "delay-after",
        "site-hold" => "site-delay",
        other => other,
    };
    if scope.is_empty() { operation.to_owned() } else { format!("{scope} {operation}") }
}

/// The choice points of the lane [`LaneKind::Swarm`], as recordings name them: whether a run has each perturbation.
pub(crate) struct SwarmPoints {
    pub(crate) woken: &'static str,
    pub(crate) preempts: &'static str,
    pub(crate) pending: &'static str,
    pub(crate) spurious: &'static str,
    pub(crate) stacks: &'static str,
    pub(crate) preempted: &'static str,
    /// In the scope [`THREADS`].
    pub(crate) effects: &'static str,
    /// In the lane [`LaneKind::Block`], which runs of an instrumented build alone have.
    pub(crate) blocks: &'static str,
}

/// The scope of the lane [`LaneKind::Swarm`] of what only runs with threads ask.
pub(crate) const THREADS: &str = "threads";

pub(crate) const SWARM: SwarmPoints = SwarmPoints {
    woken: "swarm withhold",
    preempts: "swarm preempt",
    pending: "swarm pending",
    spurious: "swarm spurious",
    stacks: "swarm stacks",
    preempted: "swarm hold",
    effects: "swarm effects",
    blocks: "swarm blocks",
};

/// A lane as recordings name it: "KIND" or "KIND SCOPE". Lanes are ordered by their texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneName {
    text: Arc<str>,
    kind: LaneKind,
}

impl LaneName {
    /// Names the lane of a kind that belongs to `scope`, which is empty if there is one such lane in a run.
    pub(crate) fn new(kind: LaneKind, scope: &str) -> Self {
        let word = kind.word();
        let text = if scope.is_empty() { word.into() } else { [word, " ", scope].concat().into() };
        Self { text, kind }
    }

    /// Parses the text of a lane. `None` if it has no known kind.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let word = text.split(' ').next()?;
        let kind = LaneKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        Some(Self { text: text.into(), kind })
    }

    pub(crate) const fn kind(&self) -> LaneKind {
        self.kind
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// For reports. Recordings have [`text`](LaneName::text).
impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.kind.word();
        write!(f, "{}{}", spoken(word), &self.text[word.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_every_lane_reads_back() {
        for kind in LaneKind::ALL {
            for scope in ["", "client>server", "a b"] {
                let lane = LaneName::new(kind, scope);
                assert_eq!(LaneName::parse(lane.text()), Some(lane));
            }
        }
        assert_eq!(LaneName::parse("unknown"), None);
    }

    #[test]
    fn reports_name_lanes_in_present_words() {
        let spoken_lane = |text| LaneName::parse(text).expect("a lane").to_string();
        assert_eq!(
            ["withhold server", "hold", "link a>b"].map(spoken_lane),
            ["delay-of-woken server", "delay", "link a>b"]
        );
        let points = ["client/main hold", "swarm withhold", "client/main before a read"];
        assert_eq!(
            points.map(spoken),
            ["client/main delay", "swarm delay-of-woken", "client/main before a read"]
        );
    }

    #[test]
    fn texts_of_lanes_stay_as_recorded() {
        let words = LaneKind::ALL.map(LaneKind::word).join(" ");
        assert_eq!(
            words,
            "schedule withhold hold budget block pending spurious swarm link datagrams fault short adversary \
             cancel buggify test turmoil entropy"
        );
    }
}
