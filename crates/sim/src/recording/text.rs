//! The file form of a recording: text that people review and version control merges.
//!
//! ```text
//! wavetank recording 1
//! test = chat-tests/chat::close_while_waiting
//! expect = fails(panic in client/closer: connection isn't closed yet)
//! seed = 0x2a
//! built = linux tokio_unstable
//! trace = 0x0123456789abcdef
//!
//! lane schedule
//! site 0 = client/closer yield
//! site 1 = server/main yield
//!   0/3=2 0/3x14 1/2=1
//! end 16 choices, checksum 0x9ae16a3b2f90404f
//! ```
//!
//! A token is `POINT/BOUND`, with `=VALUE` unless the value is 0, and `xCOUNT` if it repeats. Points are numbered
//! within their lane. The line `built` ends with `instrumented` if the run needs a build with preemption at basic
//! blocks. `expect` may be edited by hand (`fails(...)` or `passes`). The checksum covers all lines except
//! the first three and the last.

use std::fmt::Write as _;

use super::{Build, Expect, Recording, RecordingErrorKind};
use crate::choice::{Choice, ChoiceLog, LaneName, PointId, PointName, fnv1a};
use crate::symptom::Symptom;

/// The first line, with the version of the format.
pub(crate) const FIRST_LINE: &str = "wavetank recording 1";

/// The widest line of choices, in columns.
const WIDTH: usize = 110;

/// More choices than a run can make. It bounds the memory that an invented repeat count takes.
const CHOICES_MAX: usize = 1 << 26;

/// The lines that the checksum leaves out: version, test, and `expect`, which people edit.
const LINES_UNCHECKED: usize = 3;

/// Returns the text of a recording.
pub(crate) fn write(recording: &Recording) -> String {
    let expect = match &recording.expect {
        Expect::Fails(symptom) => format!("fails({})", symptom.key()),
        Expect::Passes => "passes".to_owned(),
    };
    let Recording { test, seed, build, trace_hash, log, .. } = recording;
    let mut text = format!(
        "{FIRST_LINE}\ntest = {}\nexpect = {expect}\nseed = {seed:#x}\nbuilt = {build}\ntrace = {trace_hash:#018x}\n\n",
        escape(test),
    );
    let mut rest = &log.choices[..];
    while let Some(first) = rest.first() {
        let lane = &log.point(first.point).lane;
        let length = rest.iter().take_while(|choice| log.point(choice.point).lane == *lane).count();
        let (choices, others) = rest.split_at(length);
        write_lane(&mut text, lane, choices, log);
        rest = others;
    }
    let last_line = last_line(log.choices.len(), text.lines());
    text.push_str(&last_line);
    text.push('\n');
    text
}

fn write_lane(text: &mut String, lane: &LaneName, choices: &[Choice], log: &ChoiceLog) {
    let mut points: Vec<PointId> = Vec::new();
    for choice in choices {
        if !points.contains(&choice.point) {
            points.push(choice.point);
        }
    }
    let _ = writeln!(text, "lane {}", escape(lane.text()));
    for (number, point) in points.iter().enumerate() {
        let _ = writeln!(text, "site {number} = {}", escape(&log.point(*point).point));
    }
    let mut column = 0;
    for run in choices.chunk_by(|one, next| one == next) {
        let Choice { point, bound, value } = run[0];
        let number = points.iter().position(|known| *known == point).expect("the table has every point");
        let mut token = format!("{number}/{bound}");
        if value != 0 {
            let _ = write!(token, "={value}");
        }
        if run.len() > 1 {
            let _ = write!(token, "x{}", run.len());
        }
        if column > 0 && column + 1 + token.len() >= WIDTH {
            text.push('\n');
            column = 0;
        }
        text.push_str(if column == 0 { "  " } else { " " });
        column += token.len() + if column == 0 { 2 } else { 1 };
        text.push_str(&token);
    }
    text.push('\n');
}

fn last_line<'a>(choices: usize, lines: impl Iterator<Item = &'a str>) -> String {
    let checked: String = lines.skip(LINES_UNCHECKED).flat_map(|line| [line, "\n"]).collect();
    format!("end {choices} choices, checksum {:#018x}", fnv1a(checked.as_bytes()))
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// The first wrong line; see [`RecordingErrorKind`].
pub(crate) fn parse(text: &str) -> Result<Recording, RecordingErrorKind> {
    if text.trim().is_empty() {
        return Err(RecordingErrorKind::Empty);
    }
    if text.starts_with('\u{feff}') {
        return Err(RecordingErrorKind::ByteOrderMark);
    }
    let first = text.lines().next().unwrap_or_default();
    if first != FIRST_LINE {
        return Err(RecordingErrorKind::Version { found: shorten(first) });
    }
    let mut reader = Reader { lines: text.lines().collect(), at: 1 };
    let test =
        unescape(reader.field("test", "`test = NAME`")?).ok_or_else(|| reader.unexpected("`test = NAME`"))?;
    let expect = reader.expect()?;
    let seed = reader.number("seed", "`seed = NUMBER`")?;
    let build = reader.build()?;
    let trace_hash = reader.number("trace", "`trace = NUMBER`")?;
    reader.blank()?;
    let log = reader.log()?;
    reader.end(&log)?;
    Ok(Recording { test, expect, seed, build, trace_hash, log })
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    /// Index of the next line.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next line. The end of the file is an error: the last line is read by [`Self::end`].
    fn next(&mut self) -> Result<&'a str, RecordingErrorKind> {
        let line = self.peek().ok_or(RecordingErrorKind::Truncated)?;
        self.at += 1;
        Ok(line)
    }

    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    /// Returns the error for the line that was read last.
    fn unexpected(&self, expected: &'static str) -> RecordingErrorKind {
        let found = self.lines.get(self.at - 1).copied().unwrap_or_default();
        RecordingErrorKind::Unexpected { at: self.at, expected, found: shorten(found) }
    }

    fn field(&mut self, name: &str, expected: &'static str) -> Result<&'a str, RecordingErrorKind> {
        let value = self.next()?.strip_prefix(name).and_then(|rest| rest.strip_prefix(" = "));
        value.ok_or_else(|| self.unexpected(expected))
    }

    fn number(&mut self, name: &str, expected: &'static str) -> Result<u64, RecordingErrorKind> {
        parse_number(self.field(name, expected)?).ok_or_else(|| self.unexpected(expected))
    }

    fn expect(&mut self) -> Result<Expect, RecordingErrorKind> {
        let expected = "`expect = fails(SYMPTOM)` or `expect = passes`";
        let value = self.field("expect", expected)?;
        if value == "passes" {
            return Ok(Expect::Passes);
        }
        let symptom =
            value.strip_prefix("fails(").and_then(|rest| rest.strip_suffix(')')).and_then(Symptom::parse);
        symptom.map(Expect::Fails).ok_or_else(|| self.unexpected(expected))
    }

    fn build(&mut self) -> Result<Build, RecordingErrorKind> {
        let expected =
            "`built = OS tokio_unstable` or `built = OS tokio_stable`, perhaps with `instrumented`";
        let value = self.field("built", expected)?;
        let (os, unstable) = value.split_once(' ').ok_or_else(|| self.unexpected(expected))?;
        let (tokio_unstable, instrumented) = match unstable {
            "tokio_unstable" => (true, false),
            "tokio_stable" => (false, false),
            "tokio_unstable instrumented" => (true, true),
            "tokio_stable instrumented" => (false, true),
            _ => return Err(self.unexpected(expected)),
        };
        Ok(Build { os: os.to_owned(), tokio_unstable, instrumented })
    }

    fn blank(&mut self) -> Result<(), RecordingErrorKind> {
        if self.next()?.is_empty() { Ok(()) } else { Err(self.unexpected("an empty line")) }
    }

    fn log(&mut self) -> Result<ChoiceLog, RecordingErrorKind> {
        let mut log = ChoiceLog::default();
        while let Some(line) = self.peek().filter(|line| !line.starts_with("end ")) {
            self.at += 1;
            let lane = line.strip_prefix("lane ").and_then(unescape).and_then(|text| LaneName::parse(&text));
            let lane =
                lane.ok_or_else(|| self.unexpected("`lane NAME` or `end N choices, checksum NUMBER`"))?;
            let first_point = log.points.len();
            while let Some(point) = self.peek().and_then(|line| line.strip_prefix("site ")) {
                self.at += 1;
                let name = point.split_once(" = ").and_then(|(number, name)| {
                    (parse_number(number)? == (log.points.len() - first_point) as u64)
                        .then(|| unescape(name))?
                });
                let point = name.ok_or_else(|| self.unexpected("`site N = NAME`, numbered from 0"))?;
                log.points.push(PointName { lane: lane.clone(), point });
            }
            while let Some(tokens) = self.peek().filter(|line| line.starts_with("  ")) {
                self.at += 1;
                for token in tokens.split_whitespace() {
                    let points = first_point..log.points.len();
                    read_token(token, points, &mut log.choices).ok_or_else(|| {
                        self.unexpected(
                            "choices as `POINT/BOUND`, `POINT/BOUND=VALUE` or either with `xCOUNT`",
                        )
                    })?;
                }
            }
        }
        Ok(log)
    }

    fn end(&mut self, log: &ChoiceLog) -> Result<(), RecordingErrorKind> {
        let found = self.next()?;
        let expected = last_line(log.choices.len(), self.lines[..self.at - 1].iter().copied());
        if found != expected {
            return Err(RecordingErrorKind::Corrupt { expected, found: shorten(found) });
        }
        match self.lines[self.at..].iter().position(|line| !line.trim().is_empty()) {
            None => Ok(()),
            Some(after) => {
                self.at += after + 1;
                Err(self.unexpected("nothing after the last line"))
            }
        }
    }
}

fn read_token(token: &str, points: std::ops::Range<usize>, choices: &mut Vec<Choice>) -> Option<()> {
    let (choice, count) = match token.split_once('x') {
        Some((choice, count)) => (choice, usize::try_from(parse_number(count)?).ok()?),
        None => (token, 1),
    };
    let (question, value) = match choice.split_once('=') {
        Some((question, value)) => (question, u32::try_from(parse_number(value)?).ok()?),
        None => (choice, 0),
    };
    let (point, bound) = question.split_once('/')?;
    let point = points.start.checked_add(usize::try_from(parse_number(point)?).ok()?)?;
    let bound = u32::try_from(parse_number(bound)?).ok()?;
    if point >= points.end
        || value >= bound
        || count == 0
        || count > CHOICES_MAX - choices.len().min(CHOICES_MAX)
    {
        return None;
    }
    choices.extend(std::iter::repeat_n(Choice { point: PointId::new(point), bound, value }, count));
    Some(())
}

/// Reads decimal or `0x` hexadecimal digits, without a sign.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Keeps names on one line.
fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() || c == '\\' { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, escaped)) = rest.split_once('\\') {
        let (digits, after) = escaped.strip_prefix("u{")?.split_once('}')?;
        out.push_str(before);
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{RecordingError, log_of};
    use crate::symptom::SymptomKind;
    use crate::trace::Trace;

    fn recording(log: &ChoiceLog) -> Recording {
        let symptom =
            Symptom::new(SymptomKind::Panic, "client/closer: connection (number 7) isn't closed yet");
        let build = Build { os: "linux".to_owned(), tokio_unstable: true, instrumented: false };
        let mut recording = Recording::of_failure("chat::close", &symptom, 42, &Trace::new(), log);
        recording.trace_hash = 0xabc;
        recording.build = build;
        // A recording holds the key of its symptom.
        recording.expect = Expect::Fails(Symptom::parse(&symptom.key()).expect("a key parses"));
        recording
    }

    fn small() -> Recording {
        let mut choices = vec![("schedule", "client/closer yield", 3, 2)];
        choices.extend([("schedule", "client/closer yield", 3, 0); 14]);
        choices.extend([("schedule", "server/main yield", 2, 1), ("fault", "client break", 5, 4)]);
        recording(&log_of(&choices))
    }

    fn error_of(text: &str) -> String {
        let kind = parse(text).expect_err("the text is not a recording");
        RecordingError { origin: "seeds/a.seed".to_owned(), kind }.to_string()
    }

    #[test]
    fn a_file_is_readable_line_by_line() {
        insta::assert_snapshot!(write(&small()), @r"
        wavetank recording 1
        test = chat::close
        expect = fails(panic in client/closer: connection (number #) isn't closed yet)
        seed = 0x2a
        built = linux tokio_unstable
        trace = 0x0000000000000abc

        lane fault
        site 0 = client break
          0/5=4
        lane schedule
        site 0 = client/closer yield
        site 1 = server/main yield
          0/3=2 0/3x14 1/2=1
        end 17 choices, checksum 0xef99849985b1b6f2
        ");
    }

    #[test]
    fn what_was_written_reads_back() {
        let mut passes = small();
        passes.expect = Expect::Passes;
        passes.build.tokio_unstable = false;
        passes.build.instrumented = true;
        let odd_names =
            log_of(&[("link \n\\", " a  b\u{7}é ", u32::MAX, u32::MAX - 1), ("link \n\\", "= x", 2, 1)]);
        for recording in [small(), passes, recording(&odd_names), recording(&ChoiceLog::default())] {
            let text = write(&recording);
            assert_eq!(parse(&text).expect("reads back"), recording);
            assert_eq!(parse(&text.replace('\n', "\r\n")).expect("line ends do not matter"), recording);
        }
    }

    #[test]
    fn lines_stay_below_110_columns() {
        let choices: Vec<_> =
            (0..2_000).map(|i| ("schedule", "a yield", 1_000_000 + i, 1 + i % 999_983)).collect();
        let recording = recording(&log_of(&choices));
        let text = write(&recording);
        assert!(text.lines().all(|line| line.len() < WIDTH));
        assert!(text.lines().count() < 400, "lines are filled");
        assert_eq!(parse(&text).expect("reads back"), recording);
    }

    #[test]
    fn every_cut_and_every_altered_byte_is_noticed() {
        let text = write(&small());
        for end in 0..text.len() - 1 {
            assert!(parse(&text[..end]).is_err(), "cut after {end} bytes");
        }
        let checked = text.find("seed = ").expect("has a seed");
        for at in checked..text.len() - 1 {
            let mut altered = text.clone().into_bytes();
            altered[at] ^= 1;
            let altered = String::from_utf8(altered).expect("still ASCII");
            assert!(parse(&altered).is_err(), "byte {at}:\n{altered}");
        }
    }

    #[test]
    fn the_expectation_may_be_edited_by_hand() {
        let text = write(&small());
        let line = text.lines().nth(2).expect("a third line");
        let edited = parse(&text.replace(line, "expect = passes")).expect("the checksum leaves it out");
        assert_eq!(edited.expect, Expect::Passes);
    }

    #[test]
    fn errors_name_file_line_expectation_and_remedy() {
        let text = write(&small());
        let remedy =
            "restore the file from version control, or delete it and let a sweep find the failure again";
        assert_eq!(
            error_of(&text.replace("seed = 0x2a", "sed = 0x2a")),
            format!("seeds/a.seed, line 4: expected `seed = NUMBER`, found `sed = 0x2a`; {remedy}")
        );
        assert_eq!(
            error_of(&text.replace("  0/5=4", "  0/5=5")),
            format!(
                "seeds/a.seed, line 10: expected choices as `POINT/BOUND`, `POINT/BOUND=VALUE` or either \
                with `xCOUNT`, \
                 found `  0/5=5`; {remedy}"
            )
        );
        assert_eq!(
            error_of("wavetank recording 2\n"),
            "seeds/a.seed, line 1: expected `wavetank recording 1`, found `wavetank recording 2`; \
             replay it with the version of wavetank that wrote it"
        );
        assert!(error_of(&text[..text.find("end ").expect("an end")]).contains("it was cut off"));
        for empty in ["", "\r\n \n"] {
            assert_eq!(
                error_of(empty),
                format!(
                    "seeds/a.seed: the file is empty: it was cut off when it was written, copied or checked \
                    out; {remedy}"
                )
            );
        }
        assert_eq!(
            error_of(&format!("\u{feff}{text}")),
            "seeds/a.seed, line 1: there is a byte order mark (U+FEFF) before `wavetank recording 1`, which \
            an editor has \
             put there; save the file as UTF-8 without one, or restore it from version control"
        );
        assert!(
            error_of(&text.replace("trace = 0x0", "trace = 0x1")).contains("altered after it was written")
        );
        assert!(
            error_of(&text.replace("fails(panic", "fails(joy")).contains("line 3: expected `expect = fails")
        );
        assert!(
            error_of(&format!("{text}more\n")).contains("expected nothing after the last line, found `more`")
        );
    }

    #[test]
    fn a_made_up_repeat_count_is_refused() {
        let mut choices = Vec::new();
        assert_eq!(read_token("0/3x99999999999", 0..1, &mut choices), None);
        assert_eq!(read_token("0/3x0", 0..1, &mut choices), None);
        assert_eq!(read_token("1/3", 0..1, &mut choices), None);
        assert_eq!(read_token("0/3=2x4", 0..1, &mut choices), Some(()));
        assert_eq!(choices.len(), 4);
    }
}
