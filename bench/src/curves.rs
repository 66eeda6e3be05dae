//! Cost curves as a picture: time of a search by events in the log, Annals and PostgreSQL, both axes logarithmic.

use std::fmt::Write as _;

use crate::results::Results;

const SIZES: [(f64, &str); 3] = [(1e6, "1M"), (1e7, "10M"), (1e8, "100M")];
/// Shapes whose curves are drawn: one of each kind, so that the picture stays readable.
const SHAPES: [(&str, &str); 6] = [
    ("q1", "no filter"),
    ("q2", "a type"),
    ("q3", "rare type and action"),
    ("q5", "a rare user"),
    ("q7b", "three common conditions"),
    ("q10", "a type, offset 10,000"),
];
const PANEL_WIDTH: f64 = 250.0;
const PANEL_HEIGHT: f64 = 150.0;
/// Milliseconds at the ends of the vertical axis.
const LOW: f64 = 0.1;
const HIGH: f64 = 10_000.0;

/// Draws the curves of what was measured.
pub fn curves(results: &Results) -> String {
    let mut out = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 610\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">Median time of a search by events in the log</title>\n<style>\n\
         text { font: 12px system-ui, sans-serif; fill: #444; }\n.title { font-size: 16px; font-weight: 600; }\n\
         .grid { stroke: #8884; }\n.annals { stroke: #0969da; fill: #0969da; }\n.postgres { stroke: #b35900; fill: #b35900; }\n\
         polyline { fill: none !important; stroke-width: 2; }\n\
         @media (prefers-color-scheme: dark) { text { fill: #ccc; } .annals { stroke: #58a6ff; fill: #58a6ff; } \
         .postgres { stroke: #f0883e; fill: #f0883e; } }\n</style>\n\
         <text class=\"title\" x=\"50\" y=\"24\">Newest 25 events and the exact count: median ms by events in the log</text>\n\
         <circle class=\"annals\" cx=\"56\" cy=\"42\" r=\"4\"/><text x=\"66\" y=\"46\">Annals</text>\n\
         <circle class=\"postgres\" cx=\"136\" cy=\"42\" r=\"4\"/><text x=\"146\" y=\"46\">PostgreSQL, Coder's table and queries</text>\n",
    );
    for (at, (shape, what)) in SHAPES.iter().enumerate() {
        let (left, top) =
            (50.0 + (at % 3) as f64 * (PANEL_WIDTH + 35.0), 85.0 + (at / 3) as f64 * (PANEL_HEIGHT + 100.0));
        panel(&mut out, results, shape, what, left, top);
    }
    out.push_str("<text x=\"420\" y=\"595\">events in the log</text>\n</svg>\n");
    out
}

fn panel(out: &mut String, results: &Results, shape: &str, what: &str, left: f64, top: f64) {
    let x = |events: f64| left + 20.0 + (events.log10() - 6.0) / 2.0 * (PANEL_WIDTH - 40.0);
    let y = |ms: f64| top + PANEL_HEIGHT * (1.0 - (ms.clamp(LOW, HIGH) / LOW).log10() / (HIGH / LOW).log10());
    let _ = writeln!(out, "<text x=\"{left}\" y=\"{}\">{what}</text>", top - 10.0);
    for ms in [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0] {
        let at = y(ms);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\"/>",
            left + PANEL_WIDTH
        );
        let label = if ms < 1_000.0 { format!("{ms}") } else { format!("{}k", ms / 1_000.0) };
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 4.0,
            at + 4.0
        );
    }
    for (events, label) in SIZES {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            x(events),
            top + PANEL_HEIGHT + 18.0
        );
    }
    for who in ["annals", "postgres"] {
        let points: Vec<(f64, f64)> = (SIZES.iter())
            .filter_map(|(events, _)| {
                Some((*events, results.get("search", &format!("{events:.0} {shape}"), who, "p50_ms")?))
            })
            .map(|(events, ms)| (x(events), y(ms)))
            .collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(out, "<polyline class=\"{who}\" points=\"{}\"/>", line.join(" "));
        for (x, y) in points {
            let _ = writeln!(out, "<circle class=\"{who}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }
}
