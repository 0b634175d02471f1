//! What every example here needs: the broker at `$BOOTSTRAP`, and names that nobody has used.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A client configuration that already knows the broker.
pub fn config() -> ClientConfig {
    let bootstrap = std::env::var("BOOTSTRAP").unwrap_or("127.0.0.1:9092".into());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// A name that nobody has used before.
pub fn fresh(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!(
        "rdkafka-{what}-{}-{}-{}",
        now(),
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// An admin client.
pub fn admin() -> AdminClient<DefaultClientContext> {
    config().create().expect("an admin client")
}

/// Creates a topic and waits until it is there.
pub async fn create_topic(partitions: i32, configs: &[(&str, &str)]) -> String {
    let name = fresh("topic");
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (key, value) in configs {
        topic = topic.set(key, value);
    }
    let answers = admin().create_topics(&[topic], &AdminOptions::new()).await.expect("an answer");
    assert_eq!(answers, vec![Ok(name.clone())]);
    let consumer: BaseConsumer = config().create().expect("a consumer");
    eventually(&name, async || {
        let metadata = consumer.fetch_metadata(Some(&name), LIMIT).expect("an answer");
        metadata.topics()[0].partitions().len() == partitions as usize
    })
    .await;
    name
}

/// Waits for what the controller has answered and the broker knows a moment later.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
