//! Which features, at which levels, this version serves, and which a new cluster begins with. A
//! directory whose finalized levels lie outside is refused at start: a broker must honestly support
//! every finalized feature.

use std::collections::BTreeMap;

use strandline_metadata::{FeatureRange, MetadataVersion, feature};
use thiserror::Error;

pub(crate) const SUPPORTED: &[FeatureRange] = &[
    FeatureRange::new(
        feature::METADATA_VERSION,
        MetadataVersion::MINIMUM.0,
        MetadataVersion::LATEST.0,
    ),
    FeatureRange::new(feature::KRAFT_VERSION, 0, 1),
    FeatureRange::new(feature::TRANSACTION_VERSION, 0, 2),
    FeatureRange::new(feature::GROUP_VERSION, 0, 0),
    FeatureRange::new(feature::ELR_VERSION, 0, 1),
    FeatureRange::new(feature::SHARE_VERSION, 0, 0),
    FeatureRange::new(feature::STREAMS_VERSION, 0, 0),
];

/// Feature and level of a new cluster, and the `metadata.version` from which on it is so.
const DEFAULTS: &[(&str, i16, MetadataVersion)] = &[
    (feature::TRANSACTION_VERSION, 2, MetadataVersion(24)),
    (feature::ELR_VERSION, 1, MetadataVersion(26)),
];

/// What may be asked for earlier than it is the default, but not before its records can be written.
const ELR_NEEDS: MetadataVersion = MetadataVersion(23);

/// The levels that a new cluster begins with. That of `kraft.version` is not among them: it stands
/// in the quorum's own records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstLevels(BTreeMap<&'static str, i16>);

/// Why a cluster cannot begin with a level.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FirstLevelError {
    #[error("there is no feature {0}")]
    NoFeature(String),
    #[error("{name} cannot be {level}: this version serves {min} to {max}")]
    NotServed { name: &'static str, level: i16, min: i16, max: i16 },
    #[error("{name} cannot be {level}: it needs metadata.version {needed} and this cluster begins with {present}", needed = .needed.0, present = .present.0)]
    Needs { name: &'static str, level: i16, needed: MetadataVersion, present: MetadataVersion },
    #[error("kraft.version cannot be {asked}: it is {present} where the voters {}", match present {
        0 => "are fixed by `controller.quorum.voters`",
        _ => "are not fixed by `controller.quorum.voters`",
    })]
    OtherQuorum { asked: i16, present: i16 },
}

impl FirstLevels {
    /// The levels that were asked for, the last one where a feature was named twice, and elsewhere
    /// those that are usual with the `metadata.version`. `kraft_version` is the quorum's.
    ///
    /// # Errors
    /// When this version does not serve one of them, or one needs another.
    pub fn choose<'a>(
        asked: impl IntoIterator<Item = (&'a str, i16)>,
        kraft_version: i16,
    ) -> Result<Self, FirstLevelError> {
        let mut chosen = BTreeMap::new();
        for (name, level) in asked {
            let range = SUPPORTED.iter().find(|range| range.name == name);
            let range = range.ok_or_else(|| FirstLevelError::NoFeature(name.to_owned()))?;
            let &FeatureRange { name, min, max } = range;
            if !range.contains(level) {
                return Err(FirstLevelError::NotServed { name, level, min, max });
            }
            chosen.insert(name, level);
        }
        match chosen.remove(feature::KRAFT_VERSION) {
            Some(asked) if asked != kraft_version => {
                return Err(FirstLevelError::OtherQuorum { asked, present: kraft_version });
            }
            _ => {}
        }
        let latest = MetadataVersion::LATEST.0;
        let present = *chosen.entry(feature::METADATA_VERSION).or_insert(latest);
        let present = MetadataVersion(present);
        for &(name, level, _) in DEFAULTS.iter().filter(|(_, _, since)| *since <= present) {
            chosen.entry(name).or_insert(level);
        }
        match chosen.get(feature::ELR_VERSION) {
            Some(&level) if level > 0 && present < ELR_NEEDS => Err(FirstLevelError::Needs {
                name: feature::ELR_VERSION,
                level,
                needed: ELR_NEEDS,
                present,
            }),
            _ => Ok(Self(chosen)),
        }
    }

    pub(crate) fn by_name(&self) -> &BTreeMap<&'static str, i16> {
        &self.0
    }
}

impl Default for FirstLevels {
    fn default() -> Self {
        let latest = (feature::METADATA_VERSION, MetadataVersion::LATEST.0);
        Self(DEFAULTS.iter().map(|&(name, level, _)| (name, level)).chain([latest]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &[(&str, i16)]) -> Vec<(&'static str, i16)> {
        let levels = FirstLevels::choose(asked.iter().copied(), 1).expect("served");
        levels.0.into_iter().collect()
    }

    /// What Kafka's own tool writes, but for the features that are not served.
    #[test]
    fn the_usual_levels_come_with_the_metadata_version() {
        let (elr, metadata) = (feature::ELR_VERSION, feature::METADATA_VERSION);
        let transaction = feature::TRANSACTION_VERSION;
        let usual = [(elr, 1), (metadata, 30), (transaction, 2)];
        assert_eq!(chosen(&[]), usual);
        assert_eq!(FirstLevels::default().0.into_iter().collect::<Vec<_>>(), usual);
        assert_eq!(chosen(&[(metadata, 7)]), [(metadata, 7)]);
        assert_eq!(chosen(&[(metadata, 23)]), [(metadata, 23)]);
        assert_eq!(chosen(&[(metadata, 24)]), [(metadata, 24), (transaction, 2)]);
        assert_eq!(chosen(&[(metadata, 25)]), [(metadata, 25), (transaction, 2)]);
        assert_eq!(chosen(&[(metadata, 26)]), [(elr, 1), (metadata, 26), (transaction, 2)]);
    }

    #[test]
    fn what_is_asked_for_wins_and_the_last_word_counts() {
        let (elr, metadata) = (feature::ELR_VERSION, feature::METADATA_VERSION);
        let transaction = feature::TRANSACTION_VERSION;
        assert_eq!(
            chosen(&[(transaction, 0), (feature::KRAFT_VERSION, 1)]),
            [(elr, 1), (metadata, 30), (transaction, 0)]
        );
        assert_eq!(
            chosen(&[(transaction, 0), (metadata, 21), (transaction, 1)]),
            [(metadata, 21), (transaction, 1)]
        );
    }

    #[test]
    fn what_cannot_be() {
        let refused = |name, level| {
            let asked = [(feature::METADATA_VERSION, 22), (name, level)];
            FirstLevels::choose(asked, 0).expect_err("not served").to_string()
        };
        assert_eq!(refused("no.version", 1), "there is no feature no.version");
        assert_eq!(
            refused(feature::TRANSACTION_VERSION, 3),
            "transaction.version cannot be 3: this version serves 0 to 2"
        );
        assert_eq!(
            refused(feature::METADATA_VERSION, 6),
            "metadata.version cannot be 6: this version serves 7 to 30"
        );
        assert_eq!(
            refused(feature::ELR_VERSION, 1),
            "eligible.leader.replicas.version cannot be 1: it needs metadata.version 23 and this cluster begins with 22"
        );
        assert_eq!(
            refused(feature::KRAFT_VERSION, 1),
            "kraft.version cannot be 1: it is 0 where the voters are fixed by `controller.quorum.voters`"
        );
    }
}
