//! Everything the metadata log says, at one offset.
//!
//! A clone is a handful of reference counts, so an image is published by cloning it: readers keep
//! the one they hold while the next one is built. [`Image::apply`] is the only way to change one.

mod cluster;
mod configs;
mod delta;
mod features;
mod partition;
mod security;
mod topics;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use strandline_types::Offset;
use strandline_wire::messages::ProducerIdsRecord;

pub use cluster::{Broker, Cluster};
pub use configs::{ConfigResource, Configs, ResourceType, Settings};
pub use delta::{Delta, PartitionDelta};
pub use features::Features;
pub use partition::{LeaderRecoveryState, Partition, PartitionChange};
pub(crate) use partition::{has_duplicates, node_ids, raw_ids};
pub use security::{AccessControl, ClientQuotas, DelegationTokens, QuotaEntity, ScramCredentials};
pub use topics::{Topic, Topics};

use crate::{Fault, Record, Records, UnknownRecord};

/// See the module text. While a metadata transaction is open, everything here is as it was before
/// it began.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The offset of the last record that is part of this image.
    pub offset: Option<Offset>,
    pub features: Arc<Features>,
    pub cluster: Arc<Cluster>,
    pub topics: Arc<Topics>,
    pub configs: Arc<Configs>,
    pub client_quotas: Arc<ClientQuotas>,
    /// The first producer id that no block has covered yet, once there is a block.
    producer_ids_end: Option<i64>,
    pub access_control: Arc<AccessControl>,
    pub scram_credentials: Arc<ScramCredentials>,
    pub delegation_tokens: Arc<DelegationTokens>,
    unknown: Arc<Vec<UnknownRecord>>,
    /// The image that will be, once the open transaction ends.
    transaction: Option<Arc<Image>>,
}

impl Image {
    /// Takes in the record at `offset`. After a fault the image is not to be used any more.
    pub fn apply(&mut self, record: Record, offset: Offset) -> Result<(), Fault> {
        let fault = |reason: String| Fault { offset, reason };
        match record {
            Record::BeginTransaction(_) => {
                if self.transaction.is_some() {
                    return Err(fault("a transaction begins inside another".to_string()));
                }
                self.transaction = Some(Arc::new(self.clone()));
            }
            Record::EndTransaction(_) => {
                let Some(ended) = self.transaction.take() else {
                    return Err(fault("a transaction ends that never began".to_string()));
                };
                *self = Arc::unwrap_or_clone(ended);
                self.offset = Some(offset);
            }
            Record::AbortTransaction(_) => {
                if self.transaction.take().is_none() {
                    return Err(fault("a transaction aborts that never began".to_string()));
                }
                self.offset = Some(offset);
            }
            record => {
                let target = match &mut self.transaction {
                    Some(open) => Arc::make_mut(open),
                    None => self,
                };
                target.apply_one(record, offset).map_err(fault)?;
                target.offset = Some(offset);
            }
        }
        Ok(())
    }

    /// Whether a transaction has begun and not ended: no snapshot may be taken now.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    fn apply_one(&mut self, record: Record, offset: Offset) -> Result<(), String> {
        match record {
            Record::FeatureLevel(record) => Arc::make_mut(&mut self.features).apply(record)?,
            Record::RegisterBroker(record) => self.cluster_mut().register(record, offset),
            Record::UnregisterBroker(record) => self.cluster_mut().unregister(&record)?,
            Record::FenceBroker(record) => self.cluster_mut().fence(&record)?,
            Record::UnfenceBroker(record) => self.cluster_mut().unfence(&record)?,
            Record::BrokerRegistrationChange(record) => self.cluster_mut().change(record)?,
            Record::RegisterController(record) => self.cluster_mut().register_controller(record),
            Record::Topic(record) => self.topics_mut().create(record)?,
            Record::Partition(record) => self.topics_mut().put_partition(record)?,
            Record::PartitionChange(record) => self.topics_mut().change_partition(record)?,
            Record::ClearElr(record) => self.topics_mut().clear_elr(&record)?,
            Record::RemoveTopic(record) => {
                let name = self.topics_mut().remove(&record)?;
                let resource = ConfigResource::topic(name.as_ref());
                if self.configs.settings(&resource).is_some() {
                    Arc::make_mut(&mut self.configs).remove(&resource);
                }
            }
            Record::Config(record) => Arc::make_mut(&mut self.configs).apply(record),
            Record::ClientQuota(record) => Arc::make_mut(&mut self.client_quotas).apply(record),
            Record::ProducerIds(record) => self.apply_producer_ids(record)?,
            Record::AccessControlEntry(record) => {
                Arc::make_mut(&mut self.access_control).apply(record)?;
            }
            Record::RemoveAccessControlEntry(record) => {
                Arc::make_mut(&mut self.access_control).remove(&record)?;
            }
            Record::UserScramCredential(record) => {
                Arc::make_mut(&mut self.scram_credentials).apply(record);
            }
            Record::RemoveUserScramCredential(record) => {
                Arc::make_mut(&mut self.scram_credentials).remove(record)?;
            }
            Record::DelegationToken(record) => {
                Arc::make_mut(&mut self.delegation_tokens).apply(record);
            }
            Record::RemoveDelegationToken(record) => {
                Arc::make_mut(&mut self.delegation_tokens).remove(&record);
            }
            Record::Unknown(record) => Arc::make_mut(&mut self.unknown).push(record),
            // Nothing to remember; the last one is a leftover of ZooKeeper that Kafka 4 ignores.
            Record::NoOp(_) | Record::ZkMigrationState(_) => {}
            Record::BeginTransaction(_)
            | Record::EndTransaction(_)
            | Record::AbortTransaction(_) => {
                return Err("a transaction within a transaction".to_string());
            }
        }
        Ok(())
    }

    /// META-7: a block of producer ids begins where the one before it ended, or later.
    fn apply_producer_ids(&mut self, record: ProducerIdsRecord) -> Result<(), String> {
        let floor = self.next_producer_id();
        if record.next_producer_id < floor {
            let next = record.next_producer_id;
            return Err(format!("META-7: next producer id {next} after {floor}"));
        }
        self.producer_ids_end = Some(record.next_producer_id);
        Ok(())
    }

    /// The first producer id that nobody has yet.
    pub fn next_producer_id(&self) -> i64 {
        self.producer_ids_end.unwrap_or(0)
    }

    fn cluster_mut(&mut self) -> &mut Cluster {
        Arc::make_mut(&mut self.cluster)
    }

    fn topics_mut(&mut self) -> &mut Topics {
        Arc::make_mut(&mut self.topics)
    }

    /// The records that build this image from an empty one, in Kafka's order. Records of unknown
    /// types come last, in the order in which they were written. Never to be taken inside a
    /// transaction, whose records it would lose.
    pub fn snapshot(&self) -> Records {
        let mut records = Records::new();
        self.features.snapshot(&mut records);
        self.cluster.snapshot(&mut records);
        self.topics.snapshot(self.features.metadata_version(), &mut records);
        self.configs.snapshot(&mut records);
        self.client_quotas.snapshot(&mut records);
        // Who took the last block does not matter any more.
        records.extend(self.producer_ids_end.map(|next_producer_id| {
            Record::from(ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id,
                ..Default::default()
            })
        }));
        self.access_control.snapshot(&mut records);
        self.scram_credentials.snapshot(&mut records);
        self.delegation_tokens.snapshot(&mut records);
        records.extend(self.unknown.iter().cloned().map(Record::Unknown));
        records
    }
}
