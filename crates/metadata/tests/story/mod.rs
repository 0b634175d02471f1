//! A controller under test, told as a story: each step prints the records that were decided and the
//! answer that came when they had committed.
#![allow(dead_code, reason = "every test file tells other stories")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_metadata::controller::{
    Controller, ControllerSettings, Effect, Input, Moment, Request, Ticket, Timer, bootstrap,
};
use strandline_metadata::{FeatureRange, Image, Record, Records, feature};
use strandline_types::{
    BrokerEpoch, Instant, LeaderEpoch, NodeId, Now, Offset, PartitionId, Timestamp, Uuid,
};
use strandline_wire::messages::broker_registration_request::{Feature, Listener};
use strandline_wire::messages::{
    AlterPartitionRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest,
    alter_partition_request,
};

pub(crate) const FEATURES: [FeatureRange; 4] = [
    FeatureRange::new(feature::METADATA_VERSION, 7, 30),
    FeatureRange::new(feature::KRAFT_VERSION, 0, 1),
    FeatureRange::new(feature::ELR_VERSION, 0, 1),
    FeatureRange::new(feature::GROUP_VERSION, 0, 1),
];

const LEVELS: [(&str, i16); 2] = [(feature::METADATA_VERSION, 30), (feature::ELR_VERSION, 1)];

pub(crate) fn settings(levels: &[(&'static str, i16)]) -> ControllerSettings {
    let config = BrokerConfig::resolve(None, &[]).expect("the bare start resolves").config;
    ControllerSettings {
        cluster_id: "a-cluster".into(),
        supported_features: FEATURES.into(),
        bootstrap: bootstrap::feature_records(&levels.iter().copied().collect::<BTreeMap<_, _>>()),
        config: Arc::new(config),
        session_timeout: Duration::from_secs(9),
        balance_interval: Duration::from_secs(300),
        balances_leaders: true,
    }
}

pub(crate) struct Story {
    pub(crate) controller: Controller,
    /// Everything appended, from offset 0.
    pub(crate) log: Records,
    pub(crate) seconds: u64,
    /// Nothing commits.
    pub(crate) is_stuck: bool,
    next_ticket: u64,
}

impl Story {
    fn of(controller: Controller) -> Self {
        Self { controller, log: Records::new(), seconds: 0, is_stuck: false, next_ticket: 0 }
    }

    /// A controller that has just become active over an empty log.
    pub(crate) fn begin(levels: &[(&'static str, i16)]) -> (Self, String) {
        let controller = Controller::new(settings(levels));
        let mut story = Self::of(controller);
        let text = story.lead(1);
        (story, text)
    }

    /// Brokers 1 to `count` are registered and unfenced.
    pub(crate) fn with_brokers(count: i32) -> Self {
        Self::configured(&[], count)
    }

    /// Those, under a session time-out of 2.5 s.
    pub(crate) fn with_short_sessions(count: i32) -> Self {
        let session_timeout = Duration::from_millis(2_500);
        Self::under(ControllerSettings { session_timeout, ..settings(&LEVELS) }, count)
    }

    /// The controller has these settings besides the built-in ones.
    pub(crate) fn configured(overrides: &[(&str, &str)], count: i32) -> Self {
        let overrides = overrides.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let overrides: Vec<(String, String)> = overrides.collect();
        let config = BrokerConfig::resolve(None, &overrides).expect("settings resolve").config;
        Self::under(ControllerSettings { config: Arc::new(config), ..settings(&LEVELS) }, count)
    }

    fn under(settings: ControllerSettings, count: i32) -> Self {
        let controller = Controller::new(settings);
        let mut story = Self::of(controller);
        story.lead(1);
        for id in 1..=count {
            story.join(id);
        }
        story
    }

    /// The broker registers, and is unfenced.
    pub(crate) fn join(&mut self, id: i32) {
        self.ask(registration(id, 1));
        self.beat(id);
    }

    pub(crate) fn image(&self) -> &Image {
        self.controller.committed()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now: Now {
                instant: Instant::ZERO + Duration::from_secs(self.seconds),
                timestamp: Timestamp(self.seconds as i64 * 1000),
            },
            next_offset: Offset(self.log.len() as i64),
            seed: 7_919 * (self.log.len() as u128 + 1),
        }
    }

    pub(crate) fn lead(&mut self, epoch: i32) -> String {
        self.lead_after(epoch, None)
    }

    /// In place of another, which was last heard at a second.
    pub(crate) fn lead_after(&mut self, epoch: i32, last_heard: Option<(i32, u64)>) -> String {
        let mut effects = Vec::new();
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        let last_heard = last_heard.map(|(id, second)| (NodeId(id), at(second)));
        let records = self
            .controller
            .lead(self.moment(), LeaderEpoch(epoch), last_heard, &mut effects)
            .expect("no fault");
        self.finish(records, effects)
    }

    pub(crate) fn resign(&mut self) -> String {
        let mut effects = Vec::new();
        self.controller.resign(&mut effects);
        self.finish(Records::new(), effects)
    }

    pub(crate) fn ask(&mut self, request: impl Into<Request>) -> String {
        self.next_ticket += 1;
        self.input(Input::Request(Ticket(self.next_ticket), request.into()))
    }

    pub(crate) fn tick(&mut self, timer: Timer) -> String {
        self.input(Input::Timer(timer))
    }

    /// A heartbeat of a broker that has applied everything.
    pub(crate) fn beat(&mut self, id: i32) -> String {
        self.ask(self.heartbeat(id))
    }

    pub(crate) fn heartbeat(&self, id: i32) -> BrokerHeartbeatRequest {
        let broker = self.image().cluster.broker(NodeId(id));
        BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: broker.map_or(-1, |broker| broker.epoch().get()),
            current_metadata_offset: self.log.len() as i64 - 1,
            ..Default::default()
        }
    }

    /// The leader's proposal of this ISR, whatever the members' epochs are.
    pub(crate) fn proposal(
        &self,
        topic: &str,
        id: i32,
        isr: &[i32],
    ) -> Option<AlterPartitionRequest> {
        let topic = self.image().topics.by_name(topic)?;
        let partition = topic.partition(PartitionId(id))?;
        let member = |id: &i32| alter_partition_request::BrokerState {
            broker_id: *id,
            broker_epoch: -1,
            ..Default::default()
        };
        let proposal = alter_partition_request::PartitionData {
            partition_index: id,
            leader_epoch: partition.leader_epoch.get(),
            partition_epoch: partition.partition_epoch,
            new_isr_with_epochs: isr.iter().map(member).collect(),
            ..Default::default()
        };
        let leader = self.image().cluster.broker(partition.leader)?;
        Some(AlterPartitionRequest {
            broker_id: leader.id().get(),
            broker_epoch: leader.epoch().get(),
            topics: vec![alter_partition_request::TopicData {
                topic_id: topic.id,
                partitions: vec![proposal],
                ..Default::default()
            }],
            ..Default::default()
        })
    }

    /// Nothing happens where nobody leads.
    pub(crate) fn propose(&mut self, topic: &str, id: i32, isr: &[i32]) -> String {
        let proposal = self.proposal(topic, id, isr);
        proposal.map_or_else(String::new, |proposal| self.ask(proposal))
    }

    /// The driver has evidence that the broker's process is gone.
    pub(crate) fn gone(&mut self, id: i32, epoch: i64) -> String {
        self.input(Input::BrokerGone { broker: NodeId(id), epoch: BrokerEpoch(epoch) })
    }

    fn input(&mut self, input: Input) -> String {
        let mut effects = Vec::new();
        let records = self.controller.decide(self.moment(), input, &mut effects).expect("no fault");
        self.finish(records, effects)
    }

    /// Appends, commits, and prints.
    fn finish(&mut self, records: Records, mut effects: Vec<Effect>) -> String {
        let mut text = String::new();
        for record in &records {
            text.push_str(&format!("{}\n", brief(record)));
        }
        self.log.extend(records);
        if !self.is_stuck {
            self.controller.commit(Offset(self.log.len() as i64), &mut effects);
        }
        for effect in effects {
            match effect {
                Effect::Reply(_, Ok(response)) => {
                    text.push_str(&format!("→ {}\n", brief(&response)))
                }
                Effect::Reply(_, Err(refusal)) => text.push_str(&format!("→ refused: {refusal}\n")),
                Effect::Arm(Timer::Sessions, _) => {}
                other => text.push_str(&format!("{other:?}\n")),
            }
        }
        text
    }
}

/// Debug output without what is empty.
pub(crate) fn brief(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    for noise in [", unknown_tags: []", "throttle_time_ms: 0, ", ", error_message: None"] {
        text = text.replace(noise, "");
    }
    for noise in ["removing_replicas: [], ", "adding_replicas: [], ", "leader_recovery_state: 0, "]
    {
        text = text.replace(noise, "");
    }
    for noise in [
        ", eligible_leader_replicas: None",
        ", last_known_elr: None",
        ", removing_replicas: None",
        ", adding_replicas: None",
        ", leader_recovery_state: -1",
        ", directories: None",
        ", replicas: None",
        ", isr: None",
        ", leader: -2",
        ", log_dirs: []",
        ", cordoned_log_dirs: None",
        ", topic_config_error_code: NONE(0)",
        ", error_code: NONE(0)",
        "error_code: NONE(0), ",
    ] {
        text = text.replace(noise, "");
    }
    match text.split_once('(') {
        Some((_, inner)) if text.ends_with(')') => inner[..inner.len() - 1].to_string(),
        _ => text,
    }
}

pub(crate) fn registration(id: i32, incarnation: u128) -> BrokerRegistrationRequest {
    let feature = |range: FeatureRange| Feature {
        name: range.name.into(),
        min_supported_version: range.min,
        max_supported_version: range.max,
        ..Default::default()
    };
    BrokerRegistrationRequest {
        broker_id: id,
        cluster_id: "a-cluster".into(),
        incarnation_id: Uuid::from_u128(incarnation),
        listeners: vec![Listener {
            name: "PLAINTEXT".into(),
            host: format!("host-{id}"),
            port: 9092,
            ..Default::default()
        }],
        features: FEATURES.into_iter().map(feature).collect(),
        rack: Some(format!("rack-{}", (id - 1) % 3)),
        log_dirs: vec![Uuid::from_u128(1000 + id as u128)],
        previous_broker_epoch: -1,
        ..Default::default()
    }
}

/// Who names no directory of the first cannot prove that the first has ended.
pub(crate) fn with_another_disk(
    registration: BrokerRegistrationRequest,
) -> BrokerRegistrationRequest {
    BrokerRegistrationRequest { log_dirs: vec![Uuid::from_u128(7000)], ..registration }
}

/// The image that replaying the log from its beginning gives.
pub(crate) fn replayed(log: &[Record]) -> Image {
    let mut image = Image::default();
    for (record, offset) in log.iter().zip(0..) {
        image.apply(record.clone(), Offset(offset)).expect("no fault");
    }
    image
}
