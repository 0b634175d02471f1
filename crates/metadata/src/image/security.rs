//! Access control, credentials, delegation tokens and client quotas: kept as their records say
//! them, so that a snapshot repeats them to the byte.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::Uuid;
use strandline_wire::messages::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord,
    RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
};

use crate::{Record, Records};

/// Pairs of entity type and entity name, ascending; a name of `None` is the default entity.
pub type QuotaEntity = Vec<(String, Option<String>)>;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClientQuotas {
    by_entity_and_key: BTreeMap<(QuotaEntity, String), ClientQuotaRecord>,
}

impl ClientQuotas {
    /// Entity, quota name, limit.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &str, f64)> {
        self.by_entity_and_key
            .iter()
            .map(|((entity, key), record)| (entity, key.as_str(), record.value))
    }

    pub(super) fn apply(&mut self, record: ClientQuotaRecord) {
        let mut entity: QuotaEntity = record
            .entity
            .iter()
            .map(|part| (part.entity_type.clone(), part.entity_name.clone()))
            .collect();
        entity.sort_unstable();
        let key = (entity, record.key.clone());
        if record.remove {
            self.by_entity_and_key.remove(&key);
        } else {
            self.by_entity_and_key.insert(key, record);
        }
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        records.extend(self.by_entity_and_key.values().cloned().map(Record::from));
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct AccessControl {
    by_id: BTreeMap<Uuid, AccessControlEntryRecord>,
}

impl AccessControl {
    pub fn iter(&self) -> impl Iterator<Item = &AccessControlEntryRecord> {
        self.by_id.values()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn apply(&mut self, record: AccessControlEntryRecord) -> Result<(), String> {
        let id = record.id;
        match self.by_id.insert(id, record) {
            None => Ok(()),
            Some(_) => Err(format!("access control entry {id} exists")),
        }
    }

    pub(super) fn remove(&mut self, record: &RemoveAccessControlEntryRecord) -> Result<(), String> {
        match self.by_id.remove(&record.id) {
            Some(_) => Ok(()),
            None => Err(format!("there is no access control entry {}", record.id)),
        }
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        records.extend(self.by_id.values().cloned().map(Record::from));
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct ScramCredentials {
    by_mechanism_and_user: BTreeMap<(i8, String), UserScramCredentialRecord>,
}

impl ScramCredentials {
    pub fn get(&self, mechanism: i8, user: &str) -> Option<&UserScramCredentialRecord> {
        self.by_mechanism_and_user.get(&(mechanism, user.into()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &UserScramCredentialRecord> {
        self.by_mechanism_and_user.values()
    }

    pub(super) fn apply(&mut self, record: UserScramCredentialRecord) {
        self.by_mechanism_and_user.insert((record.mechanism, record.name.clone()), record);
    }

    pub(super) fn remove(&mut self, record: RemoveUserScramCredentialRecord) -> Result<(), String> {
        let key = (record.mechanism, record.name);
        match self.by_mechanism_and_user.remove(&key) {
            Some(_) => Ok(()),
            None => Err(format!("user {} has no credential of mechanism {}", key.1, key.0)),
        }
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        records.extend(self.by_mechanism_and_user.values().cloned().map(Record::from));
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DelegationTokens {
    by_id: BTreeMap<String, DelegationTokenRecord>,
}

impl DelegationTokens {
    pub fn get(&self, id: &str) -> Option<&DelegationTokenRecord> {
        self.by_id.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &DelegationTokenRecord> {
        self.by_id.values()
    }

    pub(super) fn apply(&mut self, record: DelegationTokenRecord) {
        self.by_id.insert(record.token_id.clone(), record);
    }

    pub(super) fn remove(&mut self, record: &RemoveDelegationTokenRecord) {
        self.by_id.remove(&record.token_id);
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        records.extend(self.by_id.values().cloned().map(Record::from));
    }
}
