//! Fetches that cannot have all that is there.

#![allow(clippy::unwrap_used)]

mod node;

use std::time::Duration;

use node::{ask, batch, connect, create_topic, produce};
use strandline_wire::messages::FetchRequest;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};

/// The second partition's batch does not fit behind the first one's, so that the minimum is out of
/// reach: waiting brings nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_as_full_as_it_can_be_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let broker = node::start(dir.path(), &[]).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        create_topic(&mut conn, "t", 2, &[]);
        produce(&mut conn, "t", 0, batch(&[b"small"]));
        produce(&mut conn, "t", 1, batch(&[&[b'x'; 4_000][..]]));
        let partition = |partition| FetchPartition {
            partition,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            partition_max_bytes: 1_000,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: "t".into(),
            partitions: [0, 1].map(partition).into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 3_600_000,
            min_bytes: 2_000,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        conn.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let answer = ask(&mut conn, &request, 12).responses.remove(0);
        let sizes: Vec<_> = answer.partitions.iter().map(|it| it.records.len()).collect();
        assert!(sizes[0] > 0 && sizes[1] == 0, "{sizes:?}");
    });
    broker.stop().await.unwrap();
}
