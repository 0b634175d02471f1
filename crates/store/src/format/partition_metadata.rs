//! `partition.metadata`: which topic id a partition's directory belongs to (KIP-516).

use strandline_types::Uuid;

use super::FormatError;

pub const FILE_NAME: &str = "partition.metadata";

/// # Errors
/// When it is not `version: 0` and `topic_id: …`, in this order.
pub fn decode(bytes: &[u8]) -> Result<Uuid, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FormatError::Malformed("not UTF-8"))?;
    let mut lines = text.lines();
    let mut value = |key: &str, line: usize| {
        let found = lines.next().and_then(|text| text.strip_prefix(key)).map(str::trim);
        found.ok_or(FormatError::Line { line, reason: "expected 'version: 0', 'topic_id: …'" })
    };
    let version: i64 = value("version:", 1)?
        .parse()
        .map_err(|_| FormatError::Line { line: 1, reason: "version is not a number" })?;
    if version != 0 {
        return Err(FormatError::UnknownVersion { found: version, expected: "0" });
    }
    let id: Uuid = value("topic_id:", 2)?
        .parse()
        .map_err(|_| FormatError::Line { line: 2, reason: "topic_id is not an id" })?;
    if id.is_zero() {
        return Err(FormatError::Line { line: 2, reason: "topic_id is the id of no topic" });
    }
    Ok(id)
}

pub fn encode(topic_id: Uuid) -> Vec<u8> {
    // Kafka ends the file without a newline.
    format!("version: 0\ntopic_id: {topic_id}").into_bytes()
}
