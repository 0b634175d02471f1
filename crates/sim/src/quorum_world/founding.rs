//! How a quorum begins.

use std::sync::Arc;

use strandline_broker::format::{FirstVoters, Founding};
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
    /// The log does. It begins with so many of the first nodes, and has the others join by themselves.
    InLog { founders: usize },
}

impl Voting {
    /// Every other quorum is of either kind.
    pub(super) fn of_seed(seed: u64, count: u16, rng: &mut Rng) -> Self {
        if seed.is_multiple_of(2) {
            return Self::Fixed;
        }
        Self::InLog { founders: [1, 3, count.into()][rng.below(3) as usize] }
    }

    /// The setting by which nodes find their quorum.
    pub(super) fn setting(self, count: u16) -> (&'static str, String) {
        match self {
            Self::Fixed => cluster::fixed_voters(count),
            Self::InLog { .. } => {
                let address = |index| format!("127.0.0.1:{}", cluster::controller_port(index));
                let servers: Vec<String> = (0..count).map(address).collect();
                ("controller.quorum.bootstrap.servers", servers.join(","))
            }
        }
    }

    /// Prepares the disks that a quorum begins with. The others are nobody's.
    pub(super) async fn format(self, nodes: &[Arc<BrokerProcess>]) {
        let Self::InLog { founders } = self else {
            for node in nodes {
                node.format(cluster::CLUSTER_ID).await;
            }
            return;
        };
        let entropy = nodes[0].node().world().entropy;
        let voter = |index: usize| {
            let port = cluster::controller_port(index as u16);
            let address = HostPort { host: "127.0.0.1".into(), port };
            (BrokerId(index as i32), address, random_uuid(&*entropy))
        };
        let voters: Vec<_> = (0..founders).map(voter).collect();
        for node in &nodes[..founders] {
            let voters = FirstVoters::together(node.config(), voters.clone());
            let voters = voters.expect("each is there once");
            node.format_as(cluster::CLUSTER_ID, Founding::Voters(&voters)).await;
        }
    }
}
