//! A client that knows frames and nothing else: what it sends is exactly what the test says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use strandline_types::{ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use strandline_wire::frame;
use strandline_wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic,
};
use strandline_wire::messages::delete_topics_request::DeleteTopicState;
use strandline_wire::messages::describe_topic_partitions_request::TopicRequest;
use strandline_wire::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition as DescribedPartition;
use strandline_wire::messages::elect_leaders_request::TopicPartitions;
use strandline_wire::messages::{
    AlterReplicaLogDirsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, ElectLeadersRequest, FetchRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, ProduceRequest, Records, Request, create_topics_request,
    fetch_request, fetch_response, list_offsets_request, produce_request, produce_response,
};
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, InspectLimits, NewRecord, ProducerFields,
    Records as BatchRecords, batches,
};

/// The newest versions that speak of topics by name.
pub const PRODUCE: i16 = 12;
pub const FETCH: i16 = 12;

pub struct Client {
    pub stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_ask(request, version).unwrap()
    }

    pub fn try_ask<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.send(request, version)?;
        self.receive::<R>(version)
    }

    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<()> {
        self.correlation_id += 1;
        let frame = frame::request(request, version, self.correlation_id, Some("proof")).unwrap();
        self.stream.write_all(&frame.contiguous().unwrap())
    }

    pub fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let frame = self.receive_frame()?;
        frame::decode_response::<R>(&frame, version).map_err(io::Error::other)
    }

    pub fn receive_frame(&mut self) -> io::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut frame = vec![0; i32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Whether the broker has closed the connection; waits for it to decide.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.create(CreatableTopic {
            num_partitions: partitions,
            replication_factor: 1,
            ..topic(name, configs)
        });
    }

    /// One partition for each list of replicas.
    pub fn create_topic_on(
        &mut self,
        name: &str,
        replicas: &[&[i32]],
        configs: &[(&str, &str)],
    ) -> Uuid {
        let assignments =
            (0..).zip(replicas).map(|(partition_index, replicas)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: replicas.to_vec(),
                ..Default::default()
            });
        self.create(CreatableTopic {
            num_partitions: -1,
            replication_factor: -1,
            assignments: assignments.collect(),
            ..topic(name, configs)
        })
    }

    fn create(&mut self, topic: CreatableTopic) -> Uuid {
        let name = topic.name.clone();
        let topics = vec![topic];
        let request = CreateTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() };
        let answer = self.ask(&request, 7);
        assert_eq!(answer.topics[0].error_code, ErrorCode::NONE, "{answer:?}");
        // The controller answers, and the broker learns of it a moment after, as with Kafka.
        super::eventually("the broker knows the topic", || self.topic_id(&name).is_some());
        answer.topics[0].topic_id
    }

    /// What this broker knows of a partition.
    pub fn describe(&mut self, topic: &str, index: i32) -> DescribedPartition {
        let topics = vec![TopicRequest { name: topic.to_owned(), ..Default::default() }];
        let request = DescribeTopicPartitionsRequest {
            topics,
            response_partition_limit: 2000,
            ..Default::default()
        };
        let answer = self.ask(&request, 0).topics.remove(0);
        answer.partitions.into_iter().find(|it| it.partition_index == index).unwrap()
    }

    /// Partition 0 is to be led by its first replica, or by one that is not in sync.
    pub fn elect(&mut self, topic: &str, is_unclean: bool) -> ErrorCode {
        let request = ElectLeadersRequest {
            election_type: i8::from(is_unclean),
            topic_partitions: Some(vec![TopicPartitions {
                topic: topic.to_owned(),
                partitions: vec![0],
                ..Default::default()
            }]),
            timeout_ms: 30_000,
            ..Default::default()
        };
        let answer = self.ask(&request, 2);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        answer.replica_election_results[0].partition_result[0].error_code
    }

    pub fn delete_topic(&mut self, name: &str) {
        let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(self.ask(&request, 6).responses[0].error_code, ErrorCode::NONE);
    }

    /// Partition 0 is to lie in this log directory.
    pub fn move_to(&mut self, topic: &str, path: &str) -> ErrorCode {
        let topics = vec![AlterReplicaLogDirTopic {
            name: topic.into(),
            partitions: vec![0],
            ..Default::default()
        }];
        let dirs = vec![AlterReplicaLogDir { path: path.into(), topics, ..Default::default() }];
        let mut answer = self.ask(&AlterReplicaLogDirsRequest { dirs, ..Default::default() }, 2);
        answer.results.remove(0).partitions.remove(0).error_code
    }

    pub fn topic_id(&mut self, name: &str) -> Option<Uuid> {
        let answer = self.ask(&MetadataRequest { topics: None, ..Default::default() }, 12);
        let found = answer.topics.iter().find(|it| it.name.as_deref() == Some(name));
        found.map(|topic| topic.topic_id)
    }

    pub fn producer_id(&mut self) -> (ProducerId, ProducerEpoch) {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let answer = self.ask(&request, 4);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        (ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch))
    }

    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> io::Result<produce_response::PartitionProduceResponse> {
        let mut answer = self.try_ask(&produce(topic, partition, batch), PRODUCE)?;
        Ok(answer.responses.remove(0).partition_responses.remove(0))
    }

    /// Offset at a special timestamp: −1 the end, −2 the start.
    pub fn offset_at(&mut self, topic: &str, partition: i32, timestamp: i64) -> i64 {
        let partition = list_offsets_request::ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: -1,
            timestamp,
            ..Default::default()
        };
        let topic = list_offsets_request::ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.ask(&request, 7);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::NONE);
        partition.offset
    }

    pub fn fetch(&mut self, request: &FetchRequest) -> fetch_response::PartitionData {
        let mut answer = self.ask(request, FETCH);
        answer.responses.remove(0).partitions.remove(0)
    }

    /// Offset and value of every record from `start` to the end.
    pub fn read_all(&mut self, topic: &str, partition: i32, start: i64) -> Vec<(i64, Bytes)> {
        let end = self.offset_at(topic, partition, -1);
        let (mut next, mut values) = (start, Vec::new());
        while next < end {
            let fetched = self.fetch(&fetch(topic, partition, next, 8 << 20));
            assert_eq!(fetched.error_code, ErrorCode::NONE);
            let Records::Bytes(bytes) = fetched.records else { panic!("no records at {next}") };
            for batch in batches(&bytes) {
                let batch = batch.unwrap();
                let records = BatchRecords::open(&batch, &InspectLimits::default()).unwrap();
                for record in records.iter().map(Result::unwrap) {
                    if record.offset.get() >= next {
                        next = record.offset.get() + 1;
                        let value = record.value.unwrap_or_default();
                        values.push((record.offset.get(), Bytes::copy_from_slice(value)));
                    }
                }
                // Where it was compacted its last record may be gone.
                let header = BatchHeader::parse(&batch).unwrap();
                next = next.max(header.last_offset().get() + 1);
            }
        }
        values
    }
}

fn topic(name: &str, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| create_topics_request::CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    CreatableTopic {
        name: name.to_owned(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    }
}

pub fn produce(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let partition = produce_request::PartitionProduceData {
        index: partition,
        records: batch.into(),
        ..Default::default()
    };
    let topic = produce_request::TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// Outside a session, at once.
pub fn fetch(topic: &str, partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let partition = fetch_request::FetchPartition {
        partition,
        current_leader_epoch: -1,
        fetch_offset: offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: max_bytes,
        ..Default::default()
    };
    let topic = fetch_request::FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// A batch of these values, dated now.
pub fn batch(values: &[&[u8]]) -> Bytes {
    batch_with(BatchOptions::default(), values)
}

/// A batch of an idempotent producer.
pub fn batch_of(
    (id, epoch): (ProducerId, ProducerEpoch),
    base_sequence: i32,
    values: &[&[u8]],
) -> Bytes {
    let producer = ProducerFields { id, epoch, base_sequence };
    batch_with(BatchOptions { producer, ..Default::default() }, values)
}

pub fn batch_with(options: BatchOptions, values: &[&[u8]]) -> Bytes {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let timestamp = Timestamp(since_1970.as_millis() as i64);
    let options = BatchOptions { base_offset: Offset::ZERO, ..options };
    let mut builder = BatchBuilder::new(options);
    for value in values {
        let record = NewRecord { timestamp, key: None, value: Some(value), headers: &[] };
        builder.append(&record).unwrap();
    }
    builder.build()
}
