//! A group's life in text: members ask, the shard answers, and what it writes is told.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use expect_test::Expect;
use strandline_coordinator::Ticket;
use strandline_coordinator::groups::{
    Entry, GroupListing, Marker, OffsetFetchGroup, Record, Request, Response, Settings, Shard,
    TransactionEnded,
};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
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

pub(crate) type World = super::world::World<Shard>;
pub(crate) type Outcome = super::world::Outcome<Shard>;

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) text: String,
    pub(crate) asked: BTreeMap<Ticket, String>,
    /// Real member ids, by what the story calls them.
    pub(crate) names: Vec<(String, String)>,
}

/// What a client knows of itself.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) instance_id: Option<String>,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) version: i16,
    pub(crate) protocols: Vec<&'static str>,
    pub(crate) topics: Vec<&'static str>,
}

pub(crate) fn client(name: &'static str) -> Client {
    let (protocols, topics) = (vec!["range"], vec!["orders"]);
    Client { name, version: 9, protocols, topics, ..Client::default() }
}

pub(crate) fn static_client(name: &'static str) -> Client {
    Client { instance_id: Some(name.into()), ..client(name) }
}

impl Story {
    pub(crate) fn new(settings: Settings) -> Self {
        let world = World::new(settings);
        Self { world, text: String::new(), asked: BTreeMap::new(), names: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let mut line = line.to_owned();
        for (id, name) in &self.names {
            line = line.replace(id, name);
        }
        writeln!(self.text, "{:<6} {line}", self.world.now_ms).expect("strings grow");
    }

    pub(crate) fn ask(
        &mut self,
        version: i16,
        who: &str,
        what: &str,
        request: Request,
    ) -> Vec<Response> {
        self.say(&format!("{who} {what}"));
        let (ticket, outcome) = self.world.ask(version, who, request);
        self.asked.insert(ticket, format!("{who} {}", what.split(' ').next().unwrap_or_default()));
        self.see(outcome)
    }

    pub(crate) fn see(&mut self, outcome: Outcome) -> Vec<Response> {
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

    pub(crate) fn name_member(&mut self, who: &str, response: &Response) {
        let Response::JoinGroup(joined) = response else { return };
        if joined.member_id.is_empty() || self.names.iter().any(|(id, _)| *id == joined.member_id) {
            return;
        }
        let name = who.split(' ').next().unwrap_or_default();
        let count = self.names.iter().filter(|(_, it)| it.starts_with(name)).count();
        self.names.push((joined.member_id.clone(), format!("{name}#{}", count + 1)));
    }

    pub(crate) fn pass(&mut self, ms: u64) -> Vec<Response> {
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

    pub(crate) fn join(&mut self, client: &mut Client) -> Vec<Response> {
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

    pub(crate) fn sync(&mut self, client: &Client, assignments: &[(&Client, &'static str)]) {
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

    pub(crate) fn beat(&mut self, client: &Client) {
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            ..Default::default()
        };
        self.ask(4, client.name, "beats", Request::Heartbeat(request));
    }

    pub(crate) fn leave(&mut self, client: &Client) {
        let member = MemberIdentity {
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            ..Default::default()
        };
        let request =
            LeaveGroupRequest { group_id: "g".into(), members: vec![member], ..Default::default() };
        self.ask(5, client.name, "leaves", Request::LeaveGroup(request));
    }

    pub(crate) fn commit(&mut self, client: &Client, topic: &str, offset: i64, metadata: &str) {
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

    pub(crate) fn commit_in(&mut self, producer: i64, client: &Client, topic: &str, offset: i64) {
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

    pub(crate) fn end(&mut self, producer: i64, is_commit: bool) {
        let marker = Marker {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: 0,
            is_commit,
            bumps_epoch: false,
        };
        let what = format!("{} {producer}", if is_commit { "commits" } else { "aborts" });
        self.ask(1, "coordinator", &what, Request::EndTransaction(marker));
    }

    pub(crate) fn fetch(&mut self) {
        let request =
            OffsetFetchGroup { group_id: "g".into(), require_stable: true, ..Default::default() };
        self.ask(9, "admin", "fetches offsets", Request::OffsetFetch(request));
    }

    pub(crate) fn describe(&mut self) {
        let request = Request::DescribeGroup { group_id: "g".into() };
        self.ask(6, "admin", "describes", request);
    }

    pub(crate) fn delete_group(&mut self) {
        let request = Request::DeleteGroup { group_id: "g".into() };
        self.ask(2, "admin", "deletes the group", request);
    }

    pub(crate) fn delete_offset(&mut self, topic: &str) {
        let request = OffsetDeleteRequest {
            group_id: "g".into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetDeleteRequestPartition::default()],
            }],
        };
        self.ask(0, "admin", &format!("deletes {topic}-0"), Request::OffsetDelete(request));
    }

    pub(crate) fn list(&mut self, states: &[&str], types: &[&str]) {
        let owned = |them: &[&str]| them.iter().map(|it| (*it).to_owned()).collect();
        let request = GroupListing { states: owned(states), types: owned(types) };
        let what = format!("lists {states:?} {types:?}");
        self.ask(5, "admin", &what, Request::ListGroups(request));
    }

    /// Everybody joins for the first time, `a` leads and gives each its name as assignment.
    pub(crate) fn form(&mut self, clients: &mut [&mut Client]) {
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

    pub(crate) fn check(&mut self, expected: Expect) {
        assert_eq!(self.world.shard.durable(), self.world.replayed().durable());
        expected.assert_eq(&self.text);
    }
}

/// Clients learn their ids and the generation from the answers to JoinGroup, by the order of ids.
pub(crate) fn adopt(responses: &[Response], clients: &mut [&mut Client]) {
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

pub(crate) fn name(code: ErrorCode) -> &'static str {
    code.name().unwrap_or("?")
}

pub(crate) fn shown(response: &Response) -> String {
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

pub(crate) fn shown_entry(entry: &Entry) -> String {
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

pub(crate) fn shown_record(record: &Record) -> String {
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
