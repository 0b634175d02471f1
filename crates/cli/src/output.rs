//! What a command prints: a table for people, or one JSON document for machines.

use std::io::{self, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use strandline_types::NodeId;

use crate::failure::Failure;

/// Where results go.
#[derive(Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a machine reads along, which wants nothing but the result.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `json` if that was asked for, else `text`.
    ///
    /// # Errors
    /// When standard output refuses. A reader that has seen enough (`| head`) is no error.
    pub fn print(&self, text: &str, json: &Value) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = if self.json {
            serde_json::to_writer_pretty(&mut out, json).map_err(io::Error::from)
        } else {
            out.write_all(text.as_bytes())
        };
        match written.and_then(|()| if self.json { writeln!(out) } else { Ok(()) }) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new("cannot print the result").because(&error))
            }
            _ => Ok(()),
        }
    }

    /// Prints one of many results: some text, or one line of JSON.
    ///
    /// # Errors
    /// When standard output refuses. A reader that has seen enough (`| head`) ends the process.
    pub fn line(&self, text: &str, json: &Value) -> Result<(), Failure> {
        self.each(&[()], |()| text.into(), |()| json.clone())
    }

    /// [`Output::line`] of each result, all written at once.
    ///
    /// # Errors
    /// When standard output refuses. A reader that has seen enough (`| head`) ends the process.
    pub fn each<T>(
        &self,
        results: &[T],
        text: impl Fn(&T) -> Vec<u8>,
        json: impl Fn(&T) -> Value,
    ) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for result in results {
            match self.json {
                true => lines.extend(format!("{}\n", json(result)).into_bytes()),
                false => lines.extend(text(result)),
            }
        }
        match io::stdout().lock().write_all(&lines).and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(Failure::new("cannot print the result").because(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// [`Output::print`] of a result that is also the end of the command.
    ///
    /// # Errors
    /// When standard output refuses.
    pub fn done(&self, text: &str, json: &Value) -> Result<ExitCode, Failure> {
        self.print(text, json).map(|()| ExitCode::SUCCESS)
    }
}

/// Columns under their names, as wide as they need to be, without lines around them.
pub fn table<const N: usize>(
    names: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(names.map(str::to_uppercase));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1,2,3`
pub fn nodes(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `999 B`, `1.2 KiB`, `340.0 GiB`
pub fn bytes(count: u64) -> String {
    let (mut amount, mut units) = (count as f64, ["KiB", "MiB", "GiB", "TiB", "PiB"].iter());
    let mut unit = "B";
    while amount >= 1023.95 {
        let Some(next) = units.next() else { break };
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{amount:.1} {unit}") }
}

/// `336,776`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_people_say_them() {
        let all = [0, 1023, 1024, 1 << 20, (1 << 20) - 1, 365_072_220_160, u64::MAX].map(bytes);
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "340.0 GiB", "16384.0 PiB"];
        assert_eq!(all, expected);
    }

    #[test]
    fn numbers_in_groups_of_three() {
        let all = [0, 999, 1_000, 336_776, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "336,776", "1,234,567"]);
    }
}
