//! Asks a group's coordinator, and reads the log of the groups, on behalf of the oracle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_client::admin::OffsetSpec;
use strandline_client::consumer::{ConsumeError, Consumer, ConsumerConfig, Reset};
use strandline_client::{Admin, Client, ClientConfig, ClientError};
use strandline_coordinator::groups::Record;
use strandline_ports::World;
use strandline_types::{PartitionId, TopicPartition};

use crate::members::key_of;
use crate::oracle::PartitionKey;
use crate::workload::Field;

pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// Whoever compares what the groups say with what they said before.
pub(crate) struct Auditor {
    field: Arc<Field>,
    client: Client,
}

impl Auditor {
    pub(crate) fn new(field: &Arc<Field>, world: &World) -> Self {
        let config = ClientConfig::new(&field.bootstrap());
        Self { field: Arc::clone(field), client: Client::new(world.clone(), config) }
    }

    /// What the coordinator says that a group has committed.
    pub(crate) async fn committed(
        &self,
        group: &str,
    ) -> Result<BTreeMap<PartitionKey, i64>, ClientError> {
        let (floors, losses) = {
            let oracle = self.field.oracle();
            (oracle.commits(group), oracle.power_losses)
        };
        let answer = Admin::new(self.client.clone()).group_offsets(group, None).await?;
        let offsets = answer.into_iter().filter_map(|(partition, result)| {
            Some((key_of(&partition)?, result.ok()?.offset.get()))
        });
        let offsets = offsets.collect();
        let mut oracle = self.field.oracle();
        if losses == oracle.power_losses {
            oracle.coordinated(group, &floors, &offsets);
        }
        Ok(offsets)
    }

    /// Who is in a group, for whoever has to find out why it does not move on.
    pub(crate) async fn describe(&self, group: &str) -> String {
        let admin = Admin::new(self.client.clone());
        format!("{:?}", admin.describe_groups(&[group.to_owned()]).await)
    }

    /// Reads the log of the groups: generations go forward.
    pub(crate) async fn read_log(&self) -> Result<(), ConsumeError> {
        let topic = self.client.fresh_topic(CONSUMER_OFFSETS, false).await?;
        let partitions = topic.partitions.iter().map(|partition| TopicPartition {
            topic: CONSUMER_OFFSETS.to_owned(),
            partition: PartitionId(partition.index.get()),
        });
        let partitions: Vec<_> = partitions.collect();
        let config = ConsumerConfig { reset: Reset::Earliest, ..ConsumerConfig::default() };
        let mut consumer = Consumer::new(self.client.clone(), config);
        let ends = consumer.offsets(&partitions, OffsetSpec::Latest).await?;
        consumer.assign(partitions);
        let is_behind = |consumer: &Consumer| {
            ends.iter().any(|(partition, end)| {
                let position = consumer.position(partition).ok().flatten();
                end.is_some() && position < *end
            })
        };
        let mut generations = BTreeMap::new();
        while is_behind(&consumer) {
            for record in consumer.poll(Duration::from_millis(100)).await? {
                let Some(key) = &record.key else { continue };
                match Record::decode(key, record.value.as_ref()) {
                    Ok(Record::GroupMetadata(key, Some(value))) => {
                        let before = generations.insert(key.group.clone(), value.generation);
                        let mut oracle = self.field.oracle();
                        oracle.generation_followed(
                            &key.group,
                            before.unwrap_or(i32::MIN),
                            value.generation,
                        );
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let detail = format!("{CONSUMER_OFFSETS} at {}: {error}", record.offset);
                        self.field.oracle().violate("WORLD-6", detail);
                    }
                }
            }
        }
        Ok(())
    }
}
