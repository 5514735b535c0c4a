//! The plot: a bar for each contender, on a logarithmic scale.

use std::fmt::Write as _;

use compare::Scenario;

use crate::table::{Row, title};

const WIDTH: f64 = 860.0;
/// Where the bars begin.
const LEFT: f64 = 250.0;
/// How long a decade of the scale is.
const DECADE: f64 = 130.0;
/// The height of a line.
const LINE: f64 = 24.0;
/// The microseconds at the left end of the scale.
const LEAST: f64 = 1.0;

/// Returns the plot as SVG. Its colours suit light and dark pages.
pub fn svg(all: &[(Scenario, Vec<Row>)]) -> String {
    let mut body = String::new();
    let mut y = LINE;
    for (scenario, rows) in all {
        let _ = writeln!(body, r#"<text x="8" y="{y}" font-weight="bold">{}</text>"#, title(*scenario));
        for row in rows {
            y += LINE;
            let (name, time) = (row.contender.name, row.microseconds());
            let length = (time / LEAST).log10().max(0.0) * DECADE;
            let colour = if row.contender.program == "on_simulator" { "#2a7fd4" } else { "#8a8a8a" };
            let _ = writeln!(body, r#"<text x="8" y="{y}">{name}</text>"#);
            let top = y - 13.0;
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{top}" width="{length:.1}" height="17" fill="{colour}"/>"#
            );
            let end = LEFT + length + 6.0;
            let _ = writeln!(body, r#"<text x="{end:.1}" y="{y}">{time:.0} µs</text>"#);
        }
        y += LINE * 1.5;
    }
    let note = "CPU time of a run, logarithmic: medians of interleaved rounds";
    let _ = writeln!(body, r#"<text x="8" y="{y}" font-size="12">{note}</text>"#);
    let height = y + LINE / 2.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"14\">\n<style>text {{ fill: #222 }} @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} \
         }}</style>\n{body}</svg>\n"
    )
}
