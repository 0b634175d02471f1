//! One partition's replication in text: each line an event, below it the effects.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use strandline_log::{Log, LogConfig, Origin};
use strandline_replica::{
    Cut, Effect, Event, Followership, Isolation, IsrAnswer, Leadership, Reader, Replica,
    ReplicaConfig, RequiredAcks, Ticket,
};
use strandline_types::{
    BatchFacts, BrokerEpoch, Compression, ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset,
    ProducerEpoch, ProducerId, Timestamp, TimestampType,
};

mod files;
#[path = "stories/following.rs"]
mod following;

use files::Files;

struct Story {
    replica: Replica,
    seconds: u64,
    tickets: u64,
    admitted: Offset,
    /// What a follower fetched and may write.
    offered: Vec<BatchFacts>,
    files: Files,
    text: String,
}

impl Story {
    fn new(min_in_sync_replicas: u32, flush_messages: i64) -> Self {
        Self::with(min_in_sync_replicas, LogConfig { flush_messages, ..LogConfig::default() })
    }

    fn with(min_in_sync_replicas: u32, config: LogConfig) -> Self {
        let log = Log::create(Arc::new(config), 0, Offset(0), Timestamp(0));
        let config = ReplicaConfig { min_in_sync_replicas, lag_time_max: Duration::from_secs(30) };
        Self {
            replica: Replica::new(NodeId(1), config, log, Offset(0)),
            seconds: 100,
            tickets: 0,
            admitted: Offset(0),
            offered: Vec::new(),
            files: Files::default(),
            text: String::new(),
        }
    }

    fn now(&self) -> Now {
        let millis = self.seconds as i64 * 1000;
        Now {
            instant: Instant::from_nanos(self.seconds * 1_000_000_000),
            timestamp: Timestamp(millis),
        }
    }

    fn step(&mut self, what: &str, event: Event<'_>) {
        let mut effects = Vec::new();
        self.replica.step(self.now(), event, &mut effects);
        self.tell(what, &effects);
    }

    fn tell(&mut self, what: &str, effects: &[Effect]) {
        let text = &mut self.text;
        let high_watermark = self.replica.high_watermark();
        writeln!(text, "{what} (hw {high_watermark})").expect("strings grow");
        for effect in effects {
            let line = match effect {
                Effect::Append(admission) => {
                    self.admitted = admission.appended.next_offset;
                    let copied =
                        self.offered.drain(..).filter(|it| it.next_offset() <= self.admitted);
                    self.files.append(admission.segment, copied);
                    let epochs = admission.epochs.as_ref().map_or(String::new(), |epochs| {
                        let lines = epochs.iter().map(|it| format!(" {}@{}", it.epoch, it.start));
                        format!(", epochs{}", lines.collect::<String>())
                    });
                    format!("append {:?}{epochs}", admission.appended.base_offset)
                }
                Effect::Sync(plan) => format!("sync up to {}", plan.upto),
                Effect::Delete(deletion) => format!("delete {:?}", deletion.segments),
                Effect::LogStartRaised(start) => format!("log start {}", start.log_start),
                Effect::Answer { ticket, answer: Ok(answer) } => {
                    format!("answer {}: offset {}", ticket.0, answer.appended.base_offset)
                }
                Effect::Answer { ticket, answer: Err(refusal) } => {
                    let code = refusal.code().name().unwrap_or("?");
                    format!("answer {}: {code} ({refusal})", ticket.0)
                }
                Effect::AnswerDelete { ticket, answer } => {
                    let answer = answer.map_err(|refusal| refusal.code());
                    format!("answer {}: low watermark {answer:?}", ticket.0)
                }
                Effect::RefuseFetched(refusal) => format!("refuse: {refusal}"),
                Effect::Cut(Cut::Truncate { to }) => format!("cut off from {to} on"),
                Effect::Cut(Cut::StartOver { at }) => format!("start over at {at}"),
                Effect::AlterIsr { partition_epoch, in_sync, .. } => {
                    let nodes: Vec<i32> = in_sync.iter().map(|member| member.node.0).collect();
                    format!("ask for ISR {nodes:?} after partition epoch {partition_epoch}")
                }
            };
            writeln!(text, "    {line}").expect("strings grow");
        }
    }

    fn lead(&mut self, epoch: i32, partition_epoch: i32, replicas: &[i32], in_sync: &[i32]) {
        let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
        let what = format!("lead epoch {epoch}, replicas {replicas:?}, in sync {in_sync:?}");
        let leadership = Leadership {
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch,
            replicas: nodes(replicas),
            in_sync: nodes(in_sync),
        };
        self.step(&what, Event::BecomeLeader(leadership));
    }

    fn follow(&mut self, leader: i32, epoch: i32, partition_epoch: i32, is_in_sync: bool) {
        let followership = Followership {
            leader: NodeId(leader),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch,
            is_in_sync,
        };
        let what = format!("follow {leader} in epoch {epoch}");
        self.step(&what, Event::BecomeFollower(followership));
    }

    fn require_in_sync(&mut self, min_in_sync_replicas: u32) {
        let replica = ReplicaConfig { min_in_sync_replicas, lag_time_max: Duration::from_secs(30) };
        let event = Event::Configured { replica, log: Arc::new(LogConfig::default()) };
        self.step(&format!("min.insync.replicas is {min_in_sync_replicas}"), event);
    }

    fn produce(&mut self, required_acks: RequiredAcks, count: i32, sequence: i32) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let batches = [batch(count, sequence, self.now().timestamp)];
        let event =
            Event::Append { ticket, batches: &batches, required_acks, origin: Origin::Leader };
        self.step(&format!("produce {} acks {required_acks:?}", ticket.0), event);
    }

    fn written(&mut self) {
        let upto = self.admitted;
        self.step(&format!("written up to {upto}"), Event::Written { upto });
    }

    fn fetched(&mut self, follower: i32, log_end: i64) {
        let event = Event::FollowerFetched {
            follower: NodeId(follower),
            broker_epoch: BrokerEpoch(i64::from(follower) * 10),
            log_start: Offset(0),
            log_end: Offset(log_end),
        };
        self.step(&format!("{follower} fetches from {log_end}"), event);
    }

    fn ends(&self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

fn batch(count: i32, sequence: i32, timestamp: Timestamp) -> BatchFacts {
    BatchFacts {
        base_offset: Offset(0),
        last_offset_delta: count - 1,
        record_count: count,
        size_bytes: count as u32 * 100,
        leader_epoch: LeaderEpoch::NONE,
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional: false,
        control: None,
        has_delete_horizon: false,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        max_timestamp_delta: 0,
        min_timestamp: timestamp,
        producer_id: ProducerId(if sequence < 0 { -1 } else { 7 }),
        producer_epoch: ProducerEpoch(if sequence < 0 { -1 } else { 0 }),
        base_sequence: sequence,
        first_keyless: None,
    }
}

#[test]
fn alone_what_is_written_is_committed() {
    let mut story = Story::new(2, i64::MAX);
    story.produce(RequiredAcks::All, 1, -1);
    story.lead(0, 0, &[1], &[1]);
    story.produce(RequiredAcks::All, 2, 0);
    story.produce(RequiredAcks::Leader, 1, -1);
    story.produce(RequiredAcks::All, 2, 0);
    story.produce(RequiredAcks::All, 1, 5);
    story.written();
    story.produce(RequiredAcks::All, 2, 0);
    story.step("delete", Event::DeleteRecords { ticket: Ticket(90), upto: Offset(2) });
    story.step("delete", Event::DeleteRecords { ticket: Ticket(91), upto: Offset(4) });
    story.ends(expect![[r#"
        produce 1 acks All (hw 0)
            answer 1: NOT_LEADER_OR_FOLLOWER (this broker does not lead the partition)
        lead epoch 0, replicas [1], in sync [1] (hw 0)
        produce 2 acks All (hw 0)
            append 0, epochs 0@0
        produce 3 acks Leader (hw 0)
            append 2
        produce 4 acks All (hw 0)
        produce 5 acks All (hw 0)
            answer 5: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 7 sent sequence 5, expected 2)
        written up to 3 (hw 3)
            answer 3: offset 2
            answer 2: offset 0
            answer 4: offset 0
        produce 6 acks All (hw 3)
            answer 6: offset 0
        delete (hw 3)
            log start 2
            answer 90: low watermark Ok(2)
        delete (hw 3)
            answer 91: low watermark Err(OFFSET_OUT_OF_RANGE(1))
    "#]]);
}

#[test]
fn with_flush_messages_one_answers_wait_for_the_disk_together() {
    let mut story = Story::new(1, 1);
    story.lead(0, 0, &[1], &[1]);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.produce(RequiredAcks::Leader, 1, -1);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.step("synced up to 1", Event::Synced { upto: Offset(1) });
    story.step("synced up to 3", Event::Synced { upto: Offset(3) });
    story.ends(expect![[r#"
        lead epoch 0, replicas [1], in sync [1] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 0@0
        written up to 1 (hw 0)
            sync up to 1
        produce 2 acks Leader (hw 0)
            append 1
        produce 3 acks All (hw 0)
            append 2
        written up to 3 (hw 0)
        synced up to 1 (hw 1)
            sync up to 3
            answer 1: offset 0
        synced up to 3 (hw 3)
            answer 2: offset 1
            answer 3: offset 2
    "#]]);
}

#[test]
fn three_replicas_lose_one_and_take_it_back() {
    let mut story = Story::new(2, i64::MAX);
    story.lead(3, 0, &[1, 2, 3], &[1, 2, 3]);
    story.produce(RequiredAcks::All, 2, -1);
    story.produce(RequiredAcks::Leader, 1, -1);
    story.written();
    story.fetched(2, 3);
    story.fetched(3, 2);
    story.seconds += 20;
    story.fetched(2, 3);
    story.step("check", Event::CheckIsr);
    story.seconds += 15;
    story.step("check", Event::CheckIsr);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    let committed = |partition_epoch, nodes: &[i32]| {
        Event::IsrAnswered(IsrAnswer::Committed {
            leader_epoch: LeaderEpoch(3),
            partition_epoch,
            in_sync: nodes.iter().copied().map(NodeId).collect(),
        })
    };
    story.step("ISR is 1, 2", committed(1, &[1, 2]));
    story.fetched(2, 4);
    story.fetched(3, 3);
    story.fetched(3, 4);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.fetched(2, 5);
    story.step("refused", Event::IsrAnswered(IsrAnswer::Refused));
    story.fetched(3, 5);
    story.step("ISR is 1, 2, 3", committed(2, &[1, 2, 3]));
    story.ends(expect![[r#"
        lead epoch 3, replicas [1, 2, 3], in sync [1, 2, 3] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 3@0
        produce 2 acks Leader (hw 0)
            append 2
        written up to 3 (hw 0)
            answer 2: offset 2
        2 fetches from 3 (hw 0)
        3 fetches from 2 (hw 2)
            answer 1: offset 0
        2 fetches from 3 (hw 2)
        check (hw 2)
        check (hw 2)
            ask for ISR [1, 2] after partition epoch 0
        produce 3 acks All (hw 2)
            append 3
        written up to 4 (hw 2)
        ISR is 1, 2 (hw 3)
        2 fetches from 4 (hw 4)
            answer 3: offset 3
        3 fetches from 3 (hw 4)
        3 fetches from 4 (hw 4)
            ask for ISR [1, 2, 3] after partition epoch 1
        produce 4 acks All (hw 4)
            append 4
        written up to 5 (hw 4)
        2 fetches from 5 (hw 4)
        refused (hw 4)
        3 fetches from 5 (hw 5)
            ask for ISR [1, 2, 3] after partition epoch 1
            answer 4: offset 4
        ISR is 1, 2, 3 (hw 5)
    "#]]);
}

#[test]
fn below_the_minimum_nothing_is_committed() {
    let mut story = Story::new(2, i64::MAX);
    story.lead(0, 0, &[1, 2], &[1, 2]);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.lead(0, 1, &[1, 2], &[1]);
    story.produce(RequiredAcks::All, 1, -1);
    story.produce(RequiredAcks::Leader, 1, -1);
    story.written();
    story.fetched(2, 2);
    story.lead(0, 2, &[1, 2], &[1, 2]);
    story.ends(expect![[r#"
        lead epoch 0, replicas [1, 2], in sync [1, 2] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 0@0
        written up to 1 (hw 0)
        lead epoch 0, replicas [1, 2], in sync [1] (hw 0)
        produce 2 acks All (hw 0)
            answer 2: NOT_ENOUGH_REPLICAS (1 in-sync replicas, min.insync.replicas asks for 2)
        produce 3 acks Leader (hw 0)
            append 1
        written up to 2 (hw 0)
            answer 3: offset 1
        2 fetches from 2 (hw 0)
            ask for ISR [1, 2] after partition epoch 1
        lead epoch 0, replicas [1, 2], in sync [1, 2] (hw 2)
            answer 1: offset 0
    "#]]);
}

/// So nobody is ever told that too few replicas were left after an append: what is committed is a
/// success, and what is not may still become one.
#[test]
fn an_isr_that_shrinks_below_the_minimum_leaves_an_append_waiting() {
    let mut story = Story::new(2, i64::MAX);
    story.lead(0, 0, &[1, 2], &[1, 2]);
    story.produce(RequiredAcks::All, 1, 0);
    story.written();
    story.fetched(2, 1);
    story.produce(RequiredAcks::All, 1, 1);
    story.written();
    story.seconds += 31;
    story.step("check", Event::CheckIsr);
    let committed = |partition_epoch, nodes: &[i32]| {
        Event::IsrAnswered(IsrAnswer::Committed {
            leader_epoch: LeaderEpoch(0),
            partition_epoch,
            in_sync: nodes.iter().copied().map(NodeId).collect(),
        })
    };
    story.step("ISR is 1", committed(1, &[1]));
    // What is asked again is judged by what the request asks for.
    story.produce(RequiredAcks::All, 1, 0);
    story.produce(RequiredAcks::Leader, 1, 0);
    story.produce(RequiredAcks::Leader, 1, 1);
    story.fetched(2, 2);
    story.step("ISR is 1, 2", committed(2, &[1, 2]));
    story.ends(expect![[r#"
        lead epoch 0, replicas [1, 2], in sync [1, 2] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 0@0
        written up to 1 (hw 0)
        2 fetches from 1 (hw 1)
            answer 1: offset 0
        produce 2 acks All (hw 1)
            append 1
        written up to 2 (hw 1)
        check (hw 1)
            ask for ISR [1] after partition epoch 0
        ISR is 1 (hw 1)
        produce 3 acks All (hw 1)
            answer 3: NOT_ENOUGH_REPLICAS (1 in-sync replicas, min.insync.replicas asks for 2)
        produce 4 acks Leader (hw 1)
            answer 4: offset 0
        produce 5 acks Leader (hw 1)
            answer 5: offset 1
        2 fetches from 2 (hw 1)
            ask for ISR [1, 2] after partition epoch 1
        ISR is 1, 2 (hw 2)
            answer 2: offset 1
    "#]]);
}

#[test]
fn a_minimum_that_is_raised_leaves_an_append_waiting() {
    let mut story = Story::new(2, i64::MAX);
    story.lead(0, 0, &[1, 2, 3], &[1, 2]);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.require_in_sync(3);
    story.fetched(2, 1);
    story.produce(RequiredAcks::All, 1, -1);
    story.require_in_sync(2);
    story.ends(expect![[r#"
        lead epoch 0, replicas [1, 2, 3], in sync [1, 2] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 0@0
        written up to 1 (hw 0)
        min.insync.replicas is 3 (hw 0)
        2 fetches from 1 (hw 0)
        produce 2 acks All (hw 0)
            answer 2: NOT_ENOUGH_REPLICAS (2 in-sync replicas, min.insync.replicas asks for 3)
        min.insync.replicas is 2 (hw 1)
            answer 1: offset 0
    "#]]);
}

#[test]
fn a_consumer_is_sent_to_the_near_replica_in_sync_that_lags_least() {
    let mut story = Story::new(1, i64::MAX);
    story.lead(0, 0, &[1, 2, 3, 4], &[1, 2, 3]);
    story.produce(RequiredAcks::Leader, 3, -1);
    story.written();
    for (follower, log_end) in [(2, 1), (3, 2), (4, 3)] {
        story.fetched(follower, log_end);
    }
    let preferred = |replica: &Replica, from, near: &[i32]| {
        let is_near = |node: NodeId| near.contains(&node.get());
        replica.preferred_read_replica(Offset(from), is_near).map(NodeId::get)
    };
    for (from, near, expected) in [
        (0, &[2, 3][..], Some(3)),
        (0, &[2], Some(2)),
        (2, &[2], None),
        (0, &[4], None),
        (0, &[1, 2, 3], None),
        (0, &[], None),
    ] {
        assert_eq!(preferred(&story.replica, from, near), expected, "{from} near {near:?}");
    }
    story.follow(2, 1, 1, true);
    assert_eq!(preferred(&story.replica, 0, &[2, 3]), None);

    // Any replica answers whom the leader may have sent, as far as it knows the log is committed.
    let view = story.replica.view();
    let read = |reader, epoch| view.readable(Offset(0), reader, LeaderEpoch(epoch));
    let roaming = Reader::Roaming(Isolation::ReadUncommitted);
    assert_eq!(read(roaming, 1).unwrap().upto, story.replica.high_watermark());
    assert_eq!(read(roaming, 0).unwrap_err().code(), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(read(roaming, 2).unwrap_err().code(), ErrorCode::UNKNOWN_LEADER_EPOCH);
    for reader in [Reader::Consumer(Isolation::ReadUncommitted), Reader::Follower] {
        assert_eq!(read(reader, 1).unwrap_err().code(), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    story.step("fault", Event::Faulted);
    let offline = story.replica.view().readable(Offset(0), roaming, LeaderEpoch(1));
    assert_eq!(offline.unwrap_err().code(), ErrorCode::KAFKA_STORAGE_ERROR);
}

#[test]
fn leadership_comes_and_goes() {
    let mut story = Story::new(1, i64::MAX);
    story.lead(4, 0, &[1, 2], &[1, 2]);
    story.produce(RequiredAcks::All, 2, 0);
    story.written();
    let view = story.replica.view();
    for (from, epoch) in [(0, 4), (2, -1), (3, 4), (0, 3), (0, 5)] {
        let range = view.readable(
            Offset(from),
            Reader::Consumer(Isolation::ReadUncommitted),
            LeaderEpoch(epoch),
        );
        let answer = range.map(|range| range.upto.0).map_err(|refusal| refusal.code());
        writeln!(story.text, "consumer from {from} in epoch {epoch}: {answer:?}").unwrap();
    }
    let range = view.readable(Offset(0), Reader::Follower, LeaderEpoch(4));
    writeln!(story.text, "follower from 0: {range:?}").unwrap();
    story.follow(2, 5, 1, true);
    story.lead(4, 0, &[1, 2], &[1, 2]);
    story.lead(6, 2, &[1, 2], &[1]);
    for (epoch, end) in [(-1, 9), (4, 2), (4, 3), (5, 2), (6, 2), (7, 2)] {
        let diverging = story.replica.diverging_epoch(LeaderEpoch(epoch), Offset(end));
        writeln!(story.text, "a follower with epoch {epoch} and end {end}: {diverging:?}").unwrap();
    }
    story.produce(RequiredAcks::All, 1, -1);
    story.step("fault", Event::Faulted);
    story.produce(RequiredAcks::All, 1, -1);
    story.ends(expect![[r#"
        lead epoch 4, replicas [1, 2], in sync [1, 2] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 4@0
        written up to 2 (hw 0)
        consumer from 0 in epoch 4: Ok(0)
        consumer from 2 in epoch -1: Ok(2)
        consumer from 3 in epoch 4: Err(OFFSET_OUT_OF_RANGE(1))
        consumer from 0 in epoch 3: Err(FENCED_LEADER_EPOCH(74))
        consumer from 0 in epoch 5: Err(UNKNOWN_LEADER_EPOCH(75))
        follower from 0: Ok(ReadableRange { from: 0, upto: 2 })
        follow 2 in epoch 5 (hw 0)
            answer 1: NOT_LEADER_OR_FOLLOWER (this broker does not lead the partition)
        lead epoch 4, replicas [1, 2], in sync [1, 2] (hw 0)
        lead epoch 6, replicas [1, 2], in sync [1] (hw 2)
        a follower with epoch -1 and end 9: Ok(None)
        a follower with epoch 4 and end 2: Ok(None)
        a follower with epoch 4 and end 3: Ok(Some(EpochEnd { epoch: 4, end: 2 }))
        a follower with epoch 5 and end 2: Ok(Some(EpochEnd { epoch: 4, end: 2 }))
        a follower with epoch 6 and end 2: Ok(None)
        a follower with epoch 7 and end 2: Err(OffsetOutOfRange { asked: 2, log_start: 0, log_end: 2 })
        produce 2 acks All (hw 2)
            append 2, epochs 4@0 6@2
        fault (hw 2)
            answer 2: KAFKA_STORAGE_ERROR (the partition went offline)
        produce 3 acks All (hw 2)
            answer 3: KAFKA_STORAGE_ERROR (the partition went offline)
    "#]]);
}

/// The one file holds the one batch that was written.
fn recover_from_one_batch(mut recovery: strandline_log::Recovery) -> Log {
    while let strandline_log::RecoveryStep::Scan(range) = recovery.next_step() {
        assert_eq!(range.from, 0);
        let written = BatchFacts { leader_epoch: LeaderEpoch(0), ..batch(2, -1, Timestamp(0)) };
        assert!(recovery.batch(&written, 0));
        recovery.scan_ended().expect("nothing is damaged");
    }
    recovery.finish().log
}

#[test]
fn a_full_disk_refuses_and_serves() {
    let mut story = Story::new(1, i64::MAX);
    story.lead(0, 0, &[1], &[1]);
    story.produce(RequiredAcks::All, 2, -1);
    story.written();
    story.produce(RequiredAcks::All, 1, -1);
    story.produce(RequiredAcks::Leader, 1, -1);
    let mut effects = Vec::new();
    story.replica.suspend(&mut effects);
    story.tell("no space left", &effects);
    story.produce(RequiredAcks::All, 1, -1);
    let end = story.replica.view().end_for(Reader::Consumer(Isolation::ReadUncommitted));
    writeln!(story.text, "consumers read up to {end}").unwrap();
    let now = story.now().timestamp;
    let cut = story.replica.log().truncate_to(Offset(2), Vec::new(), now);
    let log = recover_from_one_batch(cut);
    story.replica.replace_log(log);
    story.replica.resume();
    story.tell("there is room again", &[]);
    story.produce(RequiredAcks::All, 1, -1);
    story.written();
    story.ends(expect![[r#"
        lead epoch 0, replicas [1], in sync [1] (hw 0)
        produce 1 acks All (hw 0)
            append 0, epochs 0@0
        written up to 2 (hw 2)
            answer 1: offset 0
        produce 2 acks All (hw 2)
            append 2
        produce 3 acks Leader (hw 2)
            append 3
        no space left (hw 2)
            answer 3: KAFKA_STORAGE_ERROR (the partition went offline)
            answer 2: KAFKA_STORAGE_ERROR (the partition went offline)
        produce 4 acks All (hw 2)
            answer 4: KAFKA_STORAGE_ERROR (the partition went offline)
        consumers read up to 2
        there is room again (hw 2)
        produce 5 acks All (hw 2)
            append 2
        written up to 3 (hw 3)
            answer 5: offset 2
    "#]]);
}
