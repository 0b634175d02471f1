//! A broker that does as the test says: one topic of one partition, whose log and leader epoch the
//! test changes as a change of leaders would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strandline_types::{ErrorCode, LeaderEpoch, Offset, Uuid};
use strandline_wire::frame::{self, Incoming};
use strandline_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use strandline_wire::messages::api_versions_response::ApiVersion;
use strandline_wire::messages::fetch_response::{
    EpochEndOffset as FetchDivergence, FetchableTopicResponse, PartitionData,
};
use strandline_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use strandline_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use strandline_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey,
    ApiVersionsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListPartitionReassignmentsResponse, Message, MetadataResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, Records,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const TOPIC: &str = "scripted";

/// What the leader has.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) leader_epoch: i32,
    /// Epoch and value of each record, by offset; a marker is a control record.
    pub(crate) records: Vec<(i32, Entry)>,
    /// Where the first open transaction begins.
    pub(crate) open_from: Option<i64>,
    /// Whether the leader still knows where epochs end.
    pub(crate) knows_epochs: bool,
    /// What consumers asked: the epoch whose end they wanted.
    pub(crate) asked: Vec<i32>,
    /// What each fetch of the partition is refused with.
    pub(crate) refusal: ErrorCode,
    /// What the whole of each fetch is refused with.
    pub(crate) whole_refusal: ErrorCode,
    /// How often consumers fetched.
    pub(crate) fetches: u32,
    /// Where the partition was sent, one by one.
    pub(crate) reassigned: Vec<Vec<i32>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Value(&'static str),
    Marker,
}

impl Log {
    pub(crate) fn append(&mut self, epoch: i32, values: &[&'static str]) {
        self.records.extend(values.iter().map(|value| (epoch, Entry::Value(value))));
    }

    /// The largest epoch up to this one, and where its records end.
    fn end_of(&self, epoch: i32) -> (i32, i64) {
        let end = self.records.iter().position(|(it, _)| *it > epoch);
        let end = end.unwrap_or(self.records.len());
        match end.checked_sub(1) {
            Some(last) if self.knows_epochs => (self.records[last].0, end as i64),
            _ => (-1, -1),
        }
    }

    fn batches(&self, from: usize) -> Bytes {
        let mut bytes = Vec::new();
        for (offset, (epoch, entry)) in self.records.iter().enumerate().skip(from) {
            let options = BatchOptions {
                base_offset: Offset(offset as i64),
                leader_epoch: LeaderEpoch(*epoch),
                is_control: *entry == Entry::Marker,
                ..BatchOptions::default()
            };
            let mut batch = BatchBuilder::new(options);
            // A control record of a type that nobody knows: it only takes an offset.
            let (key, value): (Option<&[u8]>, _) = match entry {
                Entry::Value(value) => (None, value.as_bytes()),
                Entry::Marker => (Some(&[0, 0, 0x7f, 0]), &[][..]),
            };
            batch.append(&NewRecord { key, value: Some(value), ..Default::default() }).unwrap();
            bytes.extend_from_slice(&batch.build());
        }
        bytes.into()
    }
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) log: watch::Sender<Log>,
}

impl Scripted {
    #[expect(clippy::disallowed_methods, reason = "a test runs on the real world")]
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = watch::Sender::new(Log { knows_epochs: true, ..Log::default() });
        let session = Arc::new(Session { address, log: log.clone() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&session).serve(stream));
            }
        });
        Self { address, log }
    }
}

struct Session {
    address: SocketAddr,
    log: watch::Sender<Log>,
}

impl Session {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Ok(size) = stream.read_i32().await {
            let mut frame = vec![0; size as usize];
            stream.read_exact(&mut frame).await.unwrap();
            let request = Incoming::parse(&frame.into()).unwrap();
            let answer = self.answer(&request).await;
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, request: &Incoming) -> Bytes {
        match request.api {
            ApiKey::ApiVersions => encoded(request, &api_versions()),
            ApiKey::Metadata => encoded(request, &self.metadata()),
            ApiKey::ListOffsets => encoded(request, &self.list_offsets(request)),
            ApiKey::OffsetForLeaderEpoch => encoded(request, &self.ends_of_epochs(request)),
            ApiKey::Fetch => encoded(request, &self.fetch(request).await),
            ApiKey::ListPartitionReassignments => {
                encoded(request, &ListPartitionReassignmentsResponse::default())
            }
            ApiKey::AlterPartitionReassignments => encoded(request, &self.reassign(request)),
            other => panic!("the script has no {other}"),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: self.address.ip().to_string(),
            port: self.address.port().into(),
            ..Default::default()
        };
        let partition = MetadataResponsePartition {
            leader_id: 1,
            leader_epoch: self.log.borrow().leader_epoch,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some(TOPIC.into()),
            topic_id: Uuid::ONE,
            partitions: vec![partition],
            ..Default::default()
        };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
    }

    /// In the version before controllers were told what may change.
    fn reassign(&self, request: &Incoming) -> AlterPartitionReassignmentsResponse {
        let request: AlterPartitionReassignmentsRequest = request.decode().unwrap();
        let partitions = request.topics.into_iter().flat_map(|topic| topic.partitions);
        let sent: Vec<_> = partitions.filter_map(|it| it.replicas).collect();
        let answers = sent.iter().map(|_| ReassignablePartitionResponse::default()).collect();
        self.log.send_if_modified(|log| {
            log.reassigned.extend(sent);
            false
        });
        let topic = ReassignableTopicResponse {
            name: TOPIC.into(),
            partitions: answers,
            ..Default::default()
        };
        AlterPartitionReassignmentsResponse { responses: vec![topic], ..Default::default() }
    }

    fn list_offsets(&self, request: &Incoming) -> ListOffsetsResponse {
        let request: ListOffsetsRequest = request.decode().unwrap();
        let log = self.log.borrow().clone();
        let open_from = log.open_from.filter(|_| request.isolation_level == 1);
        let end = open_from.unwrap_or(log.records.len() as i64);
        let offset = if request.topics[0].partitions[0].timestamp == -2 { 0 } else { end };
        let leader_epoch = log.leader_epoch;
        let partition = ListOffsetsPartitionResponse { offset, leader_epoch, ..Default::default() };
        let topic = ListOffsetsTopicResponse {
            name: TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        ListOffsetsResponse { topics: vec![topic], ..Default::default() }
    }

    fn ends_of_epochs(&self, request: &Incoming) -> OffsetForLeaderEpochResponse {
        let request: OffsetForLeaderEpochRequest = request.decode().unwrap();
        assert_eq!(request.replica_id, -1, "a consumer asks");
        let asked = &request.topics[0].partitions[0];
        let mut answer = EpochEndOffset { partition: 0, ..Default::default() };
        self.log.send_if_modified(|log| {
            log.asked.push(asked.leader_epoch);
            answer.error_code = fenced(asked.current_leader_epoch, log.leader_epoch);
            if answer.error_code.is_none() {
                (answer.leader_epoch, answer.end_offset) = log.end_of(asked.leader_epoch);
            }
            false
        });
        let topic = OffsetForLeaderTopicResult {
            topic: TOPIC.into(),
            partitions: vec![answer],
            ..Default::default()
        };
        OffsetForLeaderEpochResponse { topics: vec![topic], ..Default::default() }
    }

    /// Waits, as a broker does, while there is nothing to say. It keeps no fetch sessions, so each
    /// request says everything.
    async fn fetch(&self, request: &Incoming) -> FetchResponse {
        let request: FetchRequest = request.decode().unwrap();
        self.log.send_if_modified(|log| {
            log.fetches += 1;
            false
        });
        let error_code = self.log.borrow().whole_refusal;
        if !error_code.is_none() {
            return FetchResponse { error_code, ..Default::default() };
        }
        let Some(topic) = request.topics.first() else { return FetchResponse::default() };
        let wanted = &topic.partitions[0];
        let mut changes = self.log.subscribe();
        let patience = Duration::from_millis(request.max_wait_ms.try_into().unwrap());
        let said = changes.wait_for(|log| {
            let is_refused = !log.refusal.is_none();
            let has_more = log.records.len() as i64 != wanted.fetch_offset;
            is_refused || has_more || log.leader_epoch != wanted.current_leader_epoch
        });
        // Nothing by then is an empty answer.
        drop(tokio::time::timeout(patience, said).await.map(drop));
        let log = self.log.borrow().clone();
        let (epoch, end) = log.end_of(wanted.last_fetched_epoch);
        let mut data =
            PartitionData { high_watermark: log.records.len() as i64, ..Default::default() };
        data.error_code = match log.refusal {
            ErrorCode::NONE => fenced(wanted.current_leader_epoch, log.leader_epoch),
            refusal => refusal,
        };
        if data.error_code.is_none() {
            if wanted.last_fetched_epoch >= 0 && end < wanted.fetch_offset {
                data.diverging_epoch =
                    FetchDivergence { epoch, end_offset: end, ..Default::default() };
            } else if wanted.fetch_offset > log.records.len() as i64 {
                data.error_code = ErrorCode::OFFSET_OUT_OF_RANGE;
            } else {
                data.records = Records::Bytes(log.batches(wanted.fetch_offset as usize));
            }
        }
        let topic = FetchableTopicResponse {
            topic_id: Uuid::ONE,
            partitions: vec![data],
            ..Default::default()
        };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }
}

fn fenced(known: i32, current: i32) -> ErrorCode {
    match known.cmp(&current) {
        _ if known < 0 => ErrorCode::NONE,
        std::cmp::Ordering::Less => ErrorCode::FENCED_LEADER_EPOCH,
        std::cmp::Ordering::Equal => ErrorCode::NONE,
        std::cmp::Ordering::Greater => ErrorCode::UNKNOWN_LEADER_EPOCH,
    }
}

fn api_versions() -> ApiVersionsResponse {
    let served = [
        ApiKey::ApiVersions,
        ApiKey::Metadata,
        ApiKey::ListOffsets,
        ApiKey::OffsetForLeaderEpoch,
        ApiKey::Fetch,
        ApiKey::ListPartitionReassignments,
        ApiKey::AlterPartitionReassignments,
    ];
    let api_keys = served.map(|api| ApiVersion {
        api_key: api.code(),
        min_version: api.versions().min,
        max_version: match api {
            ApiKey::AlterPartitionReassignments => 0,
            _ => api.versions().max,
        },
        ..Default::default()
    });
    ApiVersionsResponse { api_keys: api_keys.into(), ..Default::default() }
}

fn encoded(request: &Incoming, answer: &impl Message) -> Bytes {
    let gathered =
        frame::response(request.api, request.version, request.correlation_id, answer).unwrap();
    gathered.contiguous().unwrap()
}
