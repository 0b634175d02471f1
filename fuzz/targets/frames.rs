//! Request frames as clients send them, and the same body read as an answer. What is read is
//! written again, and must then be read and written as the same bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strandline_wire::frame::{self, Incoming};
use strandline_wire::messages::*;
use strandline_wire::{Reader, Writer};

fuzz_target!(|input: &[u8]| {
    let frame = Bytes::copy_from_slice(input);
    let _ = frame::correlation_id(&frame);
    frame::refuses_api_versions(&frame);
    let Ok(incoming) = Incoming::parse(&frame) else { return };
    check_api(&incoming, &frame);
});

fn check<R: Request>(incoming: &Incoming, frame: &Bytes) {
    let version = incoming.version;
    if !incoming.is_supported() {
        return;
    }
    if let Ok(request) = incoming.decode::<R>() {
        check_message(&request, version);
    }
    let body = frame.slice(frame.len() - incoming.body_len()..);
    if let Ok(response) = R::Response::decode(&mut Reader::new(&body), version) {
        check_message(&response, version);
    }
}

fn check_message<M: Message>(message: &M, version: i16) {
    let encode = |message: &M| {
        let mut writer = Writer::new();
        message.encode(&mut writer, version).ok()?;
        writer.finish().contiguous()
    };
    let Some(bytes) = encode(message) else { return };
    let mut reader = Reader::new(&bytes);
    let again = M::decode(&mut reader, version).expect("what we write can be read");
    assert!(reader.finish().is_ok());
    assert_eq!(encode(&again), Some(bytes));
}

fn check_api(incoming: &Incoming, frame: &Bytes) {
    match incoming.api {
        ApiKey::Produce => check::<ProduceRequest>(incoming, frame),
        ApiKey::Fetch => check::<FetchRequest>(incoming, frame),
        ApiKey::ListOffsets => check::<ListOffsetsRequest>(incoming, frame),
        ApiKey::Metadata => check::<MetadataRequest>(incoming, frame),
        ApiKey::OffsetCommit => check::<OffsetCommitRequest>(incoming, frame),
        ApiKey::OffsetFetch => check::<OffsetFetchRequest>(incoming, frame),
        ApiKey::FindCoordinator => check::<FindCoordinatorRequest>(incoming, frame),
        ApiKey::JoinGroup => check::<JoinGroupRequest>(incoming, frame),
        ApiKey::Heartbeat => check::<HeartbeatRequest>(incoming, frame),
        ApiKey::LeaveGroup => check::<LeaveGroupRequest>(incoming, frame),
        ApiKey::SyncGroup => check::<SyncGroupRequest>(incoming, frame),
        ApiKey::DescribeGroups => check::<DescribeGroupsRequest>(incoming, frame),
        ApiKey::ListGroups => check::<ListGroupsRequest>(incoming, frame),
        ApiKey::SaslHandshake => check::<SaslHandshakeRequest>(incoming, frame),
        ApiKey::ApiVersions => check::<ApiVersionsRequest>(incoming, frame),
        ApiKey::CreateTopics => check::<CreateTopicsRequest>(incoming, frame),
        ApiKey::DeleteTopics => check::<DeleteTopicsRequest>(incoming, frame),
        ApiKey::DeleteRecords => check::<DeleteRecordsRequest>(incoming, frame),
        ApiKey::InitProducerId => check::<InitProducerIdRequest>(incoming, frame),
        ApiKey::OffsetForLeaderEpoch => check::<OffsetForLeaderEpochRequest>(incoming, frame),
        ApiKey::AddPartitionsToTxn => check::<AddPartitionsToTxnRequest>(incoming, frame),
        ApiKey::AddOffsetsToTxn => check::<AddOffsetsToTxnRequest>(incoming, frame),
        ApiKey::EndTxn => check::<EndTxnRequest>(incoming, frame),
        ApiKey::WriteTxnMarkers => check::<WriteTxnMarkersRequest>(incoming, frame),
        ApiKey::TxnOffsetCommit => check::<TxnOffsetCommitRequest>(incoming, frame),
        ApiKey::DescribeAcls => check::<DescribeAclsRequest>(incoming, frame),
        ApiKey::CreateAcls => check::<CreateAclsRequest>(incoming, frame),
        ApiKey::DeleteAcls => check::<DeleteAclsRequest>(incoming, frame),
        ApiKey::DescribeConfigs => check::<DescribeConfigsRequest>(incoming, frame),
        ApiKey::AlterConfigs => check::<AlterConfigsRequest>(incoming, frame),
        ApiKey::AlterReplicaLogDirs => check::<AlterReplicaLogDirsRequest>(incoming, frame),
        ApiKey::DescribeLogDirs => check::<DescribeLogDirsRequest>(incoming, frame),
        ApiKey::SaslAuthenticate => check::<SaslAuthenticateRequest>(incoming, frame),
        ApiKey::CreatePartitions => check::<CreatePartitionsRequest>(incoming, frame),
        ApiKey::CreateDelegationToken => check::<CreateDelegationTokenRequest>(incoming, frame),
        ApiKey::RenewDelegationToken => check::<RenewDelegationTokenRequest>(incoming, frame),
        ApiKey::ExpireDelegationToken => check::<ExpireDelegationTokenRequest>(incoming, frame),
        ApiKey::DescribeDelegationToken => check::<DescribeDelegationTokenRequest>(incoming, frame),
        ApiKey::DeleteGroups => check::<DeleteGroupsRequest>(incoming, frame),
        ApiKey::ElectLeaders => check::<ElectLeadersRequest>(incoming, frame),
        ApiKey::IncrementalAlterConfigs => check::<IncrementalAlterConfigsRequest>(incoming, frame),
        ApiKey::AlterPartitionReassignments => {
            check::<AlterPartitionReassignmentsRequest>(incoming, frame)
        }
        ApiKey::ListPartitionReassignments => {
            check::<ListPartitionReassignmentsRequest>(incoming, frame)
        }
        ApiKey::OffsetDelete => check::<OffsetDeleteRequest>(incoming, frame),
        ApiKey::DescribeClientQuotas => check::<DescribeClientQuotasRequest>(incoming, frame),
        ApiKey::AlterClientQuotas => check::<AlterClientQuotasRequest>(incoming, frame),
        ApiKey::DescribeUserScramCredentials => {
            check::<DescribeUserScramCredentialsRequest>(incoming, frame)
        }
        ApiKey::AlterUserScramCredentials => {
            check::<AlterUserScramCredentialsRequest>(incoming, frame)
        }
        ApiKey::Vote => check::<VoteRequest>(incoming, frame),
        ApiKey::BeginQuorumEpoch => check::<BeginQuorumEpochRequest>(incoming, frame),
        ApiKey::EndQuorumEpoch => check::<EndQuorumEpochRequest>(incoming, frame),
        ApiKey::DescribeQuorum => check::<DescribeQuorumRequest>(incoming, frame),
        ApiKey::AlterPartition => check::<AlterPartitionRequest>(incoming, frame),
        ApiKey::UpdateFeatures => check::<UpdateFeaturesRequest>(incoming, frame),
        ApiKey::Envelope => check::<EnvelopeRequest>(incoming, frame),
        ApiKey::FetchSnapshot => check::<FetchSnapshotRequest>(incoming, frame),
        ApiKey::DescribeCluster => check::<DescribeClusterRequest>(incoming, frame),
        ApiKey::DescribeProducers => check::<DescribeProducersRequest>(incoming, frame),
        ApiKey::BrokerRegistration => check::<BrokerRegistrationRequest>(incoming, frame),
        ApiKey::BrokerHeartbeat => check::<BrokerHeartbeatRequest>(incoming, frame),
        ApiKey::UnregisterBroker => check::<UnregisterBrokerRequest>(incoming, frame),
        ApiKey::DescribeTransactions => check::<DescribeTransactionsRequest>(incoming, frame),
        ApiKey::ListTransactions => check::<ListTransactionsRequest>(incoming, frame),
        ApiKey::AllocateProducerIds => check::<AllocateProducerIdsRequest>(incoming, frame),
        ApiKey::ConsumerGroupHeartbeat => check::<ConsumerGroupHeartbeatRequest>(incoming, frame),
        ApiKey::ConsumerGroupDescribe => check::<ConsumerGroupDescribeRequest>(incoming, frame),
        ApiKey::ControllerRegistration => check::<ControllerRegistrationRequest>(incoming, frame),
        ApiKey::GetTelemetrySubscriptions => {
            check::<GetTelemetrySubscriptionsRequest>(incoming, frame)
        }
        ApiKey::PushTelemetry => check::<PushTelemetryRequest>(incoming, frame),
        ApiKey::AssignReplicasToDirs => check::<AssignReplicasToDirsRequest>(incoming, frame),
        ApiKey::ListConfigResources => check::<ListConfigResourcesRequest>(incoming, frame),
        ApiKey::DescribeTopicPartitions => check::<DescribeTopicPartitionsRequest>(incoming, frame),
        ApiKey::ShareGroupHeartbeat => check::<ShareGroupHeartbeatRequest>(incoming, frame),
        ApiKey::ShareGroupDescribe => check::<ShareGroupDescribeRequest>(incoming, frame),
        ApiKey::ShareFetch => check::<ShareFetchRequest>(incoming, frame),
        ApiKey::ShareAcknowledge => check::<ShareAcknowledgeRequest>(incoming, frame),
        ApiKey::AddRaftVoter => check::<AddRaftVoterRequest>(incoming, frame),
        ApiKey::RemoveRaftVoter => check::<RemoveRaftVoterRequest>(incoming, frame),
        ApiKey::UpdateRaftVoter => check::<UpdateRaftVoterRequest>(incoming, frame),
        ApiKey::InitializeShareGroupState => {
            check::<InitializeShareGroupStateRequest>(incoming, frame)
        }
        ApiKey::ReadShareGroupState => check::<ReadShareGroupStateRequest>(incoming, frame),
        ApiKey::WriteShareGroupState => check::<WriteShareGroupStateRequest>(incoming, frame),
        ApiKey::DeleteShareGroupState => check::<DeleteShareGroupStateRequest>(incoming, frame),
        ApiKey::ReadShareGroupStateSummary => {
            check::<ReadShareGroupStateSummaryRequest>(incoming, frame)
        }
        ApiKey::StreamsGroupHeartbeat => check::<StreamsGroupHeartbeatRequest>(incoming, frame),
        ApiKey::StreamsGroupDescribe => check::<StreamsGroupDescribeRequest>(incoming, frame),
        ApiKey::DescribeShareGroupOffsets => {
            check::<DescribeShareGroupOffsetsRequest>(incoming, frame)
        }
        ApiKey::AlterShareGroupOffsets => check::<AlterShareGroupOffsetsRequest>(incoming, frame),
        ApiKey::DeleteShareGroupOffsets => check::<DeleteShareGroupOffsetsRequest>(incoming, frame),
    }
}
