//! Control records: the quorum core's and Kafka's.

use bytes::Bytes;
use strandline_quorum::{
    ControlRecord, Endpoint, KraftVersionRange, LeaderChange, ReplicaKey, Voter, VoterSet,
};
use strandline_types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use strandline_wire::messages::{self, KRaftVersionRecord, VotersRecord};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

/// What a control record says to the core; `None` for those that only speak about themselves.
pub(super) fn decode(record: &messages::ControlRecord) -> Option<ControlRecord> {
    Some(match record {
        messages::ControlRecord::LeaderChange(change) => {
            let keys = |voters: &[messages::leader_change_message::Voter]| {
                let key = |voter: &messages::leader_change_message::Voter| {
                    ReplicaKey::new(NodeId(voter.voter_id), voter.voter_directory_id)
                };
                voters.iter().map(key).collect()
            };
            ControlRecord::LeaderChange(LeaderChange {
                leader: NodeId(change.leader_id),
                voters: keys(&change.voters),
                granting_voters: keys(&change.granting_voters),
            })
        }
        messages::ControlRecord::KraftVersion(record) => {
            ControlRecord::KraftVersion(record.kraft_version)
        }
        messages::ControlRecord::KraftVoters(record) => {
            ControlRecord::Voters(VoterSet::new(record.voters.iter().map(decode_voter)))
        }
        _ => return None,
    })
}

fn decode_voter(voter: &messages::voters_record::Voter) -> Voter {
    let endpoint = |endpoint: &messages::voters_record::Endpoint| Endpoint {
        listener: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    let feature = &voter.kraft_version_feature;
    Voter {
        key: ReplicaKey::new(NodeId(voter.voter_id), voter.voter_directory_id),
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_versions: KraftVersionRange {
            min: feature.min_supported_version,
            max: feature.max_supported_version,
        },
    }
}

pub(super) fn encode(record: &ControlRecord) -> messages::ControlRecord {
    match record {
        ControlRecord::LeaderChange(change) => {
            let voters = |keys: &[ReplicaKey]| {
                let voter = |key: &ReplicaKey| messages::leader_change_message::Voter {
                    voter_id: key.id.get(),
                    ..Default::default()
                };
                keys.iter().map(voter).collect()
            };
            messages::ControlRecord::LeaderChange(messages::LeaderChangeMessage {
                leader_id: change.leader.get(),
                voters: voters(&change.voters),
                granting_voters: voters(&change.granting_voters),
                ..Default::default()
            })
        }
        ControlRecord::KraftVersion(level) => kraft_version(*level),
        ControlRecord::Voters(voters) => kraft_voters(voters),
    }
}

pub(super) fn kraft_version(level: i16) -> messages::ControlRecord {
    let record = KRaftVersionRecord { kraft_version: level, ..Default::default() };
    messages::ControlRecord::KraftVersion(record)
}

pub(super) fn kraft_voters(voters: &VoterSet) -> messages::ControlRecord {
    let voters = voters.iter().map(encode_voter).collect();
    messages::ControlRecord::KraftVoters(VotersRecord { voters, ..Default::default() })
}

fn encode_voter(voter: &Voter) -> messages::voters_record::Voter {
    let endpoint = |endpoint: &Endpoint| messages::voters_record::Endpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        ..Default::default()
    };
    messages::voters_record::Voter {
        voter_id: voter.key.id.get(),
        voter_directory_id: voter.key.directory_id,
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_feature: messages::voters_record::KRaftVersionFeature {
            min_supported_version: voter.kraft_versions.min,
            max_supported_version: voter.kraft_versions.max,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Where a batch goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) base_offset: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) timestamp: Timestamp,
}

impl Place {
    fn options(self, is_control: bool) -> BatchOptions {
        BatchOptions {
            base_offset: self.base_offset,
            leader_epoch: self.epoch,
            is_control,
            ..BatchOptions::default()
        }
    }
}

/// One control batch.
pub(super) fn control_batch(place: Place, records: &[messages::ControlRecord]) -> Bytes {
    let mut batch = BatchBuilder::new(place.options(true));
    for record in records {
        let (key, value) = record.encode().expect("control records have a version 0");
        let record = NewRecord {
            timestamp: place.timestamp,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        };
        batch.append(&record).expect("a few control records fit a batch");
    }
    batch.build()
}

/// One batch of framed metadata records, or `None` when they are more than a batch can hold.
pub(super) fn data_batch(place: Place, values: &[Bytes]) -> Option<Bytes> {
    let bytes = values.iter().map(|value| value.len() + RECORD_OVERHEAD_BYTES).sum();
    let mut batch = BatchBuilder::with_capacity(place.options(false), bytes);
    for value in values {
        let record =
            NewRecord { timestamp: place.timestamp, key: None, value: Some(value), headers: &[] };
        batch.append(&record).ok()?;
    }
    Some(batch.build())
}

/// About what a record weighs besides its value.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 12;

/// A voter with one controller endpoint.
pub(crate) fn voter(id: NodeId, directory_id: Uuid, endpoints: Vec<Endpoint>) -> Voter {
    Voter {
        key: ReplicaKey::new(id, directory_id),
        endpoints,
        kraft_versions: KraftVersionRange::OURS,
    }
}
