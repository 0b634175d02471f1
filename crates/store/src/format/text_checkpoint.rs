//! The shape that all of Kafka's text checkpoints share: a version line `0`, a count, and so many
//! lines of words.

use super::FormatError;

/// Calls `entry` with the words and the number of each line. An empty file has no entries: Kafka
/// makes one so before it writes to it.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    mut entry: impl FnMut(&[&'a str]) -> Option<()>,
) -> Result<(), FormatError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| FormatError::Malformed("not UTF-8"))?;
    let mut lines = text.lines();
    let mut number = |line: usize| {
        let parsed = lines.next().and_then(|text| text.trim().parse::<i64>().ok());
        parsed.ok_or(FormatError::Line { line, reason: "expected a number" })
    };
    let version = number(1)?;
    if version != 0 {
        return Err(FormatError::UnknownVersion { found: version, expected: "0" });
    }
    let count = number(2)?;
    let mut found = 0;
    let mut words = Vec::new();
    for (index, line) in lines.enumerate() {
        words.clear();
        words.extend(line.split_ascii_whitespace());
        entry(&words).ok_or(FormatError::Line { line: index + 3, reason: "malformed entry" })?;
        found += 1;
    }
    if i64::try_from(found) != Ok(count) {
        return Err(FormatError::EntryCount { count, found });
    }
    Ok(())
}

pub(super) fn encode(count: usize, lines: impl Iterator<Item = String>) -> Vec<u8> {
    let mut text = format!("0\n{count}\n");
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}
