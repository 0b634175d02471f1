//! The list of APIs: keys, versions, who listens, which header goes in front.

pub use super::generated::api_key::ApiKey;

/// From `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

impl VersionRange {
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.min..=self.max
    }
}

/// Where an API is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listeners {
    pub broker: bool,
    pub controller: bool,
}

/// One row of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiFacts {
    pub name: &'static str,
    /// What this codec can say.
    pub versions: VersionRange,
    /// What ApiVersions tells: without versions that may still change, and Produce from 0, because
    /// older librdkafka takes a broker without Produce 0 for one that knows no compression.
    pub advertised: VersionRange,
    pub flexible_from: Option<i16>,
    pub listeners: Listeners,
}

impl ApiKey {
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.binary_search_by_key(&code, |key| key.code()).ok().map(|index| Self::ALL[index])
    }

    pub const fn code(self) -> i16 {
        self as i16
    }

    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    pub const fn versions(self) -> VersionRange {
        self.facts().versions
    }

    pub const fn flexible(self, version: i16) -> bool {
        match self.facts().flexible_from {
            Some(from) => version >= from,
            None => false,
        }
    }

    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.flexible(version) { 2 } else { 1 }
    }

    /// ApiVersions always answers with the oldest header: a client that has just met the broker
    /// must be able to read it whatever version the broker speaks.
    pub const fn response_header_version(self, version: i16) -> i16 {
        if self.flexible(version) && !matches!(self, Self::ApiVersions) { 1 } else { 0 }
    }
}

impl core::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}({})", self.name(), self.code())
    }
}
