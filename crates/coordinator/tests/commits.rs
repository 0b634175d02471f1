//! Commits of a consumer outside of groups: what is written of them, and what stays.

mod world;

use strandline_coordinator::groups::{Entry, Event, Input, Record, Request, Settings, Shard};
use strandline_types::Uuid;
use strandline_wire::messages::OffsetCommitRequest;
use strandline_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

type World = world::World<Shard>;
type Outcome = world::Outcome<Shard>;

const FORMER: Uuid = Uuid::from_u128(7);
const NEW: Uuid = Uuid::from_u128(8);

/// Commits for each of these partitions of a topic, in this order; gives what is written.
fn commit(world: &mut World, topic_id: Uuid, offsets: &[(i32, i64)]) -> Vec<(i32, Option<i64>)> {
    let partition = |&(partition_index, committed_offset): &(i32, i64)| {
        OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() }
    };
    let topic = OffsetCommitRequestTopic {
        name: "orders".into(),
        topic_id,
        partitions: offsets.iter().map(partition).collect(),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    written(&world.ask(10, "loner", Request::OffsetCommit(request)).1)
}

/// Partition and offset of each record; a tombstone has none.
fn written(outcome: &Outcome) -> Vec<(i32, Option<i64>)> {
    let written = outcome.entries.iter().map(|entry| match entry {
        Entry::Record(Record::OffsetCommit(key, value)) => {
            (key.partition, value.as_ref().map(|it| it.offset))
        }
        other => panic!("not an offset: {other:?}"),
    });
    written.collect()
}

#[test]
fn offsets_of_a_topic_created_anew_stay() {
    let mut world = World::new(Settings::default());
    commit(&mut world, FORMER, &[(0, 40), (1, 41)]);
    commit(&mut world, NEW, &[(0, 3)]);
    // The shard hears of the former topic's end.
    let outcome = world.decide(Input::Event(Event::TopicsDeleted(vec![("orders".into(), FORMER)])));
    assert_eq!(written(&outcome), [(1, None)]);
}

#[test]
fn of_a_partition_that_is_committed_twice_the_last_offset_is_written() {
    let mut world = World::new(Settings::default());
    let offsets = [(0, 1), (1, 2), (0, 3)];
    assert_eq!(commit(&mut world, NEW, &offsets), [(0, Some(3)), (1, Some(2))]);
}
