//! How a quorum begins.

use std::sync::Arc;

use strandline_broker::format::{FirstLevels, FirstVoters, Founding};
use strandline_config::HostPort;
use strandline_ports::random_uuid;
use strandline_types::NodeId as BrokerId;

use crate::cluster;
use crate::process::BrokerProcess;
use crate::rng::Rng;

/// Who knows the voters of a quorum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voting {
    /// The settings do, and they never change.
    Fixed,
    /// The same, and the nodes begin without data: they have to agree which cluster they are.
    Unfounded,
    /// The log does. It begins with so many of the first nodes, and has the others join by themselves.
    InLog { founders: usize },
}

impl Voting {
    /// Every other quorum has its voters in its log.
    pub(super) fn of_seed(seed: u64, count: u16, rng: &mut Rng) -> Self {
        match seed % 4 {
            0 => Self::Fixed,
            2 => Self::Unfounded,
            _ => Self::InLog { founders: [1, 3, count.into()][rng.below(3) as usize] },
        }
    }

    pub(super) fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed | Self::Unfounded)
    }

    /// The setting by which nodes find their quorum.
    pub(super) fn setting(self, count: u16) -> (&'static str, String) {
        match self {
            Self::Fixed | Self::Unfounded => cluster::fixed_voters(count),
            Self::InLog { .. } => {
                let address = |index| format!("127.0.0.1:{}", cluster::controller_port(index));
                let servers: Vec<String> = (0..count).map(address).collect();
                ("controller.quorum.bootstrap.servers", servers.join(","))
            }
        }
    }

    /// Prepares the disks that a quorum begins with. The others are nobody's.
    pub(super) async fn format(self, nodes: &[Arc<BrokerProcess>]) {
        match self {
            Self::Fixed => {
                for node in nodes {
                    node.format(cluster::CLUSTER_ID).await;
                }
            }
            Self::Unfounded => {}
            Self::InLog { founders } => format_voters(&nodes[..founders]).await,
        }
    }
}

/// Each of them begins with all of them as voters.
async fn format_voters(founders: &[Arc<BrokerProcess>]) {
    let entropy = founders[0].node().world().entropy;
    let voter = |index: usize| {
        let port = cluster::controller_port(index as u16);
        let address = HostPort { host: "127.0.0.1".into(), port };
        (BrokerId(index as i32), address, random_uuid(&*entropy))
    };
    let voters: Vec<_> = (0..founders.len()).map(voter).collect();
    for node in founders {
        let voters = FirstVoters::together(node.config(), voters.clone());
        let voters = voters.expect("each is there once");
        let (founding, levels) = (Founding::Voters(&voters), FirstLevels::default());
        node.format_as(cluster::CLUSTER_ID, founding, &levels).await;
    }
}
