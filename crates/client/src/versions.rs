//! Which versions a broker serves, and which of them to use.

use std::collections::BTreeMap;

use strandline_wire::messages::{ApiKey, ApiVersionsResponse, VersionRange};

/// What one broker said in ApiVersions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Versions {
    served: BTreeMap<i16, VersionRange>,
    finalized: BTreeMap<String, i16>,
}

impl Versions {
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let range = |min, max| VersionRange { min, max };
        let apis = response.api_keys.iter();
        let features = response.finalized_features.iter();
        Self {
            served: apis
                .map(|api| (api.api_key, range(api.min_version, api.max_version)))
                .collect(),
            finalized: features.map(|it| (it.name.clone(), it.max_version_level)).collect(),
        }
    }

    /// What the broker serves of `api`, by the key on the wire.
    pub fn served(&self, api: i16) -> Option<VersionRange> {
        self.served.get(&api).copied()
    }

    /// Every API the broker serves, by key.
    pub fn iter(&self) -> impl Iterator<Item = (i16, VersionRange)> {
        self.served.iter().map(|(key, range)| (*key, *range))
    }

    /// The level of a feature that the whole cluster has agreed on; 0 where it has not.
    pub fn finalized(&self, feature: &str) -> i16 {
        self.finalized.get(feature).copied().unwrap_or(0)
    }

    /// The highest version both sides know, up to ours that are not subject to change.
    pub fn highest_common(&self, api: ApiKey) -> Option<i16> {
        let (theirs, ours) = (self.served(api.code())?, api.versions());
        let highest = theirs.max.min(ours.max).min(api.facts().advertised.max);
        (highest >= theirs.min.max(ours.min)).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use strandline_wire::messages::api_versions_response::ApiVersion;

    use super::*;

    fn broker_serves(api: ApiKey, min: i16, max: i16) -> Versions {
        let row = ApiVersion {
            api_key: api.code(),
            min_version: min,
            max_version: max,
            ..Default::default()
        };
        Versions::of(&ApiVersionsResponse { api_keys: vec![row], ..Default::default() })
    }

    #[test]
    fn picks_the_highest_version_both_know() {
        let chosen =
            |min, max| broker_serves(ApiKey::Fetch, min, max).highest_common(ApiKey::Fetch);
        assert_eq!(chosen(0, 11), Some(11));
        assert_eq!(chosen(4, 99), Some(18));
        assert_eq!(chosen(0, 3), None);
        assert_eq!(chosen(99, 100), None);
        assert_eq!(Versions::default().highest_common(ApiKey::Fetch), None);
    }
}
