//! Fetch: reads what there is, or waits until there is enough.
//!
//! Partitions are read in the order of the request (or of the session's turns). The first one
//! with records gives at least one whole batch however large, the rest keep within the limits
//! (KIP-74). A request that has less than `min_bytes` and no news to tell at once waits on all its
//! partitions together; whoever moves a high watermark counts it down, and it reads once more.
//!
//! A follower reads to the log's end, and its fetch tells how far its own copy goes. It also hears
//! at once how far the log is committed, and where it begins.
//!
//! A consumer that says where it stands is sent to a replica that is nearer than the leader, if
//! `replica.selector.class` says so (KIP-392). Whether it is sent or not, any replica answers it.

mod metadata_log;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use strandline_config::ReplicaSelector;
use strandline_log::AbortedTransaction;
use strandline_metadata::Image;
use strandline_replica::{Isolation, Reader, View};
use strandline_store::Records as StoredRecords;
use strandline_types::{
    BrokerEpoch, Bug, ErrorCode, Instant, LeaderEpoch, NodeId, Offset, TopicIdPartition, planted,
};
use strandline_wire::Chunk;
use strandline_wire::messages::fetch_request::FetchPartition;
use strandline_wire::messages::fetch_response::{
    self, 
    EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use strandline_wire::messages::{FetchRequest, FetchResponse, Records};

pub(crate) use session::FetchSessions;
use session::{Plan, Planned, Told, Wanted};

use crate::cx::{Cx, ListenerRole};
use crate::deadline::Deadline;
use crate::driver::partition::{
    FetchRead, FetchRefusal, FetchWaiter, FollowerFetch, Partition, ReadAt, Subscription,
};
use crate::driver::replicas::lag_time_max;
use crate::leader_hints::LeaderHints;
use crate::partitions::find;
use crate::session::Hangup;

/// A partition of which a follower has all is read so often in `replica.lag.time.max.ms`, so that it
/// counts as seen when something comes.
const LOOKS_PER_LAG_TIME: u32 = 4;
/// Since then a consumer understands that another replica than the leader answers it.
const ROAMING_VERSION_MIN: i16 = 11;

pub(crate) async fn handle(cx: &Cx, mut request: FetchRequest) -> Result<FetchResponse, Hangup> {
    if cx.session.role == ListenerRole::Controller {
        return metadata_log::handle(cx, request).await;
    }
    let sessions = &cx.handles.fetch_sessions;
    let mut plan = match sessions.plan(cx.now.instant, cx.version, &mut request) {
        Ok(plan) => plan,
        Err(error_code) => return Ok(FetchResponse { error_code, ..Default::default() }),
    };
    let follower = follower_of(&request);
    let limits = Limits {
        min_bytes: i64::from(request.min_bytes),
        max_bytes: max_bytes(cx, &request),
        reader: reader(cx.version, &request),
    };
    let asker = Asker { follower, is_counted: true, rack: rack_of(cx, &request) };
    let mut read = read_due(cx, &plan, limits, asker).await;
    if request.max_wait_ms > 0 && plan.is_about_something() && !read.is_enough(limits) {
        let deadline = Deadline::after(cx, request.max_wait_ms);
        read = wait(cx, &mut plan, read, limits, asker, deadline).await;
    }
    read.count(cx, follower.map(|(follower, _)| follower));
    let answers = read.partitions.into_iter().map(|it| (it.wanted, it.answer)).collect();
    let (session_id, answers) = sessions.conclude(cx.now.instant, cx.version, plan, answers);
    Ok(respond(cx, session_id, answers))
}

/// Reads again and again until there is enough, or nothing to wait for.
async fn wait(
    cx: &Cx,
    plan: &mut Plan,
    mut read: ReadAll,
    limits: Limits,
    asker: Asker<'_>,
    mut deadline: Deadline,
) -> ReadAll {
    let is_follower = asker.follower.is_some();
    for (planned, one) in plan.partitions.iter_mut().zip(&read.partitions) {
        planned.told.get_or_insert(Told::by(&one.answer));
    }
    loop {
        let waiter = match &plan.waiter {
            Some(waiter) if is_follower => Arc::clone(waiter),
            _ => FetchWaiter::new(limits.min_bytes - read.bytes),
        };
        let subscriptions = read.subscribe(&waiter, limits.reader);
        // A follower that has more to ask for is not kept waiting.
        let has_more = AtomicBool::new(false);
        let ready = async {
            tokio::select! {
                biased;
                () = waiter.ready() => {}
                () = cx.session.queue.has_next(), if is_follower => {
                    has_more.store(true, Ordering::Relaxed);
                }
                () = pause(cx, read.throttled_until) => {}
            }
        };
        let woken = deadline.wait(ready).await;
        drop(subscriptions);
        if is_follower && (woken.is_err() || has_more.into_inner()) {
            // Whatever happens to a log wakes its followers: this pass still holds.
            return read;
        }
        if is_follower {
            cx.handles.fetch_sessions.plan_again(cx.handles.clock.now().instant, plan);
        }
        let asker = Asker { is_counted: false, ..asker };
        read = read_due(cx, plan, limits, asker).await;
        if woken.is_err() || read.is_enough(limits) {
            return read;
        }
    }
}

/// Reads what is planned, and leaves alone what a follower has all of until something happens.
async fn read_due(cx: &Cx, plan: &Plan, limits: Limits, asker: Asker<'_>) -> ReadAll {
    let read = read_all(cx, &plan.partitions, limits, asker).await;
    if asker.follower.is_some() {
        let until = cx.now.instant + lag_time_max(&cx.handles.config) / LOOKS_PER_LAG_TIME;
        let looked = read.partitions.iter();
        let looked = looked.map(|one| (&one.wanted, one.partition.as_ref().filter(|_| one.may_rest)));
        cx.handles.fetch_sessions.rest(plan, until, looked);
    }
    read
}

/// The follower that asks, and its incarnation; `None` for consumers.
fn follower_of(request: &FetchRequest) -> Option<(NodeId, BrokerEpoch)> {
    let state = &request.replica_state;
    let replica_id = if state.replica_id >= 0 { state.replica_id } else { request.replica_id };
    (replica_id >= 0).then_some((NodeId(replica_id), BrokerEpoch(state.replica_epoch)))
}

fn reader(version: i16, request: &FetchRequest) -> Reader {
    if follower_of(request).is_some() {
        return Reader::Follower;
    }
    let isolation = match request.isolation_level {
        0 => Isolation::ReadUncommitted,
        _ => Isolation::ReadCommitted,
    };
    match version {
        ROAMING_VERSION_MIN.. => Reader::Roaming(isolation),
        _ => Reader::Consumer(isolation),
    }
}

/// What a follower asks for is its own administrator's business.
fn max_bytes(cx: &Cx, request: &FetchRequest) -> u32 {
    let limit = match follower_of(request) {
        Some(_) => i32::MAX,
        None => cx.handles.config.network.fetch_max_bytes,
    };
    request.max_bytes.min(limit).max(0) as u32
}

/// Where the consumer stands, if that matters.
fn rack_of<'a>(cx: &Cx, request: &'a FetchRequest) -> Option<&'a str> {
    let selects = cx.handles.config.replication.selector == ReplicaSelector::Rack;
    let rack = request.rack_id.as_str();
    (selects && !rack.is_empty() && follower_of(request).is_none()).then_some(rack)
}

/// Sent before the broker registered anew. A request may be that old: its broker may have lost since
/// what the request says that it holds (KIP-903).
fn is_stale(cx: &Cx, fetch: &FollowerFetch) -> bool {
    let known = cx.image().cluster.broker(fetch.follower).map(|broker| broker.epoch());
    fetch.broker_epoch != BrokerEpoch::NONE && known.is_some_and(|known| known > fetch.broker_epoch)
}

#[derive(Clone, Copy)]
struct Asker<'a> {
    follower: Option<(NodeId, BrokerEpoch)>,
    /// Whether what the follower says that it has is news.
    is_counted: bool,
    /// Of a consumer that may be sent elsewhere.
    rack: Option<&'a str>,
}

#[derive(Clone, Copy)]
struct Limits {
    min_bytes: i64,
    max_bytes: u32,
    reader: Reader,
}

/// One pass over all partitions.
struct ReadAll {
    partitions: Vec<ReadOne>,
    bytes: i64,
    /// Something that the client must hear at once.
    is_urgent: bool,
    /// When a partition may be copied on that gives nothing now.
    throttled_until: Option<Instant>,
}

struct ReadOne {
    wanted: Wanted,
    answer: PartitionData,
    /// Where to wait for more, and what this pass has seen of it.
    partition: Option<(Arc<Partition>, View)>,
    is_urgent: bool,
    throttled_until: Option<Instant>,
    /// It is a follower's that is in sync and has all.
    may_rest: bool,
}

impl ReadOne {
    /// There is nothing to wait for.
    fn at_once(wanted: Wanted, answer: PartitionData) -> Self {
        Self {
            wanted,
            answer,
            partition: None,
            is_urgent: true,
            throttled_until: None,
            may_rest: false,
        }
    }
}

impl ReadAll {
    fn is_enough(&self, limits: Limits) -> bool {
        self.is_urgent || self.bytes >= limits.min_bytes
    }

    /// Counts what is given away.
    fn count(&self, cx: &Cx, follower: Option<NodeId>) {
        let follower = follower.map(|follower| (follower, cx.image()));
        for it in &self.partitions {
            let bytes = it.answer.records.len() as u64;
            let (Some((partition, _)), 1..) = (&it.partition, bytes) else { continue };
            match &follower {
                Some((follower, image)) => {
                    partition.gave(bytes, is_added(image, partition.id(), *follower));
                }
                None => {
                    partition.traffic().bytes_out.add(bytes);
                    cx.handles.metrics.traffic.bytes_out.add(bytes);
                }
            }
        }
    }

    fn subscribe(&self, waiter: &Arc<FetchWaiter>, reader: Reader) -> Vec<Subscription> {
        // What gives nothing has nothing to wake anybody for, and what rests wakes its session.
        let open =
            self.partitions.iter().filter(|it| it.throttled_until.is_none() && !it.may_rest);
        let partitions = open.filter_map(|it| it.partition.as_ref());
        partitions.map(|(partition, seen)| partition.subscribe(waiter, reader, seen)).collect()
    }
}

async fn read_all(
    cx: &Cx,
    planned: &[Planned],
    limits: Limits,
    asker: Asker<'_>,
) -> ReadAll {
    let mut all = ReadAll {
        partitions: Vec::with_capacity(planned.len()),
        bytes: 0,
        is_urgent: false,
        throttled_until: None,
    };
    let mut room = limits.max_bytes;
    for Planned { wanted, wants, told } in planned {
        let at = ReadAt {
            from: Offset(wants.fetch_offset),
            max_bytes: room.min(wants.partition_max_bytes.max(0) as u32),
            at_least_one_batch: all.bytes == 0,
            reader: limits.reader,
            leader_epoch: LeaderEpoch(wants.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch(wants.last_fetched_epoch),
        };
        let mut one = read_one(cx, wanted, wants, at, asker).await;
        let has_news = told.is_some_and(|told| told != Told::by(&one.answer));
        let tells = limits.reader == Reader::Follower && one.throttled_until.is_none();
        one.is_urgent |= tells && has_news;
        all.throttled_until = all.throttled_until.into_iter().chain(one.throttled_until).min();
        let len = one.answer.records.len();
        room = room.saturating_sub(len as u32);
        all.bytes += len as i64;
        all.is_urgent |= one.is_urgent;
        all.partitions.push(one);
    }
    all
}

async fn read_one(
    cx: &Cx,
    wanted: &Wanted,
    wants: &FetchPartition,
    at: ReadAt,
    asker: Asker<'_>,
) -> ReadOne {
    let wanted = wanted.clone();
    let index = wanted.partition;
    let all_topics = &cx.handles.metrics.traffic;
    let held = match find(cx, &wanted.topic, wanted.topic_id, index) {
        Ok(held) => held,
        Err(refusal) => {
            let answer = failed(index, refusal.code());
            all_topics.fetch_requests.add(1);
            all_topics.fetch_failed(refusal.code());
            return ReadOne::at_once(wanted, answer);
        }
    };
    let partition = held.partition;
    let counted = [all_topics, partition.traffic()];
    counted.iter().for_each(|traffic| traffic.fetch_requests.add(1));
    if let Some(nearer) = asker.rack.and_then(|rack| nearer_replica(cx, &partition, &at, rack)) {
        let mut answer = lies(index, &partition.view());
        answer.preferred_read_replica = nearer.get();
        return ReadOne::at_once(wanted, answer);
    }
    let throttled_until =
        asker.follower.and_then(|(follower, _)| partition.gives_nothing_until(follower));
    let at = match throttled_until {
        Some(_) => ReadAt { max_bytes: 0, at_least_one_batch: false, ..at },
        None => at,
    };
    let counted_follower = asker.follower.filter(|_| asker.is_counted);
    let read = match counted_follower.map(|follower| follower_fetch(follower, wants)) {
        Some(fetch) if is_stale(cx, &fetch) => {
            Err(FetchRefusal::StaleBroker { follower: fetch.follower })
        }
        Some(fetch) => partition.read_for(fetch, at).await,
        // What it has was counted before.
        None => partition.read(at).await.map_err(FetchRefusal::from),
    };
    match read {
        Ok(FetchRead { view, records, next_offset, diverging, aborted }) => {
            let seen = view.end_for(at.reader);
            // A read ends with its segment, or where the room does that others have left. What lies
            // behind it is there already: no high watermark will move to tell of it.
            let has_some = !records.is_empty() || !at.at_least_one_batch;
            let more_follows = has_some && next_offset < seen && throttled_until.is_none();
            let is_urgent = more_follows || diverging.is_some();
            let diverging_epoch = diverging.map(|end| EpochEndOffset {
                epoch: end.epoch.get(),
                end_offset: end.end.get(),
                ..Default::default()
            });
            let reads_committed = at.reader.isolation() == Some(Isolation::ReadCommitted);
            let answer = PartitionData {
                records: on_the_wire(cx, records),
                aborted_transactions: reads_committed.then(|| match planted(Bug::AbortsUntold) {
                    true => Vec::new(),
                    false => told_aborted(aborted),
                }),
                diverging_epoch: diverging_epoch.unwrap_or_default(),
                ..lies(index, &view)
            };
            let may_rest = diverging.is_none()
                && throttled_until.is_none()
                && at.from == seen
                && asker.follower.is_some_and(|(follower, _)| partition.is_in_sync(follower));
            let partition = Some((partition, view));
            ReadOne { wanted, answer, partition, is_urgent, throttled_until, may_rest }
        }
        Err(refusal) => {
            let error_code = refusal.code();
            counted.iter().for_each(|traffic| traffic.fetch_failed(error_code));
            let answer = match error_code {
                // A client that resets by itself wants to know where the log lies now.
                ErrorCode::OFFSET_OUT_OF_RANGE => {
                    PartitionData { error_code, ..lies(index, &partition.view()) }
                }
                _ => failed(index, error_code),
            };
            ReadOne::at_once(wanted, answer)
        }
    }
}

fn follower_fetch(
    (follower, broker_epoch): (NodeId, BrokerEpoch),
    wants: &FetchPartition,
) -> FollowerFetch {
    FollowerFetch {
        follower,
        broker_epoch,
        log_start: Offset(wants.log_start_offset),
        log_end: Offset(wants.fetch_offset),
    }
}

/// Whether a reassignment brings the partition to this follower.
fn is_added(image: &Image, partition: TopicIdPartition, follower: NodeId) -> bool {
    let assigned = image.topics.partition(partition.topic_id, partition.partition);
    assigned.is_some_and(|it| it.adding_replicas.contains(&follower))
}

/// For ever, without an end.
async fn pause(cx: &Cx, until: Option<Instant>) {
    match until {
        Some(until) => cx.handles.clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Who answers a consumer in `rack` better than this node.
fn nearer_replica(cx: &Cx, partition: &Partition, at: &ReadAt, rack: &str) -> Option<NodeId> {
    let image = cx.image();
    let is_near = |node| {
        let broker = image.cluster.broker(node).filter(|broker| !broker.is_fenced());
        broker.is_some_and(|broker| {
            broker.rack() == Some(rack) && broker.endpoint(&cx.session.listener).is_some()
        })
    };
    partition.preferred_read_replica(at.from, at.leader_epoch, is_near)
}

/// An answer without records.
fn lies(index: i32, view: &View) -> PartitionData {
    PartitionData {
        partition_index: index,
        high_watermark: view.high_watermark.get(),
        last_stable_offset: view.last_stable_offset.get(),
        log_start_offset: view.log_start.get(),
        aborted_transactions: None,
        records: Records::Bytes(Bytes::new()),
        ..Default::default()
    }
}

fn told_aborted(aborted: Vec<AbortedTransaction>) -> Vec<fetch_response::AbortedTransaction> {
    let tell = |it: AbortedTransaction| fetch_response::AbortedTransaction {
        producer_id: it.producer_id.get(),
        first_offset: it.first_offset.get(),
        ..Default::default()
    };
    aborted.into_iter().map(tell).collect()
}

fn failed(index: i32, error_code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted_transactions: None,
        records: Records::Bytes(Bytes::new()),
        ..Default::default()
    }
}

/// Record bytes are never copied: chunks of memory are gathered, file ranges are sent by sendfile.
fn on_the_wire(cx: &Cx, records: StoredRecords) -> Records {
    match records {
        StoredRecords::Empty => Records::Bytes(Bytes::new()),
        StoredRecords::Memory(pieces) => {
            Records::Chunks(pieces.into_iter().map(Chunk::Bytes).collect())
        }
        StoredRecords::File(range) => {
            let len = range.len;
            Records::Chunks(vec![Chunk::External { id: cx.send_file(range), len }])
        }
    }
}

fn respond(cx: &Cx, session_id: i32, answers: Vec<(Wanted, PartitionData)>) -> FetchResponse {
    let mut hints = LeaderHints::new(cx);
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    for (wanted, mut answer) in answers {
        let Wanted { topic, topic_id, partition } = wanted;
        if let Some(leader) = hints.leader(answer.error_code, &topic, topic_id, partition) {
            answer.current_leader.leader_id = leader.node.get();
            answer.current_leader.leader_epoch = leader.epoch.get();
        }
        match responses.last_mut().filter(|last| last.topic == topic && last.topic_id == topic_id) {
            Some(last) => last.partitions.push(answer),
            None => responses.push(FetchableTopicResponse {
                topic,
                topic_id,
                partitions: vec![answer],
                ..Default::default()
            }),
        }
    }
    let node_endpoints = hints.into_fetch_endpoints();
    FetchResponse { session_id, responses, node_endpoints, ..Default::default() }
}
