//! What the node counts, and how Prometheus reads it.
//!
//! Names and meanings are those that dashboards for Kafka rely on: its JMX beans as the usual
//! exporter renames them. [`table`] declares each one, once. On the hot path a metric is an atomic
//! addition: no lock, no allocation, no lookup. Everything that can be looked up is looked up when
//! somebody scrapes.

mod cleaner;
mod durations;
mod endpoint;
mod replication;
mod requests;
mod scrape;
mod table;
mod text;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use strandline_types::Instant;

use cleaner::CleanerMetrics;
use durations::Durations;
pub(crate) use endpoint::Endpoint;
use replication::Replication;
use requests::Requests;
pub(crate) use scrape::Scrape;
pub(crate) use traffic::Traffic;

/// Only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All that one node counts while it works.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Of all topics together; each partition has its own besides.
    pub(crate) traffic: Traffic,
    pub(crate) replication: Replication,
    pub(crate) requests: Requests,
    pub(crate) flushes: Flushes,
    pub(crate) cleaner: CleanerMetrics,
    listeners: Vec<Arc<ListenerMetrics>>,
    state: AtomicU8,
}

/// Where the node stands in its life, by Kafka's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum BrokerState {
    Running = 3,
    PendingControlledShutdown = 6,
}

/// Connections of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerMetrics {
    name: String,
    created: Counter,
    closed: Counter,
}

/// Flushes of partitions' logs.
#[derive(Default)]
pub(crate) struct Flushes {
    count: Counter,
    times: Durations,
}

impl Metrics {
    pub(crate) fn new<'a>(listeners: impl Iterator<Item = &'a str>) -> Self {
        let named = |name: &str| ListenerMetrics { name: name.to_owned(), ..Default::default() };
        Self { listeners: listeners.map(|name| Arc::new(named(name))).collect(), ..Self::default() }
    }

    /// A listener that was not named to [`Metrics::new`] is counted, and shown nowhere.
    pub(crate) fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.listeners.iter().find(|it| it.name == name).cloned().unwrap_or_default()
    }

    pub(crate) fn enter(&self, state: BrokerState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }
}

impl Flushes {
    pub(crate) fn flushed(&self, now: Instant, took: Duration) {
        self.count.add(1);
        self.times.record(now, took);
    }
}

/// One open connection; dropping it counts it as closed.
pub(crate) struct OpenConnection(Arc<ListenerMetrics>);

impl OpenConnection {
    pub(crate) fn new(listener: &Arc<ListenerMetrics>) -> Self {
        listener.created.add(1);
        Self(Arc::clone(listener))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}
