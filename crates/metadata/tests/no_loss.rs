//! Who leads without an unclean election has everything that was committed, whatever dies, stops,
//! loses its disk's last writes and moves.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use story::{Story, registration};
use strandline_metadata::controller::Timer;
use strandline_metadata::image::{LeaderRecoveryState, Partition};
use strandline_types::PartitionId;
use strandline_wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest,
    CreateTopicsRequest, ElectLeadersRequest,
};

const BROKERS: i32 = 4;
const MIN_ISR: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Produce,
    /// The leader takes those followers into the ISR, and only those, whose bit is set.
    Propose(u8),
    /// The power fails: what was not synced is lost, in the worst case all of it.
    Crash(i32),
    /// A controlled shutdown, as far as it comes.
    Stop(i32),
    Gone(i32),
    Expire,
    Return(i32),
    Reassign(Option<Vec<i32>>),
    ElectPreferred,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1..=BROKERS;
    let replicas = Just((1..=BROKERS).collect::<Vec<_>>()).prop_shuffle();
    let replicas = (replicas, 1..=3usize).prop_map(|(mut ids, count)| {
        ids.truncate(count);
        ids
    });
    prop_oneof![
        6 => Just(Step::Produce),
        6 => any::<u8>().prop_map(Step::Propose),
        3 => id.clone().prop_map(Step::Crash),
        2 => id.clone().prop_map(Step::Stop),
        3 => id.clone().prop_map(Step::Gone),
        1 => Just(Step::Expire),
        6 => id.prop_map(Step::Return),
        3 => prop::option::weighted(0.7, replicas).prop_map(Step::Reassign),
        1 => Just(Step::ElectPreferred),
    ]
}

struct World {
    story: Story,
    /// How many batches have committed.
    committed: u32,
    brokers: BTreeMap<i32, Node>,
    incarnations: u128,
}

struct Node {
    is_up: bool,
    /// Its last stop was a clean one, under this epoch.
    stopped_at: Option<i64>,
    /// How much of what has committed it has.
    holds: u32,
}

impl World {
    fn new() -> Self {
        let mut story = Story::with_brokers(BROKERS);
        story.ask(CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: "t".into(),
                num_partitions: -1,
                replication_factor: -1,
                assignments: vec![CreatableReplicaAssignment {
                    broker_ids: vec![1, 2, 3],
                    ..Default::default()
                }],
                configs: vec![CreatableTopicConfig {
                    name: "min.insync.replicas".into(),
                    value: Some(MIN_ISR.to_string()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        });
        let node = |id| (id, Node { is_up: true, stopped_at: None, holds: 0 });
        let brokers = (1..=BROKERS).map(node).collect();
        Self { story, committed: 0, brokers, incarnations: 1 }
    }

    fn partition(&self) -> Arc<Partition> {
        let topic = self.story.image().topics.by_name("t").unwrap();
        topic.partition(PartitionId(0)).unwrap().clone()
    }

    fn is_up(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(|node| node.is_up)
    }

    fn up(&self) -> Vec<i32> {
        (1..=BROKERS).filter(|id| self.is_up(*id)).collect()
    }

    fn take(&mut self, step: Step) {
        let partition = self.partition();
        let isr: Vec<i32> = partition.isr.iter().map(|id| id.get()).collect();
        let leader = partition.leader.get();
        let all_up = isr.iter().all(|id| self.is_up(*id));
        match step {
            // Below the minimum the high watermark stands still.
            Step::Produce => {
                let enough = isr.len() >= MIN_ISR.min(partition.replicas.len());
                if partition.has_leader() && all_up && enough {
                    self.committed += 1;
                    for id in isr {
                        self.brokers.get_mut(&id).unwrap().holds = self.committed;
                    }
                }
            }
            Step::Propose(bits) if self.is_up(leader) => {
                let holds = self.brokers[&leader].holds;
                let mut proposed: Vec<i32> = partition.replicas.iter().map(|id| id.get()).collect();
                proposed.retain(|id| *id == leader || (bits & (1 << id) != 0 && self.is_up(*id)));
                for id in &proposed {
                    self.brokers.get_mut(id).unwrap().holds = holds;
                }
                self.story.propose("t", 0, &proposed);
            }
            Step::Propose(_) => {}
            Step::Crash(id) => {
                let node = self.brokers.get_mut(&id).unwrap();
                if node.is_up {
                    *node = Node { is_up: false, stopped_at: None, holds: 0 };
                }
            }
            Step::Stop(id) if self.is_up(id) => {
                let wants =
                    BrokerHeartbeatRequest { want_shut_down: true, ..self.story.heartbeat(id) };
                if self.story.ask(wants).contains("should_shut_down: true") {
                    let epoch = self.story.heartbeat(id).broker_epoch;
                    let node = self.brokers.get_mut(&id).unwrap();
                    (node.is_up, node.stopped_at) = (false, Some(epoch));
                } else {
                    for other in self.up().into_iter().filter(|other| *other != id) {
                        self.story.beat(other);
                    }
                }
            }
            Step::Stop(_) => {}
            Step::Gone(id) => {
                if !self.is_up(id) {
                    self.story.gone(id, self.story.heartbeat(id).broker_epoch);
                }
            }
            Step::Expire => {
                self.story.seconds += 10;
                for id in self.up() {
                    self.story.beat(id);
                }
                for _ in 0..BROKERS {
                    self.story.tick(Timer::Sessions);
                }
            }
            Step::Return(id) if !self.is_up(id) => {
                self.incarnations += 1;
                let previous_broker_epoch = self.brokers[&id].stopped_at.unwrap_or(-1);
                let again = registration(id, self.incarnations);
                let again = BrokerRegistrationRequest { previous_broker_epoch, ..again };
                if !self.story.ask(again).contains("error_code") {
                    self.brokers.get_mut(&id).unwrap().is_up = true;
                    self.story.beat(id);
                }
            }
            Step::Return(_) => {}
            Step::Reassign(replicas) => {
                self.story.ask(AlterPartitionReassignmentsRequest {
                    topics: vec![ReassignableTopic {
                        name: "t".into(),
                        partitions: vec![ReassignablePartition { replicas, ..Default::default() }],
                        ..Default::default()
                    }],
                    ..Default::default()
                });
            }
            Step::ElectPreferred => {
                let request = ElectLeadersRequest { topic_partitions: None, ..Default::default() };
                self.story.ask(request);
            }
        }
        // Who is no replica any more deletes what it has.
        let replicas = &self.partition().replicas;
        for (id, node) in &mut self.brokers {
            if !replicas.iter().any(|replica| replica.get() == *id) {
                node.holds = 0;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_leader_has_everything_that_was_committed(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new();
        for step in steps {
            let text = format!("{step:?}");
            world.take(step);
            let partition = world.partition();
            for id in &partition.elr {
                prop_assert!(partition.replicas.contains(id), "{}: {:?}", text, partition);
            }
            let Some(leader) = world.brokers.get(&partition.leader.get()) else { continue };
            if partition.leader_recovery_state == LeaderRecoveryState::Recovering {
                // What is lost is lost: from here on this is what there is.
                world.committed = leader.holds;
            } else if leader.is_up {
                prop_assert_eq!(leader.holds, world.committed, "{}: {:?}", text, partition);
            }
        }
    }
}
