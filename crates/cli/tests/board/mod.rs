//! A node with one topic, `board`, and the verbs that read it.

// Each test program uses a part of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use strandline_client::admin::NewTopic;
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_client::{Admin, Client};
use strandline_types::{Offset, PartitionId, Timestamp, TopicPartition};

use crate::local;
use crate::node::{Node, Start};

pub const TOPIC: &str = "board";

pub struct Board {
    pub node: Node,
    pub client: Client,
    pub producer: Producer,
    _dir: tempfile::TempDir,
}

impl Board {
    pub async fn start(partitions: i32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Start::anywhere(dir.path()).ready();
        let client = local::client(&node.kafka.to_string());
        // Records are dated long ago.
        let topic = NewTopic::new(TOPIC, partitions, 1).config("retention.ms", "-1");
        let created = Admin::new(client.clone()).create_topics(&[topic], false).await.unwrap();
        assert!(created[0].1.is_ok(), "{created:?}");
        let producer = Producer::new(client.clone(), ProducerConfig::default());
        Self { node, client, producer, _dir: dir }
    }

    pub async fn delete_before(&self, partition: i32, offset: i64) {
        let partition = TopicPartition { topic: TOPIC.into(), partition: PartitionId(partition) };
        let before = BTreeMap::from([(partition, Offset(offset))]);
        let deleted = Admin::new(self.client.clone()).delete_records(&before).await.unwrap();
        assert!(deleted[0].1.is_ok(), "{deleted:?}");
    }

    /// `strandline VERB board …`
    pub fn command(&self, verb: &str, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
        command.args([verb, TOPIC]).args(line.split_whitespace());
        command.args(["--bootstrap", &self.node.kafka.to_string()]).stdin(Stdio::null());
        command
    }
}

/// A record of that second of 2001.
pub fn dated(second: i64) -> ProducerRecord {
    ProducerRecord::new(TOPIC).timestamp(Timestamp(978_307_200_000 + second * 1000))
}
