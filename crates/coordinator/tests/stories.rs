//! Groups' lives in text: who asks, what is answered to whom, what is written.

mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use expect_test::{Expect, expect};
use strandline_coordinator::Ticket;
use strandline_coordinator::groups::{
    Entry, Event, GroupListing, Input, Marker, OffsetFetchGroup, Record, Request, Response,
    Settings, Shard, TransactionEnded,
};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId, Uuid};
use strandline_wire::messages::join_group_request::JoinGroupRequestProtocol;
use strandline_wire::messages::leave_group_request::MemberIdentity;
use strandline_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use strandline_wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use strandline_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use strandline_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use strandline_wire::messages::{
    ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest, TxnOffsetCommitRequest,
    encode_prefixed,
};

type World = world::World<Shard>;
type Outcome = world::Outcome<Shard>;

struct Story {
    world: World,
    text: String,
    asked: BTreeMap<Ticket, String>,
    /// Real member ids, by what the story calls them.
    names: Vec<(String, String)>,
}

/// What a client knows of itself.
#[derive(Clone, Default)]
struct Client {
    name: &'static str,
    instance_id: Option<String>,
    member_id: String,
    generation: i32,
    version: i16,
    protocols: Vec<&'static str>,
    topics: Vec<&'static str>,
}

fn client(name: &'static str) -> Client {
    let (protocols, topics) = (vec!["range"], vec!["orders"]);
    Client { name, version: 9, protocols, topics, ..Client::default() }
}

fn static_client(name: &'static str) -> Client {
    Client { instance_id: Some(name.into()), ..client(name) }
}

impl Story {
    fn new(settings: Settings) -> Self {
        let world = World::new(settings);
        Self { world, text: String::new(), asked: BTreeMap::new(), names: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        let mut line = line.to_owned();
        for (id, name) in &self.names {
            line = line.replace(id, name);
        }
        writeln!(self.text, "{:<6} {line}", self.world.now_ms).expect("strings grow");
    }

    fn ask(&mut self, version: i16, who: &str, what: &str, request: Request) -> Vec<Response> {
        self.say(&format!("{who} {what}"));
        let (ticket, outcome) = self.world.ask(version, who, request);
        self.asked.insert(ticket, format!("{who} {}", what.split(' ').next().unwrap_or_default()));
        self.see(outcome)
    }

    fn see(&mut self, outcome: Outcome) -> Vec<Response> {
        for (ticket, response) in &outcome.replies {
            self.name_member(&self.asked[ticket].clone(), response);
        }
        for entry in &outcome.entries {
            let line = format!("  writes {}", shown_entry(entry));
            self.say(&line);
        }
        let mut responses = Vec::new();
        for (ticket, response) in outcome.replies {
            let who = self.asked.remove(&ticket).expect("somebody asked");
            self.say(&format!("  -> {who}: {}", shown(&response)));
            responses.push(response);
        }
        responses
    }

    fn name_member(&mut self, who: &str, response: &Response) {
        let Response::JoinGroup(joined) = response else { return };
        if joined.member_id.is_empty() || self.names.iter().any(|(id, _)| *id == joined.member_id) {
            return;
        }
        let name = who.split(' ').next().unwrap_or_default();
        let count = self.names.iter().filter(|(_, it)| it.starts_with(name)).count();
        self.names.push((joined.member_id.clone(), format!("{name}#{}", count + 1)));
    }

    fn pass(&mut self, ms: u64) -> Vec<Response> {
        let mut outcomes = Vec::new();
        self.world.pass(ms, |world, outcome| outcomes.push((world.now_ms, outcome)));
        let end = self.world.now_ms;
        let mut responses = Vec::new();
        for (at, outcome) in outcomes {
            self.world.now_ms = at;
            responses.extend(self.see(outcome));
        }
        self.world.now_ms = end;
        responses
    }

    fn join(&mut self, client: &mut Client) -> Vec<Response> {
        let subscription = ConsumerProtocolSubscription {
            topics: client.topics.iter().map(|it| (*it).to_owned()).collect(),
            ..Default::default()
        };
        let metadata = encode_prefixed(&subscription, 0).expect("small");
        let protocol = |name: &&str| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: metadata.clone(),
            ..Default::default()
        };
        let request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            protocol_type: "consumer".into(),
            protocols: client.protocols.iter().map(protocol).collect(),
            ..Default::default()
        };
        let what = match client.member_id.as_str() {
            "" => "joins".to_owned(),
            member_id => format!("joins as {member_id}"),
        };
        let responses = self.ask(client.version, client.name, &what, Request::JoinGroup(request));
        if let [Response::JoinGroup(joined)] = &responses[..]
            && joined.error_code == ErrorCode::MEMBER_ID_REQUIRED
        {
            client.member_id.clone_from(&joined.member_id);
            return self.join(client);
        }
        responses
    }

    fn sync(&mut self, client: &Client, assignments: &[(&Client, &'static str)]) {
        let assignment = |(to, what): &(&Client, &'static str)| SyncGroupRequestAssignment {
            member_id: to.member_id.clone(),
            assignment: Bytes::from_static(what.as_bytes()),
            ..Default::default()
        };
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.iter().map(assignment).collect(),
            ..Default::default()
        };
        let what = format!("syncs {} assignments", assignments.len());
        self.ask(5, client.name, &what, Request::SyncGroup(request));
    }

    fn beat(&mut self, client: &Client) {
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            ..Default::default()
        };
        self.ask(4, client.name, "beats", Request::Heartbeat(request));
    }

    fn leave(&mut self, client: &Client) {
        let member = MemberIdentity {
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            ..Default::default()
        };
        let request =
            LeaveGroupRequest { group_id: "g".into(), members: vec![member], ..Default::default() };
        self.ask(5, client.name, "leaves", Request::LeaveGroup(request));
    }

    fn commit(&mut self, client: &Client, topic: &str, offset: i64, metadata: &str) {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some(metadata.into()),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        let what = format!("commits {topic}-0 {offset}");
        self.ask(client.version, client.name, &what, Request::OffsetCommit(request));
    }

    fn commit_in(&mut self, producer: i64, client: &Client, topic: &str, offset: i64) {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some(String::new()),
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: "t".into(),
            group_id: "g".into(),
            producer_id: producer,
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            topics: vec![TxnOffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        let what = format!("commits {topic}-0 {offset} in producer {producer}'s transaction");
        self.ask(5, client.name, &what, Request::TxnOffsetCommit(request));
    }

    fn end(&mut self, producer: i64, is_commit: bool) {
        let marker = Marker {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: 0,
            is_commit,
        };
        let what = format!("{} {producer}", if is_commit { "commits" } else { "aborts" });
        self.ask(1, "coordinator", &what, Request::EndTransaction(marker));
    }

    fn fetch(&mut self) {
        let request =
            OffsetFetchGroup { group_id: "g".into(), require_stable: true, ..Default::default() };
        self.ask(9, "admin", "fetches offsets", Request::OffsetFetch(request));
    }

    fn describe(&mut self) {
        let request = Request::DescribeGroup { group_id: "g".into() };
        self.ask(6, "admin", "describes", request);
    }

    fn delete_group(&mut self) {
        let request = Request::DeleteGroup { group_id: "g".into() };
        self.ask(2, "admin", "deletes the group", request);
    }

    fn delete_offset(&mut self, topic: &str) {
        let request = OffsetDeleteRequest {
            group_id: "g".into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetDeleteRequestPartition::default()],
            }],
        };
        self.ask(0, "admin", &format!("deletes {topic}-0"), Request::OffsetDelete(request));
    }

    fn list(&mut self, states: &[&str], types: &[&str]) {
        let owned = |them: &[&str]| them.iter().map(|it| (*it).to_owned()).collect();
        let request = GroupListing { states: owned(states), types: owned(types) };
        let what = format!("lists {states:?} {types:?}");
        self.ask(5, "admin", &what, Request::ListGroups(request));
    }

    /// Everybody joins for the first time, `a` leads and gives each its name as assignment.
    fn form(&mut self, clients: &mut [&mut Client]) {
        let told = self.text.len();
        for client in clients.iter_mut() {
            self.join(client);
        }
        let responses = self.pass(6_000);
        adopt(&responses, clients);
        let all: Vec<Client> = clients.iter().map(|it| (**it).clone()).collect();
        let assignments: Vec<_> = all.iter().map(|it| (it, it.name)).collect();
        self.sync(&all[0], &assignments);
        for client in &all[1..] {
            self.sync(client, &[]);
        }
        self.text.truncate(told);
        self.say("g is stable");
    }

    fn check(&mut self, expected: Expect) {
        assert_eq!(self.world.shard.durable(), self.world.replayed().durable());
        expected.assert_eq(&self.text);
    }
}

/// Clients learn their ids and the generation from the answers to JoinGroup, by the order of ids.
fn adopt(responses: &[Response], clients: &mut [&mut Client]) {
    for response in responses {
        let Response::JoinGroup(joined) = response else { continue };
        let owner =
            clients.iter_mut().find(|it| joined.member_id.starts_with(&format!("{}-", it.name)));
        if let Some(client) = owner.filter(|_| joined.error_code.is_none()) {
            client.member_id.clone_from(&joined.member_id);
            client.generation = joined.generation_id;
        }
    }
}

fn name(code: ErrorCode) -> &'static str {
    code.name().unwrap_or("?")
}

fn shown(response: &Response) -> String {
    match response {
        Response::JoinGroup(it) if it.error_code.is_none() => format!(
            "generation {} {} of {}, led by {}, members {:?}{}",
            it.generation_id,
            it.member_id,
            it.protocol_name.as_deref().unwrap_or("-"),
            it.leader,
            it.members.iter().map(|member| &member.member_id).collect::<Vec<_>>(),
            if it.skip_assignment { ", skip assignment" } else { "" },
        ),
        Response::JoinGroup(it) => format!("{} {:?}", name(it.error_code), it.member_id),
        Response::SyncGroup(it) => {
            format!("{} {:?}", name(it.error_code), String::from_utf8_lossy(&it.assignment))
        }
        Response::Heartbeat(it) => name(it.error_code).into(),
        Response::LeaveGroup(it) => {
            let members: Vec<_> = it.members.iter().map(|member| name(member.error_code)).collect();
            format!("{} {}", name(it.error_code), members.join(" "))
        }
        Response::OffsetCommit(it) => name(it.topics[0].partitions[0].error_code).into(),
        Response::TxnOffsetCommit(it) => name(it.topics[0].partitions[0].error_code).into(),
        Response::EndTransaction(TransactionEnded) => "ended".into(),
        Response::OffsetFetch(topics) => {
            let mut text = String::new();
            for topic in topics {
                for (index, offset) in &topic.partitions {
                    if topic.unstable.contains(index) {
                        write!(text, "{}-{index} unstable ", topic.topic).expect("strings grow");
                        continue;
                    }
                    let offset = offset.as_ref().map_or(-1, |it| it.offset.get());
                    write!(text, "{}-{index} {offset} ", topic.topic).expect("strings grow");
                }
            }
            text.trim_end().into()
        }
        Response::OffsetDelete(it) => {
            let codes = it.topics.iter().flat_map(|topic| &topic.partitions);
            let codes: Vec<_> = codes.map(|partition| name(partition.error_code)).collect();
            format!("{} {}", name(it.error_code), codes.join(" "))
        }
        Response::DescribeGroup(it) => {
            let member =
                |it: &strandline_wire::messages::describe_groups_response::DescribedGroupMember| {
                    format!("{}={}", it.member_id, String::from_utf8_lossy(&it.member_assignment))
                };
            let members: Vec<_> = it.members.iter().map(member).collect();
            let (code, state) = (name(it.error_code), &it.group_state);
            format!("{code} {state} {:?} {:?} {members:?}", it.protocol_type, it.protocol_data)
        }
        Response::DeleteGroup(code) => name(*code).into(),
        Response::ListGroups(groups) => {
            let group = |it: &strandline_wire::messages::list_groups_response::ListedGroup| {
                format!("{} {} {}", it.group_id, it.group_state, it.group_type)
            };
            format!("{:?}", groups.iter().map(group).collect::<Vec<_>>())
        }
    }
}

fn shown_entry(entry: &Entry) -> String {
    match entry {
        Entry::Record(record) => shown_record(record),
        Entry::InTransaction { producer_id, record, .. } => {
            format!("in {producer_id}: {}", shown_record(record))
        }
        Entry::Marker { producer_id, is_commit, .. } => {
            format!("{} of {producer_id}", if *is_commit { "commit" } else { "abort" })
        }
    }
}

fn shown_record(record: &Record) -> String {
    match record {
        Record::GroupMetadata(key, Some(value)) => format!(
            "{}: generation {}, {:?}, leader {}, members {:?}",
            key.group,
            value.generation,
            value.protocol.as_deref().unwrap_or("-"),
            value.leader.as_deref().unwrap_or("-"),
            value.members.iter().map(|it| &it.member_id).collect::<Vec<_>>(),
        ),
        Record::GroupMetadata(key, None) => format!("{}: gone", key.group),
        Record::OffsetCommit(key, value) => format!(
            "{} {}-{}: {}",
            key.group,
            key.topic,
            key.partition,
            value.as_ref().map_or("gone".to_owned(), |it| it.offset.to_string())
        ),
        other => format!("{other:?}"),
    }
}

#[test]
fn two_members_join_a_third_arrives_one_dies() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b, mut c) = (client("a"), client("b"), client("c"));
    story.join(&mut a);
    story.pass(1_000);
    story.join(&mut b);
    let joined = story.pass(6_000);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.sync(&b, &[]);
    story.sync(&a, &[(&a, "orders-0"), (&b, "orders-1")]);
    story.describe();
    story.join(&mut c);
    story.beat(&a);
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    // b is dead: it is waited for as long as its session lasts.
    let joined = story.pass(10_000);
    adopt(&joined, &mut [&mut a, &mut c]);
    story.sync(&a, &[(&a, "orders-0"), (&c, "orders-1")]);
    story.sync(&c, &[]);
    story.beat(&b);
    story.leave(&a);
    story.leave(&c);
    story.describe();
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> a joins: MEMBER_ID_REQUIRED "a#1"
        0      a joins as a#1
        1000   b joins
        1000     -> b joins: MEMBER_ID_REQUIRED "b#1"
        1000   b joins as b#1
        6000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 1 b#1 of range, led by a#1, members []
        7000   b syncs 0 assignments
        7000   a syncs 2 assignments
        7000     writes g: generation 1, "range", leader a#1, members ["a#1", "b#1"]
        7000     -> a syncs: NONE "orders-0"
        7000     -> b syncs: NONE "orders-1"
        7000   admin describes
        7000     -> admin describes: NONE Stable "consumer" "range" ["a#1=orders-0", "b#1=orders-1"]
        7000   c joins
        7000     -> c joins: MEMBER_ID_REQUIRED "c#1"
        7000   c joins as c#1
        7000   a beats
        7000     -> a beats: REBALANCE_IN_PROGRESS
        7000   a joins as a#1
        17000    -> a joins: generation 2 a#1 of range, led by a#1, members ["a#1", "c#1"]
        17000    -> c joins: generation 2 c#1 of range, led by a#1, members []
        17000  a syncs 2 assignments
        17000    writes g: generation 2, "range", leader a#1, members ["a#1", "c#1"]
        17000    -> a syncs: NONE "orders-0"
        17000  c syncs 0 assignments
        17000    -> c syncs: NONE "orders-1"
        17000  b beats
        17000    -> b beats: UNKNOWN_MEMBER_ID
        17000  a leaves
        17000    -> a leaves: NONE NONE
        17000  c leaves
        17000    writes g: generation 3, "-", leader -, members []
        17000    -> c leaves: NONE NONE
        17000  admin describes
        17000    -> admin describes: NONE Empty "consumer" "" []
    "#]]);
}

#[test]
fn a_static_member_bounces_without_a_rebalance() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (static_client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    let before = a.clone();
    a.member_id.clear();
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    story.sync(&a, &[]);
    story.beat(&before);
    story.commit(&before, "orders", 1, "");
    story.beat(&a);
    story.beat(&b);
    // An older client could not be told to skip the assignment.
    a.member_id.clear();
    a.version = 8;
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    // It stays away for longer than its session.
    story.pass(5_000);
    story.beat(&b);
    story.pass(5_000);
    story.beat(&b);
    story.check(expect![[r#"
        6000   g is stable
        6000   a joins
        6000     writes g: generation 1, "range", leader a#2, members ["a#2", "b#1"]
        6000     -> a joins: generation 1 a#2 of range, led by a#2, members ["a#2", "b#1"], skip assignment
        6000   a syncs 0 assignments
        6000     -> a syncs: NONE "a"
        6000   a beats
        6000     -> a beats: FENCED_INSTANCE_ID
        6000   a commits orders-0 1
        6000     -> a commits: FENCED_INSTANCE_ID
        6000   a beats
        6000     -> a beats: NONE
        6000   b beats
        6000     -> b beats: NONE
        6000   a joins
        6000     writes g: generation 1, "range", leader a#3, members ["a#3", "b#1"]
        6000     -> a joins: generation 1 a#3 of range, led by a#2, members []
        11000  b beats
        11000    -> b beats: NONE
        16000  b beats
        16000    -> b beats: REBALANCE_IN_PROGRESS
    "#]]);
}

#[test]
fn offsets_are_committed_by_the_current_generation_only() {
    let mut story = Story::new(Settings::default());
    let nobody = Client { generation: -1, ..client("admin") };
    story.commit(&nobody, "orders", 3, "");
    story.commit(&Client { generation: 5, ..client("x") }, "orders", 4, "");
    let (mut a, mut b) = (client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    story.commit(&a, "orders", 7, "");
    story.commit(&Client { generation: 9, ..a.clone() }, "orders", 8, "");
    story.commit(&Client { member_id: "who".into(), ..a.clone() }, "orders", 8, "");
    story.commit(&nobody, "orders", 8, "");
    story.commit(&a, "orders", 8, &"ß".repeat(4097));
    story.commit(&a, "orders", 9, &"ß".repeat(4096));
    story.join(&mut a);
    // While members gather, the old generation still commits.
    story.commit(&b, "orders", 10, "");
    let joined = story.join(&mut b);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.commit(&b, "orders", 11, "");
    story.delete_offset("orders");
    story.sync(&a, &[]);
    story.commit(&a, "payments", 1, "");
    story.delete_offset("payments");
    story.delete_offset("orders");
    story.fetch();
    story.delete_group();
    story.check(expect![[r#"
        0      admin commits orders-0 3
        0        writes g orders-0: 3
        0        -> admin commits: NONE
        0      x commits orders-0 4
        0        -> x commits: UNKNOWN_MEMBER_ID
        6000   g is stable
        6000   a commits orders-0 7
        6000     writes g orders-0: 7
        6000     -> a commits: NONE
        6000   a commits orders-0 8
        6000     -> a commits: ILLEGAL_GENERATION
        6000   a commits orders-0 8
        6000     -> a commits: UNKNOWN_MEMBER_ID
        6000   admin commits orders-0 8
        6000     -> admin commits: UNKNOWN_MEMBER_ID
        6000   a commits orders-0 8
        6000     -> a commits: OFFSET_METADATA_TOO_LARGE
        6000   a commits orders-0 9
        6000     writes g orders-0: 9
        6000     -> a commits: NONE
        6000   a joins as a#1
        6000   b commits orders-0 10
        6000     writes g orders-0: 10
        6000     -> b commits: NONE
        6000   b joins as b#1
        6000     -> a joins: generation 2 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 2 b#1 of range, led by a#1, members []
        6000   b commits orders-0 11
        6000     -> b commits: REBALANCE_IN_PROGRESS
        6000   admin deletes orders-0
        6000     -> admin deletes: NONE GROUP_SUBSCRIBED_TO_TOPIC
        6000   a syncs 0 assignments
        6000     writes g: generation 2, "range", leader a#1, members ["a#1", "b#1"]
        6000     -> a syncs: NONE ""
        6000   a commits payments-0 1
        6000     writes g payments-0: 1
        6000     -> a commits: NONE
        6000   admin deletes payments-0
        6000     writes g payments-0: gone
        6000     -> admin deletes: NONE NONE
        6000   admin deletes orders-0
        6000     -> admin deletes: NONE GROUP_SUBSCRIBED_TO_TOPIC
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 10
        6000   admin deletes the group
        6000     -> admin deletes: NON_EMPTY_GROUP
    "#]]);
}

#[test]
fn offsets_and_groups_expire() {
    let minute: u64 = 60_000;
    let settings = Settings { offsets_retention_ms: 3_600_000, ..Settings::default() };
    let mut story = Story::new(settings);
    let mut a = Client { version: 3, ..client("a") };
    story.join(&mut a);
    let joined = story.pass(3_000);
    adopt(&joined, &mut [&mut a]);
    story.sync(&a, &[(&a, "x")]);
    story.commit(&a, "orders", 1, "");
    story.commit(&a, "former", 2, "");
    story.say("a is alive for two hours");
    let told = story.text.len();
    for _ in 0..1_440 {
        story.pass(5_000);
        story.beat(&a);
    }
    let lines: Vec<String> = story
        .text
        .split_off(told)
        .lines()
        .filter(|it| it.contains("writes"))
        .map(Into::into)
        .collect();
    story.text += &(lines.join("\n") + "\n");
    story.leave(&a);
    story.pass(59 * minute);
    story.fetch();
    story.pass(12 * minute);
    story.fetch();
    story.describe();
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        3000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1"]
        3000   a syncs 1 assignments
        3000     writes g: generation 1, "range", leader a#1, members ["a#1"]
        3000     -> a syncs: NONE "x"
        3000   a commits orders-0 1
        3000     writes g orders-0: 1
        3000     -> a commits: NONE
        3000   a commits former-0 2
        3000     writes g former-0: 2
        3000     -> a commits: NONE
        3000   a is alive for two hours
        4200000   writes g former-0: gone
        7203000 a leaves
        7203000   writes g: generation 2, "-", leader -, members []
        7203000   -> a leaves: NONE NONE
        10743000 admin fetches offsets
        10743000   -> admin fetches: orders-0 1
        11400000   writes g orders-0: gone
        11400000   writes g: gone
        11463000 admin fetches offsets
        11463000   -> admin fetches: 
        11463000 admin describes
        11463000   -> admin describes: GROUP_ID_NOT_FOUND Dead "" "" []
    "#]]);
}

#[test]
fn members_that_do_not_sync_are_removed() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (client("a"), client("b"));
    story.join(&mut a);
    story.join(&mut b);
    let joined = story.pass(6_000);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.sync(&a, &[(&a, "all")]);
    for _ in 0..5 {
        story.pass(4_500);
        story.beat(&a);
        story.beat(&b);
    }
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> a joins: MEMBER_ID_REQUIRED "a#1"
        0      a joins as a#1
        0      b joins
        0        -> b joins: MEMBER_ID_REQUIRED "b#1"
        0      b joins as b#1
        6000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 1 b#1 of range, led by a#1, members []
        6000   a syncs 1 assignments
        6000     writes g: generation 1, "range", leader a#1, members ["a#1", "b#1"]
        6000     -> a syncs: NONE "all"
        10500  a beats
        10500    -> a beats: NONE
        10500  b beats
        10500    -> b beats: NONE
        15000  a beats
        15000    -> a beats: NONE
        15000  b beats
        15000    -> b beats: NONE
        19500  a beats
        19500    -> a beats: NONE
        19500  b beats
        19500    -> b beats: NONE
        24000  a beats
        24000    -> a beats: NONE
        24000  b beats
        24000    -> b beats: NONE
        28500  a beats
        28500    -> a beats: REBALANCE_IN_PROGRESS
        28500  b beats
        28500    -> b beats: UNKNOWN_MEMBER_ID
    "#]]);
}

#[test]
fn refusals() {
    let settings = Settings { group_size_max: 2, ..Settings::default() };
    let mut story = Story::new(settings);
    let (mut a, mut b) = (client("a"), client("b"));
    story.describe();
    story.delete_group();
    story.delete_offset("orders");
    story.fetch();
    story.beat(&a);
    story.leave(&a);
    story.join(&mut Client { member_id: "who".into(), ..client("x") });
    story.join(&mut Client { protocols: vec![], ..client("x") });
    story.form(&mut [&mut a, &mut b]);
    story.join(&mut Client { protocols: vec!["sticky"], ..a.clone() });
    story.join(&mut client("c"));
    story.join(&mut Client { member_id: "who".into(), ..client("x") });
    story.sync(&Client { generation: 7, ..a.clone() }, &[]);
    story.delete_group();
    story.list(&[], &[]);
    story.list(&["stable"], &["CLASSIC"]);
    story.list(&["Empty"], &[]);
    story.list(&[], &["consumer"]);
    story.check(expect![[r#"
        0      admin describes
        0        -> admin describes: GROUP_ID_NOT_FOUND Dead "" "" []
        0      admin deletes the group
        0        -> admin deletes: GROUP_ID_NOT_FOUND
        0      admin deletes orders-0
        0        -> admin deletes: GROUP_ID_NOT_FOUND 
        0      admin fetches offsets
        0        -> admin fetches: 
        0      a beats
        0        -> a beats: UNKNOWN_MEMBER_ID
        0      a leaves
        0        -> a leaves: NONE UNKNOWN_MEMBER_ID
        0      x joins as who
        0        -> x joins: UNKNOWN_MEMBER_ID "x#1"
        0      x joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> x joins: INCONSISTENT_GROUP_PROTOCOL ""
        6000   g is stable
        6000   a joins as a#1
        6000     -> a joins: INCONSISTENT_GROUP_PROTOCOL "a#1"
        6000   c joins
        6000     -> c joins: GROUP_MAX_SIZE_REACHED ""
        6000   x joins as x#1
        6000     -> x joins: GROUP_MAX_SIZE_REACHED ""
        6000   a syncs 0 assignments
        6000     -> a syncs: ILLEGAL_GENERATION ""
        6000   admin deletes the group
        6000     -> admin deletes: NON_EMPTY_GROUP
        6000   admin lists [] []
        6000     -> admin lists: ["g Stable classic"]
        6000   admin lists ["stable"] ["CLASSIC"]
        6000     -> admin lists: ["g Stable classic"]
        6000   admin lists ["Empty"] []
        6000     -> admin lists: []
        6000   admin lists [] ["consumer"]
        6000     -> admin lists: []
    "#]]);
}

#[test]
fn a_new_leader_goes_on_with_what_is_in_the_log() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (static_client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    story.commit(&a, "orders", 7, "");
    story.say("the shard moves");
    let outcome = story.world.fail_over();
    story.see(outcome);
    story.describe();
    story.fetch();
    story.beat(&a);
    story.beat(&b);
    story.say("orders is deleted");
    let outcome =
        story.world.decide(Input::Event(Event::TopicsDeleted(vec![("orders".into(), Uuid::ONE)])));
    story.see(outcome);
    story.fetch();
    story.pass(15_000);
    story.check(expect![[r#"
        6000   g is stable
        6000   a commits orders-0 7
        6000     writes g orders-0: 7
        6000     -> a commits: NONE
        6000   the shard moves
        6000   admin describes
        6000     -> admin describes: NONE Stable "consumer" "range" ["a#1=a", "b#1=b"]
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 7
        6000   a beats
        6000     -> a beats: NONE
        6000   b beats
        6000     -> b beats: NONE
        6000   orders is deleted
        6000     writes g orders-0: gone
        6000   admin fetches offsets
        6000     -> admin fetches: 
        16000    writes g: generation 2, "-", leader -, members []
    "#]]);
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    let mut story = Story::new(Settings::default());
    let nobody = Client { generation: -1, ..client("tool") };
    story.commit(&nobody, "orders", 5, "");
    story.commit_in(1, &nobody, "orders", 10);
    story.commit_in(1, &nobody, "orders", 11);
    story.commit_in(2, &nobody, "bills", 7);
    story.fetch();
    story.end(1, true);
    story.end(2, false);
    story.end(3, true);
    story.fetch();

    // What was committed after the transaction's offset stays, though the transaction ends later.
    story.commit_in(1, &nobody, "orders", 12);
    story.commit(&nobody, "orders", 20, "");
    story.end(1, true);
    story.fetch();

    // What is deleted meanwhile does not come back.
    story.commit_in(1, &nobody, "orders", 30);
    story.delete_offset("orders");
    story.end(1, true);
    story.fetch();
    story.commit_in(1, &nobody, "orders", 31);
    story.delete_group();
    story.end(1, true);
    story.fetch();
    story.check(expect![[r#"
        0      tool commits orders-0 5
        0        writes g orders-0: 5
        0        -> tool commits: NONE
        0      tool commits orders-0 10 in producer 1's transaction
        0        writes in 1: g orders-0: 10
        0        -> tool commits: NONE
        0      tool commits orders-0 11 in producer 1's transaction
        0        writes in 1: g orders-0: 11
        0        -> tool commits: NONE
        0      tool commits bills-0 7 in producer 2's transaction
        0        writes in 2: g bills-0: 7
        0        -> tool commits: NONE
        0      admin fetches offsets
        0        -> admin fetches: orders-0 unstable
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      coordinator aborts 2
        0        writes abort of 2
        0        -> coordinator aborts: ended
        0      coordinator commits 3
        0        writes commit of 3
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: orders-0 11
        0      tool commits orders-0 12 in producer 1's transaction
        0        writes in 1: g orders-0: 12
        0        -> tool commits: NONE
        0      tool commits orders-0 20
        0        writes g orders-0: 20
        0        -> tool commits: NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: orders-0 20
        0      tool commits orders-0 30 in producer 1's transaction
        0        writes in 1: g orders-0: 30
        0        -> tool commits: NONE
        0      admin deletes orders-0
        0        writes g orders-0: gone
        0        -> admin deletes: NONE NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: 
        0      tool commits orders-0 31 in producer 1's transaction
        0        writes in 1: g orders-0: 31
        0        -> tool commits: NONE
        0      admin deletes the group
        0        writes g orders-0: gone
        0        writes g: gone
        0        -> admin deletes: NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: 
    "#]]);
}

#[test]
fn whoever_names_a_member_in_a_transaction_must_be_one() {
    let mut story = Story::new(Settings::default());
    let mut a = client("a");
    story.form(&mut [&mut a]);
    story.commit_in(1, &a, "orders", 1);
    story.commit_in(1, &Client { generation: a.generation + 1, ..a.clone() }, "orders", 2);
    story.commit_in(1, &Client { member_id: "zombie".into(), ..a.clone() }, "orders", 3);
    // Before KIP-447 producers did not say.
    let old = Client { generation: -1, member_id: String::new(), ..a.clone() };
    story.commit_in(1, &old, "orders", 4);
    story.end(1, true);
    story.fetch();
    story.check(expect![[r#"
        6000   g is stable
        6000   a commits orders-0 1 in producer 1's transaction
        6000     writes in 1: g orders-0: 1
        6000     -> a commits: NONE
        6000   a commits orders-0 2 in producer 1's transaction
        6000     -> a commits: ILLEGAL_GENERATION
        6000   a commits orders-0 3 in producer 1's transaction
        6000     -> a commits: UNKNOWN_MEMBER_ID
        6000   a commits orders-0 4 in producer 1's transaction
        6000     writes in 1: g orders-0: 4
        6000     -> a commits: NONE
        6000   coordinator commits 1
        6000     writes commit of 1
        6000     -> coordinator commits: ended
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 4
    "#]]);
}
