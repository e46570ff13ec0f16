//! The results: a table for people, JSON for machines.

use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Unit of `ours` and `peer`.
    pub unit: &'static str,
    /// Our figure: a median, or a rate.
    pub ours: f64,
    /// What it is compared with, in the same run.
    pub peer: Option<f64>,
    /// The figure that the bound is for: a ratio, a difference, or ours itself.
    pub figure: f64,
    /// The bound; `None` for a line that only informs.
    pub bound: Option<Bound>,
    /// Further figures: p99, spread, the peers that were not the best.
    pub details: serde_json::Value,
}

/// What the figure of a row must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not above.
    AtMost(f64),
    /// Not below.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

impl Row {
    /// Whether the bound, if there is one, holds.
    pub fn ok(&self) -> bool {
        self.bound.is_none_or(|bound| bound.holds(self.figure))
    }
}

/// Writes the table: names to the left, figures to the right.
pub fn write_table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  {:>10} {:>10} {:>8}  {:>8}", "name", "ours", "peer", "figure", "bound")?;
    for row in rows {
        let peer = row.peer.map_or(String::from("-"), number);
        let bound = match row.bound {
            None => String::from("-"),
            Some(Bound::AtMost(limit)) => format!("<= {}", number(limit)),
            Some(Bound::AtLeast(limit)) => format!(">= {}", number(limit)),
        };
        let verdict = match (row.bound, row.ok()) {
            (None, _) => "",
            (_, true) => "ok",
            (_, false) => "MISSED",
        };
        writeln!(
            out,
            "{:width$}  {:>10} {:>10} {:>8}  {:>8}  {:<6}  {}",
            row.name,
            number(row.ours),
            peer,
            number(row.figure),
            bound,
            row.unit,
            verdict
        )?;
    }
    Ok(())
}

/// Four digits that matter, no more than three of them behind the point.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Writes the rows and the circumstances to a file, whose folder is made if need be.
pub fn write_json(rows: &[Row], about: &serde_json::Value, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let rows: Vec<_> = rows.iter().map(|row| serde_json::json!({ "row": row, "ok": row.ok() })).collect();
    let text = serde_json::to_string_pretty(&serde_json::json!({ "about": about, "results": rows }))?;
    std::fs::write(path, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: f64, bound: Option<Bound>) -> Row {
        Row {
            name: "search".into(),
            unit: "ms",
            ours: 1234.5,
            peer: None,
            figure,
            bound,
            details: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_bound_includes_its_limit_and_refuses_what_is_no_number() {
        assert!(row(1.15, Some(Bound::AtMost(1.15))).ok() && row(0.6, Some(Bound::AtLeast(0.6))).ok());
        assert!(!row(1.16, Some(Bound::AtMost(1.15))).ok() && !row(0.59, Some(Bound::AtLeast(0.6))).ok());
        assert!(!row(f64::NAN, Some(Bound::AtMost(1.0))).ok());
        assert!(row(9.0, None).ok());
    }

    #[test]
    fn the_table_says_what_missed() {
        let mut out = Vec::new();
        write_table(&[row(2.0, Some(Bound::AtMost(1.0))), row(3.0, None)], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("1234") && lines[1].ends_with("MISSED"), "{}", lines[1]);
        assert!(!lines[2].contains("ok") && !lines[2].contains("MISSED"), "{}", lines[2]);
    }
}
