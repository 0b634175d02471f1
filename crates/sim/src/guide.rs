//! How a client of frames finds who leads its partition.

use strandline_types::ErrorCode;
use strandline_wire::messages::MetadataRequest;
use strandline_wire::messages::metadata_request::MetadataRequestTopic;

use crate::client::Client;
use crate::oracle::PartitionKey;
use crate::rng::Rng;
use crate::workload::{Trouble, topic_name};

const METADATA_VERSION: i16 = 12;

/// Where a partition is led, as one client believes. Epochs never go back, so that nobody listens to
/// a leader that has been replaced and does not know.
pub(crate) struct Guide {
    ports: Vec<u16>,
    key: PartitionKey,
    epoch: i32,
    is_sure: bool,
}

impl Guide {
    pub(crate) fn new(ports: &[u16], key: PartitionKey) -> Self {
        // One broker leads everything.
        Self { ports: ports.to_vec(), key, epoch: -1, is_sure: ports.len() == 1 }
    }

    /// The leader's epoch, or -1 where nobody asks.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// What the leader said was no answer: somebody else may lead.
    pub(crate) fn doubt(&mut self) {
        self.is_sure = self.ports.len() == 1;
    }

    /// Turns the client to the leader.
    pub(crate) async fn turn(&mut self, client: &mut Client, rng: &mut Rng) -> Result<(), Trouble> {
        if self.is_sure {
            return Ok(());
        }
        let chosen = rng.below(self.ports.len() as u64) as usize;
        client.turn_to(self.ports[chosen]);
        let topic =
            MetadataRequestTopic { name: Some(topic_name(self.key.topic)), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let answer = client.ask(&request, METADATA_VERSION).await?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut found = partitions.filter(|it| it.partition_index == self.key.index);
        let partition = found.next().ok_or(Trouble::Lost)?;
        if partition.error_code != ErrorCode::NONE || partition.leader_epoch < self.epoch {
            return Err(Trouble::Lost);
        }
        let leader = answer.brokers.iter().find(|it| it.node_id == partition.leader_id);
        let port = leader.and_then(|it| u16::try_from(it.port).ok()).ok_or(Trouble::Lost)?;
        self.epoch = partition.leader_epoch;
        self.is_sure = true;
        client.turn_to(port);
        Ok(())
    }
}
