//! Somebody who moves the partitions that carry the load from broker to broker, changes how many
//! replicas they have, changes their mind, and gives leaderships back to preferred replicas.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use strandline_types::ErrorCode;
use strandline_wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use strandline_wire::messages::create_partitions_request::CreatePartitionsTopic;
use strandline_wire::messages::elect_leaders_request::TopicPartitions;
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, MetadataRequest,
};

use crate::asker::{Asker, TIMEOUT_MS};
use crate::audit::CONSUMER_OFFSETS;
use crate::workload::{Field, topic_of};

/// As many as must have what is acked.
const REPLICAS_MIN: u64 = 2;
/// Enough to move, and few enough for the groups to keep up.
const PARTITIONS_MAX: i32 = 4;
const PREFERRED: i8 = 0;

pub(crate) struct Mover {
    field: Arc<Field>,
    asker: Asker,
    brokers: u64,
    pause_max: Duration,
}

/// A partition to be moved.
struct Chosen {
    topic: String,
    index: i32,
    /// How many its topic has.
    of: i32,
}

impl Mover {
    /// Of a cluster of so many brokers, whose ids count up from 0.
    pub(crate) fn new(
        field: &Arc<Field>,
        asker: Asker,
        brokers: usize,
        pause_max: Duration,
    ) -> Self {
        Self { field: Arc::clone(field), asker, brokers: brokers as u64, pause_max }
    }

    /// Goes on until nothing goes wrong any more: then everything is to come to rest.
    pub(crate) async fn run(mut self) {
        while !self.field.is_calm.load(Relaxed) {
            self.act().await;
            self.asker.pause(self.pause_max).await;
        }
    }

    async fn act(&mut self) {
        let Some(chosen) = self.choose().await else { return };
        match self.asker.rng.below(12) {
            0..=4 => {
                let wanted = self.some_brokers();
                self.reassign(chosen, Some(wanted)).await;
            }
            5..=6 => self.reassign(chosen, None).await,
            7..=8 => self.list().await,
            9..=10 => self.elect(chosen).await,
            _ => self.grow(chosen).await,
        }
    }

    async fn choose(&mut self) -> Option<Chosen> {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let answer = self.asker.ask(&request, 12).await?;
        let mut found = Vec::new();
        for topic in answer.topics {
            let Some(name) = topic.name else { continue };
            if topic_of(&name).is_none() && name != CONSUMER_OFFSETS {
                continue;
            }
            let of = topic.partitions.len() as i32;
            found.extend((0..of).map(|index| Chosen { topic: name.clone(), index, of }));
        }
        if found.is_empty() {
            return None;
        }
        let chosen = self.asker.rng.below(found.len() as u64) as usize;
        Some(found.swap_remove(chosen))
    }

    /// Two or more, in any order. Never all of five: a move must find somebody new.
    fn some_brokers(&mut self) -> Vec<i32> {
        let rng = &mut self.asker.rng;
        let most = self.brokers.min(4);
        let mut all: Vec<i32> = (0..self.brokers as i32).collect();
        let count = rng.between(REPLICAS_MIN, most);
        let mut take = |_| all.swap_remove(rng.below(all.len() as u64) as usize);
        (0..count).map(&mut take).collect()
    }

    /// Where a partition is to go, or back where it was.
    async fn reassign(&mut self, Chosen { topic, index, .. }: Chosen, wanted: Option<Vec<i32>>) {
        let told = format!("the move of {topic}-{index} to {wanted:?}");
        let partition = ReassignablePartition {
            partition_index: index,
            replicas: wanted.clone(),
            ..Default::default()
        };
        let topic =
            ReassignableTopic { name: topic, partitions: vec![partition], ..Default::default() };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            topics: vec![topic],
            ..Default::default()
        };
        let Some(answer) = self.asker.ask(&request, 1).await else { return };
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let codes = partitions.map(|partition| partition.error_code).chain([answer.error_code]);
        // Whoever was there has been put out of the ISR by now: there is no way back.
        let expected = match wanted {
            Some(_) => &[][..],
            None => {
                &[ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, ErrorCode::INVALID_REPLICA_ASSIGNMENT]
            }
        };
        self.hear(&told, codes.collect(), expected);
    }

    /// Whoever joins or leaves is a replica meanwhile.
    async fn list(&mut self) {
        let request =
            ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, ..Default::default() };
        let Some(answer) = self.asker.ask(&request, 0).await else { return };
        self.hear("a list of moves", vec![answer.error_code], &[]);
        for topic in &answer.topics {
            for it in &topic.partitions {
                let mut moving = it.adding_replicas.iter().chain(&it.removing_replicas).peekable();
                if moving.peek().is_none() || moving.any(|id| !it.replicas.contains(id)) {
                    let detail = format!("{} is said to move so: {it:?}", topic.name);
                    self.field.oracle().violate("WORLD-10", detail);
                }
            }
        }
    }

    async fn elect(&mut self, Chosen { topic, index, .. }: Chosen) {
        let told = format!("an election of {topic}-{index}");
        let topic = TopicPartitions { topic, partitions: vec![index], ..Default::default() };
        let request = ElectLeadersRequest {
            election_type: PREFERRED,
            topic_partitions: Some(vec![topic]),
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let Some(answer) = self.asker.ask(&request, 2).await else { return };
        let results = answer.replica_election_results.iter().flat_map(|it| &it.partition_result);
        let codes = results.map(|result| result.error_code).chain([answer.error_code]);
        let expected = [ErrorCode::ELECTION_NOT_NEEDED, ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE];
        self.hear(&told, codes.collect(), &expected);
    }

    /// One partition more. Nobody writes to it, but whoever is subscribed to the topic gets it.
    async fn grow(&mut self, Chosen { topic, of, .. }: Chosen) {
        if of >= PARTITIONS_MAX || topic == CONSUMER_OFFSETS {
            return;
        }
        let told = format!("the growth of {topic}");
        let topic = CreatePartitionsTopic {
            name: topic,
            count: of + 1,
            assignments: None,
            ..Default::default()
        };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let Some(answer) = self.asker.ask(&request, 3).await else { return };
        let codes = answer.results.iter().map(|result| result.error_code).collect();
        // The broker that was asked how many there are may have been behind; or too few of them live.
        let expected = [ErrorCode::INVALID_PARTITIONS, ErrorCode::INVALID_REPLICATION_FACTOR];
        self.hear(&told, codes, &expected);
    }

    fn hear(&self, what: &str, codes: Vec<ErrorCode>, expected: &[ErrorCode]) {
        let is_wrong =
            |code: &&ErrorCode| !code.is_none() && !code.is_retriable() && !expected.contains(code);
        if let Some(code) = codes.iter().find(is_wrong) {
            self.field.oracle().violate("WORLD-10", format!("{what} was refused with {code}"));
        }
    }
}
