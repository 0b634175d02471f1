//! `meta.properties` of a log dir: whose directory this is. A Java properties file, version 1.

use std::collections::BTreeMap;

use strandline_config::{parse_properties, property_line};
use strandline_types::{NodeId, Uuid};

use super::FormatError;

pub const FILE_NAME: &str = "meta.properties";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// Kafka's own are ids in base64; any text is allowed.
    pub cluster_id: String,
    pub node_id: NodeId,
    /// Absent in directories of Kafka before 3.7.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// # Errors
    /// When the version is not 1, or a key is missing or malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FormatError::Malformed("not UTF-8"))?;
        let values: BTreeMap<String, String> = parse_properties(text)
            .map_err(|_| FormatError::Malformed("not properties"))?
            .into_iter()
            .map(|property| (property.key, property.value))
            .collect();
        let number = |key, missing| {
            let text = values.get(key).ok_or(FormatError::Malformed(missing))?;
            text.parse::<i64>().map_err(|_| FormatError::Malformed("not a number"))
        };
        let version = number("version", "'version' is missing")?;
        if version != 1 {
            return Err(FormatError::UnknownVersion { found: version, expected: "1" });
        }
        let node_id = number("node.id", "'node.id' is missing")?;
        let node_id = i32::try_from(node_id)
            .ok()
            .filter(|&id| id >= 0)
            .ok_or(FormatError::Malformed("'node.id' is out of range"))?;
        let cluster_id =
            values.get("cluster.id").ok_or(FormatError::Malformed("'cluster.id' is missing"))?;
        let directory_id = values
            .get("directory.id")
            .map(|text| {
                text.parse().map_err(|_| FormatError::Malformed("'directory.id' is not an id"))
            })
            .transpose()?;
        Ok(Self { cluster_id: cluster_id.clone(), node_id: NodeId(node_id), directory_id })
    }

    /// Kafka puts the date in a comment on top; this has none, so that equal content is equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::from("#\n");
        text.push_str(&property_line("node.id", &self.node_id.to_string()));
        if let Some(id) = self.directory_id {
            text.push_str(&property_line("directory.id", &id.to_string()));
        }
        text.push_str(&property_line("version", "1"));
        text.push_str(&property_line("cluster.id", &self.cluster_id));
        text.into_bytes()
    }
}
