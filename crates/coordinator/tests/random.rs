//! Clients that join, crash, return, commit and leave at random; leaders that fail over. Whatever
//! happens: nobody waits forever, a replay gives the same state, an answered commit is there, and
//! no generation is two things to two members.

mod world;

use std::collections::BTreeMap;

use bytes::Bytes;
use strandline_coordinator::Ticket;
use strandline_coordinator::groups::{OffsetFetchGroup, Request, Response, Settings, Shard};
use strandline_types::ErrorCode;
use strandline_wire::messages::join_group_request::JoinGroupRequestProtocol;
use strandline_wire::messages::leave_group_request::MemberIdentity;
use strandline_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use strandline_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use strandline_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};

type World = world::World<Shard>;
type Outcome = world::Outcome<Shard>;

/// xorshift: the seed is the whole history.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[derive(Clone, Default, Debug)]
struct Client {
    instance_id: Option<String>,
    member_id: String,
    generation: i32,
    /// Whom to assign to, when it leads.
    led: Vec<String>,
    waits: Option<Ticket>,
    is_synced: bool,
}

struct Model {
    world: World,
    random: Random,
    clients: Vec<Client>,
    committed: BTreeMap<i32, i64>,
    commits: BTreeMap<Ticket, (i32, i64)>,
    joined: usize,
    written: usize,
    failed_over: bool,
}

const GROUP: &str = "g";

impl Model {
    fn new(seed: u64) -> Self {
        let static_id = |index: usize| index.is_multiple_of(3).then(|| format!("static-{index}"));
        let client = |index| Client { instance_id: static_id(index), ..Client::default() };
        Self {
            world: World::new(Settings::default()),
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            clients: (0..6).map(client).collect(),
            committed: BTreeMap::new(),
            commits: BTreeMap::new(),
            joined: 0,
            written: 0,
            failed_over: false,
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.clients.len() as u64) as usize;
        match self.random.below(100) {
            0..30 => self.join(index),
            30..55 => self.sync(index),
            55..65 => self.heartbeat(index),
            65..75 => self.commit(index),
            75..80 => self.leave(index),
            80..83 => {
                // It crashes: its requests stay parked, its successor knows only its static id.
                let instance_id = self.clients[index].instance_id.clone();
                self.clients[index] = Client { instance_id, ..Client::default() };
            }
            83..84 => {
                let outcome = self.world.fail_over();
                for client in &mut self.clients {
                    client.waits = None;
                }
                self.commits.clear();
                self.failed_over = true;
                self.see(outcome);
            }
            _ => {
                let ms = self.random.below(4_000);
                self.pass(ms);
            }
        }
        self.check();
    }

    fn pass(&mut self, ms: u64) {
        let mut outcomes = Vec::new();
        self.world.pass(ms, |_, outcome| outcomes.push(outcome));
        outcomes.into_iter().for_each(|outcome| self.see(outcome));
    }

    fn check(&mut self) {
        assert_eq!(self.world.shard.durable(), self.world.replayed().durable());
        let topics = Some(vec![("t".to_owned(), (0..4).collect())]);
        let request = OffsetFetchGroup { group_id: GROUP.into(), topics, ..Default::default() };
        let (_, outcome) = self.world.ask(9, "", Request::OffsetFetch(request));
        let [(_, Response::OffsetFetch(found))] = &outcome.replies[..] else { panic!("no answer") };
        let found: BTreeMap<i32, i64> = found[0]
            .partitions
            .iter()
            .filter_map(|(index, offset)| Some((*index, offset.as_ref()?.offset.get())))
            .collect();
        assert_eq!(found, self.committed);
    }

    fn ask(&mut self, index: usize, request: Request) {
        let (ticket, outcome) = self.world.ask(9, "c", request);
        self.clients[index].waits = Some(ticket);
        self.see(outcome);
    }

    fn join(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.waits.is_some() {
            return;
        }
        let protocol = |name: &str| JoinGroupRequestProtocol {
            name: name.into(),
            metadata: Bytes::from_static(b"topics"),
            ..Default::default()
        };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 15_000,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol("range"), protocol("roundrobin")],
            ..Default::default()
        };
        self.ask(index, Request::JoinGroup(request));
    }

    fn sync(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.waits.is_some() || client.generation == 0 {
            return;
        }
        let assignment = |member_id: &String| SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: Bytes::from(format!("{}:{member_id}", client.generation)),
            ..Default::default()
        };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: client.led.iter().map(assignment).collect(),
            ..Default::default()
        };
        self.ask(index, Request::SyncGroup(request));
    }

    fn heartbeat(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.waits.is_some() || client.generation == 0 {
            return;
        }
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            ..Default::default()
        };
        self.ask(index, Request::Heartbeat(request));
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.waits.is_some() || client.generation == 0 {
            return;
        }
        let (partition, offset) = (self.random.below(4) as i32, self.random.below(1000) as i64);
        let client = &self.clients[index];
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let (ticket, outcome) = self.world.ask(9, "c", Request::OffsetCommit(request));
        self.clients[index].waits = Some(ticket);
        self.commits.insert(ticket, (partition, offset));
        self.see(outcome);
    }

    fn leave(&mut self, index: usize) {
        let client = self.clients[index].clone();
        if client.waits.is_some() || client.member_id.is_empty() {
            return;
        }
        let member = MemberIdentity { member_id: client.member_id, ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![member],
            ..Default::default()
        };
        self.ask(index, Request::LeaveGroup(request));
        let instance_id = client.instance_id;
        self.clients[index] = Client { instance_id, ..Client::default() };
    }

    fn see(&mut self, outcome: Outcome) {
        self.written += outcome.entries.len();
        for (ticket, response) in outcome.replies {
            if let (Some((partition, offset)), Response::OffsetCommit(commit)) =
                (self.commits.remove(&ticket), &response)
                && commit.topics[0].partitions[0].error_code.is_none()
            {
                self.committed.insert(partition, offset);
            }
            let Some(index) = self.clients.iter().position(|it| it.waits == Some(ticket)) else {
                continue;
            };
            self.clients[index].waits = None;
            self.hear(index, response);
        }
    }

    /// Does as a well-behaved client does.
    fn hear(&mut self, index: usize, response: Response) {
        let client = &mut self.clients[index];
        let code = match &response {
            Response::JoinGroup(joined) => joined.error_code,
            Response::SyncGroup(synced) => synced.error_code,
            Response::Heartbeat(beat) => beat.error_code,
            _ => ErrorCode::NONE,
        };
        match (code, response) {
            (ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_INSTANCE_ID, _) => {
                let instance_id = client.instance_id.clone();
                *client = Client { instance_id, ..Client::default() };
            }
            (ErrorCode::MEMBER_ID_REQUIRED, Response::JoinGroup(joined)) => {
                client.member_id = joined.member_id;
            }
            (ErrorCode::NONE, Response::JoinGroup(joined)) => {
                self.joined += 1;
                client.member_id = joined.member_id;
                client.generation = joined.generation_id;
                client.is_synced = false;
                client.led = joined.members.into_iter().map(|it| it.member_id).collect();
                if !client.led.is_empty() && !joined.skip_assignment {
                    assert_eq!(joined.leader, client.member_id);
                    assert!(client.led.contains(&client.member_id), "a leader leads itself too");
                }
            }
            (ErrorCode::NONE, Response::SyncGroup(synced)) => {
                client.is_synced = true;
                let expected = format!("{}:", client.generation);
                let assignment = String::from_utf8_lossy(&synced.assignment).into_owned();
                assert!(
                    assignment.is_empty() || self.failed_over || assignment.starts_with(&expected),
                    "generation {} was given {assignment}",
                    client.generation
                );
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_members_do() {
    let mut joined = 0;
    for seed in 1..=150 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.step();
        }
        // Nobody does anything any more: every session ends, and everybody who waits is answered.
        model.pass(40 * 60_000);
        assert!(model.world.unanswered.is_empty(), "seed {seed}: {:?}", model.world.unanswered);
        model.check();
        assert_eq!(model.world.log.len(), model.written, "every record is seen once");
        joined += model.joined;
    }
    assert!(joined > 1000, "the histories went somewhere: {joined}");
}
