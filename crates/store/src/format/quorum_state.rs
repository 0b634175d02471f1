//! `quorum-state` of the metadata log: whom this node voted for, and which leader it last knew.

use serde::{Deserialize, Serialize};
use strandline_types::{LeaderEpoch, NodeId, Uuid};

use super::FormatError;

pub const FILE_NAME: &str = "quorum-state";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumState {
    /// [`NodeId::NONE`] when no leader is known.
    pub leader_id: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// [`NodeId::NONE`] when no vote was given in this epoch.
    pub voted_id: NodeId,
    pub format: QuorumStateFormat,
}

/// Which version of the file `kraft.version` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuorumStateFormat {
    /// Version 0, `kraft.version` 0: the voters come from the settings.
    StaticVoters { current_voters: Vec<NodeId> },
    /// Version 1, `kraft.version` 1 (KIP-853); the id is zero without a vote.
    DynamicVoters { voted_directory_id: Uuid },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct V0 {
    cluster_id: String,
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    applied_offset: i64,
    current_voters: Option<Vec<Voter>>,
    #[serde(rename = "data_version")]
    data_version: i64,
}

#[derive(Serialize, Deserialize)]
struct Voter {
    #[serde(rename = "voterId")]
    voter_id: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct V1 {
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    voted_directory_id: String,
    #[serde(rename = "data_version")]
    data_version: i64,
}

#[derive(Deserialize)]
struct Version {
    data_version: i64,
}

impl QuorumState {
    /// # Errors
    /// When it is not JSON of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FormatError> {
            serde_json::from_slice(bytes).map_err(|error| FormatError::Json(error.to_string()))
        }
        match parse::<Version>(bytes)?.data_version {
            0 => parse::<V0>(bytes).map(Self::from_v0),
            1 => Self::from_v1(&parse(bytes)?),
            found => Err(FormatError::UnknownVersion { found, expected: "0 or 1" }),
        }
    }

    fn from_v0(state: V0) -> Self {
        let voters = state.current_voters.unwrap_or_default();
        Self {
            leader_id: NodeId(state.leader_id),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            voted_id: NodeId(state.voted_id),
            format: QuorumStateFormat::StaticVoters {
                current_voters: voters.iter().map(|voter| NodeId(voter.voter_id)).collect(),
            },
        }
    }

    fn from_v1(state: &V1) -> Result<Self, FormatError> {
        let voted_directory_id = state
            .voted_directory_id
            .parse()
            .map_err(|_| FormatError::Malformed("'votedDirectoryId' is not an id"))?;
        Ok(Self {
            leader_id: NodeId(state.leader_id),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            voted_id: NodeId(state.voted_id),
            format: QuorumStateFormat::DynamicVoters { voted_directory_id },
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        let (leader_id, leader_epoch) = (self.leader_id.get(), self.leader_epoch.get());
        let voted_id = self.voted_id.get();
        let json = match &self.format {
            QuorumStateFormat::StaticVoters { current_voters } => {
                let voter = |id: &NodeId| Voter { voter_id: id.get() };
                serde_json::to_vec(&V0 {
                    cluster_id: String::new(),
                    leader_id,
                    leader_epoch,
                    voted_id,
                    applied_offset: 0,
                    current_voters: Some(current_voters.iter().map(voter).collect()),
                    data_version: 0,
                })
            }
            QuorumStateFormat::DynamicVoters { voted_directory_id } => serde_json::to_vec(&V1 {
                leader_id,
                leader_epoch,
                voted_id,
                voted_directory_id: voted_directory_id.to_string(),
                data_version: 1,
            }),
        };
        json.expect("numbers and text always have a JSON form")
    }
}
