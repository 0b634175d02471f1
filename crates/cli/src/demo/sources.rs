//! The sources: one per airport, each publishing the flights that leave it, in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strandline_client::producer::{
    Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord,
};
use strandline_client::{Client, ClientConfig};
use strandline_ports::World;
use strandline_types::Compression;

use super::flights::{Flights, ORIGINS};
use crate::failure::Failure;
use crate::tasks::task;

/// How often a source counts what has been stored.
const CONFIRMED_EVERY: usize = 1_000;

/// What the sources have done so far, seen by whoever shows it.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) records: AtomicU64,
    /// Keys and values, before compression.
    pub(super) bytes: AtomicU64,
}

/// Publishes the first `count` flights, and returns when the broker has stored every one.
///
/// # Errors
/// When a record was not stored.
pub(super) async fn publish(
    world: &World,
    bootstrap: &str,
    topic: &str,
    count: u64,
    published: &Arc<Published>,
) -> Result<(), Failure> {
    let sources: Vec<_> = ORIGINS
        .iter()
        .map(|origin| {
            let config = ProducerConfig {
                compression: Compression::Zstd.into(),
                linger: Duration::from_millis(20),
                batch_bytes: 128 << 10,
                ..ProducerConfig::default()
            };
            let client = Client::new(world.clone(), ClientConfig::new(bootstrap));
            let source = Source {
                origin,
                topic: topic.to_owned(),
                producer: Producer::new(client, config),
                published: Arc::clone(published),
            };
            task(world, source.run(count))
        })
        .collect();
    for source in sources {
        source.await?;
    }
    Ok(())
}

struct Source {
    origin: &'static str,
    topic: String,
    producer: Producer,
    published: Arc<Published>,
}

impl Source {
    async fn run(self, count: u64) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::new(format!("source {} could not publish", self.origin)).because(error)
        };
        let mut flights = Flights::first(count);
        let mut sent = Vec::with_capacity(CONFIRMED_EVERY);
        loop {
            let record = match flights.next() {
                None => break,
                Some(flight) if flight.origin != self.origin => continue,
                Some(flight) => {
                    let value = serde_json::to_vec(&flight).map_err(|error| failed(&error))?;
                    ProducerRecord::new(&*self.topic).key(flight.route()).value(value)
                }
            };
            let bytes = [&record.key, &record.value].into_iter().flatten().map(|it| it.len());
            self.published.bytes.fetch_add(bytes.sum::<usize>() as u64, Ordering::Relaxed);
            sent.push(self.producer.send(record).await.map_err(|error| failed(&error))?);
            if sent.len() == 2 * CONFIRMED_EVERY {
                // The younger half stays on its way meanwhile.
                self.confirm(sent.drain(..CONFIRMED_EVERY))
                    .await
                    .map_err(|error| failed(&error))?;
            }
        }
        self.producer.flush().await;
        self.confirm(sent.drain(..)).await.map_err(|error| failed(&error))
    }

    async fn confirm(&self, sent: impl Iterator<Item = Delivery>) -> Result<(), ProduceError> {
        for delivery in sent {
            delivery.await?;
            self.published.records.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
