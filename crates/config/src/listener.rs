//! Addresses: listeners (`NAME://host:port`), plain `host:port`, and voters (`id@host:port`).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use strandline_types::NodeId;

/// How a listener protects what it carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number that metadata records carry.
    pub const fn wire_id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// A host and a port. An empty host means every interface; an IPv6 address has no brackets here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostPort {
    pub host: String,
    /// 0 asks for any free port.
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port`, `[ipv6]:port` or `:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = is_number.then(|| port.parse().ok()).flatten()?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| !inner.is_empty())?,
            None => host,
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
        host.chars().all(known).then(|| Self { host: host.to_owned(), port })
    }

    fn is_ipv6(&self) -> bool {
        self.host.contains(':')
    }

    fn is_ipv4(&self) -> bool {
        self.host.parse::<core::net::Ipv4Addr>().is_ok()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ipv6() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One address a node listens on, or tells others to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In upper case, as Kafka compares it.
    pub name: String,
    pub address: HostPort,
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.address)
    }
}

/// A fixed voter of the metadata quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub id: NodeId,
    pub address: HostPort,
}

impl Voter {
    /// Reads `id@host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, address) = text.split_once('@')?;
        Some(Self { id: NodeId(id.parse().ok()?), address: HostPort::parse(address)? })
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.address)
    }
}

/// Which protocol each listener name speaks.
pub(crate) type ProtocolMap = BTreeMap<String, SecurityProtocol>;

/// Reads `NAME:PROTOCOL,…`. The error says what is wrong.
pub(crate) fn parse_protocol_map(text: &str) -> Result<ProtocolMap, String> {
    let mut map = ProtocolMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, protocol) =
            entry.rsplit_once(':').ok_or_else(|| format!("`{entry}` is not NAME:PROTOCOL"))?;
        let protocol = SecurityProtocol::from_name(protocol.trim()).ok_or_else(|| {
            let known = SecurityProtocol::ALL.map(SecurityProtocol::name).join(", ");
            format!("`{}` is none of {known}", protocol.trim())
        })?;
        map.insert(name.trim().to_ascii_uppercase(), protocol);
    }
    Ok(map)
}

/// Reads `NAME://host:port` entries. Each error says what is wrong with which entry.
pub(crate) fn parse_listeners(
    entries: &[String],
    map: &ProtocolMap,
) -> Result<Vec<Listener>, Vec<String>> {
    let mut listeners = Vec::with_capacity(entries.len());
    let mut errors = Vec::new();
    for entry in entries {
        let Some((name, address)) = entry.split_once("://") else {
            errors.push(format!("`{entry}` is not NAME://host:port"));
            continue;
        };
        let name = name.to_ascii_uppercase();
        match (HostPort::parse(address), map.get(&name)) {
            (None, _) => errors.push(format!(
                "`{entry}` is not NAME://host:port; an IPv6 address stands in brackets, the port is a number up to 65535"
            )),
            (_, None) => errors.push(format!(
                "listener {name} has no entry in `listener.security.protocol.map`; add {name}:PLAINTEXT"
            )),
            (Some(address), Some(&protocol)) => listeners.push(Listener { name, address, protocol }),
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

/// Names must differ; ports too, except any-free-port and one IPv4 beside one IPv6 address.
pub(crate) fn check_distinct(listeners: &[Listener], distinct_ports: bool) -> Vec<String> {
    let mut errors = Vec::new();
    for (at, one) in listeners.iter().enumerate() {
        for other in &listeners[..at] {
            if one.name == other.name {
                errors.push(format!("two listeners are named {}", one.name));
            }
            let (a, b) = (&one.address, &other.address);
            let families_differ = (a.is_ipv4() && b.is_ipv6()) || (a.is_ipv6() && b.is_ipv4());
            if distinct_ports && a.port == b.port && a.port != 0 && !families_differ {
                errors.push(format!(
                    "listeners {} and {} share port {}",
                    other.name, one.name, a.port
                ));
            }
        }
    }
    errors
}

/// The names of some listeners, for an error text.
pub(crate) fn names(listeners: &[Listener]) -> String {
    let names: Vec<_> = listeners.iter().map(|listener| listener.name.to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = [
            "h:1",
            ":9092",
            "[::1]:9092",
            "[fe80::1%eth0]:1",
            "h",
            "h:",
            "h:65536",
            "h:-1",
            "[]:1",
            "a b:1",
            "h:+1",
        ]
        .map(|text| HostPort::parse(text).map(|address| address.to_string()));
        let expected = [Some("h:1"), Some(":9092"), Some("[::1]:9092"), Some("[fe80::1%eth0]:1")];
        assert_eq!(parsed[..4], expected.map(|text| text.map(str::to_owned)));
        assert!(parsed[4..].iter().all(Option::is_none), "{parsed:?}");
    }
}
