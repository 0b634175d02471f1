//! Somebody who makes topics, lets them grow and deletes them all the while, so that nodes are never
//! done with opening and removing partitions when something goes wrong. What becomes of each request
//! does not matter; that the nodes stay one does.

use std::sync::Arc;
use std::time::Duration;

use strandline_wire::messages::create_partitions_request::CreatePartitionsTopic;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::delete_topics_request::DeleteTopicState;
use strandline_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
};

use crate::asker::{Asker, TIMEOUT_MS};
use crate::workload::Field;

/// Of so many topics the latest are let grow and deleted.
const LATEST: u64 = 3;

pub(crate) struct Churn {
    field: Arc<Field>,
    asker: Asker,
    pause_max: Duration,
    /// Topics so far. None gets the name of another: what is seen of them is told apart by names.
    created: u64,
}

impl Churn {
    pub(crate) fn new(field: &Arc<Field>, asker: Asker, pause_max: Duration) -> Self {
        Self { field: Arc::clone(field), asker, pause_max, created: 0 }
    }

    pub(crate) async fn run(mut self) {
        while !self.field.is_over() {
            let rng = &mut self.asker.rng;
            let name = format!("churn-{}", self.created.saturating_sub(rng.below(LATEST)));
            match rng.below(3) {
                0 => {
                    self.created += 1;
                    self.create(format!("churn-{}", self.created)).await;
                }
                1 => self.grow(name).await,
                _ => self.delete(name).await,
            }
            self.asker.pause(self.pause_max).await;
        }
        // What is left must not keep anybody waiting.
        for number in 0..=self.created {
            self.delete(format!("churn-{number}")).await;
        }
    }

    async fn create(&mut self, name: String) {
        let num_partitions = self.asker.rng.between(1, 3) as i32;
        let topic =
            CreatableTopic { name, num_partitions, replication_factor: 3, ..Default::default() };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.asker.ask(&request, 7).await;
    }

    async fn grow(&mut self, name: String) {
        let count = self.asker.rng.between(2, 6) as i32;
        let topic = CreatePartitionsTopic { name, count, assignments: None, ..Default::default() };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.asker.ask(&request, 3).await;
    }

    async fn delete(&mut self, name: String) {
        let topic = DeleteTopicState { name: Some(name), ..Default::default() };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.asker.ask(&request, 6).await;
    }
}
