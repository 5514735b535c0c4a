//! The inline form of a recording: one word for a command line, `v1:SEED:SYMPTOM:LANE...:CHECK`.
//!
//! SEED is hexadecimal, and SYMPTOM is the 32-bit hash of the symptom's key. A LANE is its name and then, after commas,
//! its points as `NAME=VALUES`: the values that are not 0, joined by `_`, each as `ORDINAL` or `ORDINAL-VALUE` (a value
//! of 1 is left out). The ordinal counts the point's questions from 0. CHECK detects a word that was not copied whole.
//!
//! # Invariants
//!
//! - A shell needs no quotes around it: letters, digits and `:,=_-+.%/` only.
//! - It replays leniently only, because it lacks the questions that were answered with 0.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::RecordingErrorKind;
use crate::choice::{Choice, ChoiceLog, LaneName, PointId, PointName, fnv1a};

/// What the form begins with.
pub(crate) const VERSION: &str = "v1";

/// The most questions of one point between two values, because each takes memory.
const ORDINAL_MAX: usize = 1 << 24;

/// The characters that are escaped in names. A blank becomes `+`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b' ');

/// A recording from a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inline {
    pub(crate) seed: u64,
    /// Hash of the key of the symptom that the recording showed.
    pub(crate) symptom_hash: u32,
    /// For lenient replay only.
    pub(crate) log: ChoiceLog,
}

/// Returns `true` if a text is an inline form of this version or another, and not a path.
pub(crate) fn is_inline(text: &str) -> bool {
    let version = text.strip_prefix('v').and_then(|rest| rest.split_once(':')).map(|(version, _)| version);
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
}

/// Writes the values of `log` that are not 0.
pub(crate) fn write(seed: u64, symptom_hash: u32, log: &ChoiceLog) -> String {
    let mut word = format!("{VERSION}:{seed:x}:{symptom_hash:x}");
    let mut lanes: BTreeMap<&LaneName, BTreeMap<&str, String>> = BTreeMap::new();
    let mut asked = vec![0_usize; log.points.len()];
    for choice in &log.choices {
        let ordinal = asked[choice.point.index()];
        asked[choice.point.index()] += 1;
        if choice.value == 0 {
            continue;
        }
        let PointName { lane, point } = log.point(choice.point);
        let values = lanes.entry(lane).or_default().entry(point).or_default();
        if !values.is_empty() {
            values.push('_');
        }
        let _ = write!(values, "{ordinal}");
        if choice.value != 1 {
            let _ = write!(values, "-{}", choice.value);
        }
    }
    for (lane, points) in lanes {
        let _ = write!(word, ":{}", escape(lane.text()));
        for (point, values) in points {
            let _ = write!(word, ",{}={values}", escape(point));
        }
    }
    let check = check(&word);
    let _ = write!(word, ":{check}");
    word
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// The first wrong part (between colons, 1-based).
pub(crate) fn parse(word: &str) -> Result<Inline, RecordingErrorKind> {
    let version = word.split(':').next().unwrap_or_default();
    if version != VERSION {
        return Err(RecordingErrorKind::Version { found: version.to_owned() });
    }
    let (checked, found) = word.rsplit_once(':').ok_or(RecordingErrorKind::Truncated)?;
    let parts: Vec<&str> = checked.split(':').collect();
    if parts.len() < 3 {
        return Err(RecordingErrorKind::Truncated);
    }
    let expected = check(checked);
    if found != expected {
        return Err(RecordingErrorKind::Corrupt { expected, found: found.to_owned() });
    }
    let unexpected = |index: usize, expected| RecordingErrorKind::Unexpected {
        at: index + 1,
        expected,
        found: parts[index].to_owned(),
    };
    let seed = u64::from_str_radix(parts[1], 16).map_err(|_| unexpected(1, "a seed in hexadecimal"))?;
    let symptom_hash = u32::from_str_radix(parts[2], 16)
        .map_err(|_| unexpected(2, "the hash of a symptom in hexadecimal"))?;
    let mut log = ChoiceLog::default();
    for (index, part) in parts.iter().enumerate().skip(3) {
        read_lane(part, &mut log).ok_or_else(|| unexpected(index, "`LANE,POINT=ORDINAL-VALUE_...,...`"))?;
    }
    Ok(Inline { seed, symptom_hash, log })
}

fn read_lane(part: &str, log: &mut ChoiceLog) -> Option<()> {
    let mut points = part.split(',');
    let lane = LaneName::parse(&unescape(points.next()?)?)?;
    for point in points {
        let (name, values) = point.split_once('=')?;
        let id = PointId::new(log.points.len());
        log.points.push(PointName { lane: lane.clone(), point: unescape(name)? });
        let mut asked = 0;
        for value in values.split('_') {
            let (ordinal, value) = match value.split_once('-') {
                Some((ordinal, value)) => (ordinal.parse::<usize>().ok()?, value.parse::<u32>().ok()?),
                None => (value.parse::<usize>().ok()?, 1),
            };
            let default = ordinal.checked_sub(asked).filter(|default| *default <= ORDINAL_MAX)?;
            // Lenient replay needs values, not bounds. The smallest fitting bound is used.
            log.choices.extend(std::iter::repeat_n(Choice { point: id, bound: 1, value: 0 }, default));
            log.choices.push(Choice { point: id, bound: value.checked_add(1)?, value });
            asked = ordinal + 1;
        }
    }
    Some(())
}

fn check(word: &str) -> String {
    format!("{:06x}", fnv1a(word.as_bytes()) & 0xff_ffff)
}

fn escape(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string().replace(' ', "+")
}

fn unescape(name: &str) -> Option<String> {
    percent_decode_str(&name.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::{Choices, Replay};
    use crate::recording::{RecordingError, log_of};

    fn log() -> ChoiceLog {
        log_of(&[
            ("schedule", "client/closer lock protocol", 3, 0),
            ("link client -> server", "client deliver", 1_000, 17),
            ("schedule", "client/closer lock protocol", 3, 1),
            ("schedule", "client/closer lock protocol", 3, 0),
            ("schedule", "client/closer lock protocol", 3, 2),
            ("schedule", "server/main é:,=_%+", 2, 1),
            ("fault", "server crash", 2, 0),
        ])
    }

    #[test]
    fn the_inline_form_needs_no_shell_quoting() {
        let word = write(42, 0xbeef, &log());
        assert_eq!(
            word,
            "v1:2a:beef:link+client+-%3E+server,client+deliver=0-17:\
             schedule,client/closer+lock+protocol=1_3-2,server/main+%C3%A9%3A%2C%3D_%25%2B=0:66f392"
        );
        assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b":,=_-+.%/".contains(&b)));
    }

    #[test]
    fn the_inline_form_replays_the_same_values() {
        let word = write(42, 0xbeef, &log());
        let inline = parse(&word).expect("reads back");
        assert_eq!((inline.seed, inline.symptom_hash), (42, 0xbeef));
        let mut choices = Choices::replayed(inline.seed, &inline.log, Replay::Lenient);
        for choice in &log().choices {
            let PointName { lane, point } = log().point(choice.point).clone();
            let lane = choices.named_lane(lane);
            let point = choices.point(lane, &point);
            assert_eq!(choices.choose_uniform(point, choice.bound), choice.value);
        }
        assert_eq!(choices.mismatches(), 0);
        assert_eq!(write(42, 0xbeef, &inline.log), word);
    }

    #[test]
    fn every_cut_and_every_altered_byte_is_noticed() {
        let word = write(42, 0xbeef, &log());
        for end in 0..word.len() {
            assert!(parse(&word[..end]).is_err(), "cut after {end} bytes");
        }
        for at in 0..word.len() {
            let mut altered = word.clone().into_bytes();
            altered[at] ^= 1;
            assert!(parse(&String::from_utf8(altered).expect("ASCII")).is_err(), "byte {at}");
        }
    }

    #[test]
    fn errors_say_which_part_and_what_to_do() {
        let error_of = |word: &str| {
            let kind = parse(word).expect_err("not an inline form");
            RecordingError { origin: "WAVETANK_REPLAY".to_owned(), kind }.to_string()
        };
        let checked = |word: &str| format!("{word}:{}", check(word));
        assert_eq!(
            error_of("v2:1:2:3"),
            "WAVETANK_REPLAY, part 1: expected `v1`, found `v2`; replay it with the version of wavetank that wrote it"
        );
        assert_eq!(
            error_of(&checked("v1:zz:1")),
            "WAVETANK_REPLAY, part 2: expected a seed in hexadecimal, found `zz`; copy the whole value again"
        );
        assert_eq!(
            error_of(&checked("v1:1:1:schedule,a=3_1")),
            "WAVETANK_REPLAY, part 4: expected `LANE,POINT=ORDINAL-VALUE_...,...`, found `schedule,a=3_1`; \
             copy the whole value again"
        );
        assert!(error_of(&write(42, 1, &log())[..60]).contains("altered after it was written"));
        assert!(error_of("v1:1").contains("it was cut off"));
        assert!(parse(&checked("v1:1:1:schedule,a=99999999999")).is_err(), "an ordinal is bounded");
    }

    #[test]
    fn paths_are_not_inline_forms() {
        assert!(is_inline("v1:2a") && is_inline("v12:"));
        assert!(!is_inline("v:1") && !is_inline("seeds/v1:2") && !is_inline("v1") && !is_inline("vx:1"));
    }
}
