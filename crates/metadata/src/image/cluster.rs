//! The registered brokers and controllers.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use strandline_types::{BrokerEpoch, NodeId, Offset, Uuid};
use strandline_wire::messages::{
    BrokerRegistrationChangeRecord, FenceBrokerRecord, RegisterBrokerRecord,
    RegisterControllerRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
    register_broker_record::BrokerEndpoint,
};

use super::Partition;
use crate::{Record, Records};

/// A broker as it registered itself, with what the controller has decided about it since.
#[derive(Clone, PartialEq, Debug)]
pub struct Broker {
    registration: RegisterBrokerRecord,
    registered_at: Offset,
}

impl Broker {
    pub fn id(&self) -> NodeId {
        NodeId(self.registration.broker_id)
    }

    pub fn epoch(&self) -> BrokerEpoch {
        BrokerEpoch(self.registration.broker_epoch)
    }

    pub fn incarnation_id(&self) -> Uuid {
        self.registration.incarnation_id
    }

    /// Where the registration, or its latest amendment, stands in the log: a broker that has
    /// applied it knows everything it must before it serves. After a snapshot, the snapshot's end.
    pub fn registered_at(&self) -> Offset {
        self.registered_at
    }

    pub fn rack(&self) -> Option<&str> {
        self.registration.rack.as_deref()
    }

    pub fn is_fenced(&self) -> bool {
        self.registration.fenced
    }

    pub fn in_controlled_shutdown(&self) -> bool {
        self.registration.in_controlled_shutdown
    }

    /// Neither fenced nor shutting down: may lead and may join an ISR.
    pub fn is_active(&self) -> bool {
        !self.is_fenced() && !self.in_controlled_shutdown()
    }

    pub fn endpoints(&self) -> &[BrokerEndpoint] {
        &self.registration.end_points
    }

    pub fn endpoint(&self, listener: &str) -> Option<&BrokerEndpoint> {
        self.endpoints().iter().find(|endpoint| endpoint.name == listener)
    }

    pub fn log_dirs(&self) -> &[Uuid] {
        &self.registration.log_dirs
    }

    pub fn cordoned_log_dirs(&self) -> &[Uuid] {
        self.registration.cordoned_log_dirs.as_deref().unwrap_or_default()
    }

    /// Levels of a feature that the broker understands; level 0 is understood by all.
    pub fn feature_range(&self, name: &str) -> (i16, i16) {
        let feature = self.registration.features.iter().find(|f| f.name == name);
        feature.map_or((0, 0), |f| (f.min_supported_version, f.max_supported_version))
    }

    /// Whether a replica in `directory` can be served. Replicas without a directory, and brokers
    /// without known directories, get the benefit of the doubt.
    pub fn has_online_directory(&self, directory: Uuid) -> bool {
        match directory {
            Uuid::ZERO | Uuid::ONE => true,
            Uuid::LOST_DIR => false,
            _ => self.log_dirs().is_empty() || self.log_dirs().contains(&directory),
        }
    }

    /// Whether every directory refuses new replicas.
    pub fn is_cordoned(&self) -> bool {
        !self.log_dirs().is_empty()
            && self.log_dirs().iter().all(|dir| self.cordoned_log_dirs().contains(dir))
    }

    /// The directory of a new replica: the only one there is to choose, else the broker chooses.
    pub fn default_directory(&self) -> Uuid {
        let mut open = self.log_dirs().iter().filter(|dir| !self.cordoned_log_dirs().contains(dir));
        match (open.next(), open.next()) {
            (Some(only), None) => *only,
            (None, _) if self.log_dirs().is_empty() => Uuid::ZERO,
            _ => Uuid::ONE,
        }
    }

    pub fn registration(&self) -> &RegisterBrokerRecord {
        &self.registration
    }
}

#[derive(Clone, Debug, Default)]
pub struct Cluster {
    brokers: BTreeMap<NodeId, Arc<Broker>>,
    controllers: BTreeMap<NodeId, Arc<RegisterControllerRecord>>,
}

impl Cluster {
    pub fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.get(&id).map(Arc::as_ref)
    }

    /// All registered brokers, ascending by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> + Clone {
        self.brokers.values().map(Arc::as_ref)
    }

    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(Broker::is_active)
    }

    /// Whether a replica may come into the ISR. One whose directory has failed fetches no more, so
    /// whatever waited for it to come would wait until it lags.
    pub fn may_join_isr(&self, partition: &Partition, replica: NodeId) -> bool {
        let directory = partition.directory(replica).unwrap_or(Uuid::ZERO);
        self.broker(replica)
            .is_some_and(|broker| broker.is_active() && broker.has_online_directory(directory))
    }

    pub fn controller(&self, id: NodeId) -> Option<&RegisterControllerRecord> {
        self.controllers.get(&id).map(Arc::as_ref)
    }

    pub fn controllers(&self) -> impl Iterator<Item = &RegisterControllerRecord> {
        self.controllers.values().map(Arc::as_ref)
    }

    /// Ids of brokers that differ between the two.
    pub(super) fn changed_brokers(before: &Self, after: &Self) -> alloc::vec::Vec<NodeId> {
        let ids = before.brokers.keys().chain(after.brokers.keys());
        let ids: alloc::collections::BTreeSet<NodeId> = ids.copied().collect();
        let same = |id: &NodeId| match (before.brokers.get(id), after.brokers.get(id)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.registration == b.registration,
            (a, b) => a.is_none() && b.is_none(),
        };
        ids.into_iter().filter(|id| !same(id)).collect()
    }

    pub(super) fn register(&mut self, registration: RegisterBrokerRecord, offset: Offset) {
        let id = NodeId(registration.broker_id);
        self.brokers.insert(id, Arc::new(Broker { registration, registered_at: offset }));
    }

    pub(super) fn register_controller(&mut self, record: RegisterControllerRecord) {
        self.controllers.insert(NodeId(record.controller_id), Arc::new(record));
    }

    pub(super) fn unregister(&mut self, record: &UnregisterBrokerRecord) -> Result<(), String> {
        self.registered(record.broker_id, record.broker_epoch)?;
        self.brokers.remove(&NodeId(record.broker_id));
        Ok(())
    }

    pub(super) fn fence(&mut self, record: &FenceBrokerRecord) -> Result<(), String> {
        self.registered(record.id, record.epoch)?.fenced = true;
        Ok(())
    }

    pub(super) fn unfence(&mut self, record: &UnfenceBrokerRecord) -> Result<(), String> {
        self.registered(record.id, record.epoch)?.fenced = false;
        Ok(())
    }

    pub(super) fn change(&mut self, record: BrokerRegistrationChangeRecord) -> Result<(), String> {
        let fenced = match record.fenced {
            0 => None,
            1 => Some(true),
            -1 => Some(false),
            other => return Err(format!("unknown change of fencing {other}")),
        };
        if !matches!(record.in_controlled_shutdown, 0 | 1) {
            let other = record.in_controlled_shutdown;
            return Err(format!("unknown change of controlled shutdown {other}"));
        }
        let registration = self.registered(record.broker_id, record.broker_epoch)?;
        registration.fenced = fenced.unwrap_or(registration.fenced);
        registration.in_controlled_shutdown |= record.in_controlled_shutdown == 1;
        if !record.log_dirs.is_empty() {
            registration.log_dirs = record.log_dirs;
        }
        if record.cordoned_log_dirs.is_some() {
            registration.cordoned_log_dirs = record.cordoned_log_dirs;
        }
        Ok(())
    }

    /// META-5: a change of a broker names its present epoch.
    fn registered(&mut self, id: i32, epoch: i64) -> Result<&mut RegisterBrokerRecord, String> {
        let broker = self
            .brokers
            .get_mut(&NodeId(id))
            .ok_or_else(|| format!("broker {id} is not registered"))?;
        let broker = Arc::make_mut(broker);
        if broker.registration.broker_epoch != epoch {
            let present = broker.registration.broker_epoch;
            return Err(format!("META-5: broker {id} has epoch {present}, not {epoch}"));
        }
        Ok(&mut broker.registration)
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        records.extend(self.brokers().map(|broker| Record::from(broker.registration.clone())));
        records.extend(self.controllers().cloned().map(Record::from));
    }
}
