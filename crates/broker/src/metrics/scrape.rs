//! One reading of everything, as text.

use std::fmt::Display;
use std::iter;
use std::sync::Arc;

use strandline_metadata::Image;
use strandline_types::{NodeId, TopicPartition};
use strandline_wire::messages::ApiKey;

use super::durations::Durations;
use super::replication;
use super::requests::OfApi;
use super::table::{self, Metric};
use super::text::{Family, Text};
use super::traffic;
use crate::driver::cleaner;
use crate::handles::Handles;
use crate::partitions::Held;
use crate::session::RequestMemory;

const QUANTILES: [f64; 5] = [0.5, 0.75, 0.95, 0.99, 0.999];

/// Where to look.
pub(crate) struct Scrape {
    pub(crate) handles: Arc<Handles>,
    pub(crate) memory: RequestMemory,
}

/// What one pass over the partitions of this node adds up to.
#[derive(Default)]
struct ReplicaCounts {
    partitions: usize,
    led: usize,
    offline: usize,
    under_replicated: usize,
    under_min_isr: usize,
    at_min_isr: usize,
    reassigning: usize,
}

impl Scrape {
    pub(super) async fn text(&self) -> String {
        let mut text = Text::default();
        let image = self.handles.image();
        let partitions = self.handles.partitions.all();
        let roles = self.handles.config.roles;
        let version = env!("CARGO_PKG_VERSION");
        text.family(&table::BUILD_INFO).sample(&[("version", &version)], 1);
        self.requests(&mut text);
        self.sockets(&mut text);
        self.disks(&mut text);
        if roles.broker {
            text.single(&table::BROKER_STATE, self.handles.metrics.state());
            self.traffic(&mut text, &partitions);
            let unopened = self.handles.partitions.offline_count();
            replicas(&mut text, &image, &partitions, unopened);
            self.replication(&mut text, &partitions);
            logs(&mut text, &partitions);
            self.cleaner(&mut text, &partitions);
            let applied = image.offset.map_or(-1, |offset| offset.get());
            text.single(&table::LAST_APPLIED_OFFSET, applied);
        }
        if roles.controller {
            self.cluster(&mut text, &image);
        }
        self.quorum(&mut text).await;
        text.finish()
    }

    fn traffic(&self, text: &mut Text, partitions: &[Held]) {
        for series in traffic::SERIES {
            let mut family = text.family(series.0);
            family.sample(&[], self.handles.metrics.traffic.value(series));
            // Partitions are in the order of their topics' ids.
            for of_topic in partitions.chunk_by(is_same_topic) {
                let values = of_topic.iter().map(|held| held.partition.traffic().value(series));
                let topic = &of_topic[0].partition.name().topic;
                family.sample(&[("topic", topic)], values.sum::<u64>());
            }
        }
    }

    fn replication(&self, text: &mut Text, partitions: &[Held]) {
        for series in replication::SERIES {
            text.single(series.0, self.handles.metrics.replication.value(series));
        }
        let lagging = |held: &Held| Some((held.partition.name().clone(), held.partition.lag()?));
        let lags: Vec<_> = partitions.iter().filter_map(lagging).collect();
        let most = lags.iter().map(|(_, lag)| *lag).max().unwrap_or_default();
        text.family(&table::MAX_LAG).sample(&[("clientid", &"Replica")], most);
        let mut family = text.family(&table::FETCHER_LAG);
        for (TopicPartition { topic, partition }, lag) in &lags {
            family.sample(&[("topic", topic), ("partition", partition)], *lag);
        }
    }

    fn requests(&self, text: &mut Text) {
        let requests = &self.handles.metrics.requests;
        let mut family = text.family(&table::REQUESTS);
        for (api, of_api) in requests.used() {
            for (version, count) in of_api.versions() {
                for request in shown_as(api) {
                    family.sample(&[("request", &request), ("version", &version)], count);
                }
            }
        }
        type Part = fn(&OfApi) -> &Durations;
        let times: [(&Metric, Part); 3] = [
            (&table::TOTAL_TIME, |it| &it.total),
            (&table::LOCAL_TIME, |it| &it.local),
            (&table::REMOTE_TIME, |it| &it.remote),
        ];
        for (metric, time) in times {
            let mut family = text.family(metric);
            for (api, of_api) in requests.used() {
                for request in shown_as(api) {
                    let labels: [(&str, &dyn Display); 1] = [("request", &request)];
                    self.summary(&mut family, &labels, time(of_api), of_api.count());
                }
            }
        }
        let mut family = text.family(&table::PURGATORY_SIZE);
        for (api, of_api) in requests.used() {
            family.sample(&[("delayedoperation", &api.facts().name)], of_api.parked());
        }
        let (sessions, partitions) = self.handles.fetch_sessions.sizes();
        text.single(&table::FETCH_SESSIONS, sessions);
        text.single(&table::FETCH_SESSION_PARTITIONS, partitions);
    }

    fn summary(
        &self,
        family: &mut Family<'_>,
        labels: &[(&str, &dyn Display)],
        durations: &Durations,
        count: u64,
    ) {
        let now = self.handles.clock.now().instant;
        for (index, millis) in durations.quantiles(now, QUANTILES).into_iter().flatten().enumerate()
        {
            let quantile: (&str, &dyn Display) = ("quantile", &QUANTILES[index]);
            family.sample(&[labels, &[quantile]].concat(), millis);
        }
        family.sample_of("_sum", labels, durations.sum_millis());
        family.sample_of("_count", labels, count);
    }

    fn sockets(&self, text: &mut Text) {
        let listeners = &self.handles.metrics.listeners;
        let mut family = text.family(&table::CONNECTION_COUNT);
        for listener in listeners {
            // Closed first: one that closes in between must not make the difference negative.
            let closed = listener.closed.get();
            let open = listener.created.get() - closed;
            family.sample(&[("listener", &listener.name)], open);
        }
        let mut family = text.family(&table::CONNECTION_CREATION);
        for listener in listeners {
            family.sample(&[("listener", &listener.name)], listener.created.get());
        }
        let mut family = text.family(&table::CONNECTION_CLOSE);
        for listener in listeners {
            family.sample(&[("listener", &listener.name)], listener.closed.get());
        }
        let available = self.memory.available_bytes();
        text.single(&table::MEMORY_POOL_USED, self.memory.capacity_bytes() - available);
        text.single(&table::MEMORY_POOL_AVAILABLE, available);
    }

    fn disks(&self, text: &mut Text) {
        let flushes = &self.handles.metrics.flushes;
        let mut family = text.family(&table::LOG_FLUSH);
        self.summary(&mut family, &[], &flushes.times, flushes.count.get());
        let dirs = &self.handles.dirs;
        let mut family = text.family(&table::LOG_DIR_OFFLINE);
        for (_, dir) in dirs.iter() {
            let path = dir.log.path().display();
            family.sample(&[("logdirectory", &path)], u8::from(!dir.is_usable()));
        }
        text.single(&table::OFFLINE_LOG_DIR_COUNT, dirs.offline().count());
    }

    fn cleaner(&self, text: &mut Text, partitions: &[Held]) {
        let cleaner = &self.handles.metrics.cleaner;
        text.single(&table::CLEANER_RECOPY_PERCENT, cleaner.recopy_percent());
        text.single(&table::CLEANER_MAX_CLEAN_TIME, cleaner.clean_time_secs());
        text.single(&table::CLEANER_DEAD_THREADS, 0);
        let ratios = partitions.iter().filter_map(|held| Some(cleaner::dirt(held)?.ratio()));
        let dirtiest = (100.0 * ratios.fold(0.0, f64::max)) as u64;
        text.single(&table::CLEANER_MAX_DIRTY_PERCENT, dirtiest);
        let uncleanable: Vec<&Held> =
            partitions.iter().filter(|held| held.partition.clean_fault().is_some()).collect();
        type Measure = fn(&Held) -> u64;
        let series: [(&Metric, Measure); 2] = [
            (&table::UNCLEANABLE_PARTITIONS, |_| 1),
            (&table::UNCLEANABLE_BYTES, |held| held.partition.store().size_bytes()),
        ];
        for (metric, measure) in series {
            let mut family = text.family(metric);
            for (index, dir) in self.handles.dirs.log_dirs() {
                let here = uncleanable.iter().filter(|held| held.partition.dir() == index);
                let path = dir.log.path().display();
                let sum: u64 = here.map(|held| measure(held)).sum();
                family.sample(&[("logdirectory", &path)], sum);
            }
        }
    }

    fn cluster(&self, text: &mut Text, image: &Image) {
        let is_active = self.handles.quorum.leadership().borrow().is_ready;
        text.single(&table::ACTIVE_CONTROLLER_COUNT, u8::from(is_active));
        text.single(&table::GLOBAL_TOPIC_COUNT, image.topics.len());
        text.single(&table::GLOBAL_PARTITION_COUNT, image.topics.partition_count());
        let (mut offline, mut imbalanced) = (0, 0);
        for (_, _, partition) in image.topics.partitions() {
            offline += usize::from(!partition.has_leader());
            imbalanced += usize::from(!partition.has_preferred_leader());
        }
        text.single(&table::OFFLINE_PARTITIONS_COUNT, offline);
        text.single(&table::PREFERRED_REPLICA_IMBALANCE, imbalanced);
        let fenced = image.cluster.brokers().filter(|broker| broker.is_fenced()).count();
        text.single(&table::ACTIVE_BROKER_COUNT, image.cluster.brokers().count() - fenced);
        text.single(&table::FENCED_BROKER_COUNT, fenced);
    }

    async fn quorum(&self, text: &mut Text) {
        // A quorum that has stopped has nothing to tell.
        let Some(quorum) = self.handles.quorum.describe().await else { return };
        let me = self.handles.identity.node_id;
        let is_voter = quorum.voter_set.iter().any(|voter| voter.key.id == me);
        let state = match quorum.leader {
            Some(leader) if leader == me => "leader",
            Some(_) if is_voter => "follower",
            None if is_voter => "unattached",
            _ => "observer",
        };
        text.family(&table::RAFT_STATE).sample(&[("current_state", &state)], 1);
        text.single(&table::RAFT_LEADER, quorum.leader.map_or(-1, NodeId::get));
        text.single(&table::RAFT_EPOCH, quorum.epoch.get());
        text.single(&table::RAFT_HIGH_WATERMARK, quorum.high_watermark.get());
        text.single(&table::RAFT_VOTERS, quorum.voter_set.len());
        text.single(&table::RAFT_OBSERVERS, quorum.observers.len());
    }
}

fn is_same_topic(one: &Held, other: &Held) -> bool {
    one.partition.id().topic_id == other.partition.id().topic_id
}

/// Kafka tells the fetches of consumers apart from those of followers, and shows both together as
/// well. Followers do not fetch from this node.
fn shown_as(api: ApiKey) -> impl Iterator<Item = &'static str> {
    let also = (api == ApiKey::Fetch).then_some("FetchConsumer");
    iter::once(api.facts().name).chain(also)
}

fn replicas(text: &mut Text, image: &Image, partitions: &[Held], unopened: usize) {
    let (partitions_held, offline) = (partitions.len(), unopened);
    let mut counts = ReplicaCounts { partitions: partitions_held, offline, ..Default::default() };
    for held in partitions {
        let (view, id) = (held.partition.view(), held.partition.id());
        counts.offline += usize::from(view.is_offline);
        counts.led += usize::from(view.is_leader);
        let assigned = image.topics.partition(id.topic_id, id.partition);
        let Some(assigned) = assigned.filter(|_| view.is_leader) else { continue };
        let (in_sync, replicas) = (held.partition.in_sync().len(), assigned.replicas.len());
        // More than there are replicas cannot be asked for.
        let min_in_sync = (held.config.min_insync_replicas.max(1) as usize).min(replicas);
        counts.under_replicated += usize::from(in_sync < replicas);
        counts.under_min_isr += usize::from(in_sync < min_in_sync);
        counts.at_min_isr += usize::from(in_sync == min_in_sync);
        counts.reassigning += usize::from(assigned.is_reassigning());
    }
    text.single(&table::PARTITION_COUNT, counts.partitions);
    text.single(&table::LEADER_COUNT, counts.led);
    text.single(&table::OFFLINE_REPLICA_COUNT, counts.offline);
    text.single(&table::UNDER_REPLICATED, counts.under_replicated);
    text.single(&table::UNDER_MIN_ISR, counts.under_min_isr);
    text.single(&table::AT_MIN_ISR, counts.at_min_isr);
    text.single(&table::REASSIGNING, counts.reassigning);
}

fn logs(text: &mut Text, partitions: &[Held]) {
    type Read = fn(&Held) -> u64;
    let series: [(&Metric, Read); 4] = [
        (&table::LOG_SIZE, |it| it.partition.store().size_bytes()),
        (&table::LOG_START_OFFSET, |it| it.partition.view().log_start.get() as u64),
        (&table::LOG_END_OFFSET, |it| it.partition.view().log_end.get() as u64),
        (&table::LOG_SEGMENTS, |it| it.partition.with_log(|log| log.segments().len() as u64)),
    ];
    for (metric, value) in series {
        let mut family = text.family(metric);
        for held in partitions {
            let name = held.partition.name();
            let (topic, partition) = (&name.topic, name.partition);
            family.sample(&[("topic", topic), ("partition", &partition)], value(held));
        }
    }
}
