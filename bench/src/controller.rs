//! What partitions cost a controller: its core alone, without a disk or a network, filled with
//! topics of ten partitions and then asked for what a cluster asks it for.

use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use anyhow::{Context, Result, anyhow, ensure};
use strandline_config::BrokerConfig;
use strandline_metadata::controller::{
    Controller, ControllerSettings, Effect, Input, Moment, Request, Response, Ticket, bootstrap,
};
use strandline_metadata::{Delta, FeatureRange, Image, Records, feature};
use strandline_types::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, Timestamp, Uuid};
use strandline_wire::messages::broker_registration_request::{Feature, Listener};
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::{
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest,
};

use crate::resident_mib;

const BROKERS: i32 = 3;
const PARTITIONS_PER_TOPIC: usize = 10;
/// A request makes so many topics.
const TOPICS_PER_REQUEST: usize = 100;
/// The newest metadata version.
const METADATA_VERSION: i16 = 30;

struct Driver {
    core: Controller,
    next_offset: Offset,
    tickets: u64,
}

impl Driver {
    fn start() -> Result<Self> {
        let levels = [(feature::METADATA_VERSION, METADATA_VERSION)];
        let settings = ControllerSettings {
            cluster_id: "bench".into(),
            supported_features: vec![
                FeatureRange::new(feature::METADATA_VERSION, 7, METADATA_VERSION),
                FeatureRange::new(feature::KRAFT_VERSION, 0, 1),
            ],
            bootstrap: bootstrap::feature_records(&levels.into_iter().collect()),
            config: Arc::new(BrokerConfig::resolve(None, &[])?.config),
            session_timeout: Duration::from_secs(9),
            balance_interval: Duration::from_secs(300),
            balances_leaders: true,
        };
        let (core, next_offset) = (Controller::new(settings), Offset::ZERO);
        let mut driver = Self { core, next_offset, tickets: 0 };
        let (moment, mut effects) = (driver.moment(), Vec::new());
        let records = driver.core.lead(moment, LeaderEpoch(1), None, &mut effects);
        driver.committed(&records.map_err(|fault| anyhow!("{fault:?}"))?, &mut effects);
        Ok(driver)
    }

    fn moment(&self) -> Moment {
        let now = Now { instant: Instant::ZERO, timestamp: Timestamp(0) };
        // No two decisions make the same ids.
        Moment { now, next_offset: self.next_offset, seed: u128::from(self.tickets) << 64 }
    }

    fn committed(&mut self, records: &Records, effects: &mut Vec<Effect>) {
        self.next_offset = self.next_offset + records.len() as i64;
        self.core.commit(self.next_offset, effects);
    }

    /// The answer and how many records it took.
    fn decide(&mut self, input: Input) -> Result<(Option<Response>, usize)> {
        let (moment, mut effects) = (self.moment(), Vec::new());
        let records = self.core.decide(moment, input, &mut effects);
        let records = records.map_err(|fault| anyhow!("{fault:?}"))?;
        self.committed(&records, &mut effects);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(_, answer) => answer.ok(),
            Effect::Arm(..) | Effect::Cancel(_) => None,
        });
        Ok((answer, records.len()))
    }

    fn ask(&mut self, request: impl Into<Request>) -> Result<Response> {
        self.tickets += 1;
        let (answer, _) = self.decide(Input::Request(Ticket(self.tickets), request.into()))?;
        answer.context("an answer")
    }

    fn join(&mut self, id: i32) -> Result<()> {
        let feature = Feature {
            name: feature::METADATA_VERSION.into(),
            min_supported_version: 7,
            max_supported_version: METADATA_VERSION,
            ..Default::default()
        };
        let listener = Listener {
            name: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
            ..Default::default()
        };
        self.ask(BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: "bench".into(),
            incarnation_id: Uuid::from_u128(id as u128),
            listeners: vec![listener],
            features: vec![feature],
            log_dirs: vec![Uuid::from_u128(100 + id as u128)],
            previous_broker_epoch: -1,
            ..Default::default()
        })?;
        self.beat(id)
    }

    fn beat(&mut self, id: i32) -> Result<()> {
        let broker = self.core.committed().cluster.broker(NodeId(id)).context("a broker")?;
        self.ask(BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: broker.epoch().get(),
            current_metadata_offset: self.next_offset.get() - 1,
            ..Default::default()
        })?;
        Ok(())
    }

    fn create(&mut self, first: usize, count: usize) -> Result<()> {
        let topics = (first..first + count).map(|number| CreatableTopic {
            name: format!("topic-{number}"),
            num_partitions: PARTITIONS_PER_TOPIC as i32,
            replication_factor: BROKERS as i16,
            ..Default::default()
        });
        let request = CreateTopicsRequest { topics: topics.collect(), ..Default::default() };
        let Response::CreateTopics(answer) = self.ask(request)? else { unreachable!() };
        let refused = answer.topics.iter().find(|it| it.error_code != ErrorCode::NONE);
        ensure!(refused.is_none(), "create: {refused:?}");
        Ok(())
    }
}

/// How long something takes that is done `times` times.
fn each<T>(times: u32, mut work: impl FnMut() -> Result<T>) -> Result<Duration> {
    let began = Wall::now();
    for _ in 0..times {
        work()?;
    }
    Ok(began.elapsed() / times)
}

/// One line of what `partitions` partitions with three replicas cost.
pub(crate) fn line(partitions: usize) -> Result<String> {
    let own = std::process::id().to_string();
    let empty_mib = resident_mib(&own)?;
    let mut driver = Driver::start()?;
    (1..=BROKERS).try_for_each(|id| driver.join(id))?;
    let topics = partitions / PARTITIONS_PER_TOPIC;
    let began = Wall::now();
    for first in (0..topics).step_by(TOPICS_PER_REQUEST) {
        driver.create(first, TOPICS_PER_REQUEST.min(topics - first))?;
    }
    let created = began.elapsed();
    let bytes = (resident_mib(&own)? - empty_mib) * f64::from(1 << 20) / partitions as f64;
    let heartbeat = each(1000, || driver.beat(1))?;
    let mut number = topics;
    let one_more = each(100, || {
        number += 1;
        driver.create(number, 1)
    })?;
    // What a node does with each image it is told of: it keeps the last, and looks for what is new.
    let mut seen: Image = driver.core.committed().clone();
    let mut following = Duration::ZERO;
    for _ in 0..100 {
        number += 1;
        driver.create(number, 1)?;
        let now = driver.core.committed().clone();
        let began = Wall::now();
        let delta = Delta::between(&seen, &now);
        ensure!(delta.partitions.len() == PARTITIONS_PER_TOPIC, "only what is new is new");
        following += began.elapsed();
        seen = now;
    }
    let epoch = driver.core.committed().cluster.broker(NodeId(1)).context("a broker")?.epoch();
    let began = Wall::now();
    let (_, records) = driver.decide(Input::BrokerGone { broker: NodeId(1), epoch })?;
    let failed_over = began.elapsed();
    Ok(format!(
        "partitions={partitions} bytes_per_partition={bytes:.0} create_us_per_partition={:.2} \
         heartbeat_us={:.2} create_one_topic_us={:.1} delta_us={:.1} failover_ms={:.1} \
         failover_records={records}",
        created.as_secs_f64() * 1e6 / partitions as f64,
        heartbeat.as_secs_f64() * 1e6,
        one_more.as_secs_f64() * 1e6,
        following.as_secs_f64() * 1e4,
        failed_over.as_secs_f64() * 1e3,
    ))
}
