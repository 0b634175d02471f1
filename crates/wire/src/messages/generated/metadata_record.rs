// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::framing::{encode_framed, read_frame, read_known};
use crate::messages::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord,
    BrokerRegistrationChangeRecord, ClearElrRecord, ClientQuotaRecord, ConfigRecord,
    DelegationTokenRecord, EndTransactionRecord, FeatureLevelRecord, FenceBrokerRecord, NoOpRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord,
    RemoveTopicRecord, RemoveUserScramCredentialRecord, TopicRecord, UnfenceBrokerRecord,
    UnregisterBrokerRecord, UserScramCredentialRecord, ZkMigrationStateRecord,
};
use crate::{DecodeError, EncodeError, Reader};

#[derive(Clone, PartialEq, Debug)]
pub enum MetadataRecord {
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    FenceBroker(FenceBrokerRecord),
    UnfenceBroker(UnfenceBrokerRecord),
    RemoveTopic(RemoveTopicRecord),
    DelegationToken(DelegationTokenRecord),
    UserScramCredential(UserScramCredentialRecord),
    FeatureLevel(FeatureLevelRecord),
    ClientQuota(ClientQuotaRecord),
    ProducerIds(ProducerIdsRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    AccessControlEntry(AccessControlEntryRecord),
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    NoOp(NoOpRecord),
    ZkMigrationState(ZkMigrationStateRecord),
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    RemoveDelegationToken(RemoveDelegationTokenRecord),
    RegisterController(RegisterControllerRecord),
    ClearElr(ClearElrRecord),
    /// Of a type or version we do not know, kept as it came.
    Unknown(Bytes),
}

impl MetadataRecord {
    pub fn decode(value: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(value);
        let (kind, version) = read_frame(&mut reader)?;
        let known = match kind {
            0 => read_known(reader, version)?.map(Self::RegisterBroker),
            1 => read_known(reader, version)?.map(Self::UnregisterBroker),
            2 => read_known(reader, version)?.map(Self::Topic),
            3 => read_known(reader, version)?.map(Self::Partition),
            4 => read_known(reader, version)?.map(Self::Config),
            5 => read_known(reader, version)?.map(Self::PartitionChange),
            7 => read_known(reader, version)?.map(Self::FenceBroker),
            8 => read_known(reader, version)?.map(Self::UnfenceBroker),
            9 => read_known(reader, version)?.map(Self::RemoveTopic),
            10 => read_known(reader, version)?.map(Self::DelegationToken),
            11 => read_known(reader, version)?.map(Self::UserScramCredential),
            12 => read_known(reader, version)?.map(Self::FeatureLevel),
            14 => read_known(reader, version)?.map(Self::ClientQuota),
            15 => read_known(reader, version)?.map(Self::ProducerIds),
            17 => read_known(reader, version)?.map(Self::BrokerRegistrationChange),
            18 => read_known(reader, version)?.map(Self::AccessControlEntry),
            19 => read_known(reader, version)?.map(Self::RemoveAccessControlEntry),
            20 => read_known(reader, version)?.map(Self::NoOp),
            21 => read_known(reader, version)?.map(Self::ZkMigrationState),
            22 => read_known(reader, version)?.map(Self::RemoveUserScramCredential),
            23 => read_known(reader, version)?.map(Self::BeginTransaction),
            24 => read_known(reader, version)?.map(Self::EndTransaction),
            25 => read_known(reader, version)?.map(Self::AbortTransaction),
            26 => read_known(reader, version)?.map(Self::RemoveDelegationToken),
            27 => read_known(reader, version)?.map(Self::RegisterController),
            28 => read_known(reader, version)?.map(Self::ClearElr),
            _ => None,
        };
        Ok(known.unwrap_or_else(|| Self::Unknown(value.clone())))
    }

    /// An unknown record is written back as it came, whatever the version.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        match self {
            Self::RegisterBroker(body) => encode_framed(body, 0, version),
            Self::UnregisterBroker(body) => encode_framed(body, 1, version),
            Self::Topic(body) => encode_framed(body, 2, version),
            Self::Partition(body) => encode_framed(body, 3, version),
            Self::Config(body) => encode_framed(body, 4, version),
            Self::PartitionChange(body) => encode_framed(body, 5, version),
            Self::FenceBroker(body) => encode_framed(body, 7, version),
            Self::UnfenceBroker(body) => encode_framed(body, 8, version),
            Self::RemoveTopic(body) => encode_framed(body, 9, version),
            Self::DelegationToken(body) => encode_framed(body, 10, version),
            Self::UserScramCredential(body) => encode_framed(body, 11, version),
            Self::FeatureLevel(body) => encode_framed(body, 12, version),
            Self::ClientQuota(body) => encode_framed(body, 14, version),
            Self::ProducerIds(body) => encode_framed(body, 15, version),
            Self::BrokerRegistrationChange(body) => encode_framed(body, 17, version),
            Self::AccessControlEntry(body) => encode_framed(body, 18, version),
            Self::RemoveAccessControlEntry(body) => encode_framed(body, 19, version),
            Self::NoOp(body) => encode_framed(body, 20, version),
            Self::ZkMigrationState(body) => encode_framed(body, 21, version),
            Self::RemoveUserScramCredential(body) => encode_framed(body, 22, version),
            Self::BeginTransaction(body) => encode_framed(body, 23, version),
            Self::EndTransaction(body) => encode_framed(body, 24, version),
            Self::AbortTransaction(body) => encode_framed(body, 25, version),
            Self::RemoveDelegationToken(body) => encode_framed(body, 26, version),
            Self::RegisterController(body) => encode_framed(body, 27, version),
            Self::ClearElr(body) => encode_framed(body, 28, version),
            Self::Unknown(value) => Ok(value.clone()),
        }
    }
}
